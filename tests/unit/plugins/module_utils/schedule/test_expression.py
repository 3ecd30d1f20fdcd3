# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules: how they are read, what systemd is told, and every start against a walk over all minutes."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import (
    LAST,
    ExpressionError,
    Schedule,
    parse,
)
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

ON_CALENDAR = {
    "02:00 daily UTC": "*-*-* 02:00:00 UTC",
    "daily at 2:00": "*-*-* 02:00:00 UTC",
    "every day 02:00": "*-*-* 02:00:00 UTC",
    "Sundays 01:00": "Sun *-*-* 01:00:00 UTC",
    "01:00 SUN": "Sun *-*-* 01:00:00 UTC",
    "every Sunday 01:00": "Sun *-*-* 01:00:00 UTC",
    "Mon-Fri 18:30 Europe/Berlin": "Mon..Fri *-*-* 18:30:00 Europe/Berlin",
    "europe/berlin weekdays 18:30": "Mon..Fri *-*-* 18:30:00 Europe/Berlin",
    "Mon,Wed,Fri 03:00": "Mon,Wed,Fri *-*-* 03:00:00 UTC",
    "Mon, Wed 03:00": "Mon,Wed *-*-* 03:00:00 UTC",
    "Sat-Mon 03:00": "Mon,Sat,Sun *-*-* 03:00:00 UTC",
    "hourly": "*-*-* *:00:00 UTC",
    "hourly 09-17 Mon-Fri": "Mon..Fri *-*-* 09..17:00:00 UTC",
    "every 5 min": "*-*-* *:00/5:00 UTC",
    "every 30min": "*-*-* *:00/30:00 UTC",
    "every 1 min": "*-*-* *:*:00 UTC",
    "every 6 h": "*-*-* 00/6:00:00 UTC",
    "every 24 hours": "*-*-* 00:00:00 UTC",
    "weekends every 12 h": "Sat,Sun *-*-* 00/12:00:00 UTC",
    "first Sunday 02:00": "Sun *-*-01..07 02:00:00 UTC",
    "fourth Wed 02:00": "Wed *-*-22..28 02:00:00 UTC",
    "last Friday 05:00": "Fri *-*~07/1 05:00:00 UTC",
    "monthly 1 03:00": "*-*-01 03:00:00 UTC",
    "03:00 monthly 28": "*-*-28 03:00:00 UTC",
    "first day 03:00": "*-*-01 03:00:00 UTC",
    "quarterly 1 06:00": "*-01,04,07,10-01 06:00:00 UTC",
    "first Sunday quarterly 06:00": "Sun *-01,04,07,10-01..07 06:00:00 UTC",
    "monthly last day 23:00": "*-*~01 23:00:00 UTC",
}


@pytest.mark.parametrize("text", ON_CALENDAR)
def test_what_systemd_is_told(text: str) -> None:
    assert parse(text).on_calendar == ON_CALENDAR[text]


WRONG = {
    "": "is empty",
    "02:00": "says no day",
    "daily": "says no time",
    "Sundays": "says no time",
    "24:00 daily": "there is no time 24:00",
    "02:60 daily": "there is no time 02:60",
    "02:00 03:00 daily": "says the time in two ways",
    "hourly 02:00 daily": "says the time in two ways",
    "02:00 hourly": "says the time in two ways",
    "every 5 min every 6 h": "says the time in two ways",
    "daily Sundays 02:00": "says the day in two ways",
    "monthly 1 Sundays 02:00": "says the day in two ways",
    "monthly 1 last day 02:00": "has two days of the month",
    "Mon Tue 02:00": "says weekdays twice",
    "every 7 min": "7 does not divide an hour evenly",
    "every 0 min": "0 does not divide an hour evenly",
    "every 120 min": "120 does not divide an hour evenly",
    "every 5 h": "5 does not divide a day evenly",
    "every 5 weeks": "'weeks' is neither min nor h",
    "every": "what follows 'every'",
    "every now": "not 'now'",
    "every 5": "what follows '5' is min or h",
    "monthly 02:00": "says no day",
    "quarterly Sundays 02:00": "says no day of the month",
    "monthly quarterly 1 02:00": "says the months in two ways",
    "monthly 31 02:00": "not every month has a day 31",
    "monthly 0 02:00": "not every month has a day 0",
    "first 02:00": "one weekday or 'day', and not '02:00'",
    "first Mon,Tue 02:00": "not 'mon,tue'",
    "second day 02:00": "is written monthly 2",
    "hourly 17-09": "17-09 is no range of hours",
    "hourly 09-24": "09-24 is no range of hours",
    "hourly 09-10 11-12": "has two ranges",
    "02:00 daily 09-17": "goes with 'hourly'",
    "02:00 daily Europe/Atlantis": "'Europe/Atlantis' is no part of a schedule, nor a time zone",
    "02:00 daily ../../etc/passwd": "nor a time zone",
    "02:00 daily UTC Europe/Berlin": "has two time zones",
    "02:00 nightly": "'nightly' is no part of a schedule",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_refused_says_why(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    assert WRONG[text] in str(caught.value) and "'02:00 daily UTC'" in str(caught.value)


def test_a_time_that_yaml_took_for_a_number() -> None:
    with pytest.raises(ExpressionError, match="without quotes"):
        parse(120)


def starts(text: str, day: str, days: int = 1) -> list[str]:
    begin = datetime.fromisoformat(day).replace(tzinfo=timezone.utc)
    found = parse(text).occurrences(begin.timestamp(), (begin + timedelta(days=days)).timestamp())
    return [datetime.fromtimestamp(each, timezone.utc).strftime("%d %H:%M") for each in found]


def test_a_time_that_the_spring_night_skips_is_not_made_up_for() -> None:
    assert starts("02:30 daily Europe/Berlin", "2026-03-28", 3) == ["28 01:30", "30 00:30"]
    assert starts("hourly Europe/Berlin", "2026-03-29")[:3] == ["29 00:00", "29 01:00", "29 02:00"]


def test_a_time_that_the_autumn_night_has_twice_counts_once() -> None:
    assert starts("02:30 daily Europe/Berlin", "2026-10-24", 3) == ["24 00:30", "25 00:30", "26 01:30"]
    assert starts("hourly Europe/Berlin", "2026-10-25")[:3] == ["25 00:00", "25 02:00", "25 03:00"]


def test_the_start_counts_and_the_end_does_not() -> None:
    moment = int(datetime(2026, 1, 5, 2, tzinfo=timezone.utc).timestamp())
    every_day = parse("02:00 daily")
    assert list(every_day.occurrences(moment, moment + 1)) == [moment]
    assert list(every_day.occurrences(moment + 1, moment + 86400)) == []


# Clocks that change at night, at midnight, by half an hour, on the other half of the globe, and never.
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Beirut", "Australia/Lord_Howe", "Asia/Kathmandu"]
CHANGES = ["2026-03-07", "2026-03-28", "2026-04-04", "2026-10-03", "2026-10-24", "2026-10-31", "2026-02-26"]

hours = st.sets(st.integers(0, 23), min_size=1, max_size=24)
minutes = st.sets(st.integers(0, 59), min_size=1, max_size=4)
months = st.sampled_from([tuple(range(1, 13)), (1, 4, 7, 10), (2, 3)])
days = st.one_of(
    st.fixed_dictionaries({}),
    st.fixed_dictionaries({"weekdays": st.frozensets(st.integers(0, 6), min_size=1)}),
    st.fixed_dictionaries(
        {"weekdays": st.integers(0, 6).map(lambda day: frozenset([day])), "nth": st.sampled_from([1, 2, 3, 4, LAST])}
    ),
    st.fixed_dictionaries({"month_day": st.one_of(st.integers(1, 28), st.just(LAST))}),
)


def fits(schedule: Schedule, local: datetime) -> bool:
    """The same question for one minute of the clock, answered by the calendar of the standard library."""
    if local.hour not in schedule.hours or local.minute not in schedule.minutes or local.fold:
        return False
    if local.month not in schedule.months:
        return False
    month = calendar.Calendar().itermonthdates(local.year, local.month)
    alike = [day for day in month if day.month == local.month and day.weekday() in schedule.weekdays]
    if schedule.nth is not None:
        alike = [alike[-1] if schedule.nth == LAST else alike[schedule.nth - 1]]
    if schedule.month_day is not None:
        alike = [alike[schedule.month_day if schedule.month_day == LAST else schedule.month_day - 1]]
    return local.date() in alike


@settings(max_examples=examples(300), deadline=None)
@given(hours, minutes, days, st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 4 * 86400), months)
def test_starts_are_those_of_a_walk_over_all_minutes(
    hours: set[int],
    minutes: set[int],
    days: dict[str, object],
    zone: str,
    change: str,
    length: int,
    months: tuple[int, ...],
) -> None:
    schedule = Schedule("", tuple(sorted(hours)), tuple(sorted(minutes)), zone=zone, months=months, **days)  # type: ignore[arg-type]
    begin = int(datetime.fromisoformat(change).replace(tzinfo=timezone.utc).timestamp())
    walked = [
        moment
        for moment in range(begin, begin + length, 60)
        if fits(schedule, datetime.fromtimestamp(moment, ZoneInfo(zone)))
    ]
    assert list(schedule.occurrences(begin, begin + length)) == walked
