# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU time between two readings of /proc/stat: what the machine did while nobody's top was looking."""

from __future__ import annotations

import time

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted

SPEC = ProbeSpec(
    doc="CPU time of all processors, sampled over a short interval before the other checks begin.",
    arguments={"interval": Argument("duration", "Seconds to sample.", default=0.25)},
    metrics={
        "used_percent": Metric("Time in which the processors were neither idle nor waiting for disks.", "%"),
        "iowait_percent": Metric("Time in which they waited for disks.", "%"),
        "steal_percent": Metric("Time that the hypervisor gave to others.", "%"),
        "count": Metric("Processors that are online.", "processors"),
    },
    default_metric="used_percent",
)
# Measured before the other checks begin to work.
QUIET = True
_STAT = "/proc/stat"


def source_key(check: Check) -> object:
    return check.args["interval"]


def _read() -> tuple[list[int], int]:
    """The counters of all processors (proc(5): user nice system idle iowait irq softirq steal), and their number."""
    try:
        with open(_STAT, encoding="ascii") as lines:
            rows = [line.split() for line in lines if line.startswith("cpu")]
    except OSError as exc:
        raise Undetermined(f"{_STAT}: {exc.strerror}") from exc
    if not rows or len(rows[0]) < 9:
        raise Undetermined(f"{_STAT} has no line of processor times")
    # guest times (fields 9 and 10) are counted in user and nice already.
    return [int(word) for word in rows[0][1:9]], len(rows) - 1


def open_source(checks: list[Check], _progress: object) -> tuple[list[int], int]:
    before, _count = _read()
    time.sleep(checks[0].args["interval"])
    after, count = _read()
    return [max(0, new - old) for new, old in zip(after, before)], count


def observe(source: tuple[list[int], int], check: Check) -> Observation:
    spent, count = source
    name = check.metric.name
    if name == "count":
        return Observation(count, f"{counted(count, 'processor')} online")
    total = sum(spent)
    if not total:
        raise Undetermined("the processors' counters did not move; sample for longer (interval)")
    idle, iowait, steal = spent[3], spent[4], spent[7]
    share = {
        "used_percent": 100.0 * (total - idle - iowait) / total,
        "iowait_percent": 100.0 * iowait / total,
        "steal_percent": 100.0 * steal / total,
    }[name]
    words = {"used_percent": "busy", "iowait_percent": "waiting for disks", "steal_percent": "stolen by the hypervisor"}
    return Observation(round(share, 2), f"{counted(count, 'processor')} {share:.1f} % {words[name]}")
