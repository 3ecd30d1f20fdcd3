# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Windows: when they are open and when they begin, against a walk over all minutes of nights on which clocks change."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cache
from typing import Any, Callable
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows
from ansible_collections.day2.ops.plugins.module_utils.windows.window import (
    Window,
    due,
    occurrences,
    open_at,
    tracks,
    upcoming,
)
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

MINUTE, HOUR, DAY = 60, 3600, 86400
# Days around the nights on which clocks change: by an hour each way, and by half an hour in Australia/Lord_Howe.
NIGHTS = [
    ("Europe/Berlin", date(2027, 3, 28)),
    ("Europe/Berlin", date(2027, 10, 31)),
    ("America/New_York", date(2027, 3, 14)),
    ("America/New_York", date(2027, 11, 7)),
    ("Australia/Lord_Howe", date(2027, 4, 4)),
    ("Australia/Lord_Howe", date(2027, 10, 3)),
    ("UTC", date(2028, 2, 29)),
]
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


@dataclass(frozen=True)
class Rule:
    """A rule's text, and the days that it means, said without it."""

    fields: dict[str, Any]
    fits: Callable[[date], bool]


def _nth(day: date) -> set[int]:
    length = calendar.monthrange(day.year, day.month)[1]
    return {(day.day - 1) // 7 + 1, -((length - day.day) // 7 + 1)}


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    weekdays = draw(st.sets(st.integers(0, 6), min_size=1, max_size=4))
    names = ",".join(DAYS[each] for each in sorted(weekdays))
    nth, month = draw(st.sampled_from([1, 2, 3, 4, -1])), draw(st.sampled_from([3, 4, 10, 11]))
    of_month = draw(st.sampled_from([1, 14, 28, 31, -1, -4]))
    first = draw(st.dates(date(2026, 1, 1), date(2027, 9, 1)))
    monday = first - timedelta(days=first.weekday())

    def from_end(day: date) -> int:
        return day.day - calendar.monthrange(day.year, day.month)[1] - 1

    return draw(
        st.sampled_from(
            [
                Rule({"rrule": "FREQ=DAILY"}, lambda day: True),
                Rule({"rrule": f"FREQ=WEEKLY;BYDAY={names}"}, lambda day: day.weekday() in weekdays),
                Rule(
                    {"rrule": f"RRULE:FREQ=MONTHLY;BYDAY={','.join(f'{nth}{DAYS[each]}' for each in weekdays)}"},
                    lambda day: day.weekday() in weekdays and nth in _nth(day),
                ),
                Rule(
                    {"rrule": f"freq=monthly;bymonthday={of_month}"},
                    lambda day: of_month in (day.day, from_end(day)),
                ),
                Rule(
                    {"rrule": f"FREQ=YEARLY;BYMONTH={month};BYMONTHDAY={of_month}"},
                    lambda day: day.month == month and of_month in (day.day, from_end(day)),
                )
                if (of_month, month) not in ((31, 4), (31, 11))
                else Rule({"rrule": f"FREQ=DAILY;BYMONTH={month}"}, lambda day: day.month == month),
                Rule(
                    {"rrule": f"FREQ=WEEKLY;INTERVAL=2;BYDAY={names}", "from": first},
                    lambda day: day >= first and day.weekday() in weekdays and (day - monday).days // 7 % 2 == 0,
                ),
                Rule(
                    {"rrule": "FREQ=DAILY;INTERVAL=3", "from": str(first)},
                    lambda day: day >= first and (day - first).days % 3 == 0,
                ),
                Rule({"dates": [first, date(2027, 3, 28)]}, lambda day: day in (first, date(2027, 3, 28))),
            ]
        )
    )


@cache
def walk(zone: str, night: date) -> list[tuple[int, datetime]]:
    """Every minute of ten days, and what the clock on the wall says then."""
    middle = int(datetime(night.year, night.month, night.day, tzinfo=timezone.utc).timestamp())
    moments = range(middle - 5 * DAY, middle + 5 * DAY, MINUTE)
    return [(each, datetime.fromtimestamp(each, ZoneInfo(zone)).replace(tzinfo=None)) for each in moments]


def starts(minutes: list[tuple[int, datetime]], clock: int, fits: Callable[[date], bool]) -> list[int]:
    """When the clock first says so, or would have, had nobody turned it forward."""
    found, seen = [], set()
    for (_before, earlier), (moment, later) in zip(minutes, minutes[1:]):
        shown = earlier + timedelta(minutes=1)
        for ahead in range(max(1, int((later - shown).total_seconds()) // 60 + 1)):
            wall = later if later <= shown else shown + timedelta(minutes=ahead)
            if 60 * wall.hour + wall.minute == clock and wall not in seen:
                seen.add(wall)
                if fits(wall.date()):
                    found.append(moment + ahead * MINUTE)
    return found


def read(**fields: Any) -> Window:
    (window,) = parse_windows([{"name": "w", "start": "02:00", "duration": "4h", **fields}])
    return window


@settings(max_examples=examples(150), deadline=None)
@given(st.sampled_from(NIGHTS), rules(), st.data())
def test_every_minute(night: tuple[str, date], rule: Rule, data: st.DataObject) -> None:
    clock = data.draw(st.one_of(st.integers(0, 1439), st.integers(0, 200)))
    length = data.draw(st.sampled_from([1, 30, 59, 60, 90, 240, 1439, 3000]))
    closed = data.draw(st.sets(st.integers(-4, 4).map(lambda days: night[1] + timedelta(days=days)), max_size=2))
    zone, minutes = night[0], walk(*night)
    window = read(
        start=f"{clock // 60:02d}:{clock % 60:02d}",
        duration=f"{length}m",
        timezone=zone,
        exceptions=sorted(closed),
        **rule.fields,
    )
    expected = starts(minutes, clock, lambda day: rule.fits(day) and day not in closed)
    # A window that began before the walk would be open in its first days.
    inner = [moment for moment, _wall in minutes if moment >= minutes[0][0] + 3 * DAY]
    begin, end = minutes[1][0], minutes[-1][0] + 1
    assert [each.start for each in occurrences(window, begin, end) if each.start < end - HOUR] == [
        each for each in expected if each < end - HOUR
    ]
    for moment in data.draw(st.lists(st.sampled_from(inner), min_size=5, max_size=15)):
        ends = [each + length * MINUTE for each in expected if each <= moment < each + length * MINUTE]
        found = open_at([window], moment)
        assert (found.end if found else None) == max(ends, default=None)
        coming = [each for each in expected if each > moment]
        if coming and coming[0] < end - HOUR:
            assert next(upcoming([window], moment)).start == coming[0]


@pytest.mark.parametrize(
    ("zone", "day", "start", "begins", "clock_at_end"),
    [
        ("Europe/Berlin", "2027-03-28", "01:00", "2027-03-28T00:00", "06:00"),
        ("Europe/Berlin", "2027-10-31", "01:00", "2027-10-30T23:00", "04:00"),
        # Both of these are turned over: the one is read by the clock before, the other is the first of two.
        ("Europe/Berlin", "2027-03-28", "02:30", "2027-03-28T01:30", "07:30"),
        ("Europe/Berlin", "2027-10-31", "02:30", "2027-10-31T00:30", "05:30"),
        ("America/New_York", "2027-03-14", "02:00", "2027-03-14T07:00", "07:00"),
        ("America/New_York", "2027-11-07", "01:30", "2027-11-07T05:30", "04:30"),
        ("Australia/Lord_Howe", "2027-10-03", "02:00", "2027-10-02T15:30", "06:30"),
        ("Australia/Lord_Howe", "2027-04-04", "01:00", "2027-04-03T14:00", "04:30"),
    ],
)
def test_four_hours_are_four_hours(zone: str, day: str, start: str, begins: str, clock_at_end: str) -> None:
    window = read(dates=[day], start=start, timezone=zone)
    (found,) = occurrences(window, 0, 2_000_000_000)
    assert found.start == datetime.fromisoformat(begins + "+00:00").timestamp()
    assert found.end - found.start == 4 * HOUR
    assert datetime.fromtimestamp(found.end, ZoneInfo(zone)).strftime("%H:%M") == clock_at_end


def at(text: str) -> float:
    return datetime.fromisoformat(text + "+00:00").timestamp()


def test_a_window_is_closed_at_its_end() -> None:
    window = read(dates=["2027-01-03"])
    for moment, is_open in (("01:59:59", False), ("02:00:00", True), ("05:59:59", True), ("06:00:00", False)):
        assert (open_at([window], at(f"2027-01-03T{moment}")) is not None) is is_open
    long = read(rrule="FREQ=MONTHLY;BYDAY=1SU", duration="50h")
    assert open_at([long], at("2027-01-05T03:59")) is not None and open_at([long], at("2027-01-05T04:00")) is None


def test_of_windows_that_are_open_the_one_that_stays_open_longest() -> None:
    short, long = read(dates=["2027-01-03"]), read(name="long", dates=["2027-01-03"], start="01:00", duration="6h")
    later = read(name="later", dates=["2027-01-03"], start="03:00", duration="1h")
    for windows in ([short, long, later], [later, long, short]):
        found = open_at(windows, at("2027-01-03T03:30"))
        assert found is not None and found.window.name == "long"
        assert [each.window.name for each in upcoming(windows, at("2027-01-03T00:00"))] == ["long", "w", "later"]
    assert list(upcoming([short], at("2027-01-03T02:00"))) == []


def test_whoever_looks_daily_tells_in_time() -> None:
    window = read(rrule="FREQ=MONTHLY;BYDAY=1SU", notice="48h")
    begins = at("2027-01-03T02:00")
    for hours, ahead, told in ((49, 0, 0), (48, 0, 1), (1, 0, 1), (72, DAY, 1), (73, DAY, 0), (0, DAY, 0)):
        assert len(due([window], begins - hours * HOUR, ahead)) == told, (hours, ahead)
    assert due([read(rrule="FREQ=DAILY", notice=0)], begins, DAY) == []
    everyday, fine = read(name="b", rrule="FREQ=DAILY"), read(name="a", rrule="FREQ=DAILY", notice="24h")
    assert [each.window.name for each in due([everyday, fine], begins)] == ["a", "b", "b"]


def test_tracks_have_what_is_open_already() -> None:
    (track,) = tracks([read(rrule="FREQ=DAILY")], at("2027-01-03T05:59"), at("2027-01-05T02:00"))
    assert [begin for begin, _end in track.spans] == [at("2027-01-03T02:00"), at("2027-01-04T02:00")]
    (track,) = tracks([read(rrule="FREQ=DAILY")], at("2027-01-03T06:00"), at("2027-01-04T02:00"))
    assert track.spans == []


def test_a_window_that_does_not_come_again() -> None:
    past = read(dates=["2020-01-05"])
    assert next(upcoming([past], at("2027-01-03T00:00")), None) is None
    rare = read(rrule="FREQ=YEARLY;BYMONTH=2;BYDAY=5SU")
    assert next(upcoming([rare], at("2027-01-03T00:00"))).start == at("2032-02-29T02:00")
