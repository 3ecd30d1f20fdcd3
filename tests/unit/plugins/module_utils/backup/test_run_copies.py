# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a second location gets of a run, and what it keeps from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed, run
from backup_runs import DAY, PLAN, Clock, ids, maker, nights, state
from memory_repository import Memory


def test_the_second_location_gets_what_it_lacks_oldest_first(clock: Clock) -> None:
    first, second = Memory("first"), Memory("second")
    nights(first, clock, 2)
    outcome = run(PLAN, first, second, maker())
    assert outcome["copied"] == ids(first)[::-1] and ids(second) == ids(first)
    assert {key: content for key, content in second.files.items() if not key.endswith("state.json")} == {
        key: content for key, content in first.files.items() if not key.endswith("state.json")
    }
    puts = [key.rpartition("/")[2] for deed, key in second.changes if deed == "put"]
    assert puts == ["state.json", "manifest.json"] * 3
    # What its own retention let go is not copied again.
    pruning = replace(PLAN, copy_policy=Policy(last=1, min_verified=0))
    clock.now += DAY
    run(pruning, first, second, maker())
    clock.now += DAY
    assert run(pruning, first, second, maker())["copied"] == ids(first)[:1] == ids(second)


def test_bytes_that_the_first_location_lost_are_not_copied(clock: Clock) -> None:
    first, second = Memory("first"), Memory("second")
    (name,) = nights(first, clock, 1)
    first.files[f"app/{name}/2.age"] = b"ROWS"
    with pytest.raises(BackupFailed, match=f"the backup {name} is in first; its copy failed, and nothing was pruned"):
        run(replace(PLAN, max_age=2 * DAY), first, second, maker())
    assert second.files == {} and state(first, name).history[-1]["by"] == "a run that copied it"
    # The next run copies what is whole.
    second.revive()
    outcome = run(PLAN, first, second, maker())
    assert outcome["copied"] == ids(first)[:1] == ids(second)


def test_a_copy_that_is_not_given_back_never_becomes_a_set(clock: Clock) -> None:
    first, second = Memory("first"), Memory("second")
    second.read_as = lambda _key, content: content[:1]
    with pytest.raises(BackupFailed, match="its copy failed") as failed:
        run(replace(PLAN, policy=Policy(last=1, min_verified=0)), first, second, maker())
    assert second.files == {} and len(ids(first)) == 1 and state(first, ids(first)[0]).damaged is None
    assert failed.value.outcome["changed"] and failed.value.outcome["made"]


def test_a_copy_that_lost_a_file_gets_it_again(clock: Clock) -> None:
    first, second = Memory("first"), Memory("second")
    (name,) = nights(first, clock, 1, second)
    del second.files[f"app/{name}/2.age"]
    outcome = run(replace(PLAN, max_age=2 * DAY), first, second, maker())
    assert outcome["copied"] == [name] and second.files[f"app/{name}/2.age"] == b"rows"
    assert any("copied again from first" in warning for warning in outcome["warnings"])
    whole = state(second, name)
    assert whole.damaged is None and [verdict["found"] for verdict in whole.history] == ["lost", "whole"]


def test_a_copy_that_cannot_be_mended_ends_the_run(clock: Clock) -> None:
    first, second = Memory("first"), Memory("second")
    kept = nights(first, clock, 3, second)
    del second.files[f"app/{kept[1]}/2.age"]
    second.read_as = lambda key, content: b"" if kept[1] in key else content
    with pytest.raises(BackupFailed, match=f"the backup {kept[1]} is in first; its copy failed"):
        run(replace(PLAN, policy=Policy(last=1, min_verified=0)), first, second, maker())
    assert set(kept) < set(ids(first)) and state(first, kept[1]).damaged is None


def test_a_manifest_that_cannot_be_taken_is_in_the_way_of_a_copy(clock: Clock) -> None:
    first, second = Memory("first"), Memory("second")
    (name,) = nights(first, clock, 1)
    second.files[f"app/{name}/manifest.json"] = b"{"
    with pytest.raises(BackupFailed, match="remove it there, and the next run copies it again"):
        run(replace(PLAN, max_age=2 * DAY), first, second, maker())
    assert second.files == {f"app/{name}/manifest.json": b"{"}


def test_somebody_else_is_at_work_in_the_second_location(clock: Clock) -> None:
    first, second = Memory("first"), Memory("second")
    nights(first, clock, 2)
    second.holder = "another run"
    with pytest.raises(BackupFailed, match=r"its copy failed, and nothing was pruned: .*another run"):
        run(replace(PLAN, policy=Policy(last=1, min_verified=0)), first, second, maker())
    assert len(ids(first)) == 3 and first.holder is None
