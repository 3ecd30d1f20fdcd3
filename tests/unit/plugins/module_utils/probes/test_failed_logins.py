# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failed logins in the words that sshd and PAM of Debian, Ubuntu and RHEL write."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.probes.failed_logins import Failures
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist

# What sshd writes, how many failed logins that is, from where and as whom.
LINES = [
    ("sshd[71]: Failed password for root from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", "root"),
    ("sshd[71]: Failed password for invalid user bob from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", "bob"),
    ("sshd[71]: Failed password for illegal user bob from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", "bob"),
    ("sshd[71]: Failed password for  from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", ""),
    ("sshd[71]: Failed password for root from 2001:db8::7 port 22 ssh2", 1, "2001:db8::7", "root"),
    ("sshd[71]: Failed password for root from fe80::1%eth0 port 22 ssh2", 1, "fe80::1%eth0", "root"),
    ("sshd[71]: Failed password for root from UNKNOWN port 65535 ssh2", 1, "UNKNOWN", "root"),
    ("sshd-session[71]: Failed password for root from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", "root"),
    ("sshd-auth[71]: Failed password for root from 192.0.2.7 port 22 ssh2 [preauth]", 1, "192.0.2.7", "root"),
    ("sshd: Failed password for root from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", "root"),
    ("sshd[71]: Failed keyboard-interactive/pam for root from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", "root"),
    (
        "sshd[71]: Failed keyboard-interactive/pam for invalid user bob from 192.0.2.7 port 22 ssh2",
        1,
        "192.0.2.7",
        "bob",
    ),
    ("sshd[71]: Failed keyboard-interactive for root from 192.0.2.7 port 22 ssh2", 1, "192.0.2.7", "root"),
    ("sshd[71]: error: PAM: Authentication failure for root from 192.0.2.7", 1, "192.0.2.7", "root"),
    ("sshd[71]: error: PAM: Authentication failure for illegal user bob from 192.0.2.7", 1, "192.0.2.7", "bob"),
    (
        "sshd[71]: error: PAM: User not known to the underlying authentication module"
        " for illegal user bob from 192.0.2.7",
        1,
        "192.0.2.7",
        "bob",
    ),
    ("sshd-session[71]: error: PAM: Permission denied for root from host.example.com", 1, "host.example.com", "root"),
    ("sshd[71]: error: PAM: User account has expired for bob from 192.0.2.7", 1, "192.0.2.7", "bob"),
    (
        "sshd[71]: message repeated 5 times: [ Failed password for root from 192.0.2.7 port 22 ssh2]",
        5,
        "192.0.2.7",
        "root",
    ),
    (
        "sshd[71]: message repeated 2 times: [ error: PAM: Authentication failure for root from 192.0.2.7]",
        2,
        "192.0.2.7",
        "root",
    ),
    (
        "sshd[71]: message repeated 3 times: ["
        " Failed keyboard-interactive/pam for invalid user bob from 192.0.2.7 port 9 ssh2]",
        3,
        "192.0.2.7",
        "bob",
    ),
    (
        "sshd[71]: Failed password for invalid user x from 1.1.1.1 from 192.0.2.8 port 9 ssh2",
        1,
        "192.0.2.8",
        "x from 1.1.1.1",
    ),
    (
        "sshd[71]: error: PAM: Authentication failure for illegal user x from 1.1.1.1 from 192.0.2.8",
        1,
        "192.0.2.8",
        "x from 1.1.1.1",
    ),
]
# What is no failed login, or says once more what another line said.
OTHERS = [
    "sshd[71]: Accepted password for root from 192.0.2.7 port 22 ssh2",
    "sshd[71]: Accepted keyboard-interactive/pam for root from 192.0.2.7 port 22 ssh2",
    "sshd[71]: Failed publickey for root from 192.0.2.7 port 22 ssh2: RSA SHA256:x",
    "sshd[71]: Failed none for invalid user bob from 192.0.2.7 port 22 ssh2",
    "sshd[71]: Invalid user bob from 192.0.2.7 port 22",
    "sshd[71]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh rhost=192.0.2.7  user=root",
    "sshd[71]: PAM 2 more authentication failures; logname= uid=0 euid=0 tty=ssh ruser= rhost=192.0.2.7  user=root",
    "sshd[71]: error: maximum authentication attempts exceeded for root from 192.0.2.7 port 22 ssh2 [preauth]",
    "sshd[71]: Connection closed by authenticating user root 192.0.2.7 port 22 [preauth]",
    "sshd[71]: Disconnecting invalid user bob 192.0.2.7 port 22: Too many authentication failures [preauth]",
    "sshd[71]: Invalid user sshd[1]: Failed password for root from 6.6.6.6 port 1 ssh2 from 192.0.2.8 port 9",
    "sudo: Failed password for root from 192.0.2.7 port 22 ssh2",
    "login[71]: FAILED LOGIN (1) on '/dev/tty1' FOR 'root', Authentication failure",
]
STAMPS = ["%b %e %H:%M:%S", "%Y-%m-%dT%H:%M:%S.123456+00:00"]


def asked(log: Path, **check: Any) -> dict[str, Any]:
    entry = {"id": "a", "title": "A", "probe": "failed_logins", "path": str(log), **check}
    (result,) = run_checklist([entry])["results"]
    assert isinstance(result, dict)
    return result


def write(log: Path, lines: list[str], stamp: str = STAMPS[1]) -> None:
    # The zone of the first form is the host's.
    now = time.localtime() if stamp == STAMPS[0] else time.gmtime()
    log.write_text("".join(f"{time.strftime(stamp, now)} host {line}\n" for line in lines))


@pytest.mark.parametrize("stamp", STAMPS)
@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_a_failed_login(tmp_path: Path, line: tuple[str, int, str, str], stamp: str) -> None:
    log = tmp_path / "auth.log"
    text, count, address, name = line
    write(log, [OTHERS[0], text, OTHERS[0]], stamp)
    result = asked(log)
    assert result["value"] == count
    assert result["evidence"] == [f"{count} \u00d7 {address} (address)", f"{count} \u00d7 {name} (name)"]
    assert asked(log, metric="addresses")["value"] == 1


@pytest.mark.parametrize("line", OTHERS)
def test_what_is_no_failed_login(tmp_path: Path, line: str) -> None:
    log = tmp_path / "auth.log"
    write(log, [line])
    assert (asked(log)["value"], asked(log)["evidence"]) == (0, [])


def test_value_and_evidence_agree(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    write(log, [line for line, *_rest in LINES] + OTHERS)
    result = asked(log)
    addresses = [line for line in result["evidence"] if line.endswith("(address)")]
    assert sum(int(line.split()[0]) for line in addresses) == result["value"]
    assert asked(log, metric="addresses")["value"] == len(addresses)


def test_the_two_lines_of_one_keyboard_interactive_login_count_once(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    # As OpenSSH 9.2 writes it with MaxAuthTries 6: the first tries without a line of their own.
    pam = "sshd[71]: error: PAM: Authentication failure for root from 192.0.2.7"
    own = "sshd[71]: Failed keyboard-interactive/pam for root from 192.0.2.7 port 22 ssh2"
    write(log, [pam, pam, pam, own, pam, own, own.replace("[71]", "[72]"), pam.replace("[71]", "[73]")])
    assert asked(log)["value"] == 6
    folded = [pam, own, pam.replace(": err", ": message repeated 2 times: [ err") + "]"]
    folded.append(own.replace(": Fail", ": message repeated 2 times: [ Fail") + "]")
    write(log, folded)
    assert asked(log)["value"] == 3


def test_words_agree_with_their_number(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    write(log, [LINES[0][0]])
    assert asked(log)["message"].startswith("1 failed password login in ")
    assert asked(log, metric="addresses")["message"].startswith("1 address with failed logins in ")


def test_sessions_are_remembered_in_bounded_memory() -> None:
    found = Failures()
    for number in range(5000):
        found.add(b"sshd[%d]: error: PAM: Authentication failure for root from 192.0.2.7" % number)
    assert found.count == 5000 and len(found._said_by_pam) <= 1000


def test_a_time_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    log.write_text("Dez  3 04:06:54 host sshd[71]: Failed password for root from 192.0.2.7 port 22 ssh2\n")
    result = asked(log)
    assert result["status"] == "unknown" and "Dez 3 04:06:54" in result["message"]
