# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a point-in-time recovery reaches: backups, the WAL that follows each, and what is missing. Pure.

A backup reaches from its own end to the last segment that follows it without a gap. Recovery stops at a time only when
it meets a commit that is later (PostgreSQL, xlogrecovery.c, recoveryStopsBefore); without one it fails. So a range ends
with the last commit in it, not with the time at which its last segment was stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import rfc3339
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import (
    Listing,
    Path,
    Segment,
    format_lsn,
    name_runs,
    parse_segment,
)

# Names of a gap that are listed one by one.
_LISTED = 1000


class Unreachable(Day2Error):
    """A target that no backup reaches; the message has what is reachable."""


@dataclass(frozen=True)
class Gap:
    """Consecutive segments that should be in the archive and are not."""

    timeline: int
    segments: Sequence[str]

    def describe(self) -> dict[str, Any]:
        return {
            "timeline": self.timeline,
            "from": self.segments[0],
            "to": self.segments[-1],
            "count": len(self.segments),
            "segments": list(self.segments[:_LISTED]),
        }


@dataclass(frozen=True)
class Range:
    """What can be reached without a break. `backups` are those within it, oldest first.

    `to_time` is its last commit and `to_lsn` its last record, when they were looked up. `approximate`: no commit was
    found near its end, and the time is that at which the last segment was stored.
    """

    backups: Sequence[Backup]
    last: Segment
    to_time: float | None = None
    to_lsn: int | None = None
    approximate: bool = False

    @property
    def from_time(self) -> float:
        return self.backups[0].stop

    @property
    def from_lsn(self) -> int:
        return self.backups[0].stop_lsn

    def describe(self, size: int) -> dict[str, Any]:
        return {
            "from": rfc3339(self.from_time),
            "to": rfc3339(self.to_time) if self.to_time is not None else None,
            "from_lsn": format_lsn(self.from_lsn),
            "to_lsn": format_lsn(self.to_lsn) if self.to_lsn is not None else None,
            "last_wal": self.last.name(size),
            "backups": [each.label for each in self.backups],
        }


@dataclass(frozen=True)
class Reach:
    """Ranges from the earliest to the latest on one timeline; gaps of all timelines; `size` of a segment in bytes."""

    ranges: Sequence[Range]
    gaps: Sequence[Gap]
    path: Path
    size: int
    newest: Segment | None = None

    def describe(self) -> dict[str, Any]:
        first, last = (self.ranges[0], self.ranges[-1]) if self.ranges else (None, None)
        return {
            "earliest": rfc3339(first.from_time) if first else None,
            "earliest_lsn": format_lsn(first.from_lsn) if first else None,
            "latest": rfc3339(last.to_time) if last and last.to_time is not None else None,
            "latest_lsn": format_lsn(last.to_lsn) if last and last.to_lsn is not None else None,
            "latest_wal": last.last.name(self.size) if last else None,
            "timeline": self.path.leaf,
            "ranges": [each.describe(self.size) for each in self.ranges],
            "gaps": [each.describe() for each in self.gaps],
        }


def paths_of(histories: Mapping[int, Sequence[tuple[int, int]]], timelines: set[int]) -> dict[int, Path]:
    """A path for each timeline that has segments or a history."""
    return {each: Path(each, tuple(histories.get(each, ()))) for each in sorted(timelines | set(histories))}


def survey(
    backups: Sequence[Backup],
    listing: Listing,
    histories: Mapping[int, Sequence[tuple[int, int]]],
    size: int,
    timeline: int | None = None,
) -> Reach:
    """Ranges and gaps from what is stored; Unreachable when there is no such timeline. Ends of ranges come later."""
    there = {parse_segment(name, size) for name in listing.paths}
    paths = paths_of(histories, {each.timeline for each in there} | {each.timeline for each in backups})
    leaf = timeline if timeline is not None else max(paths, default=1)
    if timeline is not None and timeline not in paths:
        known = ", ".join(str(each) for each in paths)
        raise Unreachable(f"there is no timeline {timeline} in the archive; there are {known or 'none'}")
    path = paths.get(leaf, Path(leaf))
    on_path = [each for each in there if path.segment_at(each.number, size) == each]
    newest = max(on_path, key=lambda each: each.number, default=None)
    return Reach(_ranges(backups, there, path, size), _gaps(backups, there, paths, size), path, size, newest)


def _ranges(backups: Sequence[Backup], there: set[Segment], path: Path, size: int) -> list[Range]:
    found: list[Range] = []
    for each in backups:
        if path.timeline_at(each.stop_lsn) != each.timeline:
            continue
        first, stop = (parse_segment(name, size).number for name in (each.start_wal, each.stop_wal))
        if (
            found
            and found[-1].last.number >= stop
            and first >= parse_segment(found[-1].backups[0].start_wal, size).number
        ):
            found[-1] = replace(found[-1], backups=(*found[-1].backups, each))
            continue
        last = _follow(first, there, path, size)
        if last is not None and last.number >= stop:
            found.append(Range((each,), last))
    return found


def _follow(first: int, there: set[Segment], path: Path, size: int) -> Segment | None:
    """The last segment before the first one that is missing."""
    last, number = None, first
    while path.segment_at(number, size) in there:
        last = path.segment_at(number, size)
        number += 1
    return last


def _gaps(backups: Sequence[Backup], there: set[Segment], paths: Mapping[int, Path], size: int) -> list[Gap]:
    missing: set[Segment] = set()
    for leaf, path in paths.items():
        own = [each.number for each in there if each.timeline == leaf]
        begun = [parse_segment(each.start_wal, size) for each in backups]
        starts = [each.number for each in begun if path.segment_at(each.number, size) == each] or own
        if own and starts:
            expected = {path.segment_at(number, size) for number in range(min(starts), max(own) + 1)}
            missing |= expected - there
    return [Gap(run[0].timeline, tuple(each.name(size) for each in run)) for run in _consecutive(sorted(missing))]


def _consecutive(ordered: Sequence[Segment]) -> Iterator[list[Segment]]:
    run: list[Segment] = []
    for each in ordered:
        if run and (each.timeline, each.number) != (run[-1].timeline, run[-1].number + 1):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def choose(reach: Reach, target: Target, found_lsn: int | None = None) -> tuple[Backup, Range]:
    """The newest backup from which the target is reached. Unreachable says why there is none, and what there is.

    `found_lsn` is where the name or the transaction of the target stands in the WAL.
    """
    if not reach.ranges:
        raise Unreachable("there is no backup that the archive has the WAL for: nothing can be restored")
    if target.aim in (Aim.LATEST, Aim.IMMEDIATE):
        return _end(reach, target)
    position = target.time if target.aim is Aim.TIME else target.lsn if target.aim is Aim.LSN else found_lsn
    if position is None:
        raise Unreachable(f"{target} is nowhere in the WAL of the archive; {_told(reach)}")
    by_time = target.aim is Aim.TIME
    for each in reversed(reach.ranges):
        end = each.to_time if by_time else each.to_lsn
        if end is not None and (position >= end if by_time else position > end):
            continue
        behind = [one for one in each.backups if (one.stop if by_time else one.stop_lsn) < position]
        wanted = [one for one in behind if target.backup in (None, one.label)]
        if wanted:
            return wanted[-1], each
        if behind:
            raise Unreachable(f"{target} is not reached from backup {target.backup}; {_told(reach)}")
    raise Unreachable(_why_not(reach, target, position, by_time))


def _end(reach: Reach, target: Target) -> tuple[Backup, Range]:
    for each in reversed(reach.ranges):
        for one in reversed(each.backups):
            if target.backup in (None, one.label):
                if target.aim is Aim.LATEST and reach.newest and each.last.number < reach.newest.number:
                    raise Unreachable(
                        f"the WAL after {each.last.name(reach.size)} has a gap ({_gap_after(reach, each)}), so a"
                        " recovery would end there and lose what came after it: ask for a time or an LSN;"
                        f" {_told(reach)}"
                    )
                return one, each
    raise Unreachable(f"there is no usable backup {target.backup}; {_told(reach)}")


def _why_not(reach: Reach, target: Target, position: float, by_time: bool) -> str:
    first, last = reach.ranges[0], reach.ranges[-1]
    if position <= (first.from_time if by_time else first.from_lsn):
        return f"{target} is before the end of the first backup ({first.backups[0].label}); {_told(reach)}"
    end = last.to_time if by_time else last.to_lsn
    if end is not None and position >= end:
        newest = reach.newest is not None and last.last.number < reach.newest.number
        if newest:
            return f"{target} is inside a gap of the WAL: {_gap_after(reach, last)} missing; {_told(reach)}"
        what = "commit" if by_time else "record"
        return f"{target} is after the last {what} in the archive's WAL ('latest' recovers all of it); {_told(reach)}"
    for before in reversed(reach.ranges):
        if (before.from_time if by_time else before.from_lsn) < position:
            return f"{target} is inside a gap of the WAL: {_gap_after(reach, before)} missing; {_told(reach)}"
    return f"{target} is not reachable; {_told(reach)}"


def _gap_after(reach: Reach, before: Range) -> str:
    """The segments that are missing behind a range, by name."""
    for gap in reach.gaps:
        first = parse_segment(gap.segments[0], reach.size)
        if first.number > before.last.number and reach.path.segment_at(first.number, reach.size) == first:
            return name_runs(gap.segments)
    return f"what follows {before.last.name(reach.size)}"


def _told(reach: Reach) -> str:
    parts = []
    for each in reach.ranges:
        until = rfc3339(each.to_time) if each.to_time is not None else each.last.name(reach.size)
        lsns = f"LSN {format_lsn(each.from_lsn)} to {format_lsn(each.to_lsn)}" if each.to_lsn is not None else ""
        parts.append(f"{rfc3339(each.from_time)} to {until}" + (f" ({lsns})" if lsns else ""))
    return "reachable is " + " and ".join(parts)
