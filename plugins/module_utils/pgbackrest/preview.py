# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a physical restore, and whether it can be done: all checks before anything is changed."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import branches, record
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Range, Reach, Unreachable, choose
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import Scratch
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import parse_segment
from ansible_collections.day2.ops.plugins.module_utils.process.files import entries
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)

_LOG_PATH = "/var/log/pgbackrest"
# Number of segments that a recovery keeps during replay.
_WAL_ROOM = 8


class RestoreError(Day2Error):
    """A restore that was refused, or that failed; the message describes the state."""


@dataclass(frozen=True)
class Preview:
    """`needed` and `free` are bytes; `expected` is seconds, None when nothing was restored here yet."""

    target: Target
    backup: Backup
    span: Range
    reach: Reach
    segments: int
    found_lsn: int | None
    needed: int
    free: int
    expected: float | None

    def describe(self) -> dict[str, Any]:
        return {
            "reachable": True,
            "target": str(self.target),
            "backup": self.backup.describe(),
            "range": self.span.describe(self.reach.size),
            "timeline": self.reach.path.leaf,
            "wal_segments": self.segments,
            "size": self.backup.size,
            "needed": self.needed,
            "free": self.free,
            "expected_seconds": self.expected,
        }

    def __str__(self) -> str:
        how_long = (
            f"about {format_duration(self.expected)}"
            if self.expected is not None
            else "no earlier restore tells how long"
        )
        size = format_quantity(self.backup.size, Unit("B", BYTES))
        return f"{self.target} from {self.backup.label} ({size}, {self.segments} segments of WAL; {how_long})"


def log_folder(archive: Archive) -> str:
    """pgBackRest's log directory, in which the owner of the cluster can write."""
    return archive.client.setting("log-path") or _LOG_PATH


def preview(archive: Archive, target: Target, place: str, reuse: str | None) -> Preview:
    """The plan; Unreachable or RestoreError if refused. `place` is the destination, `reuse` a directory for delta."""
    reach = archive.reach(target.timeline)
    found = archive.find(reach, target) if target.aim in (Aim.NAME, Aim.XID) else None
    backup, span = _chosen(archive, reach, target, found)
    first = parse_segment(backup.start_wal, reach.size).number
    segments = _until(archive, reach, target, span, found) - first + 1
    needed = backup.size + _WAL_ROOM * reach.size
    if reuse is not None:
        needed = max(0, needed - sum(status.st_size for _path, status in entries(reuse) if not os.path.isdir(_path)))
    free = shutil.disk_usage(_existing(place)).free
    expected = record.expected(record.load(log_folder(archive)), archive.stanza.name, backup.size, segments)
    made = Preview(target, backup, span, reach, segments, found, needed, free, expected)
    if free < needed:
        raise RestoreError(
            f"{place} has {format_quantity(free, Unit('B', BYTES))} free; {target} from {backup.label} needs"
            f" {format_quantity(needed, Unit('B', BYTES))}"
        )
    return made


def _chosen(archive: Archive, reach: Reach, target: Target, found: int | None) -> tuple[Backup, Range]:
    """The backup and its range, if the target exists exactly once. Ambiguous or Unreachable otherwise."""
    others = branches.elsewhere(archive, reach, target)
    try:
        backup, span = choose(reach, target, found)
    except Unreachable as exc:
        if others:
            raise Unreachable(f"{exc}; {branches.words(others)}") from exc
        raise
    branches.refuse_ambiguous(reach, target, found, others)
    if target.aim is Aim.NAME and found is not None:
        branches.refuse_repeated(archive, reach, target, backup.stop_lsn, found)
    return backup, span


def _until(archive: Archive, reach: Reach, target: Target, span: Range, found: int | None) -> int:
    """The number of the last replayed segment; for a time it is estimated from when segments were stored."""
    lsn = target.lsn if target.aim is Aim.LSN else found
    if lsn is not None:
        return lsn // reach.size
    if target.aim is Aim.IMMEDIATE:
        return parse_segment(span.backups[0].stop_wal, reach.size).number
    if target.time is None:
        return span.last.number
    for number in range(span.from_lsn // reach.size, span.last.number):
        name = reach.path.segment_at(number, reach.size).name(reach.size)
        if archive.listing.stored.get(name, 0.0) >= target.time:
            return number
    return span.last.number


def _existing(path: str) -> str:
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def check_scratch(archive: Archive, scratch: Scratch) -> None:
    scratch.check(archive.client.setting("pg1-path"))
