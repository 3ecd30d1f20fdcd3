# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long a failover takes, by what earlier ones took. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry, Phase
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan

# Applications wait until traffic is led; the other standbys follow, and a backup is taken, while they work.
SERVING = ("fence", "promote", "application", "verify", "traffic")
STEPS = (*SERVING, "follow", "backup")
# Of more, older ones say nothing of today's servers.
_RECENT = 5


@dataclass(frozen=True)
class Prediction:
    """Seconds until applications are served, None where a step was never measured; `steps`: of each that was."""

    seconds: float | None
    steps: Mapping[str, float] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    text: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"predicted": self.seconds, "from": self.text, "steps": dict(self.steps), "missing": list(self.missing)}


def steps_of(plan: Plan) -> list[str]:
    """Steps that the plan has, in their order."""
    wanted = {
        # A manager has its members follow.
        "follow": not plan.is_managed,
        "application": plan.application is not None,
        "verify": bool(plan.verify),
        "traffic": bool(plan.traffic),
        "backup": plan.backup is not None,
    }
    return [step for step in STEPS if wanted.get(step, True)]


def predict(plan: Plan, history: Sequence[Mapping[str, float]] = ()) -> Prediction:
    """`history`: seconds by step of earlier failovers, oldest first. The median of the last five that took a step."""
    steps: dict[str, float] = {}
    used = 0
    for step in steps_of(plan):
        taken = [float(run[step]) for run in history if isinstance(run.get(step), (int, float))][-_RECENT:]
        if taken:
            steps[step], used = statistics.median(taken), max(used, len(taken))
    serving = [step for step in steps_of(plan) if step in SERVING]
    missing = tuple(step for step in serving if step not in steps)
    detection = plan.liveness.over
    known = detection + sum(steps.get(step, 0.0) for step in serving)
    if not used:
        return Prediction(None, steps, missing, "no earlier failover was measured: rehearse one")
    text = (
        f"the median of {counted(used, 'earlier failover')}, and {format_duration(detection)} to find the primary dead"
    )
    if missing:
        return Prediction(
            None, steps, missing, f"at least {format_duration(known)}: {', '.join(missing)} was never measured; {text}"
        )
    return Prediction(known, steps, (), text)


def measure(entries: Iterable[Entry]) -> dict[str, float]:
    """Seconds by step of one failover: from its first intent in the journal until it was done."""
    begun: dict[str, float] = {}
    taken: dict[str, float] = {}
    for entry in entries:
        try:
            at = parse_rfc3339(entry.at)
        except ValueError:
            continue
        if entry.phase is Phase.INTENT:
            begun.setdefault(entry.step, at)
        elif entry.phase is Phase.DONE and entry.step in begun and at >= begun[entry.step]:
            # Two controllers may have done it, and their clocks differ.
            taken[entry.step] = at - begun[entry.step]
    return taken
