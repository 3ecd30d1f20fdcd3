# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.choose import (
    NoSuchSet,
    choose,
    parse_time,
    passed_over,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, State
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, publish, published
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.repositories.directory import Directory
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic

# 2026-01-31 02:00:00 UTC
NIGHT = 1769824800.0
DAY = 86400.0


def make(moment: float, damaged: str | None = None, run_id: str | None = None) -> BackupSet:
    manifest = Manifest(basic(moment), "files", "files", 1, moment, moment + 1, [], run_id=run_id)
    return BackupSet(manifest, State(damaged=damaged))


SETS = [
    make(NIGHT + 2 * DAY, damaged="a flipped bit", run_id="r3"),
    make(NIGHT + DAY, run_id="r2"),
    make(NIGHT + 0.12, run_id="r1"),
]


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ("latest", "20260201T020000Z"),
        ("20260131T020000Z", "20260131T020000Z"),
        ("2026-02-01 02:00", "20260201T020000Z"),
        ("2026-02-01 01:59", "20260131T020000Z"),
        ("2026-02-01T02:00:00Z", "20260201T020000Z"),
        ("2026-02-01T04:00:00.000+02:00", "20260201T020000Z"),
        ("2026-01-31T02:00:00.1200Z", "20260131T020000Z"),
        # A set of the day after is damaged; what is not is older.
        ("2099-01-01 00:00", "20260201T020000Z"),
    ],
)
def test_the_set_that_is_meant(source: str, wanted: str) -> None:
    assert choose(SETS, source).manifest.id == wanted


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("20260202T020000Z", "20260202T020000Z is damaged: a flipped bit"),
        ("20250101T000000Z", "there is no set 20250101T000000Z; the newest are 20260202T020000Z, 20260201T020000Z"),
        ("2026-01-31 02:00", r"from 2026-01-31T02:00:00.120Z \(20260131T020000Z\) to 2026-02-01T02:00:00.000Z"),
        ("yesterday", "'yesterday' is neither latest, nor the id of a set, nor a time"),
        ("2026-01-31", "neither latest, nor the id"),
        ("2026-02-30 02:00", "neither latest, nor the id"),
        ("20260131T0200Z", "neither latest, nor the id"),
        ("", "neither latest, nor the id"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(source: str, told: str) -> None:
    with pytest.raises(NoSuchSet, match=told):
        choose(SETS, source)


def test_nothing_at_all() -> None:
    with pytest.raises(NoSuchSet, match="there is no good set, nor any other"):
        choose([])
    with pytest.raises(NoSuchSet, match="there is no set 20260131T020000Z; there is none at all"):
        choose([], "20260131T020000Z")
    with pytest.raises(NoSuchSet, match=r"20260202T020000Z is damaged: a flipped bit; 20260203T020000Z: no JSON"):
        choose(SETS[:1], broken={"20260203T020000Z": "no JSON"})


def test_a_set_whose_manifest_is_broken_is_named() -> None:
    with pytest.raises(NoSuchSet, match="20260203T020000Z cannot be restored: no JSON"):
        choose(SETS, "20260203T020000Z", broken={"20260203T020000Z": "no JSON"})


def test_the_set_of_a_run() -> None:
    assert choose(SETS, run_id="r1").manifest.id == "20260131T020000Z"
    with pytest.raises(NoSuchSet, match="no set of run r9; the newest runs are r3, r2, r1"):
        choose(SETS, run_id="r9")
    with pytest.raises(NoSuchSet, match="is damaged: a flipped bit"):
        choose(SETS, run_id="r3")
    with pytest.raises(NoSuchSet, match="there is no set 20260201T020000Z; the newest are 20260131T020000Z"):
        choose(SETS, "20260201T020000Z", run_id="r1")


def test_newer_sets_that_were_passed_over_are_told() -> None:
    broken = {"20260203T020000Z": "no JSON", "20250101T000000Z": "old"}
    assert passed_over(SETS, choose(SETS), broken) == {
        "20260202T020000Z": "a flipped bit",
        "20260203T020000Z": "no JSON",
    }


def test_a_time_to_come_is_refused() -> None:
    assert choose(SETS, "2026-02-01 02:00", now=NIGHT + DAY).manifest.id == "20260201T020000Z"
    with pytest.raises(NoSuchSet, match=r"2026-02-01 03:00 is to come, it is 2026-02-01T02:00:00.000Z now .*`latest`"):
        choose(SETS, "2026-02-01 03:00", now=NIGHT + DAY)


def test_what_would_fit_but_for_its_damage_is_named() -> None:
    with pytest.raises(NoSuchSet, match="20260131T020000Z is damaged: cut"):
        choose([SETS[1], make(NIGHT, damaged="cut")], "2026-01-31 03:00")


def test_sets_that_have_what_is_asked_for() -> None:
    def of(moment: float, name: str) -> BackupSet:
        found = make(moment)
        found.manifest.about = {"databases": [{"name": name}]}
        return found

    sets = [of(NIGHT + 2 * DAY, "b"), of(NIGHT + DAY, "a"), of(NIGHT, "a")]
    a, b, c = (Contents(frozenset([name])) for name in "abc")
    assert choose(sets, contents=a) is sets[1] and choose(sets, contents=b) is sets[0]
    assert choose(sets, "2026-01-31 03:00", contents=a) is sets[2]
    # Whoever names a set, or asks for what none has, is told by what reads it.
    assert choose(sets, sets[0].manifest.id, contents=a) is sets[0] and choose(sets, contents=c) is sets[0]


def test_times_are_utc_unless_they_say_otherwise() -> None:
    assert parse_time("2026-01-31 02:00") == NIGHT == parse_time("2026-01-31T03:30:00+01:30")
    assert parse_time("2026-01-31t02:00:00.25z") == NIGHT + 0.25


def test_a_damaged_set_is_taken_where_that_is_meant() -> None:
    assert choose(SETS, "20260202T020000Z", damaged_too=True).manifest.id == "20260202T020000Z"
    # By its id only.
    assert choose(SETS, damaged_too=True).manifest.id == "20260201T020000Z"


def test_where_there_is_no_set_the_reason_is_told(tmp_path: Path) -> None:
    missing = Directory(str(tmp_path / "nosuch"))
    with pytest.raises(Day2Error, match=r"the repository .*/nosuch does not exist"):
        published(missing, "files")
    there = Directory(str(tmp_path))
    there.prepare()
    with pytest.raises(Day2Error, match=r"has no set of series files$"):
        published(there, "files")
    publish(there, SETS[1].manifest)
    with pytest.raises(Day2Error, match="has no set of series postgresql; it has sets of files"):
        published(there, "postgresql")
    assert published(there, "files").sets[0].manifest.id == SETS[1].manifest.id
