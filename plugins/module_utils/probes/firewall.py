# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a firewall is active, and its rules: what the kernel has, and which program put it there."""

from __future__ import annotations

import os
import shutil
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.baseline.subjects import rulesets
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network.ruleset import Protection, protection
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted

SPEC = ProbeSpec(
    doc="A host firewall: firewalld, ufw, or rules of nftables or iptables (of either kind). It is active when some of"
    " what comes in by IPv4 is dropped or rejected, in a chain that it meets; rules of container engines, and bans of"
    " single addresses (fail2ban, a list of senders) or of malformed packets (`ct state invalid`), are no firewall."
    " One that is not active is critical. Needs root.",
    arguments={
        "kind": Argument(
            "str", "Which one has to be active; without it any.", choices=("firewalld", "ufw", "nftables", "iptables")
        ),
    },
    metrics={
        "state": Metric("`active` or `inactive`.", words=True),
        "rules": Metric("Rules that what comes in meets; of firewalld and ufw, lines of their settings.", "rules"),
    },
    default_metric="state",
)
# Which rulesets a kind is about; iptables' own rules may be nftables' in the kernel.
_RULESETS = {
    "nftables": ("nftables",),
    "iptables": ("iptables", "ip6tables"),
    None: ("nftables", "iptables", "ip6tables"),
}
_ROUTES = "/proc/net/route"
_INET6 = "/proc/net/if_inet6"


def observe(_source: object, check: Check) -> Observation:
    if os.geteuid() != 0:
        raise NeedsRoot("the firewall's rules cannot be read")
    wanted = check.args["kind"]
    notes = []
    for name in ("firewalld", "ufw"):
        if wanted in (None, name):
            lines, note = _MANAGERS[name]()
            if lines is not None and note is None:
                return _answer(check, name, lines)
            notes += [note] if note is not None else []
    if wanted in _MANAGERS:
        return _answer(check, wanted, None, "; ".join(notes))
    return _kernel(check, wanted, notes)


def _kernel(check: Check, wanted: str | None, notes: list[str]) -> Observation:
    """What the kernel's rules say, whoever wrote them."""
    try:
        found = rulesets(both=wanted == "iptables")
    except Undetermined as exc:
        return _answer(check, wanted or "firewall", None, "; ".join([*notes, str(exc)]))
    whole, kind = Protection(), wanted
    for name in _RULESETS[wanted]:
        part = protection(found.get(name, []), "ip6" if name == "ip6tables" else "ip")
        if part.families and kind is None:
            kind = "nftables" if name == "nftables" else "iptables"
        whole.add(part)
    kind = kind or ("nftables" if "nftables" in found else "iptables")
    if _filters(whole.families):
        open_family = ", IPv6 is not filtered" if 6 not in whole.families and _has_ipv6() else ""
        return _answer(check, kind, whole.rules, open_family)
    if whole.families:
        notes.append("only IPv6 is filtered")
    if whole.blockers:
        notes.append(f"there are only bans of single addresses ({', '.join(sorted(whole.blockers))})")
    if whole.narrow:
        notes.append(f"only certain senders or malformed packets are refused ({whole.narrow[0]})")
    return _answer(check, kind, None, "; ".join(notes) or "nothing that comes in is dropped or rejected")


def _filters(families: set[int]) -> bool:
    """Whether IPv4 is filtered, or IPv6 on a host that has no IPv4."""
    return 4 in families or (6 in families and not _has_ipv4())


def _has_ipv4() -> bool:
    try:
        with open(_ROUTES, encoding="ascii") as lines:
            return len(lines.readlines()) > 1
    except OSError:
        return True


def _has_ipv6() -> bool:
    """Whether an interface has an IPv6 address of global scope (00 in the fourth column)."""
    try:
        with open(_INET6, encoding="ascii") as lines:
            return any(words[3] == "00" for words in map(str.split, lines) if len(words) > 3)
    except OSError:
        return False


def _answer(check: Check, kind: str, rules: list[str] | None, note: str = "") -> Observation:
    if check.metric.name == "rules":
        count = len(rules or [])
        return Observation(count, f"{kind} has {counted(count, 'rule')}{note if rules else ''}", evidence=rules or [])
    if rules is not None:
        text = f"{kind} is active with {counted(len(rules), 'rule')}{note}"
        return Observation("active", text, evidence=rules)
    text = f"{kind} is inactive" if kind in _MANAGERS else f"no {kind} is active"
    return Observation("inactive", f"{text}: {note}" if note else text, unexpected="it should be active")


Managed = tuple[Any, Any]


def _firewalld() -> Managed:
    """The settings of its default zone (None where it does not run), and why they protect nothing."""
    if shutil.which("firewall-cmd") is None or run(["firewall-cmd", "--state"]).code != 0:
        return None, None
    return read_firewalld(run(["firewall-cmd", "--list-all"]).stdout.decode("utf-8", "replace"))


def read_firewalld(text: str) -> Managed:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    accepts = "target: ACCEPT" in lines
    return lines, "firewalld runs, but its default zone accepts everything" if accepts else None


def _ufw() -> Managed:
    if shutil.which("ufw") is None:
        return None, None
    answer = run(["ufw", "status", "verbose"])
    return read_ufw(answer.stdout.decode("utf-8", "replace")) if answer.code == 0 else (None, None)


def read_ufw(text: str) -> Managed:
    """The rules of `ufw status verbose` (None where ufw is off), and why they protect nothing."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if "Status: active" not in lines:
        return None, None
    settings = ("Status:", "Logging:", "Default:", "New profiles:", "To ", "--")
    rules = [line for line in lines if not line.startswith(settings)]
    default = next((line for line in lines if line.startswith("Default:")), "")
    refuses = any(word in f" {rule} " for rule in rules for word in (" DENY ", " REJECT ", " LIMIT "))
    accepts = "allow (incoming)" in default and not refuses
    return rules, "ufw is active, but lets in everything (default: allow)" if accepts else None


_MANAGERS: dict[str, Any] = {"firewalld": _firewalld, "ufw": _ufw}
