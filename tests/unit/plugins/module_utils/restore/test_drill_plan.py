# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill takes in time and on disk, and where its verdict goes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import (
    Manifest,
    State,
    StoredFile,
    parse_state,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.drill.options import Targets
from ansible_collections.day2.ops.plugins.module_utils.drill.result import Blame, Drilled, step
from ansible_collections.day2.ops.plugins.module_utils.repositories.directory import Directory
from ansible_collections.day2.ops.plugins.module_utils.restore.drill_plan import expected, needs, put_off
from ansible_collections.day2.ops.plugins.module_utils.restore.verdict import remember
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic

# 2026-01-31 02:00:00 UTC
NIGHT = 1769824800.0
CONTENT = b"rows"
FILE = StoredFile("db001/main.dump.zst", "main", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), database="shop")
GIB = 1 << 30


def one(size: int = 100, made_in: float = 20.0, state: State | None = None) -> BackupSet:
    stored = replace(FILE, bytes=size)
    manifest = Manifest(basic(NIGHT), "postgresql", "postgresql", 1, NIGHT, NIGHT + made_in, [stored])
    return BackupSet(manifest, state or State())


def test_the_slowest_drill_before_is_the_measure() -> None:
    fast, slow = State(proven={"rto": 10.0}), State(proven={"rto": 40.0})
    estimate = expected(one(size=300), [one(state=fast), one(state=slow)])
    assert estimate is not None and estimate.seconds == 120.0 and "drill" in estimate.source


def test_a_first_drill_is_measured_by_the_sets_making() -> None:
    estimate = expected(one(made_in=20.0), [one()])
    assert estimate is not None and estimate.seconds == 60.0 and "made" in estimate.source
    assert expected(one(made_in=0.0), [one(made_in=0.0)]) is None


def test_a_drill_that_is_put_off_is_a_warning() -> None:
    estimate = expected(one(made_in=3600.0), [])
    assert estimate is not None
    line = put_off(one(), estimate, 1800.0, "Restore drill of shop", NIGHT)
    assert line["status"] == "warning" and line["value"] is None
    assert "3 h" in line["message"] and "30 min" in line["message"]


@pytest.mark.parametrize(
    ("rpo", "targets", "status", "words"),
    [
        (300.0, Targets(60.0, 600.0), "ok", "RPO 5 min"),
        (700.0, Targets(60.0, 600.0), "critical", "RPO 11 min 40 s"),
        (None, Targets(60.0, 600.0), "warning", "RPO not known"),
        (None, Targets(60.0, None), "ok", "RTO 30 s"),
        (300.0, Targets(20.0, 600.0), "critical", "RTO 30 s"),
    ],
)
def test_targets(rpo: float | None, targets: Targets, status: str, words: str) -> None:
    line = step(Drilled(one().manifest.id, NIGHT, rto=30.0, rpo=rpo), targets, "Restore drill of shop")
    assert line["status"] == status and words in line["message"]


def test_everything_that_lies_on_the_disk_counts() -> None:
    need = needs(database=5 * GIB, archive=2 * GIB, own_cluster=True)
    assert need.wal == GIB and need.cluster > 0
    assert need.total == 5 * GIB + 2 * GIB + need.wal + need.cluster
    assert all(words in need.words for words in ("database 5.0 GiB", "archive unpacked 2.0 GiB", "WAL 1.0 GiB"))
    # No more WAL than rows, and no cluster where there is one.
    assert needs(1000, 100, own_cluster=False).total == 1000 + 100 + 1000


@pytest.fixture
def places(tmp_path: Path) -> tuple[Directory, Directory]:
    """The same set in two locations."""
    opened = [Directory(str(tmp_path / name)) for name in ("first", "copy")]
    for repository in opened:
        repository.prepare()
        with repository.writer(f"postgresql/{basic(NIGHT)}/{FILE.path}") as writer:
            writer.write(CONTENT)
            writer.commit()
        sets.publish(repository, one(len(CONTENT)).manifest)
        sets.save_state(repository, BackupSet(one(len(CONTENT)).manifest, State(verified="digest")))
    return opened[0], opened[1]


def state(repository: Directory) -> State:
    return parse_state(repository.get(f"postgresql/{basic(NIGHT)}/state.json"))


def drilled(failure: str | None = None, blame: Blame = Blame.NOBODY) -> Drilled:
    return Drilled(one(len(CONTENT)).manifest.id, NIGHT + 60, 30.0, 5.0, "4 rows", failure, blame)


def spoil(repository: Directory, content: bytes) -> None:
    Path(repository.name, "postgresql", basic(NIGHT), FILE.path).write_bytes(content)


def test_a_proof_is_noted_in_both_locations(places: tuple[Directory, Directory]) -> None:
    backup_set = one(len(CONTENT))
    remember(drilled(), backup_set, *places)
    assert backup_set.state.proven_at == NIGHT + 90
    assert all(state(place).proven["rto"] == 30.0 and state(place).good for place in places)


def test_lost_bytes_are_the_fault_of_one_location(places: tuple[Directory, Directory]) -> None:
    remember(drilled("other bytes than were written", Blame.BYTES), one(len(CONTENT)), *places)
    assert state(places[0]).damaged == "other bytes than were written" and state(places[1]).damaged is None


def test_a_loss_counts_as_long_as_it_lasts(places: tuple[Directory, Directory]) -> None:
    lost = replace(drilled("main.dump.zst is missing", Blame.BYTES), listed=True)
    remember(lost, one(len(CONTENT)), *places)
    assert state(places[0]).damaged is None, "its files are there again"
    Path(places[0].name, "postgresql", basic(NIGHT), FILE.path).unlink()
    remember(lost, one(len(CONTENT)), *places)
    assert "is missing" in str(state(places[0]).damaged) and state(places[0]).lost
    spoil(places[0], CONTENT)
    (found,) = sets.load(places[0], "postgresql").sets
    assert found.state.damaged is None


def test_wrong_contents_are_the_fault_of_both(places: tuple[Directory, Directory]) -> None:
    remember(drilled("table x is missing", Blame.CONTENTS), one(len(CONTENT)), *places)
    assert [state(place).damaged for place in places] == ["table x is missing"] * 2


def test_what_is_nobodys_fault_is_noted_nowhere(places: tuple[Directory, Directory]) -> None:
    remember(drilled("age failed"), one(len(CONTENT)), *places)
    assert [state(place) for place in places] == [State(verified="digest")] * 2


def test_a_copy_that_nobody_has_compared_is_read_first(places: tuple[Directory, Directory]) -> None:
    about = one(len(CONTENT)).manifest
    sets.save_state(places[1], BackupSet(about, State()))
    spoil(places[1], b"ROWS")
    remember(drilled(), one(len(CONTENT)), *places)
    assert state(places[0]).proven_at is not None
    found = state(places[1])
    assert found.proven_at is None and "other bytes" in str(found.damaged)
    # Somebody puts it right.
    spoil(places[1], CONTENT)
    remember(drilled(), one(len(CONTENT)), *places)
    assert state(places[1]).good and [entry["found"] for entry in state(places[1]).history] == ["damaged", "whole"]


def test_a_copy_that_is_another_set_or_does_not_answer_is_reported(places: tuple[Directory, Directory]) -> None:
    manifest = places[1].get(f"postgresql/{basic(NIGHT)}/manifest.json")
    assert manifest is not None
    other = replace(one(len(CONTENT)).manifest, sequence=2)
    places[1].put(f"postgresql/{basic(NIGHT)}/manifest.json", other.render(), replace=True)
    found = drilled()
    remember(found, one(len(CONTENT)), *places)
    assert "another set" in found.notes[0] and state(places[0]).good and not state(places[1]).good


def test_damage_is_taken_back_by_a_proof_and_remembered(places: tuple[Directory, Directory]) -> None:
    remember(drilled("a flipped bit", Blame.BYTES), one(len(CONTENT)), places[0], None)
    assert not state(places[0]).good
    remember(drilled(), one(len(CONTENT)), places[0], None)
    found = state(places[0])
    assert found.good and found.damaged is None
    assert [(entry["found"], entry["why"]) for entry in found.history] == [
        ("damaged", "a flipped bit"),
        ("whole", None),
    ]
    assert "drill on" in found.history[1]["by"]
