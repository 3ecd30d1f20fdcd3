# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""On which days a recurrence rule (RFC 5545) falls. Pure.

python-dateutil expands the rule. What it would take from the first day of its own accord, and what it lets pass
although it means nothing, is refused here by name.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, Undetermined

try:
    from dateutil.rrule import rrulestr
except ImportError:
    rrulestr = None

EXAMPLES = "FREQ=MONTHLY;BYDAY=1SU or FREQ=WEEKLY;BYDAY=WE"
_WEEK = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DAY = rf"(?:{'|'.join(_WEEK)})"
_END = "a window takes place until it is taken from the list"
_ELSEWHERE = {
    "DTSTART": "the first day stands in field 'from'",
    "TZID": "the zone stands in field 'timezone'",
    "COUNT": _END,
    "UNTIL": _END,
    "BYHOUR": "the time stands in field 'start'",
    "BYMINUTE": "the time stands in field 'start'",
    "BYSECOND": "the time stands in field 'start'",
    "RDATE": "days without a rule stand in field 'dates'",
    "EXDATE": "days on which it does not take place stand in field 'exceptions'",
}
# The greatest number of each part; parts may count from the end (-1).
_NUMBERS = {"BYMONTHDAY": 31, "BYYEARDAY": 366, "BYWEEKNO": 53, "BYSETPOS": 366}
_WORDS = {
    "FREQ": (r"DAILY|WEEKLY|MONTHLY|YEARLY", "DAILY, WEEKLY, MONTHLY or YEARLY"),
    "INTERVAL": (r"0*[1-9]\d{0,2}", "a whole number from 1 to 999"),
    "BYDAY": (rf"[+-]?\d{{0,2}}{_DAY}(?:,[+-]?\d{{0,2}}{_DAY})*", "days such as WE, SA,SU or 1SU"),
    "BYMONTH": (r"0*(?:[1-9]|1[0-2])(?:,0*(?:[1-9]|1[0-2]))*", "months from 1 to 12"),
    "WKST": (_DAY, "a day such as MO"),
}
# What says the day. Where a rule has none of these, the first day that is looked at would decide.
_NAMES_DAY = {
    "DAILY": (),
    "WEEKLY": ("BYDAY",),
    "MONTHLY": ("BYDAY", "BYMONTHDAY"),
    "YEARLY": ("BYDAY", "BYMONTHDAY", "BYYEARDAY"),
}
_NOT_WITH = {
    "DAILY": ("BYYEARDAY", "BYWEEKNO", "BYSETPOS"),
    "WEEKLY": ("BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"),
    "MONTHLY": ("BYYEARDAY", "BYWEEKNO"),
    "YEARLY": (),
}
# After 28 years, weekdays fall on the same days of the same months again.
_CYCLE_DAYS = 28 * 366


class RuleError(Day2Error):
    """A rule that cannot be read, or that means nothing; the message says which part."""


class MissingLibrary(Undetermined):
    """python-dateutil is not there: nothing is known of a rule."""


@dataclass(frozen=True)
class Rule:
    """The days of a rule, from `first` on where there is one."""

    text: str
    first: date | None = None

    def days(self, begin: date, end: date) -> Iterator[date]:
        """In order, `begin` and `end` included."""
        # Periods count from the first day. Without one all of them count, and what the anchor cuts is long over.
        anchor = self.first or date(begin.year - 1, 1, 1)
        found = _expand(self.text, self._week_of(anchor), end)
        yield from (day for day in found if max(begin, anchor) <= day <= end)

    def _week_of(self, day: date) -> date:
        """Where a position in a week counts, the first day of its week: dateutil cuts the first week at `dtstart`."""
        if "FREQ=WEEKLY" not in self.text or "BYSETPOS" not in self.text:
            return day
        begins = re.search(rf"WKST=({_DAY})", self.text)
        behind = (day.weekday() - _WEEK.index(begins[1] if begins else "MO")) % 7
        return date.fromordinal(max(1, day.toordinal() - behind))


def parse_rule(value: object, first: date | None = None) -> Rule:
    """Read a rule; RuleError says which part is wrong, and where it belongs."""
    if not isinstance(value, str):
        raise RuleError(f"{value!r} is no text, such as {EXAMPLES}")
    if rrulestr is None:
        raise MissingLibrary(
            f"a window's rrule needs python-dateutil for {sys.executable}: install python3-dateutil (Debian, RHEL) or"
            " python-dateutil (pip)"
        )
    parts = _split(re.sub(r"\A\s*RRULE:", "", value.upper()).strip())
    for name, said in parts.items():
        _check_part(name, said)
    # dateutil takes no blanks.
    text = ";".join(f"{name}={said}" for name, said in parts.items())
    _check_combination(parts, first)
    rule = Rule(text, first)
    begin = first or date(2000, 1, 1)
    longest = min(_CYCLE_DAYS * int(parts.get("INTERVAL", "1")), (date.max - begin).days)
    if next(rule.days(begin, begin + timedelta(days=longest)), None) is None:
        raise RuleError(f"'{text}' falls on no day at all")
    return rule


def _split(text: str) -> dict[str, str]:
    parts: dict[str, str] = {}
    # A calendar's export has EXDATE and the like in lines of their own.
    for part in re.split(r"[;\n]", text.rstrip(";")):
        name, sign, said = (re.sub(r"\s*,\s*", ",", word.strip()) for word in part.partition("="))
        # iCalendar writes DTSTART;TZID=… and DTSTART:…
        word = name.partition(":")[0]
        if word in _ELSEWHERE:
            raise RuleError(f"{word} has no place in a window's rule: {_ELSEWHERE[word]}")
        if not sign or (name not in _WORDS and name not in _NUMBERS):
            known = ", ".join([*_WORDS, *_NUMBERS])
            raise RuleError(f"'{part}' is no part of a rule; it has {known}, as in {EXAMPLES}")
        if name in parts:
            raise RuleError(f"has {name} twice")
        parts[name] = said
    if "FREQ" not in parts:
        raise RuleError(f"has no FREQ, as in {EXAMPLES}")
    return parts


def _check_part(name: str, said: str) -> None:
    if name in _WORDS:
        pattern, meant = _WORDS[name]
        if re.fullmatch(pattern, said) is None:
            raise RuleError(f"{name}={said} is not {meant}")
        return
    most = _NUMBERS[name]
    for number in said.split(","):
        if re.fullmatch(r"[+-]?\d{1,3}", number) is None or not 1 <= abs(int(number)) <= most:
            raise RuleError(f"{name}={said} is not numbers from 1 to {most} (or from -{most} to -1, from the end)")


def _check_combination(parts: Mapping[str, str], first: date | None) -> None:
    freq = parts["FREQ"]
    for name in _NOT_WITH[freq]:
        if name in parts:
            raise RuleError(f"{name} means nothing with FREQ={freq}")
    names = _NAMES_DAY[freq]
    if names and not any(name in parts for name in names):
        raise RuleError(f"FREQ={freq} says no day: add {' or '.join(names)}")
    if "BYWEEKNO" in parts and "BYDAY" not in parts:
        raise RuleError("BYWEEKNO says no day: add BYDAY")
    ordinals = re.findall(r"\d+", parts.get("BYDAY", ""))
    if ordinals and (freq in ("DAILY", "WEEKLY") or "BYWEEKNO" in parts):
        raise RuleError(f"BYDAY={parts['BYDAY']}: a number before the day is for FREQ=MONTHLY and FREQ=YEARLY")
    if "0" in (number.lstrip("0") or "0" for number in ordinals):
        raise RuleError(f"BYDAY={parts['BYDAY']}: days count from 1, or from -1 at the end")
    if int(parts.get("INTERVAL", "1")) > 1 and first is None:
        raise RuleError(f"INTERVAL={parts['INTERVAL']} counts from a first day: add field 'from'")


def _expand(text: str, anchor: date, end: date) -> Iterator[date]:
    if "BYWEEKNO" in text:
        return _of_weeks(dict(part.split("=") for part in text.split(";")), anchor, end)
    return _of_dateutil(text, anchor, end)


def _of_dateutil(text: str, anchor: date, end: date) -> Iterator[date]:
    try:
        rule = rrulestr(text, dtstart=_midnight(anchor)).replace(until=_midnight(end))
        yield from (moment.date() for moment in rule)
    except (ValueError, TypeError, OverflowError) as exc:
        raise RuleError(f"'{text}': {exc}") from exc


def _of_weeks(parts: dict[str, str], anchor: date, end: date) -> Iterator[date]:
    """The days of weeks by their numbers: dateutil confuses the numbers of a week in which the year changes."""
    numbers = {int(number) for number in parts.pop("BYWEEKNO").split(",")}
    positions = {int(number) for number in parts.pop("BYSETPOS", "").split(",") if number}
    begins = _WEEK.index(parts.get("WKST", "MO"))
    # Positions count among all days of a year, also those before the first day and after the last.
    rest = ";".join(f"{name}={said}" for name, said in parts.items())
    days = _of_dateutil(rest, date(anchor.year, 1, 1), date(end.year, 12, 31))
    for _year, found in groupby((day for day in days if numbers & _numbers_of(day, begins)), lambda day: day.year):
        year = list(found)
        places = range(len(year))
        yield from (year[place] for place in places if not positions or {place + 1, place - len(year)} & positions)


def _numbers_of(day: date, begins: int) -> set[int]:
    """The number of a day's week in its year, from its first and from its last. Weeks begin on a day, 0 is Monday."""
    # A week is of the year that has four of its days or more, and so its fourth one.
    fourth = day.toordinal() - (day.weekday() - begins) % 7 + 3
    year = date.fromordinal(fourth).year
    first, last = date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal()
    return {(fourth - first) // 7 + 1, -((last - fourth) // 7 + 1)}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day)
