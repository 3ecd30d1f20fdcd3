# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a job runs: `02:00 daily UTC`, `Sundays 01:00`, `hourly 09-17 Mon-Fri`, `every 5 min`. Pure.

Where clocks change, systemd decides, and `occurrences` says the same: a time that a night skips is not made up for,
one that a night has twice counts the first time (and a second time only where a timer is armed in between).
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import Callable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

EXAMPLES = "'02:00 daily UTC', 'Sundays 01:00', 'hourly 09-17 Mon-Fri', 'every 5 min'"
LAST = -1
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FULL_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_GROUPS = {"weekdays": range(5), "weekends": range(5, 7)}
_EVERY_MONTH = tuple(range(1, 13))
_QUARTERS = (1, 4, 7, 10)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "last": LAST}
_MINUTES = ("m", "min", "mins", "minute", "minutes")
_HOURS = ("h", "hour", "hours")
_TIME = re.compile(r"(\d{1,2}):(\d\d)")
_HOUR_RANGE = re.compile(r"(\d{1,2})-(\d{1,2})")
_STEP = re.compile(r"(\d+)([a-z]*)")
_EPOCH = date(1970, 1, 1).toordinal()
_DAY = 86400


class ExpressionError(Day2Error):
    """A schedule that cannot be read; the message says which word, and shows what can be written."""

    def __init__(self, text: object, fault: str) -> None:
        super().__init__(f"{text!r}: {fault} (such as {EXAMPLES})")


@dataclass(frozen=True)
class Schedule:
    """The minutes at which something starts, by the clock of a zone.

    It starts at each of `minutes` of each of `hours` of every day that fits. `weekdays` (0 is Monday) restricts the
    days; `nth` takes the first, second … (`LAST`) such weekday of a month; `month_day` takes a day of the month. Only
    days of `months` fit.
    """

    text: str
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    weekdays: frozenset[int] = frozenset(range(7))
    nth: int | None = None
    month_day: int | None = None
    months: tuple[int, ...] = _EVERY_MONTH
    zone: str = "UTC"

    @property
    def on_calendar(self) -> str:
        """The same as systemd.time(7) writes it."""
        days = "" if len(self.weekdays) == 7 else _ranges(sorted(self.weekdays), lambda day: _DAYS[day].title()) + " "
        months = "*" if len(self.months) == 12 else ",".join(f"{month:02d}" for month in self.months)
        if self.nth == LAST:
            date_of_month = "~07/1"
        elif self.nth is not None:
            date_of_month = f"-{7 * self.nth - 6:02d}..{7 * self.nth:02d}"
        elif self.month_day is not None:
            date_of_month = "~01" if self.month_day == LAST else f"-{self.month_day:02d}"
        else:
            date_of_month = "-*"
        return f"{days}*-{months}{date_of_month} {_clock(self.hours, 24)}:{_clock(self.minutes, 60)}:00 {self.zone}"

    @property
    def starts_a_day(self) -> int:
        """How often it starts on a day that fits."""
        return len(self.hours) * len(self.minutes)

    def occurrences(self, start: float, end: float) -> Iterator[int]:
        """The starts from `start` on and before `end`, in order. All are POSIX seconds."""
        zone = find_zone(self.zone)
        times = [(60 * hour + minute) * 60 for hour in self.hours for minute in self.minutes]
        # A zone is less than a day away from UTC.
        for ordinal in range(_EPOCH + int(start // _DAY) - 1, _EPOCH + int(end // _DAY) + 2):
            day = date.fromordinal(ordinal)
            if self._fits(day):
                yield from (moment for moment in _moments(day, times, zone) if start <= moment < end)

    def _fits(self, day: date) -> bool:
        if day.weekday() not in self.weekdays or day.month not in self.months:
            return False
        if self.nth is None and self.month_day is None:
            return True
        length = monthrange(day.year, day.month)[1]
        if self.nth is not None:
            return day.day > length - 7 if self.nth == LAST else (day.day - 1) // 7 + 1 == self.nth
        return day.day == (length if self.month_day == LAST else self.month_day)


def _moments(day: date, times: Sequence[int], zone: tzinfo) -> Iterator[int]:
    """POSIX seconds of times of a day (in seconds after midnight by the clock)."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    offset = midnight.utcoffset()
    if offset == (midnight + timedelta(days=1)).utcoffset():
        # Nearly all days; asking the zone for each of 288 times would take a hundred times as long.
        first = int(midnight.timestamp())
        yield from (first + seconds for seconds in times)
        return
    seen = set()
    for seconds in times:
        wanted = midnight + timedelta(seconds=seconds)
        moment = int(wanted.timestamp())
        exists = datetime.fromtimestamp(moment, zone).replace(tzinfo=None) == wanted.replace(tzinfo=None)
        if exists and moment not in seen:
            seen.add(moment)
            yield moment


def find_zone(name: str) -> tzinfo:
    """The zone of a name that `parse` let through."""
    if name == "UTC":
        return timezone.utc
    # Imported where a zone is used: most hosts and schedules know UTC only.
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


def _ranges(numbers: Sequence[int], show: Callable[[int], str]) -> str:
    """`1..5` where they follow each other, else one by one."""
    words = [show(number) for number in numbers]
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{words[0]}..{words[-1]}"
    return ",".join(words)


def _clock(numbers: Sequence[int], whole: int) -> str:
    """Hours or minutes: `*`, `00/6` or `09..17`."""
    step = numbers[1] - numbers[0] if len(numbers) > 1 else whole
    if step > 1 and len(numbers) > 1 and list(numbers) == list(range(0, whole, step)):
        return f"00/{step}"
    return "*" if len(numbers) == whole else _ranges(numbers, lambda number: f"{number:02d}")


def parse(text: object) -> Schedule:
    """Read a schedule; ExpressionError says what is wrong with it. Words come in any order and any case."""
    if not isinstance(text, str):
        raise ExpressionError(text, "is no text; YAML reads 02:00 without quotes as a number")
    words = text.replace(", ", ",").split()
    if not words:
        raise ExpressionError(text, "is empty")
    return _Reader(text, words).read()


class _Reader:
    """Takes one word, or one phrase, after the other."""

    def __init__(self, text: str, words: list[str]) -> None:
        self.text, self.words = text, words
        self.times: tuple[tuple[int, ...], tuple[int, ...]] | None = None
        self.range: tuple[int, ...] | None = None
        self.hourly = False
        self.once = False
        self.daily = False
        self.weekdays: frozenset[int] | None = None
        self.nth: int | None = None
        self.month_day: int | None = None
        self.months: tuple[int, ...] | None = None
        self.zone: str | None = None

    def read(self) -> Schedule:
        while self.words:
            self._take(self.words.pop(0))
        if self.range is not None and not self.hourly:
            raise self._fault("a range of hours goes with 'hourly'")
        if self.hourly:
            self.times = (self.range or tuple(range(24)), (0,))
        if self.times is None:
            raise self._fault("says no time")
        dated = (self.daily, self.weekdays is not None and self.nth is None, self.nth is not None, self.month_day)
        if sum(day not in (False, None) for day in dated) > 1:
            raise self._fault("says the day in two ways")
        hours, minutes = self.times
        if self.once and not any(dated):
            raise self._fault("says no day: add 'daily', a weekday or a day of the month")
        if self.months is not None and self.nth is None and self.month_day is None:
            raise self._fault("says no day of the month")
        return Schedule(
            self.text,
            hours,
            minutes,
            self.weekdays if self.weekdays is not None else frozenset(range(7)),
            self.nth,
            self.month_day,
            self.months or _EVERY_MONTH,
            self.zone or "UTC",
        )

    def _fault(self, what: str) -> ExpressionError:
        return ExpressionError(self.text, what)

    def _take(self, word: str) -> None:
        lower = word.lower()
        if lower in ("at", "on"):
            return
        phrases = {
            "every": self._every,
            "hourly": self._hourly,
            "daily": self._daily,
            "monthly": self._monthly,
            "quarterly": self._quarterly,
        }
        if lower in phrases:
            phrases[lower]()
        elif lower in _ORDINALS:
            self._ordinal(lower)
        elif _TIME.fullmatch(lower):
            self._time(lower)
        elif _HOUR_RANGE.fullmatch(lower):
            self._hours(lower)
        else:
            days = _weekdays(lower)
            if days is None:
                self._zone(word)
            else:
                self._days(days)

    def _next(self, after: str, what: str) -> str:
        if not self.words:
            raise self._fault(f"what follows '{after}' is {what}")
        return self.words.pop(0).lower()

    def _set_times(self, hours: tuple[int, ...], minutes: tuple[int, ...]) -> None:
        if self.times is not None or self.hourly:
            raise self._fault("says the time in two ways")
        self.times = (hours, minutes)

    def _daily(self) -> None:
        self.daily = True

    def _time(self, word: str) -> None:
        hour, minute = (int(part) for part in word.split(":"))
        if hour > 23 or minute > 59:
            raise self._fault(f"there is no time {word}")
        self._set_times((hour,), (minute,))
        self.once = True

    def _hourly(self) -> None:
        if self.times is not None or self.hourly:
            raise self._fault("says the time in two ways")
        self.hourly = True

    def _hours(self, word: str) -> None:
        first, last = (int(part) for part in word.split("-"))
        if self.range is not None:
            raise self._fault("has two ranges of hours")
        if last > 23 or first > last:
            raise self._fault(f"{word} is no range of hours of a day, from 00 to 23")
        self.range = tuple(range(first, last + 1))

    def _every(self) -> None:
        word = self._next("every", "a number of min or h, or a day")
        days = _weekdays(word)
        if days is not None:
            self._days(days)
            return
        if word == "day":
            self.daily = True
            return
        match = _STEP.fullmatch(word)
        if match is None:
            raise self._fault(f"what follows 'every' is a number of min or h, or a day, and not '{word}'")
        step, unit = int(match[1]), match[2] or self._next(word, "min or h")
        if unit not in _MINUTES + _HOURS:
            raise self._fault(f"'{unit}' is neither min nor h")
        whole, name = (60, "an hour") if unit in _MINUTES else (24, "a day")
        if step < 1 or whole % step:
            fitting = ", ".join(str(divisor) for divisor in range(1, whole) if whole % divisor == 0)
            raise self._fault(f"{step} does not divide {name} evenly: the last gap would be shorter; take {fitting}")
        if whole == 60:
            self._set_times(tuple(range(24)), tuple(range(0, 60, step)))
        else:
            self._set_times(tuple(range(0, 24, step)), (0,))

    def _ordinal(self, word: str) -> None:
        of = self._next(word, "a weekday or 'day'")
        if of == "day":
            if word not in ("first", "last"):
                raise self._fault(f"'{word} day' is written monthly {_ORDINALS[word]}")
            self._month_day(_ORDINALS[word])
            return
        days = _weekdays(of)
        if days is None or len(days) != 1:
            raise self._fault(f"what follows '{word}' is one weekday or 'day', and not '{of}'")
        self._days(days)
        self.nth = _ORDINALS[word]

    def _monthly(self) -> None:
        self._of_months("monthly", _EVERY_MONTH)

    def _quarterly(self) -> None:
        self._of_months("quarterly", _QUARTERS)

    def _of_months(self, named: str, months: tuple[int, ...]) -> None:
        if self.months is not None:
            raise self._fault("says the months in two ways")
        self.months = months
        # `monthly last day`, `quarterly first Sunday`, also in another order: other words say the day.
        if not self.words or not self.words[0].isdigit():
            return
        word = self.words.pop(0)
        if not 1 <= int(word) <= 28:
            raise self._fault(f"not every month has a day {word}: take 1 to 28, or 'last day'")
        self._month_day(int(word))

    def _month_day(self, day: int) -> None:
        if self.month_day is not None:
            raise self._fault("has two days of the month")
        self.month_day = day

    def _days(self, days: frozenset[int]) -> None:
        if self.weekdays is not None:
            raise self._fault("says weekdays twice: join them by commas")
        self.weekdays = days

    def _zone(self, word: str) -> None:
        name = zone_name(word)
        if name is None:
            raise self._fault(f"'{word}' is no part of a schedule, nor a time zone that this machine knows")
        if self.zone is not None:
            raise self._fault("has two time zones")
        self.zone = name


def _weekdays(text: str) -> frozenset[int] | None:
    """Of `Mon,Wed-Fri`, `Sundays`, `weekdays`; None when it is something else."""
    days: set[int] = set()
    for part in text.split(","):
        if part in _GROUPS:
            days.update(_GROUPS[part])
            continue
        ends = [_weekday(end) for end in part.split("-")]
        if len(ends) > 2 or None in ends:
            return None
        first, last = ends[0] or 0, ends[-1] or 0
        # A range may go over the end of the week: Sat-Mon.
        days.update(day % 7 for day in range(first, last + 1 if last >= first else last + 8))
    return frozenset(days)


def _weekday(name: str) -> int | None:
    singular = name[:-1] if name.endswith("days") else name
    for names in (_DAYS, _FULL_DAYS):
        if singular in names:
            return names.index(singular)
    return None


def zone_name(word: str) -> str | None:
    """The zone's name as the zone database writes it."""
    if word.lower() in ("utc", "z", "gmt", "etc/utc"):
        return "UTC"
    from zoneinfo import available_timezones

    known = available_timezones()
    if word in known:
        return word
    return next((name for name in known if name.lower() == word.lower()), None)
