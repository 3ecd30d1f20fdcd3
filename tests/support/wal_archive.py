# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archives of WAL as tests tell them: backups, segments that are there, ends of ranges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup, Kind
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Reach
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import Listing, Segment

MIB = 1 << 20
SIZE = 16 * MIB
# Segment n of the examples ends at this time, with a commit one second before.
EPOCH = 1_800_000_000.0


def backup(number: int, stop: int | None = None, timeline: int = 1, kind: Kind = Kind.FULL, **about: Any) -> Backup:
    """A backup that began in one segment and ended in another."""
    end = number if stop is None else stop
    values: dict[str, Any] = {
        "label": f"b{number}", "kind": kind, "start": EPOCH + number, "stop": EPOCH + end,
        "start_lsn": number * SIZE + 40, "stop_lsn": end * SIZE + 80, "start_wal": Segment(timeline, number).name(SIZE),
        "stop_wal": Segment(timeline, end).name(SIZE), "size": 1000, "delta": 10, "stored": 5, "prior": None,
        "references": (), "error": False, "database": 1,
    }  # fmt: skip
    return Backup(**{**values, **about})


def listing(*segments: tuple[int, int]) -> Listing:
    names = [Segment(timeline, number).name(SIZE) for timeline, number in segments]
    return Listing({name: name for name in names}, dict.fromkeys(names, EPOCH))


def run(timeline: int, first: int, last: int) -> list[tuple[int, int]]:
    return [(timeline, number) for number in range(first, last + 1)]


def ended(reach: Reach) -> Reach:
    """With the ends that an archive is read for."""
    return replace(
        reach,
        ranges=[
            replace(each, to_time=EPOCH + each.last.number + 0.5, to_lsn=each.last.number * SIZE + SIZE // 2)
            for each in reach.ranges
        ],
    )
