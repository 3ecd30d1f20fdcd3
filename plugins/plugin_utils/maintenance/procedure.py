# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order of a maintenance: may it begin, is there time for a step, may the service come back. Pure.

Playbooks `maintenance` and `emergency_maintenance` ask here before each of their parts; the lease on the host is the
durable record of what goes on.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import Step, StepError, parse_steps

# The manuals' kinds of emergency.
TYPES = ("security", "database", "application")
# How long an emergency lasts where nobody says otherwise.
_EMERGENCY = 3600.0


class ProcedureError(Day2Error):
    """Maintenance that may not begin, or that is malformed: everything that is wrong with it."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problems))


@dataclass(frozen=True)
class Window:
    """What is known of windows at one moment: the name of the one that is meant, the seconds it has (left), and all in
    words. `seconds_until` is more than 0 for a plan that is made before its window opens."""

    name: str | None
    seconds_left: float
    text: str
    seconds_until: float = 0.0


@dataclass(frozen=True)
class Request:
    """What somebody wants to do. `duration` and `reserve` are seconds; a scheduled one ends with its window."""

    system: str
    emergency: str | None
    steps: Sequence[object]
    reserve: float
    duration: float | None = None
    window: Window | None = None
    reason: str = ""
    approved_by: str = ""
    approvers: Sequence[str] = ()


@dataclass(frozen=True)
class Admission:
    """That it may begin: for how many seconds, who holds the lease, and why in words."""

    seconds: float
    owner: str
    reason: str
    lines: list[str]


def admit(request: Request) -> Admission:
    """How long it may last; ProcedureError says all that keeps it from beginning."""
    problems = _malformed(request)
    problems += _unapproved(request) if request.emergency is not None else _outside(request)
    if problems:
        raise ProcedureError(problems)
    seconds = _length(request)
    if seconds <= request.reserve:
        raise ProcedureError(
            [
                f"there are {format_duration(seconds)}, and {format_duration(request.reserve)} of them are kept for"
                " verification: nothing could be done"
            ]
        )
    return Admission(seconds, _owner(request), _reason(request), _lines(request, seconds))


def _malformed(request: Request) -> list[str]:
    problems = [] if request.system.strip() else ["there is no name of a system (day2_system)"]
    if request.emergency is not None and request.emergency not in TYPES:
        problems.append(f"the type of an emergency is one of {', '.join(TYPES)}, not '{request.emergency}'")
    if request.duration is not None and request.duration <= 0:
        problems.append(f"the duration is {request.duration:g} s; it has to be more than nothing")
    if request.reserve < 0:
        problems.append(f"the reserve is {request.reserve:g} s, which is less than nothing")
    try:
        parse_steps(request.steps)
    except StepError as exc:
        problems += exc.problems
    return problems


def _unapproved(request: Request) -> list[str]:
    who = request.approved_by.strip()
    problems = []
    if not request.reason.strip():
        problems.append(f"an emergency has a reason: add {_extra('maintenance_window_reason', '…')}")
    if not request.approvers:
        said = f"nobody can approve: {request.system} has no day2_approvers; list their names in its inventory"
        return [*problems, said]
    if not who:
        said = f"approved_by is missing: one of {', '.join(request.approvers)} has to approve: add "
        return [*problems, said + " or ".join(_extra("approved_by", name) for name in request.approvers[:3])]
    if who not in request.approvers:
        cut = [name for name in request.approvers if name.startswith(f"{who} ")]
        # Ansible takes -e at spaces apart.
        hint = f" (a name with spaces is quoted twice: {_extra('approved_by', cut[0])})" if cut else ""
        problems.append(f"'{who}' is none of those who may approve: {', '.join(request.approvers)}{hint}")
    return problems


def _extra(name: str, text: str) -> str:
    """The option that gives a variable of an Ansible command a text, as a shell takes it."""
    if set(text) & set("'\"\\$`!"):
        return f"-e {shlex.quote(json.dumps({name: text}, ensure_ascii=False))}"
    return f"-e \"{name}='{text}'\""


def _outside(request: Request) -> list[str]:
    if request.window is None or not request.window.text:
        return [f"{request.system} has no windows of maintenance (day2_windows)"]
    if request.window.name is None:
        return [
            f"{request.window.text}. What cannot wait is emergency maintenance"
            " (ansible-playbook day2.ops.emergency_maintenance), with somebody who approves it"
        ]
    return []


def _length(request: Request) -> float:
    if request.emergency is not None or request.window is None:
        return request.duration if request.duration is not None else _EMERGENCY
    given = request.duration if request.duration is not None else float("inf")
    return min(given, request.window.seconds_left)


def _owner(request: Request) -> str:
    # One each: a second run of the same kind at the same time is seen by it.
    return "emergency-maintenance" if request.emergency else "maintenance"


def _reason(request: Request) -> str:
    if request.emergency:
        return f"Emergency maintenance ({request.emergency}): {request.reason.strip()}"
    window = request.window.name if request.window else ""
    return f"Scheduled maintenance ({window})" + (f": {request.reason.strip()}" if request.reason.strip() else "")


def _lines(request: Request, seconds: float) -> list[str]:
    lines = [f"{_reason(request)}, at most {format_duration(seconds)}"]
    if request.emergency:
        lines.append(f"approved by {request.approved_by.strip()}")
    steps = parse_steps(request.steps)
    planned = sum(step.duration or 0 for step in steps)
    for step in steps:
        lines.append(f"step: {step.title}" + (f" ({format_duration(step.duration)})" if step.duration else ""))
    if planned > seconds - request.reserve:
        lines.append(
            f"the steps need {format_duration(planned)}, and there are {format_duration(seconds - request.reserve)}:"
            " those that do not fit are left out"
        )
    return lines


def no_time(step: Step, seconds_left: float, reserve: float) -> str | None:
    """Why a step is not begun, None where there is time. One that says no duration is begun while there is any."""
    left, needs = seconds_left - reserve, step.duration or 0
    if left > 0 and needs <= left:
        return None
    wanted = f"it takes {format_duration(needs)}" if needs else "it was not begun"
    return f"left out: {wanted}, and {format_duration(max(left, 0))} are left before verification"


@dataclass(frozen=True)
class Outcome:
    """How far a host came. `touched`: a step began there; `healthy`: its checks were well, within the mode; `ended`:
    its lease ended before that, so that the host let users in by itself."""

    entered: bool = False
    touched: bool = False
    healthy: bool = False
    ended: bool = False
    failed: str | None = None
    findings: Sequence[str] = field(default_factory=tuple)


@dataclass(frozen=True)
class Decision:
    """Whether the service comes back, why, and (where it does not) what somebody has to do."""

    back: bool
    why: str
    todo: str = ""


def decide(outcomes: Mapping[str, Outcome], service: str, owner: str) -> Decision:
    """Back to service where all is well, or where nothing was changed; else the mode is kept."""
    faults = [f"{host}: {outcome.failed}" for host, outcome in outcomes.items() if outcome.failed]
    ill = {host: outcome for host, outcome in outcomes.items() if outcome.entered and not outcome.healthy}
    if not ill:
        return Decision(True, "; ".join([*faults, "the service is well"] if faults else ["everything was verified"]))
    found = [f"{host}: {', '.join(outcome.findings) or 'nobody could look'}" for host, outcome in ill.items()]
    if not any(outcome.touched for outcome in outcomes.values()):
        return Decision(True, "; ".join([*faults, "nothing was changed, but the service is not well", *found]))
    early = [host for host, outcome in ill.items() if outcome.ended]
    if early:
        found.append(f"the lease ended before that, and {', '.join(early)} let users in by itself")
    kept = [host for host in ill if host not in early]
    if not kept:
        return Decision(True, "; ".join([*faults, "the service was not verified", *found]), "Look at it now")
    return Decision(
        False,
        "; ".join([*faults, "the service is not well", *found]),
        f"Mend it, then on {', '.join(kept)}: day2ctl maintenance disable {service} --owner {owner}. For more time:"
        f" day2ctl maintenance extend {service} --owner {owner} --duration 1h",
    )


def decide_plan(outcomes: Mapping[str, Outcome]) -> Decision:
    """What a plan (check mode) says in place of a decision: no host entered the mode, and none was verified."""
    faults = [f"{host}: {outcome.failed}" for host, outcome in outcomes.items() if outcome.failed]
    return Decision(True, "; ".join([*faults, "this is a plan: nothing was changed, and nothing was verified"]))


@dataclass(frozen=True)
class Report:
    """What became of a host. `rows` are its lines (title, status); `held_by`: who keeps it in the mode, in words;
    `ended`: it let users in by itself, and nobody had found it well before."""

    rows: Sequence[Mapping[str, Any]] = ()
    failed: str | None = None
    stuck: bool = False
    ended: bool = False
    held_by: str | None = None


@dataclass(frozen=True)
class Announcement:
    """How a maintenance ended, for those who wait for it."""

    title: str
    text: str
    severity: str


def summarise(
    reason: str, service: str, seconds: float, decision: Decision, reports: Mapping[str, Report]
) -> Announcement:
    """The announcement over all hosts; hosts are named where there are several."""
    stuck = [host for host, report in reports.items() if report.stuck]
    held = [f"{host}: {report.held_by}" for host, report in reports.items() if report.held_by and not report.stuck]
    failed = [
        f"{host}: {report.failed}" if len(reports) > 1 else report.failed
        for host, report in reports.items()
        if report.failed
    ]
    back = decision.back and not stuck and not held
    unverified = back and any(report.ended for report in reports.values())
    title = "Maintenance is over"
    if not back:
        title = (
            "Maintenance failed, the service is NOT back" if not decision.back or stuck else "The service is NOT back"
        )
    elif unverified:
        title = "Maintenance failed, its lease ended first: users are served, and nobody verified"
    elif failed:
        title = "Maintenance failed, the service is back"
    parts = [f"{service} after {format_duration(seconds)}: {decision.why}", decision.todo]
    if stuck:
        parts.append(f"nobody knows how {', '.join(stuck)} is: look there (day2ctl maintenance status)")
    parts += held + [why for why in failed if why and why not in decision.why]
    for host, report in reports.items():
        rows = ", ".join(f"{row.get('title')}: {row.get('status')}" for row in report.rows)
        parts.append(f"{host}: {rows}" if rows and len(reports) > 1 else rows)
    severity = "critical" if not back or unverified else "warning" if failed else "info"
    return Announcement(f"{title}: {reason}", ". ".join(part for part in parts if part), severity)


def summarise_plan(reason: str, service: str, decision: Decision, reports: Mapping[str, Report]) -> Announcement:
    """What a plan (check mode) ends with: what would be done, or why it would fail."""
    failed = {host: report.failed for host, report in reports.items() if report.failed}
    parts = [service, *(f"{host}: {why}" if len(reports) > 1 else str(why) for host, why in failed.items())]
    if not failed:
        parts.append(decision.why)
    for host, report in reports.items():
        titles = ", ".join(str(row.get("title")) for row in report.rows)
        planned = f"planned: {titles}" if titles else ""
        parts.append(f"{host}, {planned}" if planned and len(reports) > 1 else planned)
    title = "The maintenance would fail" if failed else "Plan of the maintenance"
    return Announcement(
        f"{title}: {reason}", ". ".join(part for part in parts if part), "warning" if failed else "info"
    )
