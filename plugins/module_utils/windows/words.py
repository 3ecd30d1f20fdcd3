# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a window takes place, for people and for playbooks: by UTC and by its own clock, with its real length. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone, tzinfo
from itertools import islice
from math import ceil, floor
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import find_zone
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339
from ansible_collections.day2.ops.plugins.module_utils.windows.window import Occurrence, Window, due, open_at, upcoming


@dataclass(frozen=True)
class _Clock:
    """An occurrence by the clock of one zone."""

    start: datetime
    end: datetime

    @property
    def shown(self) -> timedelta:
        """What the hands of the clock say."""
        return self.end.replace(tzinfo=None) - self.start.replace(tzinfo=None)

    def text(self, name: str) -> str:
        same_day = self.start.date() == self.end.date()
        end = self.end.strftime("%H:%M" if same_day else "%a %Y-%m-%d %H:%M")
        return f"{self.start.strftime('%a %Y-%m-%d %H:%M')}{'-' if same_day else ' to '}{end} {name}"


def _clock(occurrence: Occurrence, zone: tzinfo) -> _Clock:
    start, end = (datetime.fromtimestamp(moment, zone) for moment in (occurrence.start, occurrence.end))
    return _Clock(start, end)


def when(occurrence: Occurrence) -> str:
    """`Sun 2027-03-28 00:00-04:00 UTC (01:00-06:00 …), 4 h` with a word about clocks that change meanwhile."""
    window, length = occurrence.window, format_duration(occurrence.window.duration)
    text = _clock(occurrence, timezone.utc).text("UTC")
    if window.zone == "UTC":
        return f"{text}, {length}"
    local = _clock(occurrence, find_zone(window.zone))
    text = f"{text} ({local.text(window.zone)}), {length}"
    difference = local.shown.total_seconds() - window.duration
    if difference:
        moved = f"{'forward' if difference > 0 else 'back'} by {format_duration(abs(difference))}"
        text += f"; clocks go {moved} meanwhile"
    return text


def record(occurrence: Occurrence) -> dict[str, Any]:
    """What a playbook may ask of an occurrence."""
    local = _clock(occurrence, find_zone(occurrence.window.zone))
    return {
        "name": occurrence.window.name,
        "start": rfc3339(occurrence.start),
        "end": rfc3339(occurrence.end),
        "start_local": local.start.isoformat(),
        "end_local": local.end.isoformat(),
        "timezone": occurrence.window.zone,
        "duration": occurrence.window.duration,
        "notice": occurrence.window.notice,
        "when": when(occurrence),
    }


def answer(windows: Sequence[Window], moment: float, count: int = 1, ahead: float = 0.0) -> dict[str, Any]:
    """Whether a window is open, until when, and what comes next."""
    current = open_at(windows, moment)
    coming = list(islice(upcoming(windows, moment), count))
    first = coming[0] if coming else None
    return {
        "open": current is not None,
        "window": record(current) if current else record(first) if first else None,
        "seconds_left": floor(current.end - moment) if current else 0,
        "seconds_until": 0 if current else ceil(first.start - moment) if first else None,
        "next": record(first) if first else None,
        "upcoming": [record(occurrence) for occurrence in coming],
        "due": [record(occurrence) for occurrence in due(windows, moment, ahead)],
        "text": _text(windows, current, first),
    }


def _text(windows: Sequence[Window], current: Occurrence | None, first: Occurrence | None) -> str:
    if current is not None:
        return f"window {current.window.name} is open: {when(current)}"
    if first is not None:
        return f"no window is open; the next one is {first.window.name}: {when(first)}"
    return "no window is open, and none comes" if windows else "no window is open: there are none"
