# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd timers: how the last run ended, when it was, and whether the next one is armed."""

from __future__ import annotations

import time

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.systemd.runs import Outcome, Run, last_run, moment, span
from ansible_collections.day2.ops.plugins.module_utils.systemd.units import Fields, full_name, need_systemd, show
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

SPEC = ProbeSpec(
    doc="A systemd timer and the unit it starts. A last run that failed is critical, and so are a start that did not"
    " happen (a condition that was not met, a unit that it needs and that failed) and a timer without a next run,"
    " unless its job runs now or it is of the kind that starts its unit once.",
    arguments={"name": Argument("str", "The timer, with or without its suffix.", required=True)},
    metrics={
        "result": Metric(
            "How the last run ended: systemd's Result (success, exit-code, timeout …); `running` while it runs,"
            " `not-run` when the unit did not start, `none` before the first run since the host was started.",
            words=True,
        ),
        "age": Metric("Time since the timer last started its unit.", "s"),
        "next": Metric("Time until the next run; 0 while one runs.", "s"),
    },
    default_metric="result",
)
_TIMER = (
    "LoadState", "ActiveState", "SubState", "Result", "Unit", "TimersCalendar", "TimersMonotonic",
    "LastTriggerUSec", "LastTriggerUSecMonotonic", "NextElapseUSecRealtime", "NextElapseUSecMonotonic",
)  # fmt: skip
_JOB = (
    "LoadState", "ActiveState", "SubState", "Result", "ExecMainStatus", "Job", "ConditionResult", "AssertResult",
    "ConditionTimestampMonotonic", "AssertTimestampMonotonic", "InactiveExitTimestampMonotonic",
    "InactiveEnterTimestampMonotonic", "ActiveEnterTimestampMonotonic",
)  # fmt: skip
# Timers that start their unit again, without a calendar.
_AGAIN = ("OnUnitActiveUSec", "OnUnitInactiveUSec")


def observe(_source: object, check: Check) -> Observation:
    need_systemd()
    timer = full_name(check.args["name"], "timer")
    if not timer.endswith(".timer"):
        timer += ".timer"
    fields = _one(timer, _TIMER)
    if fields.get("LoadState") != "loaded":
        return Observation(None, "", failure=f"{timer} is {_unloaded(fields)}")
    job = _one(fields["Unit"], _JOB)
    return judge_timer(timer, fields, job, check.metric.name, time.time(), time.clock_gettime(time.CLOCK_MONOTONIC))


def _one(name: str, properties: tuple[str, ...]) -> Fields:
    units, refused = show([name], properties)
    if name not in units:
        raise Undetermined(refused[name])
    return units[name]


def _unloaded(fields: Fields) -> str:
    state = fields.get("LoadState", "unknown")
    return "not installed (systemd knows no such unit)" if state == "not-found" else state


def judge_timer(timer: str, fields: Fields, job: Fields, metric: str, now: float, clock: float) -> Observation:
    """What the properties of a timer and of its unit say. `now` is POSIX time, `clock` the monotonic one."""
    run, until = last_run(fields, job, now, clock), _until(fields, now, clock)
    last = moment(fields.get("LastTriggerUSec", ""))
    ran = f"elapsed {format_duration(now - last)} ago" if last is not None else "has not elapsed yet"
    text = f"{timer} {ran}, {_ahead(until, run)}"
    evidence = [f"{key}={job[key]}" for key in ("ActiveState", "SubState", "Result", "ExecMainStatus") if key in job]
    wrong = _disarmed(fields, job, run, until)
    if metric == "age":
        if last is None:
            raise Undetermined(text)
        # A start that did not happen is no run: its age would be a good one.
        missed = f"{text}; {run.words}" if run.outcome is Outcome.NOT_RUN else None
        return Observation(round(now - last, 1), text, failure=missed, evidence=evidence if missed else [])
    if wrong is not None:
        return Observation(None, "", failure=f"{text}: {wrong}", evidence=evidence)
    if metric == "next":
        return Observation(round(max(0.0, until or 0.0), 1), text)
    text = f"{text}; {run.words}"
    if run.outcome is Outcome.NOT_RUN:
        return Observation("not-run", text, unexpected="it should have run", evidence=evidence)
    if run.outcome is Outcome.FAILED:
        return Observation(job.get("Result", ""), text, unexpected="it should succeed", evidence=evidence)
    values = {Outcome.RUNNING: "running", Outcome.NONE: "none", Outcome.SUCCEEDED: "success"}
    return Observation(values[run.outcome], text)


def _ahead(until: float | None, run: Run) -> str:
    if until is None:
        return "the next run is set when this one ends" if run.outcome is Outcome.RUNNING else "no next run"
    return f"next in {format_duration(until)}" if until > 0 else "due now"


def _disarmed(fields: Fields, job: Fields, run: Run, until: float | None) -> str | None:
    """Why the timer will not start its unit again; None when it will, or has done all that it is for."""
    unit, state = fields.get("Unit", ""), fields.get("ActiveState", "unknown")
    if state != "active":
        result = fields.get("Result", "success")
        return f"the timer is {state}, not armed" + (f" ({result})" if result not in ("", "success") else "")
    if job.get("LoadState") != "loaded":
        return f"{unit} is {_unloaded(job)}"
    if until is not None or run.outcome is Outcome.RUNNING or job.get("SubState") == "auto-restart":
        return None
    if fields.get("TimersCalendar") or any(word in fields.get("TimersMonotonic", "") for word in _AGAIN):
        if job.get("ActiveState") == "active":
            return f"{unit} stays active after its run (RemainAfterExit), so the timer does not start it again"
        return "the timer is active, but not armed"
    # OnBootSec, OnActiveSec and OnStartupSec alone are over after one run.
    return None if run.outcome is not Outcome.NONE else "the timer is active, but not armed"


def _until(fields: Fields, now: float, clock: float) -> float | None:
    """Seconds until the next run; None when there is none."""
    due = moment(fields.get("NextElapseUSecRealtime", ""))
    monotonic = span(fields.get("NextElapseUSecMonotonic", ""))
    # Of several settings of one timer, the first that elapses counts.
    left = [due - now] if due is not None else []
    left += [monotonic - clock] if monotonic else []
    return min(left, default=None)
