# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Journals of failovers, and the step that is next."""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.failover.planner import next_step
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Orders, Refused
from failover_facts import Journal, facts, plan, primary, request, stopped

CASE = {"case": "run1", "old": "db1", "timeline": 3}
APPROVED: dict[str, Any] = {
    "approved_by": "M. Anager",
    "reason": "the rack burns",
    "approves": ("fence", "majority", "rpo", "unjudged"),
}
NEW = {"db2": primary("db2", timeline=4)}
OFF = {"db1": stopped(unit_masked=True)}
FENCED = [("fence", "intent", "db1", {"layer": "service"}), ("fence", "done", "db1", {"layer": "service"})]
CUT = [("fence", "intent", "db1", {"layer": "proxy"}), ("fence", "done", "db1", {"layer": "proxy"})]
BEGUN = [("promote", "intent", "db2", {"timeline": 3})]
FAILED = ("promote", "failed", "db2", {"why": "no space left"})
PROMOTED = [*BEGUN, ("promote", "done", "db2", {"timeline": 4, "fork_lsn": "0/5000000"})]


def journal(*lines: tuple[str, str, str | None, dict[str, Any]], epoch: int = 1) -> Journal:
    kept = Journal()
    for step, phase, host, about in lines:
        kept.add(request("run1", epoch), step, phase, host, {**CASE, **about})
    return kept


def step_of(kept: Journal | None = None, the_plan: Any = None, who: Any = None, **observed: Any) -> Any:
    who = who or request("run2", 2)
    return next_step(the_plan or plan(), who, kept.entries if kept else [], facts(**observed))


def orders(step: Any) -> list[tuple[str, str]]:
    assert isinstance(step, Orders), step
    return [(order.host, order.module.rpartition(".")[2]) for order in step.orders]


def refused(step: Any) -> Refused:
    assert isinstance(step, Refused), step
    return step
