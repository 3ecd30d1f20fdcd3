# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failovers of a simulated cluster: by seed, from histories of other tools, and killed at every call."""

from __future__ import annotations

from collections import Counter
from typing import Any, Callable

import pytest
from examples import examples
from simulated_cluster.acting import promoted_by_hand
from simulated_cluster.core import Core
from simulated_cluster.drawn import cut, hangs, mend, scenario
from simulated_cluster.driver import Fate
from simulated_cluster.scenario import FAILS, HELP, Scenario, Site

PART = 100
BOTH = ("service", "proxy")


def simple(**site: Any) -> Scenario:
    return Scenario(1, Site(stays_dead=True, **site), Core)


@pytest.mark.parametrize("first", range(0, examples(1000), PART))
def test_by_seed(first: int) -> None:
    """Whatever befalls it: never two primaries that applications can write to, and no loss reported wrongly."""
    outcomes: Counter[str] = Counter()
    promotions = 0
    for seed in range(first, first + PART):
        it = scenario(seed, Core).play()
        assert not it.judge.faults, it.tell()
        outcomes.update(run.outcome for run in it.runs)
        promotions += len(it.judge.promotions)
    assert promotions > PART // 5, outcomes
    assert outcomes["finished"] > PART // 5, outcomes


@pytest.mark.parametrize("when", ["before", "under way", "after"])
def test_killed_at_every_call_another_controller_comes_to_the_same_end(when: str) -> None:
    ends = set()
    for call in range(1, 60):
        it = simple()
        it.at(FAILS, it.world.server_stops, it.world.servers["db1"], False, "it crashes")
        killed = it.helped(HELP, "control1", [Fate(call, when)])
        second = it.helped(HELP + 60, "control2")
        it.play()
        assert not it.judge.faults, it.tell()
        assert second.outcome in ("finished", "degraded" if "finish" in killed.steps else ""), it.tell()
        ends.add((second.detail["primary"], len(it.judge.promotions)))
        if killed.outcome == "finished":
            break
    assert killed.outcome == "finished", "the last call of a whole run was not reached"
    assert ends == {("db2", 1)}


def host_dies(it: Scenario) -> None:
    it.at(FAILS, it.world.host_dies, "db1")


def isolated(it: Scenario) -> None:
    others = [name for name in it.world.hosts if name != "db1"]
    it.at(FAILS, cut, it, ["db1"], others)
    it.at(100.0, mend, it)


def only_the_standby_is_cut_off(it: Scenario) -> None:
    it.at(FAILS, cut, it, ["db1"], ["db2"])


def a_standby_is_isolated(it: Scenario) -> None:
    it.at(FAILS, cut, it, ["db2"], [name for name in it.world.hosts if name != "db2"])


def promoted_elsewhere(it: Scenario) -> None:
    host_dies(it)
    it.at(FAILS, cut, it, ["db2"], [name for name in it.world.hosts if name != "db2"])
    it.at(10.0, promoted_by_hand, it.world, it.world.servers["db3"])
    it.at(11.0, mend, it)


def two_at_once(it: Scenario) -> None:
    host_dies(it)
    it.helped(HELP + 0.3, "control2")


def host_returns(it: Scenario) -> None:
    host_dies(it)
    it.at(60.0, it.world.host_returns, "db1")


def crashes(it: Scenario) -> None:
    it.at(FAILS, it.world.server_stops, it.world.servers["db1"], False, "it crashes")


def started_by_hand(it: Scenario) -> None:
    crashes(it)
    it.at(100.0, it.world.start, it.world.servers["db1"])


def hung(it: Scenario) -> None:
    it.at(FAILS, hangs, it, "db1", False)
    it.at(100.0, it.resume, "db1")


def hung_disk(it: Scenario) -> None:
    it.at(FAILS, hangs, it, "db1", True)
    it.at(100.0, it.resume, "db1")


def first_standby_is_behind(it: Scenario) -> None:
    it.at(2.0, cut, it, ["db2"], ["db1"])
    it.at(FAILS - 0.1, mend, it)
    crashes(it)


def primary_serves_its_side(it: Scenario) -> None:
    ours = ["db1", "app1"]
    it.at(FAILS, cut, it, ours, [name for name in it.world.hosts if name not in ours])
    it.at(100.0, mend, it)


# What went wrong with other tools: where it is told, what befalls the cluster, the plan, how the first run ends, and
# whom applications reach when all is over (nobody, where the primary stays dead).
HISTORIES: list[tuple[str, Callable[[Scenario], None], dict[str, Any], str, str]] = [
    ("EnterpriseDB/repmgr 42: its network returns", isolated, {"fence": ("proxy",)}, "finished", "db2"),
    ("EnterpriseDB/repmgr 42: nothing reaches it", isolated, {"fence": ("service",)}, "refused", "db1"),
    ("EnterpriseDB/repmgr 821: others see it", only_the_standby_is_cut_off, {}, "degraded", "db1"),
    ("EnterpriseDB/repmgr 439: a minority", a_standby_is_isolated, {}, "degraded", "db1"),
    ("EnterpriseDB/repmgr 420: promoted by hand", promoted_elsewhere, {"fence": BOTH}, "finished", "db3"),
    ("EnterpriseDB/repmgr 699: two promotions", two_at_once, {"fence": BOTH}, "finished|no majority", "db2"),
    ("EnterpriseDB/repmgr 766: its machine returns", host_returns, {"fence": BOTH}, "finished", "db2"),
    ("EnterpriseDB/repmgr 766: started by hand", started_by_hand, {"fence": ("service",)}, "finished", "db2"),
    ("hapostgres/pg_auto_failover 1032: hung", hung, {"fence": ("service",)}, "finished", "db2"),
    ("hapostgres/pg_auto_failover 1032: paging", hung_disk, {"fence": ("service",)}, "refused", "db1"),
    ("ClusterLabs/PAF 195, patroni/patroni 1894: stale", first_standby_is_behind, {}, "finished", "db3"),
    ("cloudnative-pg/cloudnative-pg 7465: its own side", primary_serves_its_side, {"fence": BOTH}, "refused", "db1"),
]


@pytest.mark.parametrize(
    ("befalls", "site", "outcome", "primary"), [each[1:] for each in HISTORIES], ids=[each[0] for each in HISTORIES]
)
def test_histories_of_other_tools(
    befalls: Callable[[Scenario], None], site: dict[str, Any], outcome: str, primary: str
) -> None:
    it = simple(**site)
    first = it.helped(HELP, "control1")
    befalls(it)
    it.play()
    assert not it.judge.faults, it.tell()
    assert first.outcome in outcome.split("|"), it.tell()
    assert it.judge.reachable_primaries() == ((primary,) if primary else ()), it.tell()
