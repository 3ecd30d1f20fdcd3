# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Timelines that are not on the path of the recovery: a target may exist on one of them as well.

After a recovery or a failover the WAL that was written on the old timeline after the fork stays in the archive.
Transaction ids and LSNs are assigned again after the fork, and a time may be on both timelines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive, Contents
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Reach, Unreachable, choose
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import Path, Segment, parse_segment
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn

# Kinds of targets that may exist on a branch as well.
_AIMS = (Aim.TIME, Aim.LSN, Aim.NAME, Aim.XID)


class Ambiguous(Unreachable):
    """A target that exists on several timelines, or several times on one; the message says how to select one."""


@dataclass(frozen=True)
class Branch:
    """WAL of a timeline that is not on a path: its first LSN, and its segments, oldest first."""

    timeline: int
    since: int
    segments: Sequence[Segment]


@dataclass(frozen=True)
class Elsewhere:
    """A target on another timeline. `lsn` is its position, None for a time."""

    branch: Branch
    lsn: int | None

    def __str__(self) -> str:
        where = f" (LSN {format_lsn(self.lsn)})" if self.lsn is not None else ""
        return f"timeline {self.branch.timeline}{where}"


def branches(there: Sequence[Segment], path: Path, others: Sequence[Path], size: int) -> list[Branch]:
    """The stored segments that are not on a path, by timeline, the newest first. Pure.

    `others` are the paths of all timelines: they show where a timeline began that is not an ancestor.
    """
    left = dict(path.forks)
    begun = {other.leaf: other.forks[-1][1] for other in others if other.forks}
    found = []
    for timeline in sorted({segment.timeline for segment in there} - {path.leaf}, reverse=True):
        since = left.get(timeline, begun.get(timeline, 0))
        own = sorted(segment for segment in there if segment.timeline == timeline and segment.number >= since // size)
        if own:
            found.append(Branch(timeline, since, own))
    return found


def elsewhere(archive: Archive, reach: Reach, target: Target) -> list[Elsewhere]:
    """Other timelines on which the target exists and can be recovered."""
    if target.timeline is not None or target.aim not in _AIMS:
        return []
    there = [parse_segment(name, archive.size) for name in archive.listing.paths]
    found = []
    for branch in branches(there, reach.path, archive.timelines(), archive.size):
        other = _on(archive, branch, target)
        if other is not None:
            found.append(other)
    return found


def _on(archive: Archive, branch: Branch, target: Target) -> Elsewhere | None:
    lsn = target.lsn
    if target.aim in (Aim.XID, Aim.NAME):
        lsn = next((wal.found_lsn for wal in _contents(archive, branch, target) if wal.found_lsn is not None), None)
    if target.aim is not Aim.TIME and (lsn is None or lsn < branch.since):
        return None
    if target.time is not None:
        first = next((wal.first_end for wal in _contents(archive, branch) if wal.first_end is not None), None)
        if first is None or target.time < first:
            # Before the fork both timelines are the same.
            return None
    try:
        choose(archive.reach(branch.timeline), target, lsn)
    except Unreachable:
        return None
    return Elsewhere(branch, lsn)


def _contents(archive: Archive, branch: Branch, target: Target | None = None) -> Iterator[Contents]:
    for segment in branch.segments:
        yield archive.read(segment.name(archive.size), target, branch.since)


def refuse_ambiguous(reach: Reach, target: Target, found_lsn: int | None, others: Sequence[Elsewhere]) -> None:
    """Raise Ambiguous if the target exists on other timelines too. Pure."""
    if not others:
        return
    at = f" (LSN {format_lsn(found_lsn)})" if found_lsn is not None else ""
    named = ", ".join(map(str, others))
    last = others[0].branch
    raise Ambiguous(
        f"{target} is on timeline {reach.path.leaf}{at}, and on {named} too, which was left at LSN"
        f" {format_lsn(last.since)}: say which one is meant by `timeline`, such as"
        f" `timeline: {reach.path.leaf}` for the newest or `timeline: {last.timeline}` for what was left"
    )


def words(others: Sequence[Elsewhere]) -> str:
    """Message for a target that exists only on other timelines."""
    named = " and ".join(map(str, others))
    return f"it is on {named}: add `timeline: {others[0].branch.timeline}`"


def refuse_repeated(archive: Archive, reach: Reach, target: Target, since: int, found_lsn: int) -> None:
    """Raise Ambiguous if an older restore point of the same name comes before the newest, which was found."""
    for number in range(since // archive.size, found_lsn // archive.size + 1):
        name = reach.path.segment_at(number, archive.size).name(archive.size)
        for lsn in archive.read(name, target, since).found:
            if lsn < found_lsn:
                raise Ambiguous(
                    f"{target} was made more than once: at LSN {format_lsn(lsn)} and at {format_lsn(found_lsn)}:"
                    " give the `lsn` of the one that is meant instead of the name"
                )
