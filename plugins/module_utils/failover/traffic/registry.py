# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry of kinds of traffic, and what module dr_traffic does with one: observe, act, observe."""

from __future__ import annotations

import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import printable
from ansible_collections.day2.ops.plugins.module_utils.failover import guard
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import (
    command,
    haproxy,
    hosts_entry,
    pgbouncer,
    route53,
)
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import (
    Endpoint,
    Kind,
    Seen,
    TrafficError,
    Wish,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

KINDS: dict[str, type[Kind]] = {
    "pgbouncer": pgbouncer.PgBouncer,
    "haproxy": haproxy.Haproxy,
    "hosts_entry": hosts_entry.HostsEntry,
    "route53": route53.Route53,
    "command": command.Command,
}
# Seconds that another run's act on this host is waited for.
_LOCK = 30.0
_ENDPOINT = {
    "type": "dict",
    "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 5432}},
}
OWN: dict[str, Mapping[str, Any]] = {
    name: option for kind in KINDS.values() for name, option in kind.options.items()
}  # fmt: skip
SPEC: dict[str, Mapping[str, Any]] = {
    "kind": {"type": "str", "required": True, "choices": list(KINDS)},
    "primary": _ENDPOINT,
    "old": _ENDPOINT,
    "cut": {"type": "bool", "default": False},
    "timeout": {"type": "str"},
    **guard.OPTIONS,
    **OWN,
}


def faults(kind: str, given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the options of a kind. Pure."""
    return misplaced(kind, given) + [f"kind {kind} needs '{name}'" for name in KINDS[kind].needs if not given.get(name)]


def misplaced(kind: str, given: Mapping[str, Any]) -> list[str]:
    """The same of what is there, also in an entry of a plan (without its host). Pure."""
    own = KINDS[kind].options
    wrong = [f"'{name}' is no option of kind {kind}; {meant(name, own)}"
             for name, value in given.items()
             if value is not None and name not in own and (name in OWN or name not in SPEC)]  # fmt: skip
    if given.get("cut_check") and not given.get("cut_argv"):
        wrong.append("'cut_check' needs 'cut_argv', the command that cuts the old server off")
    return wrong


def run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """Carry out what the module's parameters ask for; its result."""
    wrong = faults(params["kind"], params)
    if wrong:
        raise TrafficError("; ".join(wrong))
    own = KINDS[params["kind"]]
    wish = _wish(params, own.limit)
    with guard.acting(params["system"], params["epoch"], params["run"], _LOCK, check_mode):
        begun = time.monotonic()
        kind = own({name: params[name] for name in own.options}, wish)
        if wish.cut and not kind.cuts:
            return _result(params["kind"], kind, Seen("unknown", False, kind.cannot_cut()), [], False, begun)
        before = kind.observe()
        if before.is_done and not before.unproven:
            return _result(params["kind"], kind, before, [], False, begun)
        if check_mode:
            return {**_result(params["kind"], kind, before, kind.steps(before), True, begun), "before": before.leads}
        done = kind.act(before)
        served = time.time()
        after = kind.observe()
        if not after.is_done and not wish.cut and after.leads != "unknown":
            raise TrafficError(f"{params['kind']}: it was led to {wish.words}, and {after.leads} all the same"
                               f"{': ' if after.evidence else ''}{'; '.join(after.evidence)}")  # fmt: skip
        result = _result(params["kind"], kind, after, done, True, begun)
        return {**result, "before": before.leads, "served_at": None if wish.cut else rfc3339_ms(served)}


def _wish(params: Mapping[str, Any], limit: float) -> Wish:
    primary, old = Endpoint.read(params["primary"], "primary"), Endpoint.read(params["old"], "old")
    if params["cut"] and old is None:
        raise TrafficError("'old' is missing: it is what 'cut' cuts off")
    if not params["cut"] and primary is None:
        raise TrafficError("'primary' is missing: it is where traffic shall lead")
    if params["timeout"] is not None:
        try:
            limit = parse_duration(params["timeout"])
        except QuantityError as exc:
            raise TrafficError(f"'timeout': {exc}") from exc
    return Wish(primary, old, params["cut"], limit)


def _result(name: str, kind: Kind, seen: Seen, steps: list[str], changed: bool, begun: float) -> dict[str, Any]:
    wish = kind.wish
    proven = wish.cut and seen.is_done and not seen.unproven
    if not wish.cut:
        said = f"{name}: {seen.leads}"
    elif proven:
        said = f"{name}: {wish.old} is cut off"
    else:
        said = f"{name}: it is not proven that {wish.old} is cut off: {seen.unproven or seen.leads}"
    return {
        "changed": changed,
        "leads": printable(seen.leads),
        "before": printable(seen.leads),
        "steps": [printable(step) for step in steps],
        "evidence": [printable(line) for line in [*seen.evidence, *([seen.unproven] if seen.unproven else [])]],
        "proven": proven,
        "layer": "command" if name == "command" else "proxy",
        # What cuts off does so in the files as well; of a site's own commands nobody knows.
        "survives_reboot": None if name == "command" else proven,
        "ttl": seen.more.get("ttl"),
        "served_at": None,
        "seconds": round(time.monotonic() - begun, 3),
        "msg": printable(said),
    }
