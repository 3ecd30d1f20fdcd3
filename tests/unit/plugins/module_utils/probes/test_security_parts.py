# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rulesets, package lists and login records, as programs show them."""

from __future__ import annotations

import struct

import pytest
from ansible_collections.day2.ops.plugins.module_utils.network.ruleset import protection
from ansible_collections.day2.ops.plugins.module_utils.probes.accounts import wtmp
from ansible_collections.day2.ops.plugins.module_utils.probes.packages import (
    Update,
    describe,
    parse_apt,
    parse_dnf,
    parse_waiting,
)

NFT = """table inet filter {
    chain input {
        type filter hook input priority filter; policy accept;
        tcp dport 22 accept
        jump ufw-empty
        VERDICT
    }
    chain ufw-empty {
    }
}"""
IPTABLES = """*filter
:INPUT ACCEPT
:FORWARD DROP
:DOCKER-USER -
-A INPUT -p tcp --dport 22 -j ACCEPT
-A DOCKER-USER -j DROP
VERDICT
COMMIT"""


@pytest.mark.parametrize(
    ("ruleset", "verdict", "protects"),
    [
        (NFT, "tcp dport 23 drop", True),
        (NFT, "reject with icmpx admin-prohibited", True),
        (NFT, "tcp dport 24 accept", False),
        (NFT.replace("policy accept", "policy drop"), "", True),
        (NFT.replace("hook input", "hook forward"), "drop", False),
        (IPTABLES, "-A INPUT -j REJECT --reject-with icmp-port-unreachable", True),
        (IPTABLES, "", False),
        (IPTABLES.replace(":INPUT ACCEPT", ":INPUT DROP"), "", True),
        ("", "", False),
    ],
)
def test_what_protects_a_host(ruleset: str, verdict: str, protects: bool) -> None:
    found = protection([line for line in ruleset.replace("VERDICT", verdict).split("\n") if line.strip()])
    assert bool(found.families) == protects
    assert not any("ufw-empty" in rule or "DOCKER" in rule for rule in found.rules)


APT = """NOTE: This is only a simulation!
Inst tzdata [2024a-0+deb12u1] (2025b-0+deb12u1 Debian:12.11/stable, Debian:12-updates/stable-updates [all])
Inst openssl [3.0.11-1] (3.0.16-1~deb12u1 Debian-Security:12/stable-security [amd64])
Inst libnew (1.0-1 Debian:12.11/stable [amd64])
Inst libc6 [2.36-9] (2.36-9+deb12u10 Ubuntu:22.04/jammy-security [amd64]) []
Conf tzdata (2025b-0+deb12u1 Debian:12.11/stable [all])
"""


def test_updates_of_apt() -> None:
    assert parse_apt(APT) == [
        Update("tzdata", "2024a-0+deb12u1", "2025b-0+deb12u1", False),
        Update("openssl", "3.0.11-1", "3.0.16-1~deb12u1", True),
        Update("libc6", "2.36-9", "2.36-9+deb12u10", True),
    ]
    assert parse_apt("") == []


HELD = """Calculating upgrade...
The following held packages will be changed:
  openssl
The following packages have been kept back:
  linux-image-amd64 libfoo
The following upgrades have been deferred due to phasing:
  cloud-init
The following packages will be upgraded:
  openssl tzdata
2 upgraded, 0 newly installed, 0 to remove and 3 not upgraded.
Inst openssl [3.0.11-1] (3.0.16-1~deb12u1 Debian-Security:12/stable-security [amd64])
Inst tzdata [2024a-0+deb12u1] (2025b-0+deb12u1 Debian:12.11/stable [all])
"""


def test_updates_of_packages_on_hold_wait_too() -> None:
    waiting = parse_waiting(HELD)
    assert [(update.name, update.security, update.held) for update in waiting.updates] == [
        ("openssl", True, True),
        ("tzdata", False, False),
    ]
    seen = describe(waiting, "security", "2 h")
    assert seen.value == 1 and seen.evidence == ["openssl 3.0.11-1 -> 3.0.16-1~deb12u1 (security) (on hold)"]
    assert "2 updates wait, 1 for security, 1 on hold (openssl)" in seen.text
    assert "2 more are kept back (linux-image-amd64, libfoo)" in seen.text
    assert "1 more is deferred due to phasing (cloud-init)" in seen.text
    assert describe(parse_waiting(HELD.partition("Inst tzdata")[0]), "pending", "2 h").text.startswith(
        "1 update waits,"
    )
    assert describe(parse_waiting(""), "security", "2 h").text == "0 updates wait, 0 for security (lists are 2 h old)"


DNF = """
openssl.x86_64                       1:3.0.7-28.el9_4                 baseos
openssl-libs.x86_64                  1:3.0.7-28.el9_4                 baseos
vim-minimal.x86_64                   2:8.2.2637-21.el9                baseos
Obsoleting Packages
grub2-tools.x86_64                   1:2.06-82.el9                    baseos
"""


def test_updates_of_dnf() -> None:
    updates = parse_dnf(DNF, "openssl.x86_64   1:3.0.7-28.el9_4   baseos\n")
    assert [(each.name, each.security) for each in updates] == [
        ("openssl", True),
        ("openssl-libs", False),
        ("vim-minimal", False),
    ]


def test_logins_of_wtmp() -> None:
    def record(kind: int, name: bytes, moment: int) -> bytes:
        head = struct.pack("=hxxi32s4s32s256shhi", kind, 1, b"pts/0", b"ts/0", name, b"host", 0, 0, 1)
        return head + struct.pack("=ii4i20x", moment, 0, 0, 0, 0, 0)

    data = record(7, b"ops", 1700000000) + record(8, b"", 1700000100) + record(7, b"late", 2**31 - 1)
    assert len(record(7, b"x", 1)) == 384
    assert wtmp(data + b"cut") == [("ops", 1700000000.0), ("late", float(2**31 - 1))]
