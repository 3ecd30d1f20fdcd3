# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fold what differs from line to line, so that lines that say the same are the same.

2026-11-21 05:17:33 ERROR [worker-3] connection to 10.0.0.7:5432 failed after 31 ms
ERROR [worker-<n>] connection to <ip> failed after <n> ms
"""

from __future__ import annotations

import json
import re

# What is looked at of a line: beyond it nobody compares messages.
LENGTH = 600
_CLOCK = rb"\d?\d:\d\d:\d\d(?:[.,]\d{1,9})?(?: ?(?:Z|UTC|[+-]\d\d:?\d\d)\b)?"
_MONTH = rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATED = (
    rb"(?:\d{4}[-/.]\d\d[-/.]\d\d[T _] ?"
    + (_CLOCK + rb"|(?:[A-Z][a-z]{2},? )?" + _MONTH + rb" +\d{1,2} " + _CLOCK)
    + (rb"(?: \d{4}\b)?|\d{1,2}[ /-]" + _MONTH + rb"[ /-]\d{4}[ :T]" + _CLOCK + rb")")
)
# The line's own time says nothing about its message: it goes.
_OWN_TIME = re.compile(
    rb"(?:<\d+>\d? ?)?(?:\[?"
    + _DATED
    + rb"\]?|\[?1\d{9}(?:[.,]?\d+)?\]?(?=\s)|(?=[IWEF]\d{4} )\w\d{4} "
    + _CLOCK
    + rb")"
)
_TIME = re.compile(_DATED + rb"|\b" + _CLOCK)
_UUID = re.compile(rb"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_IPV4 = re.compile(rb"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5}|/\d{1,2})?(?![\d.]*\d)")
_IPV6 = re.compile(
    rb"(?<![\w:.])(?:\[(?=[0-9a-fA-F:]*::?[0-9a-fA-F:]*\])[0-9a-fA-F:.]{2,45}\](?::\d{1,5})?"
    rb"|(?=[0-9a-fA-F:]*\d)(?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}"
    rb"|(?=[0-9a-fA-F:]*\d)(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6})?::"
    rb"(?:[0-9a-fA-F]{1,4}(?::[0-9a-fA-F]{1,4}){0,6})?)(?![\w:])"
)
# Hexadecimal ids, and letters and digits that take turns as in no word (x7Kp2Qz9).
_ID = re.compile(
    rb"\b(?:0[xX][0-9a-fA-F]+|(?=[0-9]*[a-fA-F])(?=[a-fA-F]*[0-9])[0-9a-fA-F]{4,}"
    rb"|(?=\w{8})(?:[A-Za-z]+\d+|\d+)[A-Za-z]+\d\w*)\b"
)
_NUMBER = re.compile(rb"\d+(?:[.,]\d+)*")
# What is quoted is a value, but for a message, and for what a client asked a web server.
_DOUBLE = re.compile(rb'(\b(?:msg|message|error|err|event)=)?"([A-Z]{3,8} /)?[^"\\]*(?:\\.[^"\\]*)*"')
_SINGLE = re.compile(rb"(?<![\w'])'[^']*'(?!\w)")
_SAYING = ("level", "severity", "logger", "msg", "message", "event", "error", "exception")


def message_of(line: bytes) -> bytes:
    """The message of a line, with times, addresses, ids, quoted values and numbers as placeholders."""
    text = line[:LENGTH]
    own = _OWN_TIME.match(text)
    if own is not None:
        text = text[own.end() :]
    if text[:1] == b"{":
        text = _of_json(line) or text
    else:
        if b'"' in text:
            text = _DOUBLE.sub(_fold_quoted, text)
        if b"'" in text:
            text = _SINGLE.sub(b"<quoted>", text)
    if b":" in text:
        text = _TIME.sub(b"<time>", text)
        if text.count(b":") > 1:
            text = _IPV6.sub(b"<ip>", text)
    if text.count(b"-") > 3:
        text = _UUID.sub(b"<uuid>", text)
    if text.count(b".") > 2:
        text = _IPV4.sub(b"<ip>", text)
    text = _NUMBER.sub(b"<n>", _ID.sub(b"<id>", text))
    return b" ".join(text.split())


def _fold_quoted(match: re.Match[bytes]) -> bytes:
    return b"<quoted>" if match.group(1) is None and match.group(2) is None else match.group()


def _of_json(line: bytes) -> bytes | None:
    """What a JSON line says; None when it is none, or says it in other words."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    said = {key: record[key] for key in _SAYING if isinstance(record.get(key), str)}
    if not said.keys() & {"msg", "message", "event", "error", "exception"}:
        return None
    return " ".join(said.values()).encode("utf-8", "surrogateescape")[:LENGTH]
