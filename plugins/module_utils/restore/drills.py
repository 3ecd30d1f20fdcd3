# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which sets a drill takes, and what it found. Pure.

RTO is the time from the drill's start to a restored and compared database. RPO is what would have been lost: from the
newest row that was restored to the moment at which one would have fallen back on this set - now for the newest one,
the next one's time for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, rfc3339
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status


@dataclass(frozen=True)
class Targets:
    """Seconds that recovery may take and that may be lost; None: there is no target."""

    rto: float | None = None
    rpo: float | None = None


@dataclass
class Drilled:
    """One set's drill. `failure` says why it is no proof, `damaged` whether the set is to blame."""

    manifest: Manifest
    began: float
    rto: float = 0.0
    rpo: float | None = None
    words: str = ""
    failure: str | None = None
    damaged: bool = False


def order(sets: Sequence[BackupSet]) -> list[BackupSet]:
    """The newest set first if nobody has proven it, then the others: never proven ones, then the oldest proof."""
    whole = [each for each in sets if each.state.damaged is None]
    return sorted(whole, key=lambda each: (each.state.proven_at or 0.0, -each.manifest.time))


def expected(each: BackupSet, sets: Sequence[BackupSet]) -> float:
    """Seconds that its drill may take, by the slowest byte of those before; without any nobody knows, and it is 0."""
    rates = [
        float(other.state.proven["rto"]) / max(1, other.manifest.size)
        for other in sets
        if isinstance(other.state.proven.get("rto"), (int, float))
    ]
    return max(rates) * each.manifest.size if rates else 0.0


def lost(data_until: float, each: BackupSet, sets: Sequence[BackupSet], now: float) -> float:
    """RPO by this set, in seconds."""
    later = [other.manifest.time for other in sets if other.manifest.time > each.manifest.time]
    return max(0.0, (min(later) if later else now) - data_until)


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
        status = Status.CRITICAL if over else Status.OK
        message = f"{drilled.manifest.id} restored and compared; {_against('RTO', drilled.rto, targets.rto)}"
        message += f", {_against('RPO', drilled.rpo, targets.rpo)}" if drilled.rpo is not None else ""
    evidence = [*over, *([f"compared: {drilled.words}"] if drilled.words else [])]
    return Result(
        id=f"drill-{drilled.manifest.id}",
        title=title,
        probe="step",
        status=status,
        value=round(drilled.rto, 3) if drilled.failure is None else None,
        unit="s" if drilled.failure is None else None,
        message=message,
        warning=None,
        critical=f"> {targets.rto:g} s" if targets.rto is not None else None,
        evidence=evidence,
        ref=[],
        started=rfc3339(drilled.began),
        duration=round(drilled.rto, 3),
    ).to_dict()


def _against(name: str, value: float, limit: float | None) -> str:
    return f"{name} {format_duration(value)}" + (f" (target {format_duration(limit)})" if limit is not None else "")
