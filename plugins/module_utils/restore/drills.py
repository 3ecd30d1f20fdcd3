# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sets a drill takes, and what it found. Pure.

RTO is the time from the drill's start to a restored and compared database. RPO is what would have been lost: from the
newest row that was restored to the moment at which one would have fallen back on this set - now for the newest one,
the next one's time for others.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, rfc3339
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_bytes, format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status

# What a restore takes beside the making of the same set: with two processors 15 s beside 5.4 s (pg_restore -j4 of what
# pg_dump | zstd made of 1.4 GB).
_OVER_BACKUP = 3.0
# max_wal_size, as PostgreSQL has it; what is written is no more than what is loaded.
_WAL = 1 << 30
# What initdb makes: two templates, a database, a segment of WAL.
_CLUSTER = 64 << 20


@dataclass(frozen=True)
class Targets:
    """Seconds that recovery may take and that may be lost; None: there is no target."""

    rto: float | None = None
    rpo: float | None = None


class Blame(str, Enum):
    """What is to blame in a set that does not restore: nothing, what was written, or what a location gives back."""

    NOBODY = "nobody"
    CONTENTS = "contents"
    BYTES = "bytes"


@dataclass(frozen=True)
class Estimate:
    """Seconds that a drill may take, and what says so."""

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


@dataclass
class Drilled:
    """One set's drill. `failure` says why it is no proof, `blame` whether the set is to blame, `notes` what else there
    is to know."""

    manifest: Manifest
    began: float
    rto: float = 0.0
    rpo: float | None = None
    words: str = ""
    failure: str | None = None
    blame: Blame = Blame.NOBODY
    # The listing alone showed it: nothing was restored.
    listed: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> bool:
        return self.blame is not Blame.NOBODY


def order(sets: Sequence[BackupSet]) -> list[BackupSet]:
    """The newest set first if nobody has proven it, then the others: never proven ones, then the oldest proof."""
    whole = [each for each in sets if each.state.damaged is None]
    return sorted(whole, key=lambda each: (each.state.proven_at or 0.0, -each.manifest.time))


def needs(database: int, archive: int, own_cluster: bool) -> Needs:
    """`database` is its size with room for what indexes are sorted in, `archive` what is unpacked at most; bytes."""
    return Needs(database, archive, min(database, _WAL), _CLUSTER if own_cluster else 0)


def expected(each: BackupSet, sets: Sequence[BackupSet]) -> Estimate | None:
    """What its drill may take, by the slowest byte of those before, else by its own making; None: nobody knows."""
    rates = [
        float(other.state.proven["rto"]) / max(1, other.manifest.size)
        for other in sets
        if isinstance(other.state.proven.get("rto"), (int, float))
    ]
    if rates:
        return Estimate(max(rates) * each.manifest.size, "the slowest drill before")
    made_in = each.manifest.finished - each.manifest.time
    return Estimate(made_in * _OVER_BACKUP, "the time in which it was made") if made_in > 0 else None


def lost(data_until: float, each: BackupSet, sets: Sequence[BackupSet], now: float) -> float:
    """RPO by this set, in seconds."""
    later = [other.manifest.time for other in sets if other.manifest.time > each.manifest.time]
    return max(0.0, (min(later) if later else now) - data_until)


def put_off(each: BackupSet, estimate: Estimate, left: float, title: str, now: float) -> dict[str, Any]:
    """The line of a set whose drill was not begun, for it would end too late. Nothing was proven: a warning."""
    told = (
        f"{each.manifest.id} was not restored: that would take about {format_duration(estimate.seconds)} (by"
        f" {estimate.source}), and the time budget has {format_duration(left)}"
    )
    return _line(each.manifest.id, title, Status.WARNING, told, now)


def step(drilled: Drilled, targets: Targets, title: str) -> dict[str, Any]:
    """The line of the report. Its value is the RTO in seconds."""
    over = [
        f"{name} {format_duration(value)} is over the target of {format_duration(limit)}"
        for name, value, limit in (("RTO", drilled.rto, targets.rto), ("RPO", drilled.rpo, targets.rpo))
        if value is not None and limit is not None and value > limit
    ]
    if drilled.failure is not None:
        status, message = Status.CRITICAL, f"{drilled.manifest.id} is no proof: {drilled.failure}"
    else:
        # A target that nobody can compare is not met.
        unknown = targets.rpo is not None and drilled.rpo is None
        status = Status.CRITICAL if over else Status.WARNING if unknown else Status.OK
        message = f"{drilled.manifest.id} restored and compared; {_against('RTO', drilled.rto, targets.rto)}"
        message += f", {_against('RPO', drilled.rpo, targets.rpo)}" if drilled.rpo is not None else ""
        message += ", RPO not known (newest_row asks for it)" if unknown else ""
    evidence = [*over, *([f"compared: {drilled.words}"] if drilled.words else []), *drilled.notes]
    value = round(drilled.rto, 3) if drilled.failure is None else None
    critical = f"> {targets.rto:g} s" if targets.rto is not None else None
    return _line(
        drilled.manifest.id, title, status, message, drilled.began, round(drilled.rto, 3), value, critical, evidence
    )


def _line(
    name: str,
    title: str,
    status: Status,
    message: str,
    began: float,
    duration: float = 0.0,
    value: float | None = None,
    critical: str | None = None,
    evidence: Sequence[str] = (),
) -> dict[str, Any]:
    return Result(
        id=f"drill-{name}",
        title=title,
        probe="step",
        status=status,
        value=value,
        unit="s" if value is not None else None,
        message=message,
        warning=None,
        critical=critical,
        evidence=list(evidence),
        ref=[],
        started=rfc3339(began),
        duration=duration,
    ).to_dict()


def _against(name: str, value: float, limit: float | None) -> str:
    return f"{name} {format_duration(value)}" + (f" (target {format_duration(limit)})" if limit is not None else "")
