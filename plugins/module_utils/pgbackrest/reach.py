# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ranges of point-in-time recovery: backups, the WAL that follows each, and missing WAL. Pure.

A backup reaches from its own end to the last segment that follows it without a gap. Recovery stops at a time only when
it meets a commit that is later (PostgreSQL, xlogrecovery.c, recoveryStopsBefore); without one it fails. So a range ends
with the last commit in it, not with the time at which its last segment was stored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import (
    Listing,
    Path,
    Segment,
    name_runs,
    parse_segment,
)
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

# Maximum number of segments of a gap that are listed by name.
_LISTED = 1000


class Unreachable(Day2Error):
    """A target that cannot be reached from any backup; the message has the ranges that can be reached."""


@dataclass(frozen=True)
class Gap:
    """Consecutive segments that are missing in the archive."""

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
    """A range that can be reached without a gap. `backups` are those within it, oldest first.

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
            "from": rfc3339_ms(self.from_time),
            "to": rfc3339_ms(self.to_time) if self.to_time is not None else None,
            "from_lsn": format_lsn(self.from_lsn),
            "to_lsn": format_lsn(self.to_lsn) if self.to_lsn is not None else None,
            "last_wal": self.last.name(size),
            "backups": [backup.label for backup in self.backups],
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
            "earliest": rfc3339_ms(first.from_time) if first else None,
            "earliest_lsn": format_lsn(first.from_lsn) if first else None,
            "latest": rfc3339_ms(last.to_time) if last and last.to_time is not None else None,
            "latest_lsn": format_lsn(last.to_lsn) if last and last.to_lsn is not None else None,
            "latest_wal": last.last.name(self.size) if last else None,
            "timeline": self.path.leaf,
            "ranges": [span.describe(self.size) for span in self.ranges],
            "gaps": [gap.describe() for gap in self.gaps],
        }


def paths_of(histories: Mapping[int, Sequence[tuple[int, int]]], timelines: set[int]) -> dict[int, Path]:
    """A path for each timeline that has segments or a history."""
    return {
        timeline: Path(timeline, tuple(histories.get(timeline, ()))) for timeline in sorted(timelines | set(histories))
    }


def survey(
    backups: Sequence[Backup],
    listing: Listing,
    histories: Mapping[int, Sequence[tuple[int, int]]],
    size: int,
    timeline: int | None = None,
) -> Reach:
    """Ranges and gaps of the stored segments; Unreachable for an unknown timeline. Ends of ranges are added later."""
    there = {parse_segment(name, size) for name in listing.paths}
    paths = paths_of(histories, {segment.timeline for segment in there} | {backup.timeline for backup in backups})
    leaf = timeline if timeline is not None else max(paths, default=1)
    if timeline is not None and timeline not in paths:
        known = ", ".join(str(timeline) for timeline in paths)
        raise Unreachable(f"there is no timeline {timeline} in the archive; there are {known or 'none'}")
    path = paths.get(leaf, Path(leaf))
    on_path = [segment for segment in there if path.segment_at(segment.number, size) == segment]
    newest = max(on_path, key=lambda segment: segment.number, default=None)
    return Reach(_ranges(backups, there, path, size), _gaps(backups, there, paths, size), path, size, newest)


def _ranges(backups: Sequence[Backup], there: set[Segment], path: Path, size: int) -> list[Range]:
    found: list[Range] = []
    for backup in backups:
        if path.timeline_at(backup.stop_lsn) != backup.timeline:
            continue
        first, stop = (parse_segment(name, size).number for name in (backup.start_wal, backup.stop_wal))
        if (
            found
            and found[-1].last.number >= stop
            and first >= parse_segment(found[-1].backups[0].start_wal, size).number
        ):
            found[-1] = replace(found[-1], backups=(*found[-1].backups, backup))
            continue
        last = _follow(first, there, path, size)
        if last is not None and last.number >= stop:
            found.append(Range((backup,), last))
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
        own = [segment.number for segment in there if segment.timeline == leaf]
        begun = [parse_segment(backup.start_wal, size) for backup in backups]
        starts = [segment.number for segment in begun if path.segment_at(segment.number, size) == segment] or own
        if own and starts:
            expected = {path.segment_at(number, size) for number in range(min(starts), max(own) + 1)}
            missing |= expected - there
    return [Gap(run[0].timeline, tuple(segment.name(size) for segment in run)) for run in _consecutive(sorted(missing))]


def _consecutive(ordered: Sequence[Segment]) -> Iterator[list[Segment]]:
    run: list[Segment] = []
    for segment in ordered:
        if run and (segment.timeline, segment.number) != (run[-1].timeline, run[-1].number + 1):
            yield run
            run = []
        run.append(segment)
    if run:
        yield run


def choose(reach: Reach, target: Target, found_lsn: int | None = None) -> tuple[Backup, Range]:
    """The newest backup from which the target is reached. Unreachable says why there is none, and what can be reached.

    `found_lsn` is the position of the target's name or transaction in the WAL.
    """
    if not reach.ranges:
        raise Unreachable("there is no backup that the archive has the WAL for: nothing can be restored")
    if target.aim in (Aim.LATEST, Aim.IMMEDIATE):
        return _end(reach, target)
    position = target.time if target.aim is Aim.TIME else target.lsn if target.aim is Aim.LSN else found_lsn
    if position is None:
        raise Unreachable(f"{target} is nowhere in the WAL of the archive; {_describe(reach)}")
    by_time = target.aim is Aim.TIME
    for span in reversed(reach.ranges):
        end = span.to_time if by_time else span.to_lsn
        if end is not None and (position >= end if by_time else position > end):
            continue
        behind = [backup for backup in span.backups if (backup.stop if by_time else backup.stop_lsn) < position]
        wanted = [one for one in behind if target.backup in (None, one.label)]
        if wanted:
            return wanted[-1], span
        if behind:
            raise Unreachable(f"{target} is not reached from backup {target.backup}; {_describe(reach)}")
    raise Unreachable(_why_not(reach, target, position, by_time))


def _end(reach: Reach, target: Target) -> tuple[Backup, Range]:
    for span in reversed(reach.ranges):
        for backup in reversed(span.backups):
            if target.backup in (None, backup.label):
                if target.aim is Aim.LATEST and reach.newest and span.last.number < reach.newest.number:
                    raise Unreachable(
                        f"the WAL after {span.last.name(reach.size)} has a gap ({_gap_after(reach, span)}), so a"
                        " recovery would end there and lose what came after it: ask for a time or an LSN;"
                        f" {_describe(reach)}"
                    )
                return backup, span
    raise Unreachable(f"there is no usable backup {target.backup}; {_describe(reach)}")


def _why_not(reach: Reach, target: Target, position: float, by_time: bool) -> str:
    first, last = reach.ranges[0], reach.ranges[-1]
    if position <= (first.from_time if by_time else first.from_lsn):
        return f"{target} is before the end of the first backup ({first.backups[0].label}); {_describe(reach)}"
    end = last.to_time if by_time else last.to_lsn
    if end is not None and position >= end:
        newest = reach.newest is not None and last.last.number < reach.newest.number
        if newest:
            return f"{target} is inside a gap of the WAL: {_gap_after(reach, last)} missing; {_describe(reach)}"
        what = "commit" if by_time else "record"
        return (
            f"{target} is after the last {what} in the archive's WAL ('latest' recovers all of it); {_describe(reach)}"
        )
    for before in reversed(reach.ranges):
        if (before.from_time if by_time else before.from_lsn) < position:
            return f"{target} is inside a gap of the WAL: {_gap_after(reach, before)} missing; {_describe(reach)}"
    return f"{target} is not reachable; {_describe(reach)}"


def _gap_after(reach: Reach, before: Range) -> str:
    """Names of the segments that are missing after a range."""
    for gap in reach.gaps:
        first = parse_segment(gap.segments[0], reach.size)
        if first.number > before.last.number and reach.path.segment_at(first.number, reach.size) == first:
            return name_runs(gap.segments)
    return f"what follows {before.last.name(reach.size)}"


def _describe(reach: Reach) -> str:
    parts = []
    for span in reach.ranges:
        until = rfc3339_ms(span.to_time) if span.to_time is not None else span.last.name(reach.size)
        lsns = f"LSN {format_lsn(span.from_lsn)} to {format_lsn(span.to_lsn)}" if span.to_lsn is not None else ""
        parts.append(f"{rfc3339_ms(span.from_time)} to {until}" + (f" ({lsns})" if lsns else ""))
    return "reachable is " + " and ".join(parts)
