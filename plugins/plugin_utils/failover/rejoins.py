# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which members become standbys of the primary again, and what came of it. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.failover import lines
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import cases, open_case
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Answer, read_answers
from ansible_collections.day2.ops.plugins.plugin_utils.failover.table import Table
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Member

# Tables that a row names; all are in the evidence.
_SHOWN = 20
_MODULE = "day2.ops.pg_rejoin"


def next_turn(table: Table, only: str = "") -> dict[str, Any]:
    """Orders by host, or why there are none. `only`: a member that was named; without it those that a failover has
    left behind. Where everything is refused, `ended` says why."""
    fault = refusal(table, only)
    if fault is not None:
        row = table.row("refused", f"Standbys of {table.plan.system}", Status.CRITICAL, fault)
        found = lines.of_members(table)
        found[table.hosts[0]] = [row, *found.get(table.hosts[0], [])]
        return {"orders": {}, "rows": found, "ended": fault, "msg": fault}
    primary = _primaries(table)[0]
    chosen = [
        member.host for member in table.plan.members if _is_chosen(table.facts.view(member.host), member.host, only)
    ]
    orders = {host: [_order(table, host, primary)] for host in chosen}
    rows = {host: found for host, found in lines.of_members(table).items() if host not in orders}
    message = f"{', '.join(chosen)}: to become a standby of {primary}" if chosen else "no member is to become a standby"
    rows[primary].append(table.row("standbys", f"Standbys of {table.plan.system}", Status.OK, message))
    return {"orders": orders, "rows": rows, "ended": "", "msg": message}


def refusal(table: Table, only: str) -> str | None:
    """Why no member becomes a standby at all."""
    plan = table.plan
    if plan.is_managed:
        return "Patroni manages the members: it makes a standby of one that is started (patronictl reinit does it anew)"
    if not plan.rejoin:
        return (
            "the plan does not say how standbys log in: add 'rejoin', such as {login: {user: replicator, passfile: …}}"
        )
    if only and only not in [member.host for member in plan.members]:
        known = ", ".join(member.host for member in plan.members)
        return f"day2_dr_member is {only}, expected one of {known}"
    case = open_case(table.entries)
    if case is not None:
        return f"a failover from {case.old} is under way, begun by run {case.name}: end it first (playbook dr_failover)"
    found = _primaries(table)
    if len(found) != 1:
        if not found:
            return "no member runs as a primary, expected one. Nothing was done"
        return (
            f"{' and '.join(found)} run as primaries, expected one: fence the one that applications are not led to"
            " (module dr_fence, kind service, on its host) and run this again. Nothing was done"
        )
    wrong = _contradiction(table, found[0])
    if wrong is not None:
        return wrong
    if not (table.request.confirmed or plan.automatic or table.request.check_mode):
        return (
            "what only an old primary has is taken from its data directory, and kept as evidence: nobody has confirmed"
            f" that. --check shows what it has; add -e day2_dr_confirm={plan.system}"
        )
    return None


def _contradiction(table: Table, primary: str) -> str | None:
    """The member that was promoted last is the primary, or somebody has promoted another one after that."""
    promoted = next((case.done("promote") for case in reversed(cases(table.entries)) if case.done("promote")), None)
    if promoted is None or promoted.host in (None, primary):
        return None
    before, now = promoted.about.get("timeline"), table.facts.view(primary).timeline
    if isinstance(before, int) and now is not None and now > before:
        return None
    return (
        f"{primary} runs as a primary on timeline {now}, and the last failover made {promoted.host} the primary, on"
        f" timeline {before}: look which one applications have written to. Nothing was done"
    )


def _primaries(table: Table) -> list[str]:
    return [member.host for member in table.plan.members if table.facts.view(member.host).may_write]


def _is_chosen(view: Member, host: str, only: str) -> bool:
    """One that was stopped for another reason than a failover is left alone, unless it is named."""
    if only:
        return host == only and not view.may_write
    return view.reachable and view.state == "stopped" and (view.role == "primary" or view.unit_masked is True)


def _order(table: Table, host: str, primary: str) -> dict[str, Any]:
    plan, request = table.plan, table.request
    to, here = plan.member(primary), plan.member(host)
    view = table.facts.view(primary)
    arguments = {
        **(plan.rejoin or {}),
        "data": table.facts.view(host).data,
        "primary": {"host": to.address, "port": to.port},
        "slot": here.slot,
        "expected_timeline": view.timeline,
        "system_identifier": view.system_identifier,
        "system": plan.system,
        "epoch": request.epoch,
        "run": request.run,
    }
    given = {name: value for name, value in arguments.items() if value is not None}
    return {"id": f"{request.run}.{host}", "host": host, "module": _MODULE, "file": "pg_rejoin", "arguments": given}


def judged(table: Table, turned: Mapping[str, Any], answers: Sequence[object]) -> dict[str, Any]:
    """The rows of what the orders came to."""
    if not isinstance(turned.get("orders"), Mapping):
        raise Day2Error("'next' is not what phase next has returned")
    found = {answer.host: answer for answer in read_answers(list(answers))}
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for host in turned["orders"]:
        answer = found.get(host, Answer(host, _MODULE, ok=False, unreachable=True))
        rows[host] = [_row(table, host, answer)]
    bad = [host for host in turned["orders"] if not (host in found and found[host].ok)]
    text = f"{', '.join(bad)} did not become a standby" if bad else "all of them are standbys"
    return {"rows": rows, "msg": text if turned["orders"] else "nothing was to be done"}


def _row(table: Table, host: str, answer: Answer) -> dict[str, Any]:
    title = f"{host} as a standby"
    if not answer.ok:
        return table.row("rejoin", title, Status.CRITICAL, answer.message)
    had = answer.result.get("divergence") or {}
    evidence = [
        f"{name}: {had[name]}" for name in ("fork_lsn", "end_lsn", "transactions", "last_commit") if had.get(name)
    ]
    evidence += [f"table {name}" for name in list(had.get("tables") or ())[:_SHOWN]]
    evidence += [f"kept in {place}" for place in (had.get("kept"), answer.result.get("kept")) if place]
    # What nobody else has is for people to read before it is forgotten, whether or not it could be counted.
    lost = had.get("bytes") != 0 and had.get("transactions") != 0 and bool(had)
    if table.request.check_mode:
        return table.row("rejoin", title, Status.SKIPPED, answer.message, evidence)
    return table.row("rejoin", title, Status.WARNING if lost else Status.OK, answer.message, evidence)
