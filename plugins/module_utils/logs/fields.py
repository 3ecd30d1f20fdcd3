# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which field of a structured line (JSON, logfmt) is its time.

A field at the top level that programs use for it comes first, in the order of `_KEYS`; then the same names within the
few objects that wrap a record. A date anywhere else (of an event, in a message) is not the line's.
"""

from __future__ import annotations

import re
from typing import Iterator, NamedTuple

# Without signs and case: `@timestamp`, `time_stamp` and `TimeStamp` are one name.
_KEYS = (
    "timestamp",
    "time",
    "ts",
    "t",
    "datetime",
    "asctime",
    "eventtime",
    "logtime",
    "realtimetimestamp",
    "timemillis",
    "instant",
    "starttime",
    "startutc",
    "timegenerated",
    "created",
    "createdat",
    "date",
    "unixtimestamp",
    "unixtime",
    "epoch",
    "epochseconds",
    "epochsecond",
    "epochmillis",
    "epochms",
    "timestampseconds",
    "timestampsec",
    "timestampms",
    "timestampmillis",
    "timestampus",
    "timestampnanos",
    "timestampns",
    "timestampunix",
    "timestampepoch",
    "tsms",
    "timems",
    "timens",
    "timeunixnano",
    "eventtimestamp",
    "logtimestamp",
)
# Objects that wrap a whole record, and what says the moment within a time (MongoDB, log4j 2, loguru).
_WRAPPERS = frozenset({"record", "log", "meta", "metadata", "header", "headers", "source", "syslog"})
_WITHIN = frozenset(
    {"date", "epochsecond", "numberlong", "timestamp", "value", "seconds", "epochseconds", "sec", "secs"}
)
# Numbers that count, name or measure something; of others one that may be a time is not passed over.
_NO_TIME = re.compile(
    r"(?:id|ids|inode|size|bytes|count|offset|position|lsn|seq|sequence|port|hash|number|num|no|nr|total|length|len|user"
    r"|order|account|customer|phone|version|build|rev|revision|nonce|crc|checksum|key|serial|duration|elapsed|memory|mem|rss"
    r"|limit|amount|price|sum|value|code|rows|hits|free|used|max|min|avg|rate|address|ip|isbn|ean|nanos?|ns|took|latency)$",
    re.IGNORECASE,
)
_DEPTH = 3
# What is looked at of a line; the time of a record is seldom behind its message, and never so far.
_LOOKED_AT = 1 << 16
_TOKEN = re.compile(rb'"([^"\\]*(?:\\.[^"\\]*)*)"|([{}\[\]:,])|([^\s{}\[\]:,"]+)', re.DOTALL)
_PAIR = re.compile(rb'(?:^|[\s,;|])([\w.@-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",;|]*))')
_IS_JSON = re.compile(rb'\{\s*["}]')
_IS_LOGFMT = re.compile(rb"[A-Za-z_@][\w.@-]*=")


class Field(NamedTuple):
    """A value, as it is written, and the names that lead to it."""

    path: tuple[str, ...]
    value: bytes
    quoted: bool


def is_json(line: bytes) -> bool:
    return _IS_JSON.match(line) is not None


def is_logfmt(line: bytes) -> bool:
    return _IS_LOGFMT.match(line) is not None


def json_fields(line: bytes) -> Iterator[Field]:
    """The single values of a JSON object; of a line that is cut, those before the cut."""
    path: list[str] = []
    lists = 0
    key: str | None = None
    expecting_key = True
    for text, sign, word in _TOKEN.findall(line[:_LOOKED_AT]):
        if sign == b"{":
            path.append(key or "")
            key, expecting_key = None, True
        elif sign == b"}":
            if path:
                path.pop()
            key = None
        elif sign in (b"[", b"]"):
            lists += 1 if sign == b"[" else -1
        elif sign == b",":
            key, expecting_key = None, True
        elif sign == b":":
            expecting_key = False
        elif expecting_key and not word and not lists:
            key = text.decode("utf-8", "replace")
        elif key is not None and not lists and 0 < len(path) <= _DEPTH:
            # PHP writes \/ for a slash.
            yield Field((*path[1:], key), (text or word).replace(b"\\/", b"/"), not word)


def logfmt_fields(line: bytes) -> Iterator[Field]:
    """The values of `key=value` pairs."""
    for key, quoted, plain in _PAIR.findall(line[:_LOOKED_AT]):
        yield Field((key.decode("utf-8", "replace"),), quoted or plain, bool(quoted))


def times(fields: list[Field]) -> list[Field]:
    """The fields that may be the line's own time, the likeliest first."""
    ranked = [(rank, number, field) for number, field in enumerate(fields) for rank in [_rank(field)] if rank]
    return [field for _rank_, _number, field in sorted(ranked)]


def _rank(field: Field) -> tuple[int, int] | None:
    names = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in field.path]
    if field.path[0] == "@timestamp" and len(names) == 1:
        return 0, 0
    if names[0] in _KEYS and (len(names) == 1 or names[-1] in _WITHIN):
        return 1, _KEYS.index(names[0])
    if len(names) > 1 and names[0] in _WRAPPERS and names[1] in _KEYS and (len(names) == 2 or names[-1] in _WITHIN):
        return 2, _KEYS.index(names[1])
    return None


def may_count_time(field: Field) -> bool:
    """Whether a number in this field may be a time by its name."""
    return _NO_TIME.search(field.path[-1]) is None


def whole_time(fields: list[Field]) -> bytes | None:
    """Where date and time of day are two fields of the top level: both in one."""
    parts = {field.path[0].lower(): field.value for field in fields if len(field.path) == 1}
    if "date" in parts and "time" in parts:
        return parts["date"] + b" " + parts["time"]
    return None
