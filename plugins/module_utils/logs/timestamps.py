# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the time at the head of a log line.

Known shapes: ISO 8601 and RFC 3339 (with T or a space, with / for -, fraction after . or ,), nginx and Apache access
logs, syslog without a year, and seconds or milliseconds since 1970. A time without a zone is local time.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone

# How much of a line may come before its time is over (an access log begins with an address and a user).
HEAD = 160
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], start=1
    )
}
_ISO = re.compile(
    rb"(?<!\d)(\d{4})[-/](\d\d)[-/](\d\d)[T _](\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|UTC\b|[+-]\d\d:?\d\d)?"
)
_ACCESS = re.compile(rb"\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})\]")
_SYSLOG = re.compile(rb"^(?:<\d+>)?([A-Z][a-z]{2}) +(\d{1,2}) (\d\d):(\d\d):(\d\d)\b")
_EPOCH = re.compile(rb"^(?:\{\"(?:ts|time|timestamp)\": ?|\[)?(1\d{9})(?:\.(\d+)|(\d{3}))?\b")


def line_time(line: bytes, now: float) -> float | None:
    """POSIX time of a line, or None when it shows none. `now` settles the year where the line has none."""
    head = line[:HEAD]
    try:
        match = _ISO.search(head)
        if match is not None:
            return _iso(match)
        match = _ACCESS.search(head)
        if match is not None:
            day, month, year, hour, minute, second, zone = match.groups()
            return _moment(int(year), _month(month), int(day), int(hour), int(minute), int(second), zone)
        match = _SYSLOG.search(head)
        if match is not None:
            return _yearless(match, now)
        match = _EPOCH.search(head)
    except ValueError:
        return None
    if match is None:
        return None
    return float(match.group(1)) + float(b"0." + (match.group(2) or match.group(3) or b"0"))


def _iso(match: re.Match[bytes]) -> float:
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction = float(b"0." + match.group(7)) if match.group(7) else 0.0
    return _moment(year, month, day, hour, minute, second, match.group(8)) + fraction


def _month(name: bytes) -> int:
    number = _MONTHS.get(name.decode("ascii"))
    if number is None:
        raise ValueError(name)
    return number


def _moment(year: int, month: int, day: int, hour: int, minute: int, second: int, zone: bytes | None) -> float:
    # A leap second is the last second of its minute.
    moment = datetime(year, month, day, hour, minute, min(second, 59))
    if zone is None:
        return time.mktime(moment.timetuple())
    if zone in (b"Z", b"UTC"):
        return moment.replace(tzinfo=timezone.utc).timestamp()
    digits = zone[1:].replace(b":", b"")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return moment.replace(tzinfo=timezone(-offset if zone[:1] == b"-" else offset)).timestamp()


def _yearless(match: re.Match[bytes], now: float) -> float:
    month, day = _month(match.group(1)), int(match.group(2))
    hour, minute, second = (int(part) for part in match.groups()[2:])
    year = datetime.fromtimestamp(now).year
    # A line is not from the future; a day's grace is for clocks that differ. 29 February has its own years.
    for candidate in range(year + 1, year - 8, -1):
        try:
            moment = _moment(candidate, month, day, hour, minute, second, None)
        except ValueError:
            continue
        if moment <= now + 86400:
            return moment
    raise ValueError("no such day")
