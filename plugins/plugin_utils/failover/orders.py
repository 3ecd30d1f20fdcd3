# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules are asked to do in each step. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import LsnError, parse_lsn
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import Case
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import CONTROLLER, Call, Layer, Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Order, Request
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts

_MODULES = "day2.ops."


def _guarded(plan: Plan, request: Request, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """With what a host refuses a superseded run by."""
    return {"system": plan.system, "epoch": request.epoch, "run": request.run, **arguments}


def _place(plan: Plan, host: str) -> dict[str, Any]:
    member = plan.member(host)
    return {"host": member.address, "port": member.port}


def resolve(raw: Mapping[str, Any], order: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an order, with the options of the entry of `raw` (the plan as the inventory has it) it names."""
    arguments = dict(order.get("arguments") or {})
    if order.get("entry") is None:
        return arguments
    name, number = order["entry"]
    return {**{key: value for key, value in raw[name][number].items() if key not in ("kind", "host")}, **arguments}


def fence(plan: Plan, request: Request, facts: Facts, layer: Layer, old: str) -> tuple[Order, ...] | None:
    """None where the layer can prove nothing now."""
    if layer.kind == "service":
        return service(plan, request, facts, old, _entry(plan, layer)) if facts.view(old).reachable else None
    if layer.kind == "proxy":
        if not plan.cuts_everywhere:
            return None
        return _traffic(plan, request, {"cut": True, "old": _place(plan, old)})
    # It is one command for all members: it has to be told which one to cut the power of.
    arguments = _guarded(plan, request, {"kind": layer.kind, "old": _place(plan, old)})
    return (Order(layer.host or CONTROLLER, f"{_MODULES}dr_fence", arguments, _entry(plan, layer)),)


def _entry(plan: Plan, layer: Layer) -> tuple[str, int]:
    return ("fence", plan.fence.index(layer))


def lead_back(plan: Plan, request: Request, old: str) -> tuple[Order, ...]:
    """Traffic to the primary that serves on."""
    return _traffic(plan, request, {"primary": _place(plan, old)})


def _traffic(plan: Plan, request: Request, wanted: Mapping[str, Any]) -> tuple[Order, ...]:
    return tuple(
        Order(
            entry.host or CONTROLLER,
            f"{_MODULES}dr_traffic",
            _guarded(plan, request, {"kind": entry.kind, **wanted}),
            ("traffic", number),
        )
        for number, entry in enumerate(plan.traffic)
    )


def service(
    plan: Plan, request: Request, facts: Facts, host: str, entry: tuple[str, int] | None = None
) -> tuple[Order, ...]:
    """On the host itself: its unit masked, no postmaster on its data directory."""
    view = facts.view(host)
    where = {name: value for name, value in (("data", view.data), ("unit", view.unit)) if value is not None}
    # What the plan says of the unit goes for whichever member it is.
    given = plan.fence[entry[1]].options if entry is not None else {}
    arguments = _guarded(plan, request, {"kind": "service", **{k: v for k, v in where.items() if k not in given}})
    return (Order(host, f"{_MODULES}dr_fence", arguments, entry),)


def promote(plan: Plan, request: Request, facts: Facts, host: str, blind: bool = False) -> tuple[Order, ...]:
    """`blind`: though the archive cannot be asked whether somebody has promoted another one already."""
    view = facts.view(host)
    arguments: dict[str, Any] = {
        "data": view.data,
        "port": view.port or plan.member(host).port,
        "database": plan.database,
        "expected_timeline": view.timeline,
        "system_identifier": view.system_identifier,
        # Nobody follows it yet: with names, its first commit would wait for ever.
        "synchronous_standby_names": "",
        "verify": True,
    }
    if view.unit is not None:
        arguments["unit"] = view.unit
    if blind:
        arguments["ignore_archive"] = True
    return (Order(host, f"{_MODULES}pg_promote", _guarded(plan, request, arguments)),)


def managed(plan: Plan, request: Request, facts: Facts, host: str, name: str, timeline: object) -> Order:
    """Patroni on a member's host is asked to promote it, by its name there."""
    arguments = {
        **manager_arguments(plan, host),
        "state": "failed_over",
        "candidate": name,
        "database": plan.database,
        "limit": plan.manager.options["limit"] if plan.manager else "2m",
    }
    if timeline is not None:
        arguments["expected_timeline"] = timeline
    if facts.view(host).data is not None:
        arguments["data"] = facts.view(host).data
    return Order(host, f"{_MODULES}dr_patroni", _guarded(plan, request, arguments))


def paused(plan: Plan, request: Request, facts: Facts, host: str) -> Order:
    """repmgrd on a member's own host is paused."""
    arguments = {"data": facts.view(host).data}
    return Order(host, f"{_MODULES}dr_repmgr", _guarded(plan, request, arguments))


def manager_arguments(plan: Plan, host: str) -> dict[str, Any]:
    """How the manager of a member is asked on the member's host."""
    member, options = plan.member(host), dict(plan.manager.options) if plan.manager else {}
    options.pop("limit", None)
    port = options.pop("port", 8008)
    return {**options, "address": member.address, "rest_port": member.manager_port or port}


def looks(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    """By host, orders of dr_traffic for check mode: a layer leads to the member for which it would change nothing."""
    found: dict[str, list[dict[str, Any]]] = {}
    for number, entry in enumerate(plan.traffic):
        for member in plan.members:
            host = entry.host or CONTROLLER
            order = {
                "host": host,
                "module": f"{_MODULES}dr_traffic",
                "arguments": {"kind": entry.kind, "primary": _place(plan, member.host)},
                "entry": ["traffic", number],
                "about": {"layer": entry.title, "member": member.host},
            }
            found.setdefault(host, []).append(order)
    return found


def later(
    plan: Plan, request: Request, facts: Facts, step: str, case: Case, promoted: Entry
) -> tuple[Order, ...] | None:
    """Of the steps after a promotion; None where there is nothing to do."""
    host = str(promoted.host)
    if step == "follow":
        return _follow(plan, request, facts, case, promoted) or None
    if step == "traffic":
        return _traffic(plan, request, {"primary": _place(plan, host), "old": _place(plan, case.old)})
    if step == "verify":
        # Its checks are those of the plan (order.yml), with what they log in by.
        return (Order(host, f"{_MODULES}checklist"),)
    call = plan.application if step == "application" else plan.backup
    return _call(call, host) if call is not None else None


def _call(call: Call, primary: str) -> tuple[Order, ...]:
    arguments = {"role": call.role, "entry_point": call.entry_point}
    return tuple(Order(host, "role", arguments) for host in call.hosts or (primary,))


def _follow(plan: Plan, request: Request, facts: Facts, case: Case, promoted: Entry) -> tuple[Order, ...]:
    found = []
    for member in plan.members:
        view = facts.view(member.host)
        if member.host in (promoted.host, case.old) or member.host in case.released() or not view.is_standby:
            continue
        arguments = {
            "data": view.data,
            "port": view.port or member.port,
            "primary": _place(plan, str(promoted.host)),
            "slot": member.slot,
            "expected_timeline": promoted.about.get("timeline"),
        }
        if view.unit is not None:
            arguments["unit"] = view.unit
        found.append(Order(member.host, f"{_MODULES}pg_follow", _guarded(plan, request, arguments)))
    return tuple(found)


def title(step: str, primary: str, orders: tuple[Order, ...]) -> str:
    hosts = ", ".join(dict.fromkeys(order.host for order in orders))
    return {
        "follow": f"{hosts} follow{'' if ',' in hosts else 's'} {primary}",
        "application": f"Prepare the application on {hosts}",
        "verify": f"Verify on {hosts}",
        "traffic": f"Point applications at {primary} ({hosts})",
        "backup": f"Back up {primary}",
    }[step]


def lsn_of(text: object) -> int | None:
    try:
        return parse_lsn(text) if isinstance(text, str) else None
    except LsnError:
        return None
