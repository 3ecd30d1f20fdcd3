# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rulesets keep something out of their host. They are as nft 1.0.6 and iptables 1.8.9 print them."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.network.ruleset import Protection, protection
from ansible_collections.day2.ops.plugins.module_utils.probes.firewall import read_firewalld, read_ufw


def nft(*chains: str, table: str = "inet filter") -> str:
    return "\n".join([f"table {table} {{", *chains, "}"])


def chain(name: str, *rules: str) -> str:
    return "\n".join([f"\tchain {name} {{", *(f"\t\t{rule}" for rule in rules), "\t}", ""])


def entry(*rules: str, hook: str = "input", policy: str = "accept", name: str = "input") -> str:
    return chain(name, f"type filter hook {hook} priority filter; policy {policy};", *rules)


def save(*lines: str, table: str = "filter", policy: str = "ACCEPT") -> str:
    return "\n".join(
        [f"*{table}", f":INPUT {policy} [0:0]", ":FORWARD DROP [0:0]", ":OUTPUT ACCEPT [0:0]", *lines, "COMMIT"]
    )


F2B = nft(
    "\tset addr-set-sshd {\n\t\ttype ipv4_addr\n\t\telements = { 192.0.2.1, 192.0.2.2 }\n\t}",
    entry("tcp dport { 22 } ip saddr @addr-set-sshd reject with icmp port-unreachable", name="f2b-chain"),
    table="inet f2b-table",
)
MAP = """\tmap zones {
\t\ttype ifname : verdict
\t\telements = { "lo" : accept, "eth0" : jump wan,
\t\t\t     "eth1" : accept }
\t}
"""
SERVED = ["-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT"]
BOTH, FOUR, SIX, NONE = {4, 6}, {4}, {6}, set()


@pytest.mark.parametrize(
    ("ruleset", "families"),
    {
        "empty": ("", NONE),
        "policy drop": (nft(entry("tcp dport 22 accept", policy="drop")), BOTH),
        "drop": (nft(entry("tcp dport 22 accept", "counter packets 0 bytes 0 drop")), BOTH),
        "reject": (nft(entry("tcp dport 23 reject with tcp reset")), BOTH),
        "accept only": (nft(entry("tcp dport 22 accept")), NONE),
        "in a chain that nothing reaches": (nft(chain("lonely", "drop"), entry("tcp dport 22 accept")), NONE),
        "reached by a jump": (nft(chain("deny", "drop"), entry("ip saddr 10.0.0.0/8 accept", "jump deny")), BOTH),
        "reached by two": (nft(chain("a", "goto b"), chain("b", "drop"), entry("tcp dport 1-1024 jump a")), BOTH),
        "reached by goto": (nft(chain("deny", "drop"), entry("counter packets 1 bytes 60 goto deny")), BOTH),
        "reached after goto": (nft(chain("none", "accept"), entry("goto none", "drop")), NONE),
        "another table's chain": (nft(chain("deny", "drop")) + "\n" + nft(entry("jump deny"), table="ip t"), NONE),
        "forward": (nft(entry("drop", hook="forward", policy="drop")), NONE),
        "output": (nft(entry("drop", hook="output")), NONE),
        "behind accept": (nft(entry("accept", "drop")), NONE),
        "behind counter accept": (
            nft(entry('counter packets 1 bytes 2 comment "drop later" accept', policy="drop")),
            NONE,
        ),
        "behind a chain that accepts": (nft(chain("ok", "accept"), entry("jump ok", "drop")), NONE),
        "behind a chain that returns": (nft(chain("ok", "return"), entry("jump ok", "drop")), BOTH),
        "behind some that is accepted": (nft(entry('iifname "lo" accept', "drop")), BOTH),
        "word in a comment": (nft(entry('tcp dport 22 accept comment "drop, reject"')), NONE),
        "word in a prefix": (nft(entry('log prefix "drop " level warn', "accept")), NONE),
        "name of a chain": (nft(chain("drop-input", "tcp dport 22 accept"), entry("jump drop-input")), NONE),
        "inline map": (nft(entry("ct state vmap { invalid : drop, established : accept }")), NONE),
        "map": (nft(MAP, chain("wan", "drop"), entry("iifname vmap @zones")), BOTH),
        "map without a drop": (nft(MAP, chain("wan", "accept"), entry("iifname vmap @zones")), NONE),
        "set": (nft(entry("ip saddr @drop accept")), NONE),
        "IPv4": (nft(entry("drop"), table="ip filter"), FOUR),
        "IPv6": (nft(entry(policy="drop"), table="ip6 filter"), SIX),
        "one table each": (nft(entry("drop"), table="ip a") + "\n" + nft(entry("drop"), table="ip6 a"), BOTH),
        "two base chains": (nft(entry("accept"), entry("tcp dport 23 drop", name="late")), BOTH),
        "bridge": (nft(entry("drop"), table="bridge filter"), NONE),
        "dormant": ("table inet filter {\n\tflags dormant\n" + entry("drop") + "}", NONE),
        "fail2ban": (F2B, NONE),
        "fail2ban beside rules": (F2B + "\n" + nft(entry("tcp dport 23 drop")), BOTH),
        "netavark": (nft(entry("drop", name="NETAVARK_INPUT"), table="inet netavark"), NONE),
        "docker's chain": (nft(chain("DOCKER-USER", "drop"), entry("jump DOCKER-USER")), NONE),
        "jump to nothing": (
            nft(chain("ufw-before-input"), entry("counter packets 3 bytes 4 jump ufw-before-input")),
            NONE,
        ),
        "only invalid": (nft(entry("ct state invalid drop")), NONE),
        "only invalid, a set": (nft(entry("ct state { invalid, untracked } counter drop")), NONE),
        "only invalid, in a chain": (nft(chain("bad", "drop"), entry("ct state invalid jump bad")), NONE),
        "all but established": (nft(entry("ct state != { established, related } drop")), BOTH),
        "new connections": (nft(entry("ct state new drop")), BOTH),
        "states with new": (nft(entry("ct state vmap { established : accept, new : drop }")), BOTH),
        "states that jump": (nft(chain("x", "drop"), entry("ct state vmap { invalid : drop, new : jump x }")), BOTH),
        "only a list of addresses": (nft(entry("ip saddr @blocklist drop")), NONE),
        "only an address": (nft(entry("ip saddr 192.0.2.1 drop")), NONE),
        "only a net, with a port": (nft(entry("tcp dport 22 ip saddr { 192.0.2.0/24 } reject")), NONE),
        "only addresses with ports": (nft(entry("ip saddr . tcp dport @bans drop")), NONE),
        "only addresses that jump": (nft(chain("bad", "drop"), entry("ip6 saddr @bad jump bad")), NONE),
        "only addresses of a map": (nft(entry("ip saddr vmap { 192.0.2.1 : drop }")), NONE),
        "all but some addresses": (nft(entry("tcp dport 22 ip saddr != 10.0.0.0/8 drop")), FOUR),
        "all addresses": (nft(entry("ip saddr 0.0.0.0/0 drop")), FOUR),
        "only flags": (nft(entry("tcp flags & (fin | syn) == (fin | syn) drop", "tcp flags fin / fin,ack drop")), NONE),
        "only fragments": (nft(entry("ip frag-off & 0x1fff != 0 drop")), NONE),
        "only too many": (nft(entry("tcp dport 22 ct state new limit rate over 3/minute drop")), NONE),
        "only broadcasts": (nft(entry("meta pkttype broadcast drop", "ip daddr 224.0.0.0/4 drop")), NONE),
        "a port of an address": (nft(entry("ip daddr 192.0.2.9 tcp dport { 22, 23 } drop")), FOUR),
        "a map of ports": (nft(entry("tcp dport vmap { 22 : accept, 23 : drop }")), BOTH),
        "an interface": (nft(entry('iifname "eth0" meta l4proto tcp drop')), BOTH),
        "an interface and a port": (nft(entry('iifname . tcp dport { "eth0" . 23 } drop')), BOTH),
        "behind all of IPv4": (nft(entry("ip saddr 0.0.0.0/0 accept", policy="drop")), SIX),
        "behind all of IPv4, its table": (nft(entry("ip saddr 0.0.0.0/0 accept", policy="drop"), table="ip f"), NONE),
        "behind all of both": (
            nft(entry("ip saddr 0.0.0.0/0 accept", "ip6 saddr ::/0 counter accept", policy="drop")),
            NONE,
        ),
        "behind both versions": (nft(entry("meta nfproto { ipv4, ipv6 } accept", policy="drop")), NONE),
        "behind one version": (nft(entry("meta nfproto ipv6 accept", policy="drop")), FOUR),
        "behind all states": (nft(entry("ct state established,related,new accept", policy="drop")), NONE),
        "behind its own addresses": (nft(entry("fib daddr type local accept", policy="drop")), NONE),
        "behind what is established": (nft(entry("ct state established,related accept", policy="drop")), BOTH),
        "behind invalid": (nft(entry("ct state invalid drop", "tcp dport 22 accept", policy="drop")), BOTH),
        "invalid, then reject": (
            nft(entry("ct state invalid drop", "tcp dport 22 accept", "reject with icmpx type admin-prohibited")),
            BOTH,
        ),
        "iptables only invalid": (save("-A INPUT -m state --state INVALID -j DROP"), NONE),
        "iptables only flags": (save("-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP"), NONE),
        "iptables no new": (save("-A INPUT -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"), NONE),
        "iptables new": (save("-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP"), FOUR),
        "iptables an address": (save("-A INPUT -s 192.0.2.1/32 -p tcp -m tcp --dport 22 -j REJECT"), NONE),
        "iptables a set": (save("-A INPUT -m set --match-set bad src -j DROP"), NONE),
        "iptables all but a set": (save("-A INPUT -m set ! --match-set good src -j DROP"), FOUR),
        "iptables all but a net": (save("-A INPUT ! -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j DROP"), FOUR),
        "iptables a port": (save("-A INPUT -i eth0 -p tcp -m multiport --dports 22,23 -j DROP"), FOUR),
        "iptables addresses that jump": (
            save(":BAD - [0:0]", "-A INPUT -s 192.0.2.0/24 -j BAD", "-A BAD -j DROP"),
            NONE,
        ),
        "iptables behind all addresses": (save("-A INPUT -s 0.0.0.0/0 -j ACCEPT", policy="DROP"), NONE),
        "iptables behind all states": (
            save("-A INPUT -m conntrack --ctstate NEW,RELATED,ESTABLISHED -j ACCEPT", policy="DROP"),
            NONE,
        ),
        "iptables behind local": (
            save("-A INPUT -m addrtype --dst-type LOCAL -j RETURN", "-A INPUT -j DROP"),
            NONE,
        ),
        "iptables policy": (save(*SERVED, policy="DROP"), FOUR),
        "iptables drop": (save(*SERVED, "-A INPUT -j DROP"), FOUR),
        "iptables reject": (save("-A INPUT -j REJECT --reject-with icmp-port-unreachable"), FOUR),
        "iptables accept": (save(*SERVED), NONE),
        "iptables lonely": (save(":DENY - [0:0]", "-A DENY -j DROP"), NONE),
        "iptables jump": (save(":DENY - [0:0]", "-A INPUT -j DENY", "-A DENY -p tcp -j DROP"), FOUR),
        "iptables behind accept": (save('-A INPUT -m comment --comment "to DROP" -j ACCEPT', policy="DROP"), NONE),
        "iptables behind some": (save("-A INPUT -i lo -j ACCEPT", policy="DROP"), FOUR),
        "iptables behind log": (save("-A INPUT -j LOG --log-prefix DROP", "-A INPUT -j DROP"), FOUR),
        "iptables forward": (save("-A FORWARD -j DROP"), NONE),
        "iptables mangle": (save("-A INPUT -m conntrack --ctstate INVALID -j DROP", table="mangle"), NONE),
        "iptables nat": (save(table="nat", policy="DROP"), NONE),
        "iptables fail2ban": (
            save(":f2b-sshd - [0:0]", "-A INPUT -p tcp -j f2b-sshd", "-A f2b-sshd -s 192.0.2.1/32 -j REJECT"),
            NONE,
        ),
        "iptables docker": (save(":DOCKER-USER - [0:0]", "-A INPUT -j DOCKER-USER", "-A DOCKER-USER -j DROP"), NONE),
        "iptables kube": (
            save(":KUBE-FIREWALL - [0:0]", "-A INPUT -j KUBE-FIREWALL", "-A KUBE-FIREWALL -j DROP"),
            NONE,
        ),
    }.values(),
)
def test_what_is_kept_out(ruleset: str, families: set[int]) -> None:
    assert found(ruleset).families == families


def found(ruleset: str, family: str = "ip") -> Protection:
    return protection([line for line in ruleset.split("\n") if line.strip()], family)


def test_what_bans_addresses_is_named() -> None:
    assert found(F2B).blockers == {"f2b-table"}
    assert found(nft(entry("drop"))).blockers == set()


def test_ip6tables_does_not_say_what_it_is() -> None:
    assert found(save(policy="DROP"), "ip6").families == {6}


def test_the_rules_are_those_that_are_met() -> None:
    rules = found(nft(chain("lonely", "drop"), chain("deny", "drop"), entry("tcp dport 22 accept", "jump deny"))).rules
    assert rules == [
        "inet filter input: tcp dport 22 accept",
        "inet filter input: jump deny",
        "inet filter deny: drop",
    ]


UFW = """Status: active
Logging: on (low)
Default: deny (incoming), allow (outgoing), disabled (routed)
New profiles: skip

To                         Action      From
--                         ------      ----
22/tcp                     ALLOW IN    Anywhere
"""


@pytest.mark.parametrize(
    ("text", "rules", "open_"),
    [
        (UFW, 1, False),
        (UFW.replace("deny (incoming)", "allow (incoming)"), 1, True),
        (UFW.replace("deny (incoming)", "allow (incoming)") + "23/tcp   DENY IN    Anywhere\n", 2, False),
        (UFW.replace("deny (incoming)", "reject (incoming)"), 1, False),
        ("Status: inactive\n", None, False),
        ("ERROR: problem running iptables\n", None, False),
    ],
)
def test_ufw(text: str, rules: int | None, open_: bool) -> None:
    lines, note = read_ufw(text)
    assert (len(lines) if lines is not None else None, note is not None) == (rules, open_)


@pytest.mark.parametrize(
    ("target", "open_"), [("default", False), ("ACCEPT", True), ("DROP", False), ("%%REJECT%%", False)]
)
def test_firewalld(target: str, open_: bool) -> None:
    lines, note = read_firewalld(f"public (active)\n  target: {target}\n  services: ssh\n")
    assert len(lines) == 3 and (note is not None) == open_
