# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the time of a log line.

Known shapes: ISO 8601 and RFC 3339 (with T or a space, with / for -, without separators), the access logs of nginx,
Apache and HAProxy, Apache's error log, Redis, Tomcat, PostgreSQL with a zone's name, java.util.logging, syslog and klog
without a year, seconds (or their thousandths and less) since 1970, the Linux audit log, and JSON lines with a time in
one of the usual fields. A time without a zone is local time.

`05/11/2026` is refused: nobody can tell whether it is in May or in November. A line that begins with a space goes on
where the line before it ended, whatever times it mentions.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone
from typing import Callable, NamedTuple

# How much of a line may come before its time is over (an access log begins with an address and a user).
HEAD = 160
_MONTH = rb"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_MONTHS = {name: number for number, name in enumerate(_MONTH.strip(b"()").split(b"|"), start=1)}
_CLOCK = rb"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?"
_DIGITS_ZONE = rb"[+-]\d\d:?\d\d\b"
_ZONE = rb"(?: ?(Z\b|" + _DIGITS_ZONE + rb"|[+-]\d\d(?= \[)|(?<=\d)[+-]\d\d\b|[A-Z]{3,4}\b))?"

# RFC 822, section 5.1, and the European zones; what is ambiguous (IST, BST) is only known where it is local.
_ZONES = {
    **dict.fromkeys((b"Z", b"UTC", b"GMT", b"WET"), 0),
    b"EST": -5,
    b"EDT": -4,
    b"CST": -6,
    b"CDT": -5,
    b"MST": -7,
    b"MDT": -6,
    b"PST": -8,
    b"PDT": -7,
    b"CET": 1,
    b"CEST": 2,
    b"EET": 2,
    b"EEST": 3,
    b"WEST": 1,
    b"MSK": 3,
    b"JST": 9,
}


class _Reference(NamedTuple):
    """What settles a time that leaves something open: the year, or which of two equal hours on a DST night."""

    now: float
    fold: int


def _iso(match: re.Match[bytes], reference: _Reference) -> float:
    year, month, day, hour, minute, second, fraction, zone = match.group(1, 3, 4, 5, 6, 7, 8, 9)
    return _moment(int(year), int(month), int(day), (hour, minute, second, fraction), zone, reference.fold)


def _compact(match: re.Match[bytes], reference: _Reference) -> float:
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    return _moment(int(year), int(month), int(day), (hour, minute, second, fraction), zone, reference.fold)


def _day_first(match: re.Match[bytes], reference: _Reference) -> float:
    day, month, year, hour, minute, second, fraction, zone = match.groups()
    number = _MONTHS[month] if month.isalpha() else int(month)
    return _moment(int(year), number, int(day), (hour, minute, second, fraction), zone, reference.fold)


def _year_last(match: re.Match[bytes], reference: _Reference) -> float:
    month, day, hour, minute, second, fraction, zone, year = match.groups()
    return _moment(int(year), _MONTHS[month], int(day), (hour, minute, second, fraction), zone, reference.fold)


def _twelve_hours(match: re.Match[bytes], reference: _Reference) -> float:
    month, day, year, hour, minute, second, half = match.groups()
    number = int(hour)
    if half is not None:
        number = number % 12 + (12 if half == b"P" else 0)
    clock = (b"%d" % number, minute, second, None)
    return _moment(int(year), _MONTHS[month], int(day), clock, None, reference.fold)


def _yearless(match: re.Match[bytes], reference: _Reference) -> float:
    month, day, *clock = match.groups()
    number = _MONTHS[month] if month.isalpha() else int(month)
    year = datetime.fromtimestamp(reference.now).year
    # A line is not from the future; a day's grace is for clocks that differ. 29 February has its own years.
    for candidate in range(year + 1, year - 8, -1):
        try:
            moment = _moment(candidate, number, int(day), tuple(clock), None, reference.fold)
        except ValueError:
            continue
        if moment <= reference.now + 86400:
            return moment
    raise ValueError("no such day")


def _epoch(match: re.Match[bytes], _reference: _Reference) -> float:
    return float(match.group(1)) + float(b"0." + (match.group(2) or match.group(3) or b"0"))


def _refused(_match: re.Match[bytes], _reference: _Reference) -> float:
    raise ValueError("the day and the month cannot be told apart")


_Reader = Callable[["re.Match[bytes]", _Reference], float]
_EPOCH = rb"(1\d{9})(?:[.,](\d{1,9})|(\d{9}|\d{6}|\d{3}))?\b"

_AT_START: tuple[tuple[re.Pattern[bytes], _Reader], ...] = (
    (re.compile(rb"(?:<\d+>)?" + _MONTH + rb" +(\d{1,2}) " + _CLOCK + rb"\b(?! (?:[A-Z]{3,4} )?\d{4}\b)"), _yearless),
    (re.compile(rb"[IWEFD](\d\d)(\d\d) " + _CLOCK + rb"\b"), _yearless),
    (re.compile(rb"\[?" + _EPOCH), _epoch),
)
_AMBIGUOUS = re.compile(rb"(?<![\d./-])\d{1,2}([/-])\d{1,2}\1(?:\d{4}|\d\d)\b")
_WITHIN: tuple[tuple[re.Pattern[bytes], _Reader], ...] = (
    (re.compile(rb"(?<!\d)(\d{4})([-/.])(\d\d)\2(\d\d)[T _]" + _CLOCK + _ZONE), _iso),
    (re.compile(rb"(?<!\d)(\d{1,2})[ /-]" + _MONTH + rb"[ /-](\d{4})[ :T]" + _CLOCK + _ZONE), _day_first),
    (re.compile(rb"\b" + _MONTH + rb" +(\d{1,2}) " + _CLOCK + rb"(?: ([A-Z]{3,4}))? (\d{4})\b"), _year_last),
    (re.compile(rb"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)[T ](\d\d):?(\d\d):?(\d\d)(?:[.,](\d{1,9}))?" + _ZONE), _compact),
    (re.compile(rb"\b" + _MONTH + rb" (\d{1,2}), (\d{4}),? (\d{1,2}):(\d\d):(\d\d)(?: ([AP])M\b)?"), _twelve_hours),
    (re.compile(rb"(?<![\d.])(\d\d)\.(\d\d)\.(\d{4})[ ,T]+" + _CLOCK + _ZONE), _day_first),
    (re.compile(rb"(?:\baudit\(|(?:^|\s)(?:ts|time|timestamp)=\"?)" + _EPOCH), _epoch),
    (_AMBIGUOUS, _refused),
)
_IN_JSON = re.compile(
    rb'"(?:@?timestamp|time|ts|@?datetime|asctime|@t|date)"\s*:\s*(?:"([^"]{8,48})"|(1\d{9}[\d.]{0,10}))', re.IGNORECASE
)
_TWO_DIGITS = re.compile(rb"\d\d")


def ambiguous_date(line: bytes) -> str | None:
    """The date of a line whose day and month cannot be told apart."""
    match = _AMBIGUOUS.search(line[:HEAD])
    return match.group().decode("ascii") if match is not None else None


def line_time(line: bytes, now: float, fold: int = 0) -> float | None:
    """POSIX time of a line, or None when it shows none.

    `now` settles the year where the line has none. `fold` (as in PEP 495) says which of the two hours is meant that
    local clocks show twice when daylight saving ends: 0 the first, 1 the second.
    """
    if line[:1] in b" \t":
        return None
    reference = _Reference(now, fold)
    if line[:1] == b"{":
        match = _IN_JSON.search(line)
        if match is not None:
            return _earliest(match.group(1) or match.group(2), reference)
    return _earliest(line[:HEAD], reference)


def _earliest(head: bytes, reference: _Reference) -> float | None:
    """The time that comes first: a later one belongs to the message."""
    if _TWO_DIGITS.search(head) is None:
        return None
    try:
        for pattern, read in _AT_START:
            match = pattern.match(head)
            if match is not None:
                return read(match, reference)
        found: tuple[re.Match[bytes], _Reader] | None = None
        for pattern, read in _WITHIN:
            match = pattern.search(head)
            if match is not None and (found is None or match.start() < found[0].start()):
                found = match, read
        return None if found is None else found[1](found[0], reference)
    except (ValueError, OverflowError):
        return None


def _moment(year: int, month: int, day: int, clock: tuple[bytes | None, ...], zone: bytes | None, fold: int) -> float:
    hour, minute, second = (int(part or 0) for part in clock[:3])
    fraction = float(b"0." + clock[3]) if clock[3] else 0.0
    # A leap second is the last second of its minute.
    moment = datetime(year, month, day, hour, minute, min(second, 59), fold=fold)
    if zone is not None and zone[:1] in b"+-":
        digits = zone[1:].replace(b":", b"")
        offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
        moment = moment.replace(tzinfo=timezone(-offset if zone[:1] == b"-" else offset))
    elif zone is not None:
        return _in_named_zone(moment, zone) + fraction
    return moment.timestamp() + fraction


def _in_named_zone(moment: datetime, zone: bytes) -> float:
    """Local names first (CST is not China's where China is local); other capitals (INFO) are no zone at all."""
    name = zone.decode("ascii")
    if name in time.tzname:
        for fold in (0, 1):
            posix = moment.replace(fold=fold).timestamp()
            if time.localtime(posix).tm_zone == name:
                return posix
    if zone in _ZONES:
        return moment.replace(tzinfo=timezone(timedelta(hours=_ZONES[zone]))).timestamp()
    return moment.timestamp()
