# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rule of a firewall asks of a packet before its verdict. Pure.

A rule that refuses makes a firewall where it asks for nothing, or for a port, a protocol or an interface. One that asks
for certain senders, for packets without a connection (`ct state invalid`) or for odd flags refuses what nobody sends
who wants to get in: everybody else is let through.
"""

from __future__ import annotations

import re
from typing import Callable, NamedTuple


class Conditions(NamedTuple):
    """`always`: every packet meets them. `broad`: anybody's may. `bans`: they ask for senders, states or flags."""

    always: bool
    broad: bool
    bans: bool


_SIX_ONLY = re.compile(r"(?<!\S)(?:ip6 \w+|icmpv6 \w+|(?:meta )?nfproto ipv6|meta protocol ip6|ether type ip6)(?!\S)")
_FOUR_ONLY = re.compile(
    r"(?<!\S)(?:ip (?:saddr|daddr|protocol|ttl|dscp|frag-off|length|version)|icmp \w+|(?:meta )?nfproto ipv4"
    r"|meta protocol ip|ether type ip)(?!\S)"
)
_VERDICT = re.compile(r"(?<!\S)(?:drop|reject(?: with .*)?|accept|return|queue.*|(?:jump|goto) \S+|continue)$")
_VALUE = r"(?:\{[^}]*\}|@\S+|\S+(?: \. \S+)*)"
_EVERYBODY = re.compile(
    r"(?<!\S)(?:ip6? [sd]addr \{? ?(?:0\.0\.0\.0/0|::/0) ?\}?|(?:meta )?nfproto (?:ipv[46]|\{ ?ipv[46], ?ipv[46] ?\})"
    r"|meta protocol (?:ip6?|\{ ?ip6?, ?ip6? ?\})|ether type (?:ip6?|\{ ?ip6?, ?ip6? ?\})|fib daddr type local)(?!\S)"
)
_STATE = re.compile(rf"(?<!\S)ct state (!= )?({_VALUE})")
_PORT = r"(?:tcp|udp|sctp|dccp|udplite|th) dport"
_NAME = rf"(?:{_PORT}|(?:meta )?l4proto|ip protocol|ip6 nexthdr|(?:meta )?iif(?:name|group)?)"
_BROAD = re.compile(
    rf"(?<!\S)(?:{_NAME}(?: \. {_NAME})* (?:!= )?{_VALUE}|ip6? saddr != {_VALUE}|meta pkttype host"
    r"|tcp flags & \([^)]*\) == syn|tcp flags syn / \S+)(?!\S)"
)
_WITH_PORT = re.compile(rf"(?<!\S)ip6? daddr (?:!= )?{_VALUE}")
_BANS = re.compile(r"saddr|ct state|tcp flags|meter|numgen")
_VMAP = re.compile(r"vmap (\{[^}]*\}|@\S+)")
_REFUSED_KEY = re.compile(r"([^\s{,]+) : (?:drop|reject|jump|goto)")


def of_nft(text: str, looked_up: str, version: int) -> Conditions | None:
    """Those of a rule of nftables for packets of a version of IP; None where none of them meets it.

    `text` is without comments, counters and logging, `looked_up` has the elements of the verdict map that it names.
    """
    if (_SIX_ONLY if version == 4 else _FOUR_ONLY).search(text):
        return None
    keys = ",".join(_REFUSED_KEY.findall(f"{text} {looked_up}")) or "none"
    left = _VMAP.sub(keys, " ".join(text.split()))
    has_map = left != " ".join(text.split())
    left = _drop(_EVERYBODY, _VERDICT.sub("", left))
    left = _STATE.sub(_unless(lambda words: {"new", "established"} <= words), left).strip()
    always = not left and not has_map
    has_port = re.search(_PORT, left) is not None
    left = _STATE.sub(_unless(lambda words: "new" in words), left)
    left = _drop(_BROAD, left)
    if has_port:
        left = _drop(_WITH_PORT, left)
    return Conditions(always, not left.strip(), _BANS.search(left) is not None)


def _drop(pattern: re.Pattern[str], text: str) -> str:
    return " ".join(pattern.sub("", text).split())


def _unless(is_met: Callable[[set[str]], bool]) -> Callable[[re.Match[str]], str]:
    """Leave out the states that are no restriction; `!= established` is one of new connections."""

    def replace(match: re.Match[str]) -> str:
        words = set(re.findall(r"\w+", match[2]))
        if match[1]:
            words = {"new", "established", "related", "invalid", "untracked"} - words
        return "" if is_met(words) else match.group()

    return replace


_OPTION = re.compile(r'(! )?(?<!\S)(--?[A-Za-z][\w-]*)((?: (?!-|! )(?:"[^"]*"|\S+))*)')
_ALL = {
    ("-s", "0.0.0.0/0"), ("-s", "::/0"), ("-d", "0.0.0.0/0"), ("-d", "::/0"), ("-p", "all"), ("-p", "0"), ("-i", "+"),
    ("--dst-type", "LOCAL"),
}  # fmt: skip
_PORTS = frozenset(("--dport", "--dports", "--destination-port", "--destination-ports"))
_ANYBODYS = frozenset(("-m", "-p", "-i", *_PORTS))
_SENDERS = frozenset(
    ("-s", "--match-set", "--ctstate", "--state", "--tcp-flags", "--syn", "--rcheck", "--update", "--src-range")
)


def of_save(text: str) -> Conditions:
    """Those of a rule of iptables: what stands between the name of its chain and its target."""
    asked = [(bool(no), option, value.strip()) for no, option, value in _OPTION.findall(text)]
    asked = [entry for entry in asked if entry[1] != "-m" and not _is_for_all(*entry)]
    has_port = any(option in _PORTS for _no, option, _value in asked)
    left = [option for no, option, value in asked if not _is_anybodys(no, option, value, has_port)]
    return Conditions(not asked, not left, not _SENDERS.isdisjoint(left))


def _states(is_negated: bool, value: str) -> set[str]:
    words = set(value.split(","))
    return {"NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"} - words if is_negated else words


def _is_for_all(is_negated: bool, option: str, value: str) -> bool:
    if option in ("--ctstate", "--state"):
        return {"NEW", "ESTABLISHED"} <= _states(is_negated, value)
    return not is_negated and (option, value) in _ALL


def _is_anybodys(is_negated: bool, option: str, value: str, has_port: bool) -> bool:
    if option in ("--ctstate", "--state"):
        return "NEW" in _states(is_negated, value)
    if option in ("-s", "--match-set", "--src-range"):
        return is_negated
    if option == "--syn" or (option == "--tcp-flags" and value == "FIN,SYN,RST,ACK SYN"):
        return not is_negated
    return option in _ANYBODYS or (option == "-d" and has_port)
