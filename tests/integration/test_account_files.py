# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts that need no password and rules of sudo, where the host's own programs say what is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

SUDO = {"id": "sudo", "probe": "accounts", "metric": "sudo"}
EMPTY = {"id": "empty", "probe": "accounts", "metric": "empty_passwords"}


@pytest.fixture
def host(lab_host: Any) -> Iterator[Any]:
    keep = "cp -a /etc/passwd /etc/shadow /etc/group /etc/gshadow /root/"
    lab_host.run("bash", "-c", f"{keep}; useradd -g sudo primary; useradd -m listed; useradd plain")
    try:
        yield lab_host
    finally:
        back = "; ".join(f"mv /root/{name} /etc/{name}" for name in ("passwd", "shadow", "group", "gshadow"))
        lab_host.run("bash", "-c", f"{back}; rm -rf /home/listed /etc/sudoers.d/lab-* /etc/sudoers.d/*.bak")


def test_who_may_use_sudo(host: Any) -> None:
    before = host.checks(SUDO)["sudo"]
    assert "group sudo: primary" in before["evidence"] and "group sudo: opsadmin" in before["evidence"], before
    script = """umask 226; cd /etc/sudoers.d
    echo 'plain ALL=(ALL) NOPASSWD: ALL' > old.bak
    echo 'listed ALL=(ALL) NOPASSWD: /bin/true' > lab-rules"""
    host.run("bash", "-c", script)
    # What sudo itself says of both.
    assert "may run the following" in host.run("sudo", "-l", "-U", "listed")
    assert "not allowed" in host.run("sudo", "-l", "-U", "plain", check=False)
    after = host.checks(SUDO)["sudo"]
    assert after["value"] == before["value"] + 1 and "1 without a password" in after["message"], after
    rules = [line for line in after["evidence"] if not line.startswith("ignored")]
    assert "/etc/sudoers.d/lab-rules: listed ALL=(ALL) NOPASSWD: /bin/true" in rules
    assert not any("plain" in line for line in rules), rules
    assert any(line.startswith("ignored by sudo: /etc/sudoers.d/old.bak") for line in after["evidence"])


def test_an_empty_field_in_passwd_needs_no_password(host: Any) -> None:
    assert host.checks(EMPTY)["empty"]["status"] == "ok"
    host.run("sed", "-i", "s/^listed:x:/listed::/", "/etc/passwd")
    # Anybody becomes that user now.
    assert host.run("runuser", "-u", "nobody", "--", "su", "listed", "-c", "id -un") == "listed"
    result = host.checks(EMPTY)["empty"]
    assert (result["status"], result["evidence"]) == ("critical", ["listed"]), result
    # It is in a file that everybody may read: nobody needs root to know it.
    outcome = host.module([{**EMPTY, "title": "x"}], become_user="nobody")
    assert outcome["results"][0]["status"] == "critical", outcome
