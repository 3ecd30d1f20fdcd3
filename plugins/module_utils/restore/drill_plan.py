# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sets are due for a drill, and what it takes. Pure.

RTO is the time from the drill's start to a restored and compared database. RPO is what would have been lost: from the
newest row that was restored to the moment at which one would have fallen back on this set - now for the newest one,
the next one's time for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.drill.result import line
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes, format_duration

# What a restore takes beside the making of the same set: with two processors 15 s beside 5.4 s (pg_restore -j4 of what
# pg_dump | zstd made of 1.4 GB).
_OVER_BACKUP = 3.0
# PostgreSQL's default of max_wal_size; a load writes at most as much WAL as data.
_WAL = 1 << 30
# What initdb makes: two templates, a database, a segment of WAL.
_CLUSTER = 64 << 20


@dataclass(frozen=True)
class Estimate:
    """Expected seconds of a drill, and the basis of this estimate."""

    seconds: float
    source: str


@dataclass(frozen=True)
class Needs:
    """Bytes on disk while a set is restored: the database with its indexes, its archive unpacked, WAL, and the files
    of a cluster of its own."""

    database: int
    archive: int
    wal: int
    cluster: int

    @property
    def total(self) -> int:
        return self.database + self.archive + self.wal + self.cluster

    @property
    def words(self) -> str:
        parts = [("database", self.database), ("archive unpacked", self.archive), ("WAL", self.wal)]
        parts += [("cluster", self.cluster)] if self.cluster else []
        return ", ".join(f"{name} {format_bytes(size)}" for name, size in parts)


def order(sets: Sequence[BackupSet]) -> list[BackupSet]:
    """Sets by priority: never proven ones first, of these the newest first; then those with the oldest proof."""
    whole = [backup_set for backup_set in sets if backup_set.state.damaged is None]
    return sorted(whole, key=lambda backup_set: (backup_set.state.proven_at or 0.0, -backup_set.manifest.time))


def needs(database: int, archive: int, own_cluster: bool) -> Needs:
    """`database` is its size with space for sorting indexes, `archive` the maximum of the unpacked archive; bytes."""
    return Needs(database, archive, min(database, _WAL), _CLUSTER if own_cluster else 0)


def expected(backup_set: BackupSet, sets: Sequence[BackupSet]) -> Estimate | None:
    """Expected duration, from the slowest rate of earlier drills, or else the duration of the backup; None: unknown."""
    rates = [
        float(other.state.proven["rto"]) / max(1, other.manifest.size)
        for other in sets
        if isinstance(other.state.proven.get("rto"), (int, float))
    ]
    if rates:
        return Estimate(max(rates) * backup_set.manifest.size, "the slowest drill before")
    made_in = backup_set.manifest.finished - backup_set.manifest.time
    return Estimate(made_in * _OVER_BACKUP, "the time in which it was made") if made_in > 0 else None


def lost(data_until: float, backup_set: BackupSet, sets: Sequence[BackupSet], now: float) -> float:
    """RPO by this set, in seconds."""
    later = [other.manifest.time for other in sets if other.manifest.time > backup_set.manifest.time]
    return max(0.0, (min(later) if later else now) - data_until)


def put_off(backup_set: BackupSet, estimate: Estimate, left: float, title: str, now: float) -> dict[str, Any]:
    """The report line of a set whose drill was not started, because it would end too late: a warning."""
    message = (
        f"{backup_set.manifest.id} was not restored: that would take about {format_duration(estimate.seconds)} (by"
        f" {estimate.source}), and the time budget has {format_duration(left)}"
    )
    return line(backup_set.manifest.id, title, Status.WARNING, message, now)
