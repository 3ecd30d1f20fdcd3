# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a physical restore would do, and whether it can: everything that is looked at before anything is touched."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import rfc3339
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import record
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Range, Reach, choose
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import Scratch
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import parse_segment
from ansible_collections.day2.ops.plugins.module_utils.process.files import entries

_LOG_PATH = "/var/log/pgbackrest"
# Segments that a recovery keeps while it replays.
_WAL_ROOM = 8


class RestoreError(Day2Error):
    """A restore that is refused, or that failed; the message says what stands."""


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
    """Where pgBackRest logs is where this cluster's owner may write."""
    return archive.client.setting("log-path") or _LOG_PATH


def preview(archive: Archive, target: Target, place: str, reuse: str | None) -> Preview:
    """Unreachable or RestoreError say why not. `place` is where the files go; `reuse` a directory that delta takes."""
    reach = archive.reach(target.timeline)
    found = archive.find(reach, target) if target.aim in (Aim.NAME, Aim.XID) else None
    backup, span = choose(reach, target, found)
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


def _until(archive: Archive, reach: Reach, target: Target, span: Range, found: int | None) -> int:
    """The number of the last segment that is replayed; of a time by when segments were stored, which is close."""
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


def stamp(moment: float) -> str:
    """A date for a directory's name."""
    return rfc3339(moment)[:19].replace("-", "").replace(":", "")
