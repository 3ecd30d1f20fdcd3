# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run of a backup against repositories in memory: what is made, copied, pruned, and what stands after any failure."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.made import Made
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import State
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed, Plan, run
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository
from backup_runs import DAY, HOUR, NIGHT, PLAN, Clock, ids, maker, mark, nights, state, whole
from memory_repository import Killed, Memory


@pytest.mark.parametrize(
    ("age", "about", "due"),
    [
        (25 * HOUR, {}, True),
        (24 * HOUR, {}, True),
        (23 * HOUR, {}, False),
        # Dated by a clock that is ahead: tolerated for minutes, and no set of today beyond that.
        (-200.0, {}, False),
        (-2 * HOUR, {}, True),
        (HOUR, {"damaged": "other bytes"}, True),
        (HOUR, {"verified": "none"}, True),
    ],
)
def test_when_a_set_is_due(clock: Clock, age: float, about: dict[str, Any], due: bool) -> None:
    repository = Memory()
    (name,) = nights(repository, clock, 1)
    mark(repository, name, **about)
    clock.now = NIGHT + age
    outcome = run(replace(PLAN, max_age=DAY), repository, None, maker())
    assert (outcome["made"], len(ids(repository))) == (due, 1 + due)


@pytest.mark.parametrize(
    ("plan", "due"),
    [
        (PLAN, False),
        (replace(PLAN, contents=Contents(frozenset(["/srv/app", "/srv/more"]))), True),
        (replace(PLAN, origin="host-2"), True),
        (replace(PLAN, origin=None), False),
    ],
)
def test_a_set_of_something_else_is_no_substitute(clock: Clock, plan: Plan, due: bool) -> None:
    repository = Memory()
    nights(repository, clock, 1)
    clock.now = NIGHT + HOUR
    assert run(replace(plan, max_age=DAY), repository, None, maker())["made"] is due


def test_the_manifest_is_written_after_the_files_and_removed_before_them(clock: Clock) -> None:
    repository = Memory()
    (old,) = nights(repository, clock, 1)
    repository.calls.clear()
    outcome = run(replace(PLAN, policy=Policy(last=1, min_verified=0)), repository, None, maker())
    new = outcome["set"]["id"]
    written = [key for deed, key in repository.changes if deed != "remove"]
    assert written == [f"app/{new}/{name}" for name in ("1.age", "2.age", "manifest.json", "state.json")]
    removed = [key for deed, key in repository.changes if deed == "remove"]
    assert removed[0] == f"app/{old}/manifest.json" and {key.rpartition("/")[2] for key in removed[1:]} == {
        "1.age", "2.age", "state.json"
    }  # fmt: skip
    assert outcome["locations"][0]["pruned"] == [old] and ids(repository) == [new]


def test_an_id_is_not_taken_again_in_the_second_in_which_its_set_was_pruned(clock: Clock) -> None:
    repository, copy = Memory(), Memory()
    plan = replace(PLAN, policy=Policy(last=1, min_verified=0), copy_policy=Policy())
    made = [run(plan, repository, copy, maker(b"%d" % number))["set"]["id"] for number in range(12)]
    assert len(set(made)) == 12 and ids(repository) == made[-1:]
    # What the second location keeps is every set, none taken for another.
    assert sorted(ids(copy)) == sorted(made)


@pytest.mark.parametrize("fault", [Day2Error("the disk is full"), KeyboardInterrupt()])
def test_a_set_that_could_not_be_made_leaves_nothing(clock: Clock, fault: BaseException) -> None:
    repository = Memory()
    kept = nights(repository, clock, 3)
    before = dict(repository.files)

    def make(place: Repository, folder: str) -> Made:
        maker()(place, folder)
        raise fault

    with pytest.raises(BackupFailed if isinstance(fault, Day2Error) else KeyboardInterrupt):
        run(replace(PLAN, policy=Policy(last=1, min_verified=0)), repository, None, make)
    assert repository.files == before and ids(repository) == kept[::-1] and not repository.unfinished


def test_a_lock_that_was_lost_publishes_and_removes_nothing(clock: Clock) -> None:
    repository = Memory()
    nights(repository, clock, 1)

    def make(place: Repository, folder: str) -> Made:
        made = maker()(place, folder)
        repository.lock_lost = True
        return made

    repository.calls.clear()
    with pytest.raises(BackupFailed, match="no backup was made"):
        run(PLAN, repository, None, make)
    assert [call for call in repository.changes if call[0] == "remove" or "manifest" in call[1]] == []
    assert len(ids(repository)) == 1


def test_a_lock_that_was_lost_ends_the_pruning(clock: Clock) -> None:
    repository = Memory()
    kept = nights(repository, clock, 3)
    inner = repository.remove

    def remove(key: str) -> None:
        inner(key)
        # Gone with the last file of the first set.
        repository.lock_lost = key == f"app/{kept[0]}/state.json"

    repository.remove = remove  # type: ignore[method-assign]
    with pytest.raises(Locked):
        run(replace(PLAN, policy=Policy(last=1, min_verified=0)), repository, None, maker())
    assert ids(repository)[1:] == [kept[2], kept[1]]


def test_a_set_that_is_not_given_back_as_it_was_written(clock: Clock) -> None:
    repository = Memory()
    kept = nights(repository, clock, 2)
    repository.read_as = lambda _key, content: content[:-1] + b"?"
    pruning = replace(PLAN, policy=Policy(last=1, min_verified=0), max_age=DAY)
    with pytest.raises(BackupFailed, match=r"2\.age has other bytes than were written") as failed:
        run(pruning, repository, None, maker())
    assert failed.value.outcome["made"] and len(ids(repository)) == 3
    assert set(kept) < set(ids(repository)), "nothing is pruned"
    damaged = state(repository, ids(repository)[0])
    assert damaged.damaged and damaged.history[-1]["by"] == "the run that made it"
    # It takes nobody's place: the next run makes another one.
    repository.read_as = lambda _key, content: content
    clock.now += HOUR
    assert run(pruning, repository, None, maker())["made"]


def test_a_verification_that_does_not_end_is_no_verdict(clock: Clock) -> None:
    repository = Memory()
    kept = nights(repository, clock, 2)
    reads = next(number for number, call in enumerate(calls_of_a_run()) if call[0] == "read")
    repository.calls.clear()
    # Two sets more to look at than the run that was counted.
    repository.fails_at = reads + 4
    with pytest.raises(BackupFailed, match="its verification did not end, and nothing was pruned"):
        run(replace(PLAN, policy=Policy(last=1, min_verified=0)), repository, None, maker())
    assert len(ids(repository)) == 3 and set(kept) < set(ids(repository))
    assert state(repository, ids(repository)[0]) == State()


def calls_of_a_run() -> list[tuple[str, str]]:
    repository = Memory()
    run(PLAN, repository, None, maker())
    return repository.calls


def test_what_only_its_digests_are_known_of_is_said_so(clock: Clock) -> None:
    outcome = run(PLAN, Memory(), None, maker())
    assert outcome["set"]["verified"] == "digest" and "no identity here" in outcome["warnings"][0]


def test_what_may_not_be_removed_stays_and_is_said(clock: Clock) -> None:
    repository = Memory()
    held, half, gone = nights(repository, clock, 3)
    repository.immutable = {f"app/{held}/manifest.json": "object lock", f"app/{half}/1.age": "a legal hold"}
    outcome = run(replace(PLAN, policy=Policy(last=1, min_verified=0)), repository, None, maker())
    (place,) = outcome["locations"]
    # The manifest of the second is gone, and with it the set.
    assert place["pruned"] == [half, gone] and set(place["locked"]) == {held, half}
    assert ids(repository)[1:] == [held] and f"app/{half}/1.age" in repository.files
    again = run(replace(PLAN, max_age=DAY), repository, None, maker())
    assert again["cleared"] == [] and f"app/{half}/1.age" in repository.files


@pytest.mark.parametrize("sets_before", [0, 1, 4])
@pytest.mark.parametrize("max_age", [None, 2 * DAY])
def test_check_mode_changes_nothing_and_says_what_a_run_does(
    clock: Clock, sets_before: int, max_age: float | None
) -> None:
    first, second = Memory("first"), Memory("second")
    nights(first, clock, sets_before)
    first.files["app/20260101T000000Z/1.age"] = b"left by a run that was killed"
    plan = replace(PLAN, max_age=max_age, policy=Policy(last=2, min_verified=0))
    for place in (first, second):
        place.calls.clear()
    planned = run(plan, first, second, maker(), check_mode=True)
    assert first.changes == second.changes == [] and not [call for call in first.calls if call[0] in ("lock", "tidy")]
    done = run(plan, first, second, maker())
    assert (planned["made"], planned["changed"], planned["cleared"]) == (done["made"], True, done["cleared"])
    assert planned["locations"][0]["pruned"] == done["locations"][0]["pruned"]
    # A set that is not made yet has no id to be copied by.
    assert planned.get("copied", []) == [name for name in done.get("copied", []) if name != done["set"]["id"]
                                         or not done["made"]]  # fmt: skip


def prepared(clock: Clock) -> tuple[Memory, Memory, list[str]]:
    first, second = Memory("first"), Memory("second")
    clock.now = NIGHT
    kept = nights(first, clock, 3, second)
    # Something to copy that was there before, something to mend, something to clear.
    run(PLAN, first, None, maker())
    clock.now += DAY
    del second.files[f"app/{kept[1]}/1.age"]
    first.files["app/20260101T000000Z/1.age"] = b"left by a run that was killed"
    for place in (first, second):
        place.revive()
    return first, second, ids(first)


PRUNING = replace(PLAN, policy=Policy(last=2, min_verified=0))


@pytest.mark.parametrize("where", ["first", "second"])
@pytest.mark.parametrize("how", ["fails_at", "dies_at"])
def test_a_failure_at_any_call(clock: Clock, where: str, how: str) -> None:
    """Each call in turn fails, or is the last one. What is published is whole, and the next run makes up for it."""
    first, second, _before = prepared(clock)
    run(PRUNING, first, second, maker())
    number = len(first.calls if where == "first" else second.calls)
    assert number > 20
    for fails in range(number):
        first, second, before = prepared(clock)
        setattr(first if where == "first" else second, how, fails)
        with suppress(Day2Error, Killed):
            run(PRUNING, first, second, maker())
        for place in (first, second):
            place.revive()
        whole(first)
        # Nothing goes before a new set is there, and then only what retention lets go.
        assert ids(first) == before or (before[0] in ids(first)[1:]), fails
        clock.now += HOUR
        outcome = run(PRUNING, first, second, maker(b"rows of the next run"))
        assert ids(first)[0] == outcome["set"]["id"] and ids(second)[0] == outcome["set"]["id"], fails
        whole(first)
        whole(second)
        left = [key for key in (*first.files, *second.files) if "20260101T" in key]
        assert left == [] and not first.unfinished and not second.unfinished, fails


def test_nothing_is_pruned_before_everything_else_went_well(clock: Clock) -> None:
    first, second, before = prepared(clock)
    failing: list[Callable[[], None]] = [
        lambda: setattr(second, "holder", "another run"),
        lambda: setattr(second, "read_as", lambda _key, _content: b""),
        lambda: setattr(first, "read_as", lambda _key, _content: b""),
    ]
    for number, begin in enumerate(failing):
        first, second, before = prepared(clock)
        begin()
        with pytest.raises(BackupFailed):
            run(PRUNING, first, second, maker())
        assert {*before} <= {*ids(first)}, number
