# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a recovery reaches: names of segments, gaps across timelines, and targets in and out of the ranges."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Kind
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Reach, Unreachable, choose, survey
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import parse_target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import (
    Segment,
    WalError,
    parse_history,
    parse_listing,
    parse_segment,
)
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from wal_archive import MIB, SIZE, backup, ended, listing, run


def spans(reach: Reach) -> list[tuple[list[str], Segment]]:
    return [([backup.label for backup in span.backups], span.last) for span in reach.ranges]


def missing(reach: Reach) -> list[str]:
    return [name for gap in reach.gaps for name in gap.segments]


@pytest.mark.parametrize(
    ("size", "number", "name"),
    [
        (SIZE, 0xFF, "0000000100000000000000FF"), (SIZE, 0x100, "000000010000000100000000"),
        (MIB, 0xFFF, "000000010000000000000FFF"), (MIB, 0x1000, "000000010000000100000000"),
        (1024 * MIB, 3, "000000010000000000000003"), (1024 * MIB, 4, "000000010000000100000000"),
    ],
)  # fmt: skip
def test_names_wrap_with_the_size_of_a_segment(size: int, number: int, name: str) -> None:
    assert Segment(1, number).name(size) == name and parse_segment(name, size) == Segment(1, number)


def test_histories() -> None:
    text = "1\t0/5000098\tno recovery target specified\n\n# noise\n2\t0/9000000\tbefore 2026-01-31"
    assert parse_history(text) == [(1, 0x5000098), (2, 0x9000000)]
    with pytest.raises(WalError):
        parse_history("one 0/1")


def test_a_listing_knows_segments_from_the_rest() -> None:
    digest, segment = "a" * 40, "000000010000000000000007"
    answer = {
        ".": {"type": "path"}, "0000000100000000": {"type": "path"}, "00000002.history": {"type": "file"},
        f"0000000100000000/{segment}-{digest}.zst": {"type": "file", "time": 5},
        f"0000000100000000/000000010000000000000008.partial-{digest}.zst": {"type": "file"},
        "0000000100000000/000000010000000000000007.00000028.backup": {"type": "file"},
    }  # fmt: skip
    found = parse_listing(answer, "archive/main/15-1")
    assert list(found.paths) == [segment] and found.stored == {segment: 5.0} and list(found.histories) == [2]
    assert found.paths[segment].startswith("archive/main/15-1/0000000100000000/")


def test_without_a_gap_there_is_one_range() -> None:
    reach = survey([backup(2, 3), backup(6)], listing(*run(1, 1, 9)), {}, SIZE)
    assert spans(reach) == [(["b2", "b6"], Segment(1, 9))] and reach.gaps == []


def test_a_gap_over_the_wrap_is_named() -> None:
    there = [segment for segment in run(1, 0xFC, 0x104) if segment[1] not in (0xFF, 0x100)]
    reach = survey([backup(0xFC), backup(0x102)], listing(*there), {}, SIZE)
    assert missing(reach) == ["0000000100000000000000FF", "000000010000000100000000"] and len(reach.gaps) == 1
    assert spans(reach) == [(["b252"], Segment(1, 0xFE)), (["b258"], Segment(1, 0x104))]


def test_wal_that_nobody_needs_any_more_is_no_gap() -> None:
    reach = survey([backup(20)], listing((1, 3), *run(1, 20, 22)), {}, SIZE)
    assert reach.gaps == []


def test_a_backup_without_its_own_wal_is_of_no_use() -> None:
    reach = survey([backup(2, 4), backup(6)], listing(*run(1, 2, 3), *run(1, 5, 9)), {}, SIZE)
    assert spans(reach) == [(["b6"], Segment(1, 9))] and missing(reach) == [Segment(1, 4).name(SIZE)]


def test_a_range_goes_on_over_a_fork() -> None:
    """Timeline 2 left 1 within segment 5, of which it has a copy; what 1 has after that is another story."""
    there = listing(*run(1, 2, 7), *run(2, 5, 8))
    histories = {2: [(1, 5 * SIZE + 100)]}
    reach = survey([backup(2)], there, histories, SIZE)
    assert spans(reach) == [(["b2"], Segment(2, 8))] and reach.gaps == [] and reach.path.leaf == 2
    old = survey([backup(2)], there, histories, SIZE, timeline=1)
    assert spans(old) == [(["b2"], Segment(1, 7))]


def test_gaps_before_at_and_after_a_fork() -> None:
    histories = {2: [(1, 5 * SIZE + 100)], 3: [(1, 5 * SIZE + 100), (2, 8 * SIZE)]}
    full = [*run(1, 2, 4), *run(2, 5, 7), *run(3, 8, 11)]
    for lost in ((1, 4), (2, 5), (2, 7), (3, 8)):
        reach = survey([backup(2)], listing(*[segment for segment in full if segment != lost]), histories, SIZE)
        assert missing(reach) == [Segment(*lost).name(SIZE)], lost
        assert reach.ranges[0].last.number == lost[1] - 1
    assert survey([backup(2)], listing(*full), histories, SIZE).gaps == []


def test_a_backup_of_a_timeline_that_was_left_does_not_count() -> None:
    there = listing(*run(1, 2, 9), *run(2, 5, 9))
    reach = survey([backup(2), backup(7)], there, {2: [(1, 5 * SIZE + 100)]}, SIZE)
    assert spans(reach) == [(["b2"], Segment(2, 9))]


def test_an_unknown_timeline_is_refused() -> None:
    with pytest.raises(Unreachable, match="no timeline 7"):
        survey([backup(2)], listing(*run(1, 2, 3)), {}, SIZE, timeline=7)


def holed() -> Reach:
    """Backups in 2 and 10; the segments 5 to 7 are lost."""
    there = [*run(1, 2, 4), *run(1, 8, 14)]
    return ended(survey([backup(2), backup(10), backup(12, kind=Kind.INCREMENTAL)], listing(*there), {}, SIZE))


@pytest.mark.parametrize(
    ("target", "label"),
    [
        ({"time": "2027-01-15T08:00:04Z"}, "b2"), ({"time": "2027-01-15T08:00:11Z"}, "b10"),
        ({"time": "2027-01-15T08:00:13Z"}, "b12"), ({"lsn": format_lsn(4 * SIZE)}, "b2"),
        ({"lsn": format_lsn(14 * SIZE + 9)}, "b12"), ("latest", "b12"), ("immediate", "b12"),
        ({"type": "immediate", "backup": "b2"}, "b2"), ({"time": "2027-01-15T08:00:13Z", "backup": "b10"}, "b10"),
    ],
)  # fmt: skip
def test_the_newest_backup_before_the_target_is_taken(target: Any, label: str) -> None:
    assert choose(holed(), parse_target(target))[0].label == label


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"time": "2027-01-15T08:00:01Z"}, "before the end of the first backup"),
        ({"time": "2027-01-15T08:00:02Z"}, "before the end of the first backup"),
        ({"time": "2027-01-15T08:00:06Z"}, "inside a gap of the WAL: 000000010000000000000005, 0000"),
        ({"time": "2027-01-15T08:00:14.5Z"}, "after the last commit"),
        ({"time": "2030-01-01T00:00:00Z"}, "after the last commit"),
        ({"lsn": "0/1"}, "before the end"), ({"lsn": format_lsn(6 * SIZE)}, "inside a gap"),
        ({"lsn": "FF/1"}, "after the last record"), ({"name": "nobody"}, "is nowhere in the WAL"),
        ({"type": "latest", "backup": "b2"}, "has a gap"),
        ({"type": "immediate", "backup": "b9"}, "no usable backup b9"),
        ({"time": "2027-01-15T08:00:13Z", "backup": "b2"}, "not reached from backup b2"),
    ],
)  # fmt: skip
def test_what_is_not_reachable_is_refused_with_what_is(target: Any, words: str) -> None:
    with pytest.raises(Unreachable) as refused:
        choose(holed(), parse_target(target))
    assert words in str(refused.value)
    assert "reachable is 2027-01-15T08:00:02.000Z to 2027-01-15T08:00:04.500Z" in str(refused.value)


def test_after_a_gap_that_no_backup_follows() -> None:
    reach = ended(survey([backup(2)], listing(*run(1, 2, 4), *run(1, 6, 9)), {}, SIZE))
    for target in ("latest", {"time": "2027-01-15T08:00:08Z"}):
        with pytest.raises(Unreachable, match="000000010000000000000005"):
            choose(reach, parse_target(target))


def test_without_backups_nothing_is_reachable() -> None:
    with pytest.raises(Unreachable, match="nothing can be restored"):
        choose(survey([], listing(*run(1, 2, 4)), {}, SIZE), parse_target("latest"))
