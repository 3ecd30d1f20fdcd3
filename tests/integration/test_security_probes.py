# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes of accounts, logins, the firewall and updates; the host itself is asked what is right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

AUTH = "/var/log/auth.log"


@pytest.fixture(scope="module")
def seen(lab_host: Any) -> dict[str, dict[str, Any]]:
    results: dict[str, dict[str, Any]] = lab_host.checks(
        {"id": "logins", "probe": "failed_logins"},
        {"id": "logins-week", "probe": "failed_logins", "since": "7d"},
        {"id": "addresses", "probe": "failed_logins", "since": "7d", "metric": "addresses"},
        {"id": "able", "probe": "accounts"},
        {"id": "uid-zero", "probe": "accounts", "metric": "uid_zero"},
        {"id": "empty", "probe": "accounts", "metric": "empty_passwords"},
        {"id": "sudo", "probe": "accounts", "metric": "sudo"},
        {"id": "unused", "probe": "accounts", "metric": "unused", "days": 30},
        {"id": "firewall", "probe": "firewall"},
        {"id": "rules", "probe": "firewall", "metric": "rules"},
        {"id": "firewalld", "probe": "firewall", "kind": "firewalld"},
        {"id": "reboot", "probe": "packages", "metric": "reboot"},
        {"id": "packages", "probe": "packages"},
    )
    return results


STATUS = {
    "ok": "logins logins-week addresses able uid-zero empty sudo unused firewall rules reboot",
    "critical": "firewalld",
    # The lab's image has no package lists: nobody has looked for updates.
    "unknown": "packages",
}


@pytest.mark.parametrize(
    ("check", "status"), [(check, status) for status in STATUS for check in STATUS[status].split()]
)
def test_status(seen: dict[str, dict[str, Any]], check: str, status: str) -> None:
    assert seen[check]["status"] == status, seen[check]


def test_failed_logins_are_those_of_grep(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    moment = lab_host.run("date", "-d", "7 days ago", "+%Y-%m-%dT%H:%M:%S")
    script = f"(zcat {AUTH}.*.gz; cat {AUTH}.1 {AUTH}) | awk '$1 >= \"{moment}\"' | grep 'Failed password'"
    lines = lab_host.run("bash", "-c", script).splitlines()
    assert abs(seen["logins-week"]["value"] - len(lines)) <= 1 and len(lines) > 20
    assert seen["addresses"]["value"] == pytest.approx(
        len({line.split(" from ")[1].split()[0] for line in lines}), abs=1
    )
    assert 0 < seen["logins"]["value"] < seen["logins-week"]["value"]
    assert any("203.0.113." in line and "(address)" in line for line in seen["logins-week"]["evidence"])
    assert any("oracle (name)" in line for line in seen["logins-week"]["evidence"])


@pytest.fixture
def repeated(lab_host: Any) -> Iterator[str]:
    """A log with lines that the daemon folded, in the year-less form, and a name that looks like an address."""
    path = "/root/auth.log"
    stamp = lab_host.run("date", "+%b %e %H:%M:%S")
    lines = [
        f"{stamp} h sshd[1]: Failed password for root from 192.0.2.7 port 22 ssh2",
        f"{stamp} h sshd[1]: message repeated 4 times: [ Failed password for root from 192.0.2.7 port 22 ssh2]",
        f"{stamp} h sshd-session[2]: Failed password for invalid user x from 1.1.1.1 from 192.0.2.8 port 9 ssh2",
        f"{stamp} h sshd[3]: Invalid user x from 192.0.2.8 port 9",
        f"{stamp} h sshd[3]: Accepted password for ops from 192.0.2.9 port 9 ssh2",
    ]
    lab_host.run("tee", path, text="\n".join(lines) + "\n")
    yield path
    lab_host.run("rm", path)


def test_folded_lines_count_as_often_as_they_came(lab_host: Any, repeated: str) -> None:
    result = lab_host.checks({"id": "x", "probe": "failed_logins", "path": repeated})["x"]
    assert result["value"] == 6, result
    assert any("192.0.2.8 (address)" in line for line in result["evidence"])
    assert not any("1.1.1.1 (address)" in line for line in result["evidence"])


def test_without_a_log_the_journal_is_asked(lab_host: Any) -> None:
    lab_host.run(
        "bash",
        "-c",
        f"mkdir /root/auth; mv {AUTH}* /root/auth/; for i in 1 2 3; do"
        " logger -t sshd 'Failed password for root from 192.0.2.77 port 22 ssh2'; done; journalctl --sync",
    )
    try:
        result = lab_host.checks({"id": "x", "probe": "failed_logins"})["x"]
        assert result["status"] == "ok" and result["value"] >= 3 and "journal" in result["message"], result
        # The journal's files are there, and nobody to read them.
        lab_host.run("mv", "/usr/bin/journalctl", "/usr/bin/was-journalctl")
        result = lab_host.checks({"id": "x", "probe": "failed_logins"})["x"]
        assert result["status"] == "unknown" and "auth.log" in result["message"], result
    finally:
        lab_host.run(
            "bash", "-c", "mv /root/auth/* /var/log/; rmdir /root/auth; mv /usr/bin/was-journalctl /usr/bin/journalctl"
        )


def test_bad_accounts_are_found(lab_host: Any) -> None:
    lab_host.run(
        "bash",
        "-ec",
        "useradd -o -u 0 toor; useradd -m guest; passwd -d guest; useradd -m -s /bin/bash idle;"
        " echo idle:x1Y2z3w4 | chpasswd; touch -d '100 days ago' /home/idle/.bash_logout",
    )
    try:
        results = lab_host.checks(
            {"id": "zero", "probe": "accounts", "metric": "uid_zero"},
            {"id": "empty", "probe": "accounts", "metric": "empty_passwords"},
            {"id": "unused", "probe": "accounts", "metric": "unused", "days": 30, "warning": "> 0"},
        )
        assert (results["zero"]["status"], results["zero"]["value"]) == ("critical", 1)
        assert "toor" in results["zero"]["message"]
        assert (results["empty"]["status"], results["empty"]["evidence"]) == ("critical", ["guest"])
        login = int(time.time()) - 40 * 86400
        script = "import struct; f = open('/var/log/lastlog', 'r+b'); f.seek(292 * __import__('pwd').getpwnam('idle')"
        script += f".pw_uid); f.write(struct.pack('=I32s256s', {login}, b'pts/0', b'h'))"
        lab_host.run("python3", "-c", script)
        unused = lab_host.checks({"id": "x", "probe": "accounts", "metric": "unused", "days": 30, "warning": "> 0"})[
            "x"
        ]
        assert unused["status"] == "warning" and any(
            line.startswith("idle: last login 40 d") for line in unused["evidence"]
        )
        assert lab_host.run("lastlog", "-u", "idle", "-b", "30").splitlines()[-1].startswith("idle")
    finally:
        lab_host.run("bash", "-c", "userdel -f toor; userdel -r guest; userdel -r idle; true")


def test_sudo_rules_are_shown(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    assert "group sudo: opsadmin" in seen["sudo"]["evidence"]
    assert any("ALL" in line for line in seen["sudo"]["evidence"])


def test_firewall_that_is_switched_off_is_critical(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    assert "ufw is active" in seen["firewall"]["message"]
    assert any(line.startswith("22/tcp") and "ALLOW" in line for line in seen["firewall"]["evidence"])
    lab_host.run("ufw", "--force", "disable")
    try:
        off = lab_host.checks({"id": "x", "probe": "firewall"})["x"]
        assert (off["status"], off["value"]) == ("critical", "inactive"), off
        rules = "add table inet t; add chain inet t i { type filter hook input priority 0; policy accept; };"
        lab_host.run("nft", f"{rules} add rule inet t i tcp dport 4444 accept")
        open_rules = lab_host.checks({"id": "x", "probe": "firewall"})["x"]
        assert open_rules["status"] == "critical", open_rules
        lab_host.run("nft", "add rule inet t i tcp dport 23 drop")
        nft = lab_host.checks({"id": "x", "probe": "firewall"})["x"]
        assert nft["status"] == "ok" and "nftables is active" in nft["message"], nft
        assert any("dport 23" in line for line in nft["evidence"])
        lab_host.run("nft", "delete table inet t")
        lab_host.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "23", "-j", "DROP")
        legacy = lab_host.checks({"id": "x", "probe": "firewall", "metric": "rules"})["x"]
        assert legacy["value"] > 0, legacy
        lab_host.run("iptables", "-D", "INPUT", "-p", "tcp", "--dport", "23", "-j", "DROP")
    finally:
        lab_host.run("bash", "-c", "nft delete table inet t 2>/dev/null; ufw --force enable")


def test_without_root_they_are_skipped(lab_host: Any) -> None:
    checks = [
        {"id": "a", "title": "x", "probe": "accounts", "metric": "empty_passwords"},
        {"id": "b", "title": "x", "probe": "firewall"},
        {"id": "c", "title": "x", "probe": "failed_logins"},
        {"id": "d", "title": "x", "probe": "accounts"},
    ]
    outcome = lab_host.module(checks, become_user="nobody")
    assert [result["status"] for result in outcome["results"]] == ["skipped", "skipped", "skipped", "ok"], outcome


def test_updates_of_a_local_repository(lab_host: Any) -> None:
    """A repository on the host itself, whose suite is one of security: two packages are newer there."""
    script = """set -e
    mkdir -p /root/repo/pool && cd /root/repo
    for p in tzdata sed; do
      mkdir -p b/DEBIAN
      printf 'Package: %s\\nVersion: 9999\\nArchitecture: amd64\\nMulti-Arch: foreign\\n' $p > head
      (cat head; printf 'Maintainer: x <x@example.com>\\nDescription: x\\n') > b/DEBIAN/control
      dpkg-deb -b b pool/$p.deb >/dev/null
      (cat head; printf 'Filename: pool/%s.deb\\nSize: %s\\nSHA256: %s\\nDescription: x\\n\\n' \
        $p $(stat -c %s pool/$p.deb) $(sha256sum pool/$p.deb | cut -d' ' -f1)) >> Packages
    done
    printf 'Origin: Lab\\nLabel: Debian-Security\\nSuite: stable-security\\nCodename: x-security\\n' > Release
    printf 'SHA256:\\n %s %s Packages\\n' \
      $(sha256sum Packages | cut -d' ' -f1) $(stat -c %s Packages) >> Release
    mkdir -p /root/apt; find /etc/apt -maxdepth 1 -name 'sources.list*' -exec mv -t /root/apt {} +
    echo 'deb [trusted=yes] file:/root/repo ./' > /etc/apt/sources.list
    apt-get -q update"""
    try:
        lab_host.run("bash", "-c", script)
        results = lab_host.checks(
            {"id": "security", "probe": "packages", "critical": "> 1"},
            {"id": "pending", "probe": "packages", "metric": "pending"},
            {"id": "age", "probe": "packages", "metric": "lists_age", "critical": "> 1h"},
        )
        assert (results["security"]["status"], results["security"]["value"]) == ("critical", 2), results
        assert results["pending"]["value"] == 2 and results["age"]["status"] == "ok"
        assert any(
            line.startswith("sed ") and line.endswith("9999 (security)") for line in results["security"]["evidence"]
        )
        lab_host.run(
            "bash", "-c", "find /var/lib/apt/lists -exec touch -d '20 days ago' {} +; rm -f /var/lib/apt/periodic/*"
        )
        old = lab_host.checks({"id": "x", "probe": "packages"})["x"]
        assert old["status"] == "unknown" and "nobody has looked" in old["message"], old
        lab_host.run("bash", "-c", "touch /run/reboot-required; echo linux-image > /run/reboot-required.pkgs")
        reboot = lab_host.checks({"id": "x", "probe": "packages", "metric": "reboot", "warning": "== required"})["x"]
        assert (reboot["status"], reboot["evidence"]) == ("warning", ["linux-image"])
    finally:
        lab_host.run(
            "bash",
            "-c",
            "rm -f /run/reboot-required*; rm -rf /root/repo /var/lib/apt/lists/*"
            " /etc/apt/sources.list; mkdir -p /root/apt;"
            " find /root/apt -mindepth 1 -maxdepth 1 -exec mv -t /etc/apt {} +",
        )
