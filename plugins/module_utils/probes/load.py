# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load averages as the kernel keeps them."""

from __future__ import annotations

import os

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_number

SPEC = ProbeSpec(
    doc="Load averages: processes that run, wait for a processor, or wait for a disk.",
    arguments={},
    metrics={
        "load1": Metric("Average over a minute."),
        "load5": Metric("Average over five minutes."),
        "load15": Metric("Average over fifteen minutes."),
        "per_processor": Metric("Average over five minutes, for each processor that is online."),
    },
    default_metric="load5",
)
_LOADAVG = "/proc/loadavg"
_STRETCH = {"load1": (0, "minute"), "load5": (1, "5 minutes"), "load15": (2, "15 minutes")}


def source_key(_check: Check) -> object:
    return "load"


def open_source(_checks: list[Check], _progress: object) -> list[float]:
    try:
        with open(_LOADAVG, encoding="ascii") as stream:
            return [float(word) for word in stream.read().split()[:3]]
    except (OSError, ValueError) as exc:
        raise Undetermined(f"{_LOADAVG} cannot be read: {exc}") from exc


def observe(averages: list[float], check: Check) -> Observation:
    processors = os.cpu_count() or 1
    shown = " ".join(format_number(average) for average in averages)
    name = check.metric.name
    if name == "per_processor":
        value = round(averages[1] / processors, 3)
        return Observation(value, f"load is {format_number(value)} a processor over 5 minutes ({shown})")
    place, stretch = _STRETCH[name]
    where = counted(processors, "processor")
    return Observation(averages[place], f"load is {shown} on {where}; the value is of the last {stretch}")
