# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Targets that stand on a timeline which a recovery has left, too: they are named, and never guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Contents
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.branches import (
    Ambiguous,
    Branch,
    Elsewhere,
    branches,
    elsewhere,
    refuse_ambiguous,
    refuse_repeated,
    words,
)
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Reach, Unreachable, choose, survey
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Target, TargetError, parse_target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import Path, Segment, parse_segment
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from wal_archive import EPOCH, SIZE, backup, ended, listing, run

FORK = 5 * SIZE + 100
# Timeline 2 left 1 in segment 5, 3 left 2 in segment 8; what each parent wrote behind that is there as well.
HISTORIES = {2: [(1, FORK)], 3: [(1, FORK), (2, 8 * SIZE)]}
THERE = [*run(1, 2, 7), *run(2, 5, 10), *run(3, 8, 12)]


def at(number: float) -> str:
    """A time within segment `number`, as a target has it."""
    return f"2027-01-15T08:00:{number:04.1f}Z"


@dataclass
class Written:
    """An archive whose WAL is told: commits by (timeline, segment number) at LSNs, and what stands where."""

    xids: dict[tuple[int, int], list[tuple[int, int]]] = field(default_factory=dict)
    names: dict[tuple[int, int], list[tuple[int, str]]] = field(default_factory=dict)
    size: int = SIZE

    @property
    def listing(self) -> Any:
        return listing(*THERE)

    def timelines(self) -> list[Path]:
        return [Path(leaf, tuple(forks)) for leaf, forks in HISTORIES.items()]

    def reach(self, timeline: int | None = None) -> Reach:
        return ended(survey([backup(2)], self.listing, HISTORIES, SIZE, timeline))

    def read(self, name: str, target: Target | None = None, since: int = 0) -> Contents:
        segment = parse_segment(name, SIZE)
        key = (segment.timeline, segment.number)
        found = [lsn for lsn, xid in self.xids.get(key, []) if target and xid == target.xid and lsn >= since]
        found += [lsn for lsn, called in self.names.get(key, []) if target and called == target.name and lsn >= since]
        return Contents(SIZE, first_end=EPOCH + segment.number + 0.4, found=found)

    def look(self, target: Any) -> list[Elsewhere]:
        asked = parse_target(target)
        made: Any = self
        return elsewhere(made, self.reach(), asked)


def test_what_a_path_leaves_out() -> None:
    segments = [Segment(*segment) for segment in THERE]
    paths = [Path(leaf, tuple(forks)) for leaf, forks in HISTORIES.items()]
    found = branches(segments, Path(3, tuple(HISTORIES[3])), paths, SIZE)
    assert [(branch.timeline, branch.since, [segment.number for segment in branch.segments]) for branch in found] == [
        (2, 8 * SIZE, [8, 9, 10]),
        (1, FORK, [5, 6, 7]),
    ]
    # Of the first timeline's own path all others are left out, from where they began.
    old = branches(segments, Path(1), paths, SIZE)
    assert [(branch.timeline, branch.since) for branch in old] == [(3, 8 * SIZE), (2, FORK)]
    assert branches([Segment(1, 3)], Path(1), [], SIZE) == []


@pytest.mark.parametrize(
    ("target", "timelines"),
    [
        # Before the forks all timelines have the same.
        ({"time": at(4.5)}, []), ({"lsn": format_lsn(4 * SIZE)}, []), ({"lsn": format_lsn(FORK - 1)}, []),
        # Both have commits then.
        ({"time": at(6.5)}, [1]), ({"time": at(9.5)}, [2]), ({"time": at(5.4)}, [1]),
        # Timeline 1 ends before, 2 does too.
        ({"time": at(7.8)}, []), ({"time": at(11.5)}, []),
        ({"lsn": format_lsn(FORK)}, [1]), ({"lsn": format_lsn(9 * SIZE)}, [2]), ({"lsn": format_lsn(12 * SIZE)}, []),
        # Whoever names one is understood.
        ({"time": at(6.5), "timeline": 3}, []), ({"lsn": format_lsn(9 * SIZE), "timeline": 2}, []),
        ("latest", []), ("immediate", []),
    ],
)  # fmt: skip
def test_times_and_lsns_of_two_timelines(target: Any, timelines: list[int]) -> None:
    assert [other.branch.timeline for other in Written().look(target)] == timelines


@pytest.mark.parametrize("kind", ["xid", "name"])
@pytest.mark.parametrize(
    ("places", "timelines"),
    [
        ([(1, 3, 3 * SIZE + 9)], []),
        # The fork's segment has a copy of what was before.
        ([(1, 5, FORK - 8), (2, 5, FORK - 8)], []),
        ([(1, 6, 6 * SIZE + 9), (2, 6, 6 * SIZE + 9)], [1]),
        ([(1, 5, FORK + 8), (3, 9, 9 * SIZE)], [1]),
        ([(1, 6, 6 * SIZE), (2, 9, 9 * SIZE), (3, 11, 11 * SIZE)], [2, 1]),
        ([(3, 11, 11 * SIZE)], []),
        # Nowhere on the path.
        ([(1, 6, 6 * SIZE)], [1]),
    ],
)
def test_transactions_and_names_of_two_timelines(
    kind: str, places: list[tuple[int, int, int]], timelines: list[int]
) -> None:
    if kind == "xid":
        written = Written(xids={(timeline, number): [(lsn, 777)] for timeline, number, lsn in places})
        found = written.look({"xid": 777})
    else:
        written = Written(names={(timeline, number): [(lsn, "before it")] for timeline, number, lsn in places})
        found = written.look({"name": "before it"})
    assert [other.branch.timeline for other in found] == timelines


def test_the_ambiguity_is_named_with_what_to_add() -> None:
    reach = Written().reach()
    other = Elsewhere(Branch(1, FORK, [Segment(1, 6)]), 6 * SIZE)
    with pytest.raises(Ambiguous) as refused:
        refuse_ambiguous(reach, parse_target({"xid": 777}), 9 * SIZE, [other])
    said = str(refused.value)
    for part in ("transaction 777", "timeline 3 (LSN 0/9000000)", "timeline 1 (LSN 0/6000000)", "left at LSN 0/5000064",
                 "`timeline: 3`", "`timeline: 1`"):  # fmt: skip
        assert part in said, said
    refuse_ambiguous(reach, parse_target({"xid": 777}), 9 * SIZE, [])
    assert "add `timeline: 1`" in words([other])


def test_a_name_that_was_given_twice() -> None:
    names = {(3, 9): [(9 * SIZE + 1, "twice")], (3, 11): [(11 * SIZE, "twice")]}
    made: Any = Written(names=names)
    target = parse_target({"name": "twice"})
    with pytest.raises(Ambiguous, match="more than once: at LSN 0/9000001 and at 0/B000000: give the `lsn`"):
        refuse_repeated(made, made.reach(), target, 2 * SIZE, 11 * SIZE)
    # The first one is before the backup: the recovery does not pass it.
    refuse_repeated(made, made.reach(), target, 10 * SIZE, 11 * SIZE)
    refuse_repeated(made, made.reach(), target, 2 * SIZE, 9 * SIZE + 1)


@pytest.mark.parametrize("name", ["it's", "50 %s %d", 'a "b"', "back\\slash", "größe", "$1 #{x}", "x" * 63])
def test_names_of_restore_points(name: str) -> None:
    assert parse_target({"name": name}).name == name


@pytest.mark.parametrize("name", ["two\nlines", "x" * 64, "ü" * 32, "nul\0"])
def test_names_that_cannot_be_looked_for(name: str) -> None:
    with pytest.raises(TargetError, match="`lsn` or a `time`"):
        parse_target({"name": name})


@pytest.mark.parametrize("raw", [{"time": ""}, {"name": ""}, {"xid": None}, {"lsn": "  "}, {"time": "", "timeline": 2}])
def test_an_empty_target_is_not_the_latest(raw: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match="is empty"):
        parse_target(raw)


def test_reaching_a_timeline_that_was_left() -> None:
    reach = Written().reach(1)
    assert choose(reach, parse_target({"time": at(6.5), "timeline": 1}))[0].label == "b2"
    with pytest.raises(Unreachable):
        choose(reach, parse_target({"time": at(9.5), "timeline": 1}))
