# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VACUUM and REINDEX of one database: the programs, the disk that they need, and what came of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_bytes
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status

# reindexdb --concurrently says so of every database.
_ALWAYS = "cannot reindex system catalogs concurrently"


@dataclass(frozen=True)
class Work:
    """`full` is the form that locks tables; `lock_timeout` is in PostgreSQL's words."""

    database: str
    full: bool = False
    reindex: bool = True
    jobs: int = 1
    lock_timeout: str = "5min"

    def __str__(self) -> str:
        words = ["VACUUM (FULL, ANALYZE)" if self.full else "VACUUM (ANALYZE)"]
        if self.reindex:
            words.append("REINDEX SYSTEM" if self.full else "REINDEX CONCURRENTLY")
        return f"{' and '.join(words)} of {self.database}"

    def commands(self) -> list[list[str]]:
        """Programs of PostgreSQL's in their order, without the login."""
        wanted = [["vacuumdb", "--no-password", "--analyze", f"--jobs={self.jobs}", *["--full"] * self.full]]
        if self.reindex:
            # VACUUM FULL has built the indexes of every table anew.
            wanted.append(["reindexdb", "--no-password", "--system" if self.full else "--concurrently"])
        return wanted


@dataclass(frozen=True)
class Table:
    """A table with its indexes and its TOAST: bytes, and the directory of its tablespace (None: not to be known)."""

    name: str
    place: str | None
    size: int


@dataclass(frozen=True)
class Room:
    """Free bytes of a file system, and the directories of tablespaces that lie on it."""

    free: int
    places: Sequence[str]


def lacking(tables: Sequence[Table], rooms: Sequence[Room], jobs: int) -> list[str]:
    """Why VACUUM FULL does not fit, a line a file system: each table is written anew before the old one goes."""
    found = []
    for room in rooms:
        largest = sorted((each for each in tables if each.place in room.places), key=lambda each: -each.size)[:jobs]
        needed = sum(each.size for each in largest)
        if needed > room.free:
            names = ", ".join(f"{each.name} ({format_bytes(each.size)})" for each in largest)
            found.append(
                f"{room.places[0]} has {format_bytes(room.free)} free, and {format_bytes(needed)} are needed to write"
                f" {names} with indexes anew"
            )
    return found


@dataclass(frozen=True)
class Done:
    """Bytes of the database before and after, what the programs said, invalid indexes, and what was not to be known."""

    before: int
    after: int
    said: Sequence[str] = ()
    invalid: Sequence[str] = ()
    unknown: str | None = None


def outcome(work: Work, done: Done, planning: bool) -> dict[str, Any]:
    """What the step tells. A table of somebody else's is passed over with a warning, and the exit status is 0."""
    warnings = [line for line in done.said if "WARNING" in line and _ALWAYS not in line]
    invalid = [f"invalid index: {name}" for name in done.invalid]
    status = Status.WARNING if warnings or invalid else Status.SKIPPED if planning else Status.OK
    sizes = [format_bytes(size) for size in dict.fromkeys((done.before, done.after))]
    parts = [" -> ".join(dict.fromkeys(sizes))]
    parts += [f"{len(warnings)} warnings"] if warnings else []
    parts += [f"{len(invalid)} invalid indexes"] if invalid else []
    lines = warnings + invalid + ([done.unknown] if done.unknown else [])
    lines += [f"before: {done.before} bytes", f"after: {done.after} bytes"]
    message = f"{'would do' if planning else 'did'} {work}: {'; '.join(parts)}"
    return {"status": status.value, "message": message, "evidence": lines}


def options(limits: str, lock_timeout: str) -> str:
    """libpq's PGOPTIONS: blanks within a value are escaped."""
    escaped = lock_timeout.replace("\\", "\\\\").replace(" ", "\\ ")
    return f"{limits} -c lock_timeout={escaped}"


def rooms(free: Mapping[str, tuple[int, int]]) -> list[Room]:
    """By directory: its device and the free bytes there. Tablespaces of one device share what is free."""
    devices: dict[int, tuple[int, list[str]]] = {}
    for place, (device, left) in free.items():
        devices.setdefault(device, (left, []))[1].append(place)
    return [Room(left, places) for left, places in devices.values()]
