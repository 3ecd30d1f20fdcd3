# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover: its decisions alone, how soon there is a primary that was written to, and what the report says of it.

`repmgr standby promote` is what a person would call who has decided and fenced already. Our time is from the decision
(the order to fence) to the first commit on the new timeline, the proof of the fence and two acknowledgements by a
majority included; it may take as long as repmgr and four tasks of Ansible that do nothing.
"""

from __future__ import annotations

import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.failover_rounds import NOOPS, Round, rounds
from bench.measure import Figure, timed

_PLANS = 1000
HOST = "options-engine-1"
ROUNDS = 3
# What a client waits between two writes, and how much more the report may differ from it.
INTERVAL, SHARE = 0.02, 0.05


def run() -> list[Figure]:
    return [evaluated(), *failed_over()]


def evaluated() -> Figure:
    from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import next_step
    from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import read_facts
    from failover_facts import GONE, plan, request, standby

    chance = random.Random(7)

    def views() -> dict[str, Any]:
        found = {host: standby(host, lsn=f"0/{chance.randrange(2**20, 2**24):X}") for host in ("db2", "db3")}
        return {"db1": GONE, **found}

    cases = [views() for _number in range(_PLANS)]
    verdicts = {point: {"db1": "refused"} for point in ("app1", "db2", "controller")}
    who = request()

    def evaluate() -> None:
        for found in cases:
            next_step(plan(), who, [], read_facts(found, verdicts))

    seconds = min(timed(evaluate) for _run in range(3))
    return Figure("1,000 plans evaluated", seconds, 2, "read, assessed, next step found", "s")


def failed_over() -> list[Figure]:
    from lab.environment import Lab
    from lab_host import LabHost

    lab = Lab("bench-failover")
    lab.down()
    try:
        lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            return figures(list(rounds(LabHost(lab, Path(folder)), Path(folder), ROUNDS)))
    finally:
        lab.down()


def figures(found: list[Round]) -> list[Figure]:
    def median(name: str) -> float:
        return statistics.median(getattr(each, name) for each in found)

    limit = statistics.median(each.repmgr + each.noops for each in found)
    parts = f"repmgr {median('repmgr'):.2f} s, {NOOPS} no-op tasks {median('noops'):.2f} s"
    told = ", ".join(f"{each.told:.2f} of {each.gap:.2f} s" for each in found)
    missed = max(abs(each.told - each.gap) / (INTERVAL + SHARE * each.gap) for each in found)
    return [
        Figure("decision to the first write", median("decided"), limit, f"{parts}; medians of {len(found)}", "s"),
        Figure("… from the promotion's order", median("promoted"), median("repmgr") + median("noops_alone"),
               f"what repmgr does; no-op tasks of one host {median('noops_alone'):.2f} s", "s"),
        Figure("report beside the client", missed, 1, f"of 20 ms and 5 %; {told}"),
    ]  # fmt: skip
