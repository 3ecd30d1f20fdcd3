# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simulated cluster is no toothless one: a small planner that breaks one rule is found out within some seeds."""

from __future__ import annotations

from typing import Any, Mapping

import pytest
from simulated_cluster.drawn import scenario
from simulated_cluster.scenario import Scenario

SEEDS = range(40)


class Small:
    """A failover of few words: fence db1 where two points find it dead, promote db2, point traffic to it."""

    points, fences, repeats, ends = 2, True, False, "traffic"

    def __init__(self, plan: dict[str, Any], _hosts: list[str]) -> None:
        self.plan = plan

    def facts(
        self,
        views: Mapping[str, Any],
        liveness: Mapping[str, Any],
        _promised: Mapping[str, Any],
        _seen: int,
        _looked: int,
    ) -> Any:
        return views, liveness

    def next_step(self, _request: Any, entries: list[dict[str, Any]], facts: Any) -> dict[str, Any]:
        views, liveness = facts
        done = {entry["step"] for entry in entries if entry["phase"] == "done"}
        begun = {entry["step"] for entry in entries}
        dead = [point for point, found in liveness.items() if found.get("db1") != "answers"]
        if not begun and len(set(dead) - {"db1"}) < self.points:
            return {"kind": "refused", "message": "too few points find it dead"}
        if len(entries) > 14 or any(view.get("promoted_by") for view in views.values() if "promote" not in begun):
            return {"kind": "refused", "message": "this is beyond me"}
        if "fence" not in done and self.fences:
            return orders("fence", "db1", [("db1", "dr_fence", {"kind": "service"})])
        if "promote" not in done or (self.repeats and len(entries) < 10):
            return orders("promote", "db2", [("db2", "pg_promote", {"synchronous_standby_names": ""})])
        if self.ends not in done:
            to = {"primary": {"host": "db2", "port": 5432}}
            pointed = [(each["host"], "dr_traffic", {"kind": each["kind"], **to}) for each in self.plan["traffic"]]
            return orders("traffic", None, pointed)
        return {"kind": "finished"}

    def judge(
        self, _request: Any, _entries: Any, _facts: Any, _step: Any, answers: list[dict[str, Any]]
    ) -> dict[str, Any]:
        well = all(answer["ok"] for answer in answers)
        return {"phase": "done" if well else "failed", "about": {}}


def orders(step: str, host: str | None, asked: list[tuple[str, str, dict[str, Any]]]) -> dict[str, Any]:
    listed = [{"host": each, "module": module, "arguments": arguments} for each, module, arguments in asked]
    return {"kind": "orders", "step": step, "host": host, "about": {}, "orders": listed}


class Unfenced(Small):
    fences = False


class Hasty(Small):
    points = 1


class Again(Small):
    repeats = True


class Halfway(Small):
    ends = "promote"


def played(planner: Any) -> list[Scenario]:
    return [scenario(seed, planner).play() for seed in SEEDS]


@pytest.mark.parametrize(
    ("planner", "found"),
    [
        (Unfenced, "split brain: applications can write to"),
        (Unfenced, "is a primary and not fenced"),
        (Hasty, "which 1 vantage points found dead"),
        (Again, "sends step promote again"),
        (Halfway, "says finished, and"),
    ],
)
def test_who_breaks_a_rule_is_found(planner: Any, found: str) -> None:
    faults = [fault for it in played(planner) for fault in it.judge.faults]
    assert any(part in fault for fault in faults for part in found.split("|")), faults


def test_one_seed_is_one_history() -> None:
    first, second = (scenario(7, Small).play().tell() for _time in range(2))
    assert first == second


def test_nothing_is_found_where_nobody_acts() -> None:
    """What befalls the cluster is never by itself what the judge is there to find."""

    class Idle(Small):
        def next_step(self, _request: Any, _entries: Any, _facts: Any) -> dict[str, Any]:
            return {"kind": "refused", "message": "no"}

    assert [it.tell() for it in played(Idle) if it.judge.faults] == []
