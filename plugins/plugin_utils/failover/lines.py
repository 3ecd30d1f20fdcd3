# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines of a report about a failover: what was found, what each host is, what was done. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import DEGRADED, FAILOVER, REFUSE, Assessment
from ansible_collections.day2.ops.plugins.plugin_utils.failover.loss import Loss
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import Prediction
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Finished, Orders, Refused
from ansible_collections.day2.ops.plugins.plugin_utils.failover.table import Table
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Member


def of_members(table: Table) -> dict[str, list[Mapping[str, Any]]]:
    """What each member is."""
    rows: dict[str, list[Mapping[str, Any]]] = {}
    for member in table.plan.members:
        view = table.facts.view(member.host)
        known = view.reachable and view.state is not None
        status = Status.OK if view.is_primary or view.is_standby else Status.WARNING if known else Status.UNKNOWN
        rows.setdefault(member.host, []).append(table.row("member", "Member", status, describe(view)))
    return rows


def of_hosts(table: Table) -> dict[str, list[Mapping[str, Any]]]:
    """What each host is, or sees."""
    rows = of_members(table)
    for point in table.plan.vantage_points:
        if point in table.hosts:
            seen = table.facts.liveness.get(point, {})
            text = ", ".join(f"{host} {verdict}" for host, verdict in seen.items())
            row = table.row(
                "vantage", "Vantage point", Status.OK if text else Status.UNKNOWN, text or "it told nothing"
            )
            rows.setdefault(point, []).append(row)
    return rows


def describe(view: Member) -> str:
    """A member in words."""
    if not view.reachable:
        return f"it does not answer{f': {view.error}' if view.error else ''}"
    parts = [view.state or "in an unknown state", view.role or "role unknown"]
    parts += [f"timeline {view.timeline}"] if view.timeline is not None else []
    if view.is_standby and view.upstream is not None:
        parts.append(f"{view.upstream.status or 'not connected'} from {view.upstream.host}")
    parts += ["archiving fails"] if view.archiver_failing else []
    return ", ".join(parts) + (f" ({view.error})" if view.error else "")


def verdict(found: Assessment) -> str:
    """The decision as a sentence."""
    why = "; ".join(reason.text for reason in found.reasons)
    known = f"{found.primary} is the primary; " if found.primary else ""
    said = {
        REFUSE: f"{known}a failover would be refused",
        DEGRADED: f"{known}no failover is needed, and one would have flaws",
        FAILOVER: f"{found.primary} is lost, and {found.candidate} would replace it",
    }.get(found.decision, f"{known}no failover is needed, and one could be done")
    return f"{said}: {why}" if why else said


def of_assessment(table: Table, found: Assessment) -> list[dict[str, Any]]:
    status = {REFUSE: Status.CRITICAL, DEGRADED: Status.WARNING, FAILOVER: Status.CRITICAL}.get(
        found.decision, Status.OK
    )
    evidence = [
        *(reason.text for reason in found.reasons),
        *(f"{host} is no candidate: {why}" for host, why in found.excluded.items()),
        *found.notes,
    ]
    rows = [table.row("assessed", f"Failover of {table.plan.system}", status, verdict(found), evidence)]
    if table.plan.notes:
        # What a failover will be refused for is said while there is time to mend it.
        notes = "; ".join(table.plan.notes)
        rows.append(table.row("plan", "Weak places of the plan", Status.WARNING, notes, table.plan.notes))
    target, predicted = table.plan.targets.rto, found.rto.seconds
    if predicted is None:
        rows.append(table.row("rto", "Predicted recovery time", Status.UNKNOWN, found.rto.text))
    else:
        over = Status.CRITICAL if predicted > target else Status.OK
        text = f"{format_duration(predicted)}, target {format_duration(target)} ({found.rto.text})"
        rows.append(table.row("rto", "Predicted recovery time", over, text))
    if found.loss is not None:
        late = found.loss.seconds is not None and found.loss.seconds > table.plan.targets.rpo
        text = f"{_lag(found, found.loss)}; target {format_duration(table.plan.targets.rpo)}"
        rows.append(table.row("rpo", "Predicted loss", Status.CRITICAL if late else Status.OK, text))
    return rows


def _lag(found: Assessment, loss: Loss) -> str:
    """Of a primary that works nothing is lost: its standby is behind it."""
    if found.decision == FAILOVER or loss.exact or loss.seconds is None:
        return loss.text
    behind = f"{format_bytes(loss.least)} behind, and " if loss.least else ""
    return f"{found.candidate} is {behind}heard of {found.primary} {format_duration(loss.seconds)} ago"


def of_refusal(table: Table, step: Refused) -> dict[str, list[Mapping[str, Any]]]:
    """Why nothing is done, and what was observed: whoever decides what to do now needs both."""
    excluded = step.assessment.excluded if step.assessment is not None else {}
    evidence = [f"{host} is no candidate: {why}" for host, why in excluded.items()]
    row = table.row("refused", f"Failover of {table.plan.system} refused", Status.CRITICAL, step.text, evidence)
    rows = of_hosts(table)
    first = table.hosts[0]
    rows[first] = [row, *rows.get(first, [])]
    return rows


def of_end(table: Table, step: Finished, predicted: Prediction) -> list[Mapping[str, Any]]:
    """What a failover came to: its loss, its times against prediction and target, and what is left to do."""
    status = Status.WARNING if step.overridden or step.outcome == DEGRADED else Status.OK
    approved = [f"approved: {text}" for text in step.overridden]
    message = "; ".join([step.text, *approved])
    rows: list[Mapping[str, Any]] = [
        table.row("outcome", f"Failover of {table.plan.system}", status, message, approved)
    ]
    if step.loss is not None:
        rows.append(_lost(table, step.loss))
    if step.measured:
        rows.append(_times(table, step, predicted))
    if step.left:
        rows.append(table.row("left", "Left to do", Status.WARNING, "; ".join(step.left), step.left))
    return rows


def _times(table: Table, step: Finished, predicted: Prediction) -> dict[str, Any]:
    """How long nobody could write, where that is known, and each step beside what was predicted."""
    took, target = sum(step.measured.values()), table.plan.targets.rto
    parts = [
        f"{name} {format_duration(seconds)}"
        + (f" ({format_duration(predicted.steps[name])} predicted)" if name in predicted.steps else "")
        for name, seconds in step.measured.items()
    ]
    text, evidence = f"its steps took {format_duration(took)}", parts
    if step.outage is not None:
        took = step.outage.seconds
        text = f"nobody could write for {format_duration(took)} at most"
        evidence = [f"nobody could write from {step.outage.since} to {step.outage.until}", *parts]
    status = Status.CRITICAL if took > target else Status.OK
    message = f"{text}, target {format_duration(target)}; {', '.join(parts)}"
    return table.row("rto", "Recovery time", status, message, evidence)


def _lost(table: Table, loss: Loss) -> dict[str, Any]:
    target = table.plan.targets.rpo
    status = Status.OK if loss.exact and not loss.most else Status.WARNING
    # A bound in time also has the time that passed until somebody promoted: it is no loss yet.
    if (loss.exact or loss.least) and loss.seconds is not None and loss.seconds > target:
        status = Status.CRITICAL
    return table.row("loss", "Loss", status, f"{loss.text}; target {format_duration(target)}")


def of_step(table: Table, step: Orders, row: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """On the hosts that did it, or else on the one that it is about."""
    hosts: list[str | None] = [order.host for order in step.orders if order.host in table.hosts]
    return {name: rows for host in hosts or [step.host] for name, rows in table.rows(host, row).items()}
