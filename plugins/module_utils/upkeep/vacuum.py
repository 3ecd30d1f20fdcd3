# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""VACUUM and REINDEX of one database: the programs, the disk that they need, and what came of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes


@dataclass(frozen=True)
class Work:
    """`full` is the form that locks tables; `lock_timeout` is in PostgreSQL's words."""

    database: str
    full: bool = False
    reindex: bool = True
    jobs: int = 1
    lock_timeout: str = "5min"
    # auto: not where standbys replay the lock, which ends their queries (max_standby_streaming_delay).
    truncate: str = "auto"

    def __str__(self) -> str:
        words = ["VACUUM (FULL, ANALYZE)" if self.full else "VACUUM (ANALYZE)"]
        if self.reindex:
            words.append("REINDEX SYSTEM" if self.full else "REINDEX CONCURRENTLY")
        return f"{' and '.join(words)} of {self.database}"

    def commands(self, standbys: int = 0) -> list[list[str]]:
        """Programs of PostgreSQL's in their order, without the login. Other indexes are built by upkeep/reindex.py."""
        wanted = [["vacuumdb", "--no-password", "--analyze", f"--jobs={self.jobs}", *["--full"] * self.full]]
        if not self.full and not self.truncates(standbys):
            wanted[0].append("--no-truncate")
        if self.reindex and self.full:
            # VACUUM FULL has built the indexes of every table anew.
            wanted.append(["reindexdb", "--no-password", "--system"])
        return wanted

    def truncates(self, standbys: int) -> bool:
        """Whether VACUUM gives empty pages at the end of a table back, under an ACCESS EXCLUSIVE lock."""
        return self.truncate == "always" or (self.truncate == "auto" and standbys == 0)


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
        largest = sorted((table for table in tables if table.place in room.places), key=lambda table: -table.size)[
            :jobs
        ]
        needed = sum(table.size for table in largest)
        if needed > room.free:
            names = ", ".join(f"{table.name} ({format_bytes(table.size)})" for table in largest)
            found.append(
                f"{room.places[0]} has {format_bytes(room.free)} free, and {format_bytes(needed)} are needed to write"
                f" {names} with indexes anew"
            )
    return found


@dataclass(frozen=True)
class Done:
    """Bytes of the database before and after, what the programs said, invalid indexes, what was not to be known,
    the indexes that were not reindexed with the reason (`left`), and what else an operator reads (`notes`)."""

    before: int
    after: int
    said: Sequence[str] = ()
    invalid: Sequence[str] = ()
    unknown: str | None = None
    left: Sequence[str] = ()
    notes: Sequence[str] = ()


def outcome(work: Work, done: Done, planning: bool) -> dict[str, Any]:
    """The outcome of the step. A table of somebody else's is passed over with a warning, and the exit status is 0."""
    warnings = [line for line in done.said if "WARNING" in line]
    invalid = [f"invalid index: {name}" for name in done.invalid]
    status = Status.WARNING if warnings or invalid or done.left else Status.SKIPPED if planning else Status.OK
    sizes = [format_bytes(size) for size in dict.fromkeys((done.before, done.after))]
    parts = [" -> ".join(dict.fromkeys(sizes))]
    parts += [counted(len(warnings), "warning")] if warnings else []
    parts += [counted(len(invalid), "invalid index", "invalid indexes")] if invalid else []
    parts += [f"{counted(len(done.left), 'index', 'indexes')} not reindexed"] if done.left else []
    lines = [*done.left, *warnings, *invalid, *([done.unknown] if done.unknown else []), *done.notes]
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
