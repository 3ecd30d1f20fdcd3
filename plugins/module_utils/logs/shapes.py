# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The shapes of the times that programs write, and how each is read."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Callable, NamedTuple

from ansible_collections.day2.ops.plugins.module_utils.logs.zones import posix

# How long ago a number may lie that nothing but its size marks as a time.
_RECENT = 400 * 86400.0
# A clock may be ahead of ours; a number that would be later than this is no time.
_GRACE = 2 * 86400.0
_MONTHS = {
    name: number for number, name in enumerate(b"jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)
}
_NAME = (
    rb"(?P<month>Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sep(?:t(?:ember)?)?"
    rb"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_WEEKDAY = rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? +)?"
_DAY = rb"(?P<day>\d{1,2})"
_YEAR = rb"(?P<year>\d{4})"
# The hour may be padded with a blank (MySQL 5.5, MariaDB), and the seconds may be missing.
_CLOCK = rb"(?P<hour>\d?\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,:](?P<fraction>\d{1,9})\d*)?(?!\d)|(?![:\d]))"
_HALF = rb"(?: ?(?P<half>[AP])\.?M\.?(?=Z?(?![A-Za-z])))?"
_BEFORE_OR_AFTER_NOON = re.compile(rb"\d* ?([AP])\.?M\.?(?=Z?(?![A-Za-z]))", re.IGNORECASE)
_ZONE = (
    rb"(?: ?(?P<zone>Z\b|(?:UTC|GMT)[+-]\d{1,2}(?::?\d\d)?\b|[+-]\d\d:?\d\d\b|[+-]\d\d(?= ?[\[\]>])|(?<=\d)[+-]\d\d\b"
    rb"|[A-Z][A-Za-z]+(?:/[A-Z][A-Za-z_+-]+)+|(?-i:[A-Z]{2,5})\b))?"
)
_ALL = _CLOCK + _HALF + _ZONE
# Where only a zone can stand: at the end of brackets, before a process id.
_CLOSED = re.compile(rb"[\]>]| \[\d|:? ?$")


class Reference(NamedTuple):
    """What settles a time that leaves something open: the year, or which of two equal hours on a DST night."""

    now: float
    fold: int


Read = Callable[["re.Match[bytes]", Reference], "float | None"]


def _shape(pattern: bytes, read: Read) -> tuple[re.Pattern[bytes], Read]:
    return re.compile(pattern, re.IGNORECASE), read


def _dated(match: re.Match[bytes], reference: Reference) -> float:
    """A day and a time of day; where the year is missing, the latest that is not in the future."""
    parts = match.groupdict()
    name = parts["month"].strip()
    month = _MONTHS[name[:3].lower()] if name.isalpha() else int(name)
    year = parts.get("year")
    if year is not None:
        return _posix(match, 2000 + int(year) if len(year) == 2 else int(year), month, reference)
    this = datetime.fromtimestamp(reference.now).year
    # A line is not from the future; a day's grace is for clocks that differ. 29 February has its own years.
    for candidate in range(this + 1, this - 8, -1):
        try:
            moment = _posix(match, candidate, month, reference)
        except ValueError:
            continue
        if moment <= reference.now + 86400:
            return moment
    raise ValueError("no such day")


def _posix(match: re.Match[bytes], year: int, month: int, reference: Reference) -> float:
    parts = match.groupdict()
    hour, zone = int(parts["hour"]), parts.get("zone")
    half = _BEFORE_OR_AFTER_NOON.match(match.string, max(map(match.end, ("minute", "second", *_of(match, "fraction")))))
    if half is not None and hour <= 12:
        hour = hour % 12 + (12 if half[1].upper() == b"P" else 0)
    # A leap second is the last second of its minute.
    second = min(int(parts["second"] or 0), 59)
    moment = datetime(year, month, int(parts["day"]), hour, int(parts["minute"]), second, fold=reference.fold)
    closed = _CLOSED.match(match.string, match.end()) is not None
    fraction = parts.get("fraction")
    whole = posix(moment, zone.strip().decode("ascii") if zone is not None else None, closed)
    return whole + (float(b"0." + fraction) if fraction else 0.0)


def _of(match: re.Match[bytes], name: str) -> list[str]:
    return [name] if name in match.re.groupindex else []


def epoch_number(number: float, reference: Reference) -> float | None:
    """Seconds since 1970 from them, or from their thousandths, millionths or less; None for another number."""
    for unit in (1.0, 1e3, 1e6, 1e9):
        if 5e8 <= number / unit <= reference.now + _GRACE:
            return number / unit
    return None


def is_recent(moment: float, reference: Reference) -> bool:
    """Whether a number that nothing else marks as a time is likely one; of identifiers, few are in this range."""
    return reference.now - _RECENT <= moment <= reference.now + _GRACE


def _epoch(match: re.Match[bytes], reference: Reference) -> float | None:
    seconds, fraction, smaller = match.group("seconds", "fraction", "smaller")
    moment = float(seconds) + float(b"0." + (fraction or smaller or b"0"))
    return moment if moment <= reference.now + _GRACE else None


def _exponent(match: re.Match[bytes], reference: Reference) -> float | None:
    return epoch_number(float(match.group("number")), reference)


def _tai64(match: re.Match[bytes], _reference: Reference) -> float:
    # TAI was 10 s ahead when the label was defined; daemontools adds no leap second since.
    return int(match.group("label"), 16) - 10 + int(match.group("nano") or b"0", 16) / 1e9


_EPOCH = rb"(?P<seconds>[12]\d{9})(?:[.,](?P<fraction>\d{1,9})|(?P<smaller>\d{9}|\d{6}|\d{3}))?\b"
# Anywhere in a line, where nothing marks it as a time.
NUMBER = re.compile(rb"(?<![^\s\[(|<>])" + _EPOCH + rb"(?![./:-]?\w)")
_NO_YEAR = rb"(?![.,:\d]* (?:[A-Z]{3,4} |[+-]\d{4} )?\d{4}\b)"
_SHORT_ZONE = rb"(?P<zone>Z\b| ?[+-]\d\d:?\d\d\b| (?-i:[A-Z]{2,5})(?=:))?"
_SHORT = rb"(?P<year>\d\d)(?P<month>\d\d)(?P<day>\d\d)"
_PACKED = rb"(?P<year>(?:19|20)\d\d)(?P<month>\d\d)(?P<day>\d\d)"
_PACKED_CLOCK = rb"(?P<hour>\d\d):?(?P<minute>\d\d):?(?P<second>\d\d)(?:[.,:](?P<fraction>\d{1,9})\d*)?"

# Syslog, Cisco and Asterisk; Redis before 5; klog and CockroachDB; MySQL before 5.6; daemontools; Nagios and Squid.
AT_START = (
    _shape(
        rb"(?:<\d+>)?[\[*.%]?" + _WEEKDAY + _NAME + rb" +" + _DAY + rb" +" + _CLOCK + _HALF + _NO_YEAR
        + _SHORT_ZONE,
        _dated,
    ),
    _shape(rb"(?:\[?\d+(?::[A-Z])?\]? )?" + _DAY + rb" " + _NAME + rb" " + _CLOCK + _HALF + _SHORT_ZONE, _dated),
    _shape(rb"(?-i:[IWEFD])(?P<month>\d\d)(?P<day>\d\d) " + _CLOCK, _dated),
    _shape(rb"(?-i:[IWEFD])" + _SHORT + rb" " + _CLOCK, _dated),
    _shape(rb"(?:# Time: )?" + _SHORT + rb" {1,2}" + _ALL + rb"(?!\w)", _dated),
    _shape(rb"\[?" + _PACKED + _PACKED_CLOCK + rb"(?!\d)" + _HALF + _ZONE, _dated),
    _shape(rb"@4(?P<label>[0-9a-f]{15})(?P<nano>[0-9a-f]{8})?\b", _tai64),
    _shape(rb"__REALTIME_TIMESTAMP=" + _EPOCH, _epoch),
    _shape(rb"(?P<number>\d\.\d+e\+?\d\d)\b", _exponent),
    _shape(rb"\[?" + _EPOCH, _epoch),
)  # fmt: skip
# Zabbix pads its process id.
INDENTED = (_shape(rb" *\d+:" + _PACKED + rb":" + _PACKED_CLOCK, _dated),)
_TO_CLOCK = rb"(?:[T_:-]| {1,3}|, ?|\t| - )"
WITHIN = (
    _shape(rb"(?<!\d)" + _YEAR + rb"([-/.])(?P<month>\d{1,2})\2(?P<day>\d{1,2})" + _TO_CLOCK + _ALL, _dated),
    _shape(
        rb"(?<!\d)" + _DAY + rb"(?:[ /-]|\. ?)" + _NAME + rb"\.?[ /,-] ?" + _YEAR + rb"(?:::?|[T-]|,? {1,2})" + _ALL,
        _dated,
    ),
    _shape(
        rb"\b" + _NAME + rb" +" + _DAY + rb" " + _CLOCK + _HALF + rb"(?: (?P<zone>[A-Z]{2,5}|[+-]\d{4}))? " + _YEAR
        + rb"\b",
        _dated,
    ),
    _shape(rb"(?<!\d)" + _PACKED + rb"[T :_-]" + _PACKED_CLOCK + _HALF + _ZONE, _dated),
    _shape(rb"(?<!\d)" + _YEAR + rb"[ /-]" + _NAME + rb"[ /-]" + _DAY + rb"[T ]" + _ALL, _dated),
    _shape(rb"\b" + _NAME + rb"\.? +" + _DAY + rb",? " + _YEAR + rb",?(?: at)? {1,2}" + _ALL, _dated),
    _shape(rb"(?<![\d.])" + _DAY + rb"\.(?P<month>\d{1,2})\.(?P<year>\d{4}|\d\d)(?:[ ,T]+|, ?um )" + _ALL, _dated),
    _shape(rb"(?:\baudit\(|(?:^|\s)(?:ts|time|timestamp)=\"?)" + _EPOCH, _epoch),
)  # fmt: skip

AMBIGUOUS = re.compile(rb"(?<![\d./-])\d{1,2}([/-])\d{1,2}\1(?:\d{4}|\d\d)\b")
# What a person takes for the time of a line: a date and a time of day beside it.
_WORD = rb"[a-z\x80-\xff]{2,12}"
_LIKE_DATE = (
    rb"(?:(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]* {1,2}\d{1,2}(?=:\d{1,2}[:.h-]?\d\d)"
    rb"|\d{4}[-/._ ]\d{1,2}[-/._ ]{1,2}\d{1,2}|\d{1,2}[-/._]\d{1,2}[-/._](?:\d{2,4})?|\d{4}-(?:W\d\d|\d)-?\d{1,2}"
    rb"|\d{1,2}[-/]\d{1,2}|\d{6}|\d{8}|\d{1,2}[. /-]{0,2}" + _WORD + rb"\.?(?:[ /.-]{0,2}\d{2,4})?"
    rb"|\d{1,2}(?:st|nd|rd|th)(?: of)? " + _WORD + rb"\.?(?:,? \d{4})?"
    rb"|\d{4}[ /.-]" + _WORD + rb"[ /.-]\d{1,2}"
    rb"|" + _WORD + rb"\.?[ -]{1,2}\d{1,2}(?![\d:])(?:st|nd|rd|th)?(?:[, -]{1,2}\d{4})?)"
)  # fmt: skip
_LIKE_CJK = rb"\d{4}\xe5\xb9\xb4\d{1,2}\xe6\x9c\x88\d{1,2}\xe6\x97\xa5"
_LIKE_CLOCK = (
    rb"(?:\d{1,2}:\d{1,2}:\d{1,2}(?!\d)|\d{1,2} ?[ap]\.?m\b"
    rb"|\d{1,2}(?:[:.h-]|\xe6\x99\x82|\xe6\x97\xb6)\d\d|\d{6}(?!\d))"
)
# ISO 8601 without minutes, or without colons.
_LIKE_ISO = (
    rb"\d{4}-\d\d-\d\dT\d\d(?:Z|[+-]\d\d(?::?\d\d)?)?(?![\w:.])"
    rb"|(?:19|20)\d\d[01]\d[0-3]\d(?:T\d\d(?:\d\d)?(?:Z|[+-]\d\d(?::?\d\d)?)?|[ _-][0-2]\d[0-5]\d)(?![\w:.])"
)
_LIKE_BOTH = (
    rb"(?:"
    + _LIKE_ISO
    + rb"|"
    + _LIKE_DATE
    + rb"(?:[^A-Za-z0-9\r\n]{1,3}|T| at )"
    + _LIKE_CLOCK
    + rb"(?![\w.]*/)|"
    + _LIKE_CJK
    + rb")"
)
LIKE_TIME = re.compile(
    rb"(?<![\w./:-])(?:" + _LIKE_BOTH + rb"|[\[(]\d{1,2}:\d\d:\d\d(?:[.,]\d+)?[\])]|"
    + AMBIGUOUS.pattern.replace(rb"\1", rb"[/-]") + rb")",
    re.IGNORECASE,
)  # fmt: skip
# At the start a date alone is one, and so is a time of day alone, or the seconds since a host was started.
LIKE_TIME_AT_START = re.compile(
    rb"[\[(<\"'*#]{0,2}(?:(?-i:[A-Z]{3,5})[ :\[]+|\d{2,7} +)?(?:(?:[a-z\x80-\xff]{2,10}\.?,? +)?" + _LIKE_BOTH
    + rb"|\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?[ap]m)?(?![\w:])"
    + rb"|(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{4})(?![\w./-])"
    + rb"| *\d+\.\d{3,9}\])",
    re.IGNORECASE,
)  # fmt: skip
