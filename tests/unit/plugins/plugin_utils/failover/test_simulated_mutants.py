# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rule of the planner, of the driver or of the hosts is broken, and the simulated cluster finds it by its seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Callable

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.failover import (
    assess,
    candidates,
    case,
    fencing,
    judge,
    model,
    planner,
    views,
)
from examples import examples
from simulated_cluster import acting, core, driver
from simulated_cluster.core import Core
from simulated_cluster.drawn import cut, hangs, scenario
from simulated_cluster.driver import Fate
from simulated_cluster.scenario import FAILS, HELP, Scenario, Site
from simulated_cluster.world import ARCHIVE

Break = Callable[[pytest.MonkeyPatch], None]


def anything_proves_a_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(judge, "_proves", lambda answer, layer: True)


def the_fence_is_skipped(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fencing, "hold", lambda at, case: None)


def a_fence_undone_is_not_seen(patch: pytest.MonkeyPatch) -> None:
    hold = fencing.hold
    patch.setattr(fencing, "hold", lambda at, case: None if case.done("fence", case.old) else hold(at, case))


def a_name_counts_as_a_cut(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(model, "CUTTING", ("pgbouncer", "haproxy", "hosts_entry", "route53"))


def one_point_is_enough(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assess.Verdicts, "agree_dead", property(lambda self: bool(self.dead) and not self.alive))


def one_point_outvotes_the_others(patch: pytest.MonkeyPatch) -> None:
    verdicts = assess.verdicts

    def told(*arguments: Any) -> assess.Verdicts:
        found = verdicts(*arguments)
        return replace(found, alive=()) if found.dead else found

    patch.setattr(assess, "verdicts", told)
    one_point_is_enough(patch)


def a_point_on_the_primary_counts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(model.Plan, "points_for", lambda self, primary: list(self.vantage_points))


def a_case_that_proved_nothing_binds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(planner, "_reconsider", lambda *_: None)


def an_open_intent_to_promote_is_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(case.Case, "bound", lambda self: None)


def the_least_advanced_is_promoted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(candidates, "_rank", lambda view: (-(view.timeline or 0), -(view.position or 0)))


def nofailover_is_ignored(patch: pytest.MonkeyPatch) -> None:
    unable = candidates._unable

    def able(plan: Any, facts: Any, member: Any, *rest: Any) -> Any:
        return unable(plan, facts, replace(member, nofailover=False), *rest)

    patch.setattr(candidates, "_unable", able)


def other_deciders_are_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(assess, "forbidden", lambda plan, facts: [])
    patch.setattr(planner, "forbidden", lambda plan, facts: [])


def the_confirmation_is_ignored(patch: pytest.MonkeyPatch) -> None:
    request = core.steps.Request
    patch.setattr(core.steps, "Request", lambda **options: request(**{**options, "confirmed": True}))


def done_is_not_believed(patch: pytest.MonkeyPatch) -> None:
    done = case.Case.done

    def doubted(self: Any, step: str, host: Any = None) -> Any:
        return None if step == "promote" and len(self.entries) < 8 else done(self, step, host)

    patch.setattr(case.Case, "done", doubted)


def the_end_of_wal_is_that_of_a_checkpoint(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(views.Member, "end", property(lambda self: self.lsn if self.state == "stopped" else None))


def a_minority_is_enough(patch: pytest.MonkeyPatch) -> None:
    journal = driver.Driver._journal

    def asked(self: Any, *arguments: Any, **more: Any) -> Any:
        found, _majority = yield from journal(self, *arguments, **more)
        return found, any(host in found for host in self.plan["journal_hosts"])

    patch.setattr(driver.Driver, "_journal", asked)


def the_intent_is_not_written(patch: pytest.MonkeyPatch) -> None:
    write = driver.Driver._write

    def written(self: Any) -> Any:
        return self.entries[-1]["phase"] == "intent" if self.entries else (yield from write(self))

    patch.setattr(driver.Driver, "_write", written)


def hosts_guard_nothing(patch: pytest.MonkeyPatch) -> None:
    def unguarded(world: Any, host: Any, epoch: Any, run: Any, act: Callable[[], Any]) -> Any:
        return (yield from act())

    patch.setattr(acting, "guarded", unguarded)


def by_seed(seed: int) -> list[str]:
    return scenario(seed, Core).play().judge.faults


def lost_while_promoted(_seed: int) -> list[str]:
    """A standby hangs when it has just been promoted, and its controller is gone; somebody approves the rest."""
    it = Scenario(1, Site(stays_dead=True), Core)
    it.at(FAILS, it.world.server_stops, it.world.servers["db1"], False, "it crashes")

    def befalls(target: str) -> None:
        cut(it, [target], [ARCHIVE])
        it.world.clock.after(4.0, lambda: hangs(it, target, False))

    it.on_fate = befalls
    it.helped(HELP, "control1", [Fate(step="promote", when="under way")])
    codes = ("ahead", "archive", "fence", "majority", "rpo", "unjudged")
    approved = {"approved_by": "ada", "approves": codes, "reason": "the site burns"}
    it.helped(60.0, "control2", request=approved)
    return it.play().judge.faults


# What is broken, what finds it, and by which seed. Where what is drawn by seed has changed, other seeds are tried.
MUTANTS: list[tuple[Break, Callable[[int], list[str]], int]] = [
    (anything_proves_a_fence, by_seed, 11),
    (the_fence_is_skipped, by_seed, 11),
    (a_fence_undone_is_not_seen, by_seed, 395),
    (a_name_counts_as_a_cut, by_seed, 63),
    (one_point_is_enough, by_seed, 346),
    (one_point_outvotes_the_others, by_seed, 56),
    (a_point_on_the_primary_counts, by_seed, 359),
    (a_case_that_proved_nothing_binds, by_seed, 5),
    (an_open_intent_to_promote_is_ignored, lost_while_promoted, 0),
    (the_least_advanced_is_promoted, by_seed, 9),
    (nofailover_is_ignored, by_seed, 52),
    (other_deciders_are_ignored, by_seed, 31),
    (the_confirmation_is_ignored, by_seed, 52),
    (done_is_not_believed, by_seed, 2),
    (the_end_of_wal_is_that_of_a_checkpoint, by_seed, 35),
    (a_minority_is_enough, by_seed, 34),
    (the_intent_is_not_written, by_seed, 2),
    (hosts_guard_nothing, by_seed, 52),
]


@pytest.mark.parametrize(("broken", "played", "seed"), MUTANTS, ids=[each[0].__name__ for each in MUTANTS])
def test_a_broken_rule_is_found(
    broken: Break, played: Callable[[int], list[str]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert played(seed) == []
    broken(monkeypatch)
    assert any(played(each) for each in (seed, *range(examples(200))))
