# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the time of a log line.

A line has a time that is read, or no time (it goes on where the line before it ended), or a time that a person reads
and this module does not. The last is `Unreadable` and must be said: taken for a line without a time, it would silently
belong to an older one.

The shapes are in `shapes`, the fields of JSON lines and logfmt in `fields`, the zones in `zones`. A time without a zone
is local time. `05/11/2026` is unreadable: nobody can tell whether it is in May or in November.
"""

from __future__ import annotations

import re
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.logs.fields import (
    Field,
    is_json,
    is_logfmt,
    json_fields,
    logfmt_fields,
    may_count_time,
    times,
    whole_time,
)
from ansible_collections.day2.ops.plugins.module_utils.logs.shapes import (
    AMBIGUOUS,
    AT_START,
    INDENTED,
    LIKE_TIME,
    LIKE_TIME_AT_START,
    NUMBER,
    WITHIN,
    Read,
    Reference,
    epoch_number,
    is_recent,
)
from ansible_collections.day2.ops.plugins.module_utils.logs.zones import UnknownZone

# How much of a line may come before its time is over (an access log begins with an address and a user).
HEAD = 160
_TWO_DIGITS = re.compile(rb"\d\d")
_QUOTED_PAIR = re.compile(rb'=\s*"(?:[^"\\]|\\.)*"')
_GROUPED = re.compile(rb'"[^"]*"|\[[^\]]*\]|\([^)]*\)|\{[^}]*\}|<[^>]*>')
_WORDS = re.compile(rb"[\s,;|]+")
# What may stand before a time although it looks like a word of a message.
_LEVELS = frozenset(
    b"emerg emergency alert crit critical err error warn warning notice info information informational debug trace"
    b" fatal severe fine finer finest config verbose audit mon tue wed thu fri sat sun"
    b" monday tuesday wednesday thursday friday saturday sunday".split()
)
_INITIALS = frozenset((b"d", b"e", b"f", b"i", b"w"))
_LETTER = re.compile(rb"[^\W\d_]|[\x80-\xff]")
_RAILS = re.compile(rb'Started [A-Z]+ "[^"]*" for \S+ at ')
_ABOUT = re.compile(
    rb"(?:Error|Exception|Warning|Caused by):\s|\b(?:msg|message|error|err|query)=\S*\s"
    # Headers that were written to the log, and what certificates say of themselves.
    rb"|^(?:date|expires|last-modified|if-(?:un)?modified-since|retry-after|not ?(?:before|after) ?)[:=]",
    re.IGNORECASE,
)

_OTHER_FIELD = "no field that is known to be its time; '{}' may be another's"
_COUNTED = re.compile(rb"[12]\d{9}(?:\.\d{1,9}|\d{3}|\d{6}|\d{9})?")


class Unreadable(ValueError):
    """A line shows a time that cannot be read; the message says why, where that is known."""


def line_time(line: bytes, now: float, fold: int = 0) -> float | None:
    """POSIX time of a line, or None when it shows none that can be read.

    `now` settles the year where the line has none. `fold` (as in PEP 495) says which of the two hours is meant that
    local clocks show twice when daylight saving ends: 0 the first, 1 the second.
    """
    try:
        return _read(line, Reference(now, fold))
    except Unreadable:
        return None


def why_unreadable(line: bytes, now: float) -> str | None:
    """Why the time of a line cannot be read although it seems to show one; None where it shows none, or it can be."""
    try:
        _read(line, Reference(now, 0))
    except Unreadable as exc:
        return str(exc) or "no known form of a time"
    return None


def mentioned_time(line: bytes, now: float) -> float | None:
    """The first time in the text of a line that shows none of its own: of an event, or its own in an unusual place."""
    if line[:1] in (b" ", b"\t"):
        return None
    found = _earliest(line[:HEAD])
    try:
        return _guarded(found[1], found[0], Reference(now, 1)) if found is not None else None
    except Unreadable:
        return None


def _read(line: bytes, reference: Reference) -> float | None:
    if line[:1] in (b" ", b"\t"):
        return _of_indented(line[:HEAD], reference)
    if is_json(line):
        return _of_fields(list(json_fields(line)), reference, nested=True)
    if is_logfmt(line):
        fields = list(logfmt_fields(line))
        if times(fields):
            return _of_fields(fields, reference, nested=False)
        if len(fields) > 1:
            _refuse_numbers(fields, reference)
        # What is quoted is a message; its dates are not the line's.
        line = _QUOTED_PAIR.sub(b"=", line[: 4 * HEAD])
    return _of_text(line[:HEAD], reference)


def _of_indented(head: bytes, reference: Reference) -> float | None:
    """A line that goes on where the one before it ended, except where a program pads what it begins with."""
    for pattern, read in INDENTED:
        match = pattern.match(head)
        if match is not None:
            return _guarded(read, match, reference)
    if LIKE_TIME_AT_START.match(head.lstrip()):
        raise Unreadable("it is indented as the continuation of another line")
    return None


def _of_fields(fields: list[Field], reference: Reference, nested: bool) -> float | None:
    together = whole_time(fields)
    if together is not None:
        moment = _of_value(together, True, reference)
        if moment is not None:
            return moment
    for field in times(fields):
        moment = _of_value(field.value, field.quoted, reference)
        if moment is not None:
            return moment
    # A date in another field may be the line's time or an event's: nobody can tell.
    for field in fields if nested else ():
        if (
            field.quoted
            and len(field.value) < 48
            and field.value[:1].isdigit()
            and LIKE_TIME_AT_START.match(field.value)
        ):
            raise Unreadable(_OTHER_FIELD.format(".".join(field.path)))
    if nested:
        _refuse_numbers(fields, reference)
    return None


def _refuse_numbers(fields: list[Field], reference: Reference) -> None:
    """Say that a number may be the time: in a field that is not known for it, nor as one that counts something."""
    for field in fields:
        if not _COUNTED.fullmatch(field.value) or not may_count_time(field):
            continue
        moment = epoch_number(float(field.value), reference)
        if moment is not None and is_recent(moment, reference):
            raise Unreadable(_OTHER_FIELD.format(".".join(field.path)))


def _of_value(value: bytes, quoted: bool, reference: Reference) -> float | None:
    """The time that a field holds; None when it holds something else (a duration)."""
    try:
        return epoch_number(float(value), reference)
    except ValueError:
        return _of_text(value[:HEAD], reference) if quoted or _TWO_DIGITS.search(value) else None


def _of_text(head: bytes, reference: Reference) -> float | None:
    """The time that comes first and that nothing of a message precedes: a later one belongs to the message."""
    if _TWO_DIGITS.search(head) is None:
        return None
    for pattern, read in AT_START:
        match = pattern.match(head)
        if match is not None:
            return _guarded(read, match, reference)
    found = _earliest(head)
    like = LIKE_TIME_AT_START.match(head) or LIKE_TIME.search(head)
    counted = NUMBER.search(head)
    if counted is not None and not any(
        other.start() < counted.start() for other in (like, found and found[0]) if other
    ):
        moment = float(counted["seconds"] + b"." + (counted["fraction"] or counted["smaller"] or b"0"))
        if is_recent(moment, reference) and _may_precede_number(head[: counted.start()], bool(counted["fraction"])):
            return moment
    if like is not None and (found is None or like.end() <= found[0].start()) and _may_precede(head[: like.start()]):
        raise Unreadable(_ambiguity(head[like.start() :]))
    if found is None or not _may_precede(head[: found[0].start()]):
        return None
    return _guarded(found[1], found[0], reference)


def _earliest(head: bytes) -> tuple[re.Match[bytes], Read] | None:
    found: tuple[re.Match[bytes], Read] | None = None
    for pattern, read in WITHIN:
        match = pattern.search(head)
        if match is not None and (found is None or match.start() < found[0].start()):
            found = match, read
    return found


def _guarded(read: Read, match: re.Match[bytes], reference: Reference) -> float | None:
    try:
        return read(match, reference)
    except UnknownZone as exc:
        raise Unreadable(str(exc)) from None
    except (ValueError, OverflowError):
        raise Unreadable("there is no such day or time of day") from None


def _ambiguity(text: bytes) -> str:
    match = AMBIGUOUS.search(text)
    if match is None:
        return ""
    return f"whether {match.group().decode('ascii')} begins with the day or with the month cannot be told"


def _may_precede(prefix: bytes) -> bool:
    """Whether what stands before a time is no message: levels, addresses, numbers, names, one word at the start."""
    # A bracket or a column of its own is no part of a message.
    if not prefix or prefix.endswith((b"[", b"\t")) or _RAILS.fullmatch(prefix):
        return True
    if _ABOUT.search(prefix) or prefix.endswith((b" '", b"('", b' "', b'("')):
        return False
    return all(number == 0 or not _is_message(word) for number, word in enumerate(_words(prefix)))


def _may_precede_number(prefix: bytes, has_fraction: bool) -> bool:
    """Whether a number behind this is a time: it may also be an identifier, unless it has a fraction."""
    words = (word.strip(b":[](){}<>|-").lower() for word in _words(prefix))
    if all(word in _LEVELS or word in _INITIALS or not _LETTER.search(word) for word in words):
        return True
    return has_fraction and _may_precede(prefix)


def _words(prefix: bytes) -> Iterator[bytes]:
    return (word for word in _WORDS.split(_GROUPED.sub(b" ", prefix)) if word)


def _is_message(word: bytes) -> bool:
    return word.isalpha() and not word.isupper() and word.lower() not in _LEVELS
