# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a firewall is active, and its rules: what the kernel has, and which program put it there."""

from __future__ import annotations

import os
import re
import shutil
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.baseline.subjects import firewall as kernel_rules
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

SPEC = ProbeSpec(
    doc="A host firewall: firewalld, ufw, or rules of nftables or iptables. It is active when what comes in is dropped"
    " or rejected somewhere; rules of container engines alone are no firewall. One that is not active is critical."
    " Needs root.",
    arguments={
        "kind": Argument(
            "str", "Which one has to be active; without it any.", choices=("firewalld", "ufw", "nftables", "iptables")
        ),
    },
    metrics={
        "state": Metric("`active` or `inactive`.", words=True),
        "rules": Metric("Rules that it has.", "rules"),
    },
    default_metric="state",
)
# Chains that container engines and libvirt make; they forward and translate, and protect nothing of the host.
_FOREIGN = re.compile(r"DOCKER|NETAVARK|CNI|KUBE|LIBVIRT|podman|docker|netavark", re.IGNORECASE)
# A verdict of its own, not the name of a chain (`ufw-reject-input`).
_REFUSES = re.compile(r"(?:^|\s)(?:drop|reject)(?:\s|;|$)", re.IGNORECASE)
_OTHER_HOOK = re.compile(r"hook (?!input)\w+|^(?:FORWARD|OUTPUT) ")
_JUMP = re.compile(r"(?:jump|goto|-j) (\S+)$")
_DECLARES = re.compile(r"type \w+ hook|:\S+ ")
_INPUT = re.compile(r"hook input|^INPUT ", re.IGNORECASE)


def observe(_source: object, check: Check) -> Observation:
    if os.geteuid() != 0:
        raise NeedsRoot("the firewall's rules cannot be read")
    wanted = check.args["kind"]
    managers = [name for name in ("firewalld", "ufw") if wanted in (None, name)]
    for name in managers:
        lines = _MANAGERS[name]()
        if lines is not None:
            return _answer(check, name, lines)
    if wanted in ("firewalld", "ufw"):
        return _answer(check, wanted, None)
    try:
        rules = kernel_rules({})
    except Undetermined:
        return _answer(check, "firewall", None, "neither nftables nor iptables is installed")
    kind = wanted or ("nftables" if shutil.which("nft") else "iptables")
    return _answer(check, kind, protecting(rules) or None)


def _answer(check: Check, kind: str, rules: list[str] | None, why: str = "") -> Observation:
    count = len(rules) if rules is not None else 0
    if check.metric.name == "rules":
        return Observation(count, f"{kind} has {count} rules", evidence=rules or [])
    if rules is not None:
        return Observation("active", f"{kind} is active with {count} rules", evidence=rules)
    reason = why or "nothing that comes in is dropped or rejected"
    text = f"{kind} is inactive" if not why and kind in _MANAGERS else f"no {kind} is active: {reason}"
    return Observation("inactive", text, unexpected="it should be active")


def _firewalld() -> list[str] | None:
    """Its zone's settings; None where it does not run."""
    if shutil.which("firewall-cmd") is None:
        return None
    if run(["firewall-cmd", "--state"]).code != 0:
        return None
    answer = run(["firewall-cmd", "--list-all"])
    return [line.strip() for line in answer.stdout.decode("utf-8", "replace").split("\n") if line.strip()]


def _ufw() -> list[str] | None:
    if shutil.which("ufw") is None:
        return None
    answer = run(["ufw", "status"])
    lines = [line.strip() for line in answer.stdout.decode("utf-8", "replace").split("\n") if line.strip()]
    if answer.code != 0 or "Status: active" not in lines:
        return None
    return [line for line in lines[1:] if not line.startswith(("To ", "--"))]


_MANAGERS: dict[str, Any] = {"firewalld": _firewalld, "ufw": _ufw}


def protecting(lines: list[str]) -> list[str]:
    """The rules of a ruleset (nft or iptables-save) when they keep something out of the host; else none."""
    rules = _rules(lines)
    # What is refused on its way through or out of the host does not protect it.
    elsewhere = {chain for chain, rule in rules if _OTHER_HOOK.search(f"{chain} {rule}")}
    refuses = any(_REFUSES.search(rule) for chain, rule in rules if chain not in elsewhere)
    hooked = any(_INPUT.search(f"{chain} {rule}") for chain, rule in rules)
    if not (refuses and hooked):
        return []
    # A jump to a chain without rules does nothing (ufw leaves many behind when it is switched off).
    filled = {chain.split()[-1] for chain, rule in rules if not _DECLARES.match(rule)}
    return [f"{chain}: {rule}" for chain, rule in rules if not (jump := _JUMP.search(rule)) or jump[1] in filled]


def _rules(lines: list[str]) -> list[tuple[str, str]]:
    """Chain and rule of each line that is one, but those of container engines."""
    found, table, chain = [], "", ""
    for line in map(str.strip, lines):
        words = line.split()
        if line.startswith("table "):
            table = " ".join(words[1:3])
        elif line.startswith("chain "):
            chain = words[1]
        elif line.startswith("-A "):
            found.append((words[1], line))
        elif line.startswith(":"):
            found.append((words[0][1:], line))
        elif line not in ("}", "COMMIT") and not line.startswith("*"):
            found.append((f"{table} {chain}", line))
    return [(where, rule) for where, rule in found if not _FOREIGN.search(f"{where} {rule}")]
