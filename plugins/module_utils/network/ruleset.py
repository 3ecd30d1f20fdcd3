# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a ruleset keeps out of its host: rulesets as `nft list ruleset` and `iptables-save` print them. Pure.

A packet for the host meets the base chains of hook input (nftables) and the chains INPUT of all tables (iptables), and
from there those that a rule jumps to. A drop anywhere else protects nothing of the host, and neither does one behind a
rule that accepts everything. A drop in any base chain is final, an accept only in its own (nft(8)).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.network.conditions import of_nft, of_save

Key = tuple[str, str, str]

# Chains that container engines and libvirt make; they forward and translate, and protect nothing of the host.
_FOREIGN = re.compile(r"docker|netavark|podman|^CNI|KUBE-|kube-|LIBVIRT|CILIUM|FLANNEL|cali-", re.IGNORECASE)
# What bans single addresses, and lets everybody else in.
_BLOCKERS = re.compile(r"^(?:f2b|fail2ban|crowdsec|sshguard)", re.IGNORECASE)
_REFUSES = re.compile(r"(?:^|[\s:])(?:drop|reject)(?=[\s,;}]|$)", re.IGNORECASE)
_JUMPS = re.compile(r"(?:jump|goto) ([^\s,;}]+)")
_LAST_VERDICT = re.compile(r"(?<!\S)(accept|drop|reject|queue|return|jump|goto)(?: [^{}]*)?$")
_QUOTED = re.compile(r'"[^"]*"')
# What a rule does beside deciding.
_ASIDE = re.compile(
    r'counter(?: packets \d+ bytes \d+)?|comment ""|log(?: (?:prefix ""|level \w+|flags? [\w ,]+|group \d+))*'
)
_FAMILIES = {"inet": frozenset((4, 6)), "ip": frozenset((4,)), "ip6": frozenset((6,))}


@dataclass(frozen=True)
class Rule:
    """`refuses` anybody, or (`is_narrow`) only some that nobody misses; `jumps` to chains, of which those with `bans`
    meet such only. One that applies to every packet may be the last of its chain: `leaves` it, and `ends` the way where
    its verdict is no return.
    """

    text: str
    refuses: bool
    jumps: tuple[str, ...]
    always: bool = False
    leaves: bool = False
    ends: bool = False
    is_narrow: bool = False
    bans: bool = False


@dataclass
class Chain:
    """`hooked` marks one that what comes in meets first."""

    hooked: bool = False
    policy: str = ""
    rules: list[Rule] = field(default_factory=list)


@dataclass
class Protection:
    """The rules that what comes in meets. `families` are the versions of IP of which some of it is refused.

    `blockers` name the chains that ban single addresses, `narrow` are rules that refuse certain senders or malformed
    packets; what they refuse makes no firewall.
    """

    rules: list[str] = field(default_factory=list)
    families: set[int] = field(default_factory=set)
    blockers: set[str] = field(default_factory=set)
    narrow: list[str] = field(default_factory=list)

    def add(self, other: Protection) -> None:
        self.rules += other.rules
        self.narrow += other.narrow
        self.families |= other.families
        self.blockers |= other.blockers


def protection(lines: Sequence[str], family: str = "ip") -> Protection:
    """What a ruleset of either program does; `family` (ip or ip6) is that of iptables, which does not name it."""
    found = Protection()
    for version in (4, 6):
        met = _protection(lines, family, version)
        # Most rules are for both versions.
        met.rules = [rule for rule in met.rules if rule not in found.rules]
        met.narrow = [rule for rule in met.narrow if rule not in found.narrow]
        found.add(met)
    return found


def _protection(lines: Sequence[str], family: str, version: int) -> Protection:
    """What it does to packets of one version of IP."""
    chains = _read_nft(lines, version)
    chains.update(_read_save(lines, family))
    found = Protection()
    for key, chain in chains.items():
        if chain.hooked and version in _FAMILIES.get(key[0], ()) and not _foreign(key):
            met = Protection()
            refuses, _ended = _walk(key, chains, met, {})
            if refuses:
                met.families.add(version)
            found.add(met)
    return found


def _foreign(key: Key) -> bool:
    return any(_FOREIGN.search(name) for name in key[1:])


def _walk(key: Key, chains: dict[Key, Chain], met: Protection, done: dict[Key, tuple[bool, bool]]) -> tuple[bool, bool]:
    """Whether a chain refuses anybody, and whether nobody comes out of it again."""
    chain = chains.get(key)
    if chain is None or key in done or _foreign(key):
        return done.get(key, (False, False))
    # For a chain that jumps back to itself; the kernel refuses those.
    done[key] = False, False
    blocker = next((name for name in key[1:] if _BLOCKERS.match(name)), None)
    refuses = ended = False
    narrow: list[str] = []
    for rule in chain.rules:
        targets = [(*key[:2], name) for name in rule.jumps]
        if targets and not (rule.refuses or rule.is_narrow) and not any(_filled(chains, target) for target in targets):
            # A jump to a chain without rules does nothing (ufw leaves many behind when it is switched off).
            continue
        if blocker is None:
            met.rules.append(f"{' '.join(key)}: {rule.text}")
        below = [_walk(target, chains, met, done) for target in targets]
        refused = any(found for found, _end in below)
        if rule.is_narrow or (rule.bans and refused):
            narrow.append(f"{' '.join(key)}: {rule.text}")
        refuses |= (rule.refuses and not _FOREIGN.search(rule.text)) or (refused and not rule.bans)
        ended = rule.ends or (rule.always and any(end for _found, end in below))
        if ended or rule.leaves:
            break
    if chain.policy == "drop" and not ended:
        refuses = True
        met.rules.append(f"{' '.join(key)}: policy drop")
    if blocker is None:
        met.narrow += narrow
    elif refuses or narrow:
        met.blockers.add(blocker)
        refuses = False
    done[key] = refuses, ended
    return done[key]


def _filled(chains: dict[Key, Chain], key: Key) -> bool:
    return key in chains and bool(chains[key].rules)


def _read_nft(lines: Sequence[str], version: int) -> dict[Key, Chain]:
    """Chains of `nft list ruleset`; verdict maps are read where a rule names them."""
    chains: dict[Key, Chain] = {}
    maps: dict[Key, str] = {}
    raw: dict[Key, list[str]] = {}
    asleep: set[tuple[str, str]] = set()
    family = table = kind = name = ""
    for line in map(str.strip, lines):
        words = line.split()
        if line.startswith("table ") and line.endswith("{"):
            family, table = words[1:3]
        elif words and words[-1] == "{" and words[0] in ("chain", "map", "set", "flowtable") and table:
            kind, name = words[:2]
            if kind == "chain":
                raw[(family, table, name)] = []
        elif line == "}":
            kind, table = "", table if kind else ""
        elif not kind and line.startswith("flags ") and "dormant" in line:
            asleep.add((family, table))
        elif kind == "map":
            maps[(family, table, name)] = maps.get((family, table, name), "") + " " + line
        elif kind == "chain" and line and not line.startswith("#"):
            raw[(family, table, name)].append(line)
    for key, texts in raw.items():
        chain = chains[key] = Chain()
        for text in texts:
            if text.startswith("type "):
                chain.hooked = "hook input" in text and key[0] in _FAMILIES and key[:2] not in asleep
                policy = re.search(r"policy (\w+)", text)
                chain.policy = policy[1] if policy is not None and chain.hooked else ""
            else:
                rule = _nft_rule(text, key, maps, version)
                chain.rules += [rule] if rule is not None else []
    return chains


def _nft_rule(text: str, key: Key, maps: dict[Key, str], version: int) -> Rule | None:
    """A rule, or None where it is for packets of the other version of IP."""
    bare = _ASIDE.sub("", _QUOTED.sub('""', text))
    looked_up = " ".join(maps.get((*key[:2], name), "") for name in re.findall(r"vmap @(\S+)", bare))
    whole = f"{bare} {looked_up}"
    conditions = of_nft(bare, looked_up, version)
    if conditions is None:
        return None
    verdict = _LAST_VERDICT.search(bare)
    word = verdict[1] if verdict is not None else ""
    ends = conditions.always and word in ("accept", "drop", "reject", "queue")
    leaves = ends or (conditions.always and word in ("return", "goto"))
    refuses = _REFUSES.search(whole) is not None
    return Rule(
        text,
        refuses and conditions.broad,
        tuple(_JUMPS.findall(whole)),
        leaves or (conditions.always and word == "jump"),
        leaves,
        ends,
        refuses and not conditions.broad,
        conditions.bans,
    )


_SAVE_JUMP = re.compile(r" (-j|-g|--jump|--goto) (\S+)")
_SAVE_COMMENT = re.compile(r" -m comment| --comment (?:\"(?:[^\"\\]|\\.)*\"|\S+)")


def _read_save(lines: Sequence[str], family: str) -> dict[Key, Chain]:
    """Chains of `iptables-save`. Its tables filter, mangle, raw and security have a chain INPUT, or none."""
    chains: dict[Key, Chain] = {}
    table = ""
    for line in map(str.strip, lines):
        if re.fullmatch(r"\*\w+", line):
            table = line[1:]
        elif table and line.startswith(":"):
            name, policy = line[1:].split()[:2]
            hooked = name == "INPUT" and table != "nat"
            chains[(family, table, name)] = Chain(hooked, policy.lower() if hooked else "")
        elif table and line.startswith("-A "):
            chains.setdefault((family, table, line.split()[1]), Chain()).rules.append(_save_rule(line))
    return chains


def _save_rule(line: str) -> Rule:
    bare = _SAVE_COMMENT.sub("", line)
    jump = _SAVE_JUMP.search(bare)
    if jump is None:
        return Rule(line, False, ())
    target = jump[2]
    decides = target in ("ACCEPT", "DROP", "REJECT", "RETURN", "QUEUE", "NFQUEUE", "LOG", "NFLOG", "MARK", "CONNMARK")
    # Behind "-A" and the chain's name.
    conditions = of_save(" ".join(bare[: jump.start()].split()[2:]))
    always = conditions.always
    ends = always and decides and target in ("ACCEPT", "DROP", "REJECT", "QUEUE", "NFQUEUE")
    leaves = ends or (always and (target == "RETURN" or jump[1] in ("-g", "--goto")))
    refuses = target in ("DROP", "REJECT")
    return Rule(
        line,
        refuses and conditions.broad,
        () if decides else (target,),
        always,
        leaves,
        ends,
        refuses and not conditions.broad,
        conditions.bans,
    )
