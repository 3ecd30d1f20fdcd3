# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thresholds that count only when they are met for a while. Pure: points in, verdict out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.sustained import Stretch
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import Point

_RANK = {status: place for place, status in enumerate(Status)}
_TOLD_NOTHING = (Status.UNKNOWN, Status.SKIPPED)


@dataclass(frozen=True)
class Streak:
    """How long a series has been at least so bad: runs (this one too), and seconds since the first of them."""

    runs: int
    seconds: float

    def reaches(self, stretch: Stretch) -> bool:
        return self.runs >= stretch.runs if stretch.runs is not None else self.seconds >= (stretch.seconds or 0.0)

    def words(self, stretch: Stretch) -> str:
        return f"{self.runs} runs" if stretch.runs is not None else format_duration(self.seconds)


def streak(points: Sequence[Point], status: Status, now: float) -> Streak:
    """The uninterrupted end of a series (oldest first, without this run) that is as bad as `status`, or worse.

    A run that could not tell neither counts nor interrupts.
    """
    runs, since = 1, now
    for point in reversed(points):
        if point.status in _TOLD_NOTHING:
            continue
        if _RANK[point.status] > _RANK[status]:
            break
        runs, since = runs + 1, point.at
    return Streak(runs, now - since)


def apply(row: Result, stretch: Stretch, points: Sequence[Point] | None, now: float) -> Result:
    """The result as it counts: a finding that has not lasted yet is ok, and says so. Unknown is never softened."""
    if row.status not in (Status.CRITICAL, Status.WARNING):
        return row
    if points is None:
        return replace(row, message=f"{row.message}; counts at once, for there is no history to look at")
    lasted = streak(points, row.status, now)
    if lasted.reaches(stretch):
        return replace(row, message=f"{row.message}, for {lasted.words(stretch)}")
    if stretch.runs is not None:
        short = f"{lasted.runs} of {stretch.runs} runs"
    else:
        short = f"{format_duration(lasted.seconds)} of {format_duration(stretch.seconds or 0.0)}"
    sentence = f"{row.message}; {row.status.value} for {short}"
    if row.status is Status.CRITICAL and row.warning is not None:
        milder = streak(points, Status.WARNING, now)
        if milder.reaches(stretch):
            return replace(row, status=Status.WARNING, message=f"{sentence}, a warning for {milder.words(stretch)}")
    return replace(row, status=Status.OK, message=f"{sentence}, which does not count yet")
