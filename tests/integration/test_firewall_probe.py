# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The firewall of a host, by rules that are really in its kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

LONELY = """table inet site {
  chain deny { drop; }
  chain input { type filter hook input priority 0; policy accept; tcp dport 22 accept; }
}"""
REACHED = LONELY.replace("22 accept;", "22 accept; tcp dport 4444 jump deny;")
F2B = """table inet f2b-table {
  set addr-set-sshd { type ipv4_addr; elements = { 192.0.2.1 }; }
  chain f2b-chain {
    type filter hook input priority -1; policy accept;
    tcp dport 22 ip saddr @addr-set-sshd reject;
  }
}"""
SIX = """table ip6 site {
  chain input { type filter hook input priority 0; policy drop; }
}"""
ENGINE = """table inet netavark {
  chain NETAVARK_INPUT { tcp dport 5000 drop; }
  chain INPUT { type filter hook input priority 0; policy accept; jump NETAVARK_INPUT; }
}"""


@pytest.fixture
def bare(lab_host: Any) -> Iterator[Any]:
    """The host without its firewall."""
    lab_host.run("ufw", "--force", "disable")
    lab_host.run("nft", "flush", "ruleset")
    try:
        yield lab_host
    finally:
        legacy = "; ".join(f"{tool}-legacy -P INPUT ACCEPT; {tool}-legacy -F" for tool in ("iptables", "ip6tables"))
        lab_host.run("bash", "-c", f"nft flush ruleset; {legacy}; ufw --force enable")


CASES = {
    "nothing": ([], "inactive", "nothing that comes in is dropped"),
    "drop that nothing reaches": ([["nft", LONELY]], "inactive", "nothing that comes in is dropped"),
    "drop that is reached": ([["nft", REACHED]], "active", "nftables is active"),
    "fail2ban alone": ([["nft", F2B]], "inactive", "only bans of single addresses (f2b-table)"),
    "fail2ban beside rules": ([["nft", F2B], ["nft", REACHED]], "active", "nftables is active"),
    "IPv6 alone": ([["nft", SIX]], "inactive", "only IPv6 is filtered"),
    "container engine": ([["nft", ENGINE]], "inactive", "nothing that comes in is dropped"),
    "legacy default": (
        # Ansible comes by SSH.
        [
            ["iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "ACCEPT"],
            ["iptables-legacy", "-P", "INPUT", "DROP"],
        ],
        "active",
        "iptables is active",
    ),
    "iptables": ([["iptables", "-A", "INPUT", "-p", "tcp", "--dport", "4444", "-j", "DROP"]], "active", "nftables is"),
}


def test_what_keeps_something_out(bare: Any) -> None:
    for name, (commands, state, words) in CASES.items():
        for command in commands:
            if command[0] == "nft":
                bare.run("nft", "-f", "-", text=command[1] + "\n")
            else:
                bare.run(*command)
        result = bare.checks({"id": "x", "probe": "firewall"})["x"]
        assert (result["value"], result["status"]) == (state, "ok" if state == "active" else "critical"), (name, result)
        assert words in result["message"], (name, result)
        bare.run("nft", "flush", "ruleset")
        bare.run("bash", "-c", "iptables-legacy -P INPUT ACCEPT; iptables-legacy -F")


def test_each_kind_is_asked_for_itself(bare: Any) -> None:
    bare.run("bash", "-c", "iptables-legacy -A INPUT -p tcp --dport 4444 -j DROP")
    kinds = ("nftables", "iptables", "ufw", "firewalld")
    results = bare.checks(*({"id": kind, "probe": "firewall", "kind": kind} for kind in kinds))
    assert [results[kind]["value"] for kind in kinds] == ["inactive", "active", "inactive", "inactive"], results
    bare.run("ufw", "--force", "enable")
    bare.run("ufw", "default", "allow", "incoming")
    try:
        result = bare.checks({"id": "x", "probe": "firewall", "kind": "ufw"})["x"]
    finally:
        bare.run("ufw", "default", "deny", "incoming")
    assert result["status"] == "critical" and "lets in everything" in result["message"], result
