# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows of maintenance: when they are open, and when the next ones are. Pure; all moments are POSIX seconds.

A window begins at a time by the clock of its zone and takes as long as it says, whatever the clocks do meanwhile. A
time that a night skips is read with the offset before the change, one that a night has twice is the first (RFC 5545,
3.3.5).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import find_zone
from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import Kind, Track
from ansible_collections.day2.ops.plugins.module_utils.windows.rule import Rule

_EPOCH = date(1970, 1, 1)
_DAY = 86400
# Further ahead, a window does not take place for all that anybody plans.
_HORIZON = 40 * 366 * _DAY


@dataclass(frozen=True)
class Window:
    """Days, a time of day and a length.

    The days are those of `rule` or `dates`, without `exceptions`. `start` is in minutes after midnight by the clock of
    `zone`, `duration` in seconds. People are told `notice` seconds ahead; 0 is never.
    """

    name: str
    start: int
    duration: int
    rule: Rule | None = None
    dates: tuple[date, ...] = ()
    exceptions: frozenset[date] = frozenset()
    zone: str = "UTC"
    notice: float = 2.0 * _DAY

    def days(self, begin: date, end: date) -> Iterator[date]:
        found = self.rule.days(begin, end) if self.rule else (day for day in self.dates if begin <= day <= end)
        return (day for day in found if day not in self.exceptions)


@dataclass(frozen=True)
class Occurrence:
    """A window on one of its days: open from `start` on and before `end`."""

    window: Window
    start: int
    end: int

    def holds(self, moment: float) -> bool:
        return self.start <= moment < self.end


def occurrences(window: Window, begin: float, end: float) -> Iterator[Occurrence]:
    """Those that start from `begin` on and before `end`, in order."""
    zone = find_zone(window.zone)
    # A zone is less than a day away from UTC.
    first, last = (_EPOCH + timedelta(days=int(moment // _DAY)) for moment in (begin - _DAY, end + _DAY))
    for day in window.days(first, last):
        clock = datetime(day.year, day.month, day.day, window.start // 60, window.start % 60, tzinfo=zone)
        start = int(clock.timestamp())
        if begin <= start < end:
            yield Occurrence(window, start, start + window.duration)


def open_at(windows: Sequence[Window], moment: float) -> Occurrence | None:
    """The occurrence that is open; where there are several, the one that stays open longest."""
    found = [
        occurrence
        for window in windows
        for occurrence in occurrences(window, moment - window.duration, moment + 1)
        if occurrence.holds(moment)
    ]
    return max(found, key=lambda occurrence: (occurrence.end, -occurrence.start), default=None)


def upcoming(windows: Sequence[Window], moment: float) -> Iterator[Occurrence]:
    """Those of all windows that start after a moment, the first one first, as far as it is looked ahead."""
    coming = [_after(window, moment) for window in windows]
    return heapq.merge(*coming, key=lambda occurrence: (occurrence.start, occurrence.window.name))


def due(windows: Sequence[Window], moment: float, ahead: float = 0.0) -> list[Occurrence]:
    """Those that people have to be told of now: they start within their notice, and `ahead` seconds after it.

    Who looks every day looks a day ahead, or people are told up to a day late.
    """
    found = [
        occurrence
        for window in windows
        if window.notice > 0
        for occurrence in occurrences(window, moment, moment + window.notice + ahead + 1)
        if moment < occurrence.start <= moment + window.notice + ahead
    ]
    return sorted(found, key=lambda occurrence: (occurrence.start, occurrence.window.name))


def tracks(windows: Sequence[Window], begin: float, end: float) -> list[Track]:
    """What a plan of jobs is compared with, those included that are open at `begin`."""
    return [
        Track(
            window.name,
            [
                (occurrence.start, occurrence.end)
                for occurrence in occurrences(window, begin - window.duration + 1, end)
            ],
            Kind.WINDOW.value,
            Kind.WINDOW,
        )
        for window in windows
    ]


def _after(window: Window, moment: float) -> Iterator[Occurrence]:
    return (occurrence for occurrence in occurrences(window, moment, moment + _HORIZON) if occurrence.start > moment)
