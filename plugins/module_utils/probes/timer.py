# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd timers: how the last run ended, when it was, and whether the next one is armed."""

from __future__ import annotations

import os
import re
import time
from datetime import datetime, timezone

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

SPEC = ProbeSpec(
    doc="A systemd timer and the unit it starts. A last run that failed is critical, and so is a timer without a"
    " next run.",
    arguments={"name": Argument("str", "The timer, with or without its suffix.", required=True)},
    metrics={
        "result": Metric("How the last run ended: systemd's Result (success, exit-code, timeout …).", words=True),
        "age": Metric("Time since the timer last started its unit.", "s"),
        "next": Metric("Time until the next run.", "s"),
    },
    default_metric="result",
)
_TIMER = "LoadState,ActiveState,Unit,LastTriggerUSec,NextElapseUSecRealtime,NextElapseUSecMonotonic"
_UNIT = "ActiveState,Result,ExecMainStatus"

Fields = dict[str, str]


def _show(unit: str, properties: str) -> Fields:
    # Times are shown in the host's zone, whose abbreviation nobody can read back.
    answer = run(["env", "TZ=UTC", "systemctl", "show", f"--property={properties}", "--", unit])
    if answer.code != 0:
        raise Undetermined(f"systemctl cannot tell: {answer.complaint}")
    lines = answer.stdout.decode("utf-8", "replace").strip().split("\n")
    return dict(line.partition("=")[::2] for line in lines)


def moment(text: str) -> float | None:
    """POSIX time of what systemctl shows in UTC (`Sat 2026-11-21 05:17:33 UTC`); None for never."""
    words = text.split()
    if len(words) < 3:
        return None
    try:
        return datetime.strptime(" ".join(words[1:3]), "%Y-%m-%d %H:%M:%S").replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return None


def _until(fields: Fields, now: float) -> float | None:
    """Seconds until the next run; None when there is none."""
    due = moment(fields.get("NextElapseUSecRealtime", ""))
    if due is not None:
        return due - now
    monotonic = fields.get("NextElapseUSecMonotonic", "")
    seconds = span(monotonic)
    return None if seconds is None else seconds - time.clock_gettime(time.CLOCK_MONOTONIC)


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


def observe(_source: object, check: Check) -> Observation:
    name = check.args["name"]
    timer = name if name.endswith(".timer") else f"{name}.timer"
    if not os.path.isdir("/run/systemd/system"):
        raise Undetermined("systemd does not run this host")
    fields = _show(timer, _TIMER)
    if fields.get("LoadState") in ("not-found", "masked"):
        return Observation(None, "", failure=f"{timer} is {_loaded(fields['LoadState'])}")
    now = time.time()
    last, until = moment(fields.get("LastTriggerUSec", "")), _until(fields, now)
    if until is not None and until > 0:
        ahead = f"next in {format_duration(until)}"
    else:
        ahead = "running now or due" if until is not None else "no next run"
    ran = f"last ran {format_duration(now - last)} ago" if last is not None else "has not run yet"
    text = f"{timer} {ran}, {ahead}"
    metric = check.metric.name
    if metric == "age":
        if last is None:
            raise Undetermined(text)
        return Observation(round(now - last, 1), text)
    if fields.get("ActiveState") != "active" or until is None:
        return Observation(None, "", failure=f"{text}: the timer is {fields.get('ActiveState', 'unknown')}, not armed")
    if metric == "next":
        return Observation(round(max(0.0, until), 1), text)
    if last is None:
        return Observation("none", text)
    unit = _show(fields.get("Unit", ""), _UNIT)
    result, code = unit.get("Result", ""), unit.get("ExecMainStatus", "")
    if result == "success":
        return Observation(result, f"{text}; {fields['Unit']} succeeded")
    detail = f"{result} {code}" if result == "exit-code" else result
    return Observation(
        result,
        f"{text}; {fields['Unit']} failed ({detail})",
        unexpected="it should succeed",
        evidence=[f"{key}={value}" for key, value in unit.items()],
    )


def _loaded(state: str) -> str:
    return "not installed (systemd knows no such timer)" if state == "not-found" else state
