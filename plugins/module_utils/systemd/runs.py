# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the unit of a timer ran when the timer elapsed, and how that ended. Pure: properties in, a verdict out.

A unit's Result is `success` from the time it is loaded, so it says nothing until the unit has been started. Whether it
was shows in the monotonic times (microseconds since the host was started, 0 for never) of its own states.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum

from ansible_collections.day2.ops.plugins.module_utils.systemd.units import Fields
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import readable


class Outcome(Enum):
    """What came of the last start of a timer's unit."""

    NONE = "none"
    RUNNING = "running"
    SUCCEEDED = "success"
    FAILED = "failed"
    NOT_RUN = "not-run"


@dataclass(frozen=True)
class Run:
    """The last run, and a sentence about it that begins with the unit's name."""

    outcome: Outcome
    words: str


# systemd notes the trigger before it starts the unit, both within the same turn of its loop.
_SLACK = 0.01


def last_run(timer: Fields, job: Fields, now: float, clock: float) -> Run:
    """What became of the unit when its timer last elapsed. `now` is POSIX time, `clock` the monotonic one."""
    unit = timer.get("Unit", "")
    begun, ended = _seconds(job, "InactiveExit"), _seconds(job, "InactiveEnter")
    state, sub, result = job.get("ActiveState", ""), job.get("SubState", ""), job.get("Result", "")
    if sub == "auto-restart":
        return Run(Outcome.FAILED, f"{unit} failed ({_reason(job)}) and is to be restarted")
    if state in ("activating", "reloading", "deactivating") or (state == "active" and sub != "exited"):
        since = readable(now - (clock - begun))
        return Run(Outcome.RUNNING, f"{unit} is running since {since}, for {format_duration(clock - begun)}")
    triggered = span(timer.get("LastTriggerUSecMonotonic", "")) or 0.0
    if not triggered and not begun:
        if not moment(timer.get("LastTriggerUSec", "")):
            return Run(Outcome.NONE, f"{unit} has not run yet")
        return Run(Outcome.NONE, f"{unit} was started before this host was: how that ended is not known")
    if max(begun, ended) < triggered - _SLACK and state != "active":
        if job.get("Job", "") not in ("", "0"):
            return Run(Outcome.NONE, f"{unit} is queued to start")
        return Run(Outcome.NOT_RUN, f"{unit} did not start: {_hindrance(job, triggered)}")
    if state == "failed" or result not in ("success", ""):
        return Run(Outcome.FAILED, f"{unit} failed ({_reason(job)})")
    return Run(Outcome.SUCCEEDED, f"{unit} succeeded")


def _hindrance(job: Fields, triggered: float) -> str:
    for name, word in (("Condition", "a condition"), ("Assert", "an assertion")):
        if job.get(f"{name}Result") == "no" and _seconds(job, name) >= triggered - _SLACK:
            return f"{word} of the unit was not met"
    return "a unit that it needs failed, or its start was cancelled"


def _reason(job: Fields) -> str:
    result, code = job.get("Result", ""), job.get("ExecMainStatus", "")
    return f"{result} {code}".strip() if result == "exit-code" else result or "no reason is given"


def _seconds(job: Fields, name: str) -> float:
    """A monotonic time of a unit; 0 for never."""
    text = job.get(f"{name}TimestampMonotonic", "")
    return int(text) / 1e6 if text.isdigit() else 0.0


def moment(text: str) -> float | None:
    """POSIX time of what systemctl shows in UTC (`Sat 2026-11-21 05:17:33 UTC`); None for never."""
    words = text.split()
    if len(words) < 3:
        return None
    try:
        return datetime.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


_SPAN = re.compile(r"([\d.]+)\s*([a-z]+)")
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
# systemd.time(7): a month has 30.44 days, a year 365.25.
_LONG = {"day": 86400.0, "week": 604800.0, "month": 30.44 * 86400, "y": 365.25 * 86400, "year": 365.25 * 86400}


def span(text: str) -> float | None:
    """Seconds of a time span such as `1h 4min 30.5s`; None for none (`infinity`, nothing)."""
    parts = _SPAN.findall(text)
    units = {**_UNITS, **_LONG, **{f"{name}s": factor for name, factor in _LONG.items()}}
    if not parts or any(unit not in units for _number, unit in parts):
        return None
    return sum(float(number) * units[unit] for number, unit in parts)
