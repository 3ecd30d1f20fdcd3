# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Moments in UTC, as records, interfaces and people read them. Pure.

A moment is POSIX seconds, or a datetime with its zone.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Union

Moment = Union[float, datetime]

_RFC3339 = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,6})\d*)?(?:[Zz]|([+-])(\d\d):(\d\d))"
)  # fmt: skip


def rfc3339(moment: Moment) -> str:
    """`2026-02-01T04:00:00Z`."""
    return _utc(moment).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc3339_ms(moment: Moment) -> str:
    """`2026-02-01T04:00:00.123Z`: what is recorded, so that records of one second have an order."""
    return _utc(moment).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def basic(moment: Moment) -> str:
    """`20260201T040000Z`, the basic format of ISO 8601: a part of a name."""
    return _utc(moment).strftime("%Y%m%dT%H%M%SZ")


def day(moment: Moment) -> str:
    """`2026-02-01`."""
    return _utc(moment).strftime("%Y-%m-%d")


def readable(moment: Moment) -> str:
    """`2026-02-01 04:00:00 UTC`."""
    return _utc(moment).strftime("%Y-%m-%d %H:%M:%S UTC")


def _utc(moment: Moment) -> datetime:
    if isinstance(moment, datetime):
        return moment.astimezone(timezone.utc)
    return datetime.fromtimestamp(moment, timezone.utc)


def parse_rfc3339(text: object) -> float:
    """POSIX seconds; ValueError where it is no time of RFC 3339."""
    match = _RFC3339.fullmatch(str(text))
    if match is None:
        raise ValueError(f"{text!r} is no time")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=timezone.utc)
    fraction = float(f"0.{match.group(7) or 0}") + max(0, second - 59)
    if match.group(8):
        away = timedelta(hours=int(match.group(9)), minutes=int(match.group(10)))
        moment += -away if match.group(8) == "+" else away
    return moment.timestamp() + fraction
