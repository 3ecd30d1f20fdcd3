# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of the lines that match beyond their number: their messages, or the values of a capture group."""

from __future__ import annotations

import contextlib
import re
from typing import Callable

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import MAX_BYTES, MAX_LINES, mask
from ansible_collections.day2.ops.plugins.module_utils.checks.secret_shapes import MASK
from ansible_collections.day2.ops.plugins.module_utils.logs.frequent import Entry, Frequent
from ansible_collections.day2.ops.plugins.module_utils.logs.messages import LENGTH, message_of

TOP = 10
# Of a message in evidence; twenty of them fit then.
_SHOWN = 180
# What stands before a value may make a secret of it.
_CONTEXT = 64


class Messages:
    """Lines by message, the most frequent first."""

    def __init__(self) -> None:
        self.found = Frequent()

    def add(self, line: bytes) -> None:
        self.found.add(message_of(line), line[:LENGTH])

    def evidence(self) -> list[str]:
        entries = self.found.top(MAX_LINES)
        if self.found.distinct > len(entries):
            entries = entries[:-1]
        lines, room, shown = [], MAX_BYTES - 40, 0
        width = len(str(entries[0].count)) if entries else 0
        for entry in entries:
            line = _times(entry, width) + _clipped(_masked_message(entry))
            room -= len(line.encode("utf-8", "replace"))
            if room < 0:
                break
            lines.append(line)
            shown += entry.count
        if self.found.total > shown:
            lines.append(f"{self.found.total - shown:>{width}} × other messages")
        return lines


class Values:
    """The values that a pattern's capture group took (the first group that took part in the match)."""

    def __init__(self, pattern: str) -> None:
        self.found = Frequent()
        self._only_group = re.compile(pattern).groups == 1
        self._search: Callable[[bytes], re.Match[bytes] | None] | None = None
        self._search_text = re.compile(pattern).search
        if pattern.isascii():
            with contextlib.suppress(re.error):
                self._search = re.compile(pattern.encode("utf-8")).search

    def add(self, line: bytes) -> None:
        """A line that matches."""
        if self._search is not None:
            match = self._search(line)
            if match is not None:
                self.take(match)
            return
        text = line.decode("utf-8", "surrogateescape")
        found = self._search_text(text)
        if found is None:
            return
        begin, end = found.span(_group(found))
        if begin >= 0:
            before, value = (part.encode("utf-8", "surrogateescape") for part in (text[:begin], text[begin:end]))
            self.found.add(value[:LENGTH], before[-_CONTEXT:])

    def take(self, match: re.Match[bytes]) -> None:
        """The match in a line, or in a block of them. It may have no value: then only the line counts."""
        number = 1 if self._only_group else _group(match)
        value: bytes | None = match.group(number)
        if value is None:
            return
        value = value[:LENGTH]
        if not self.found.again(value):
            begin = match.start(number)
            context = bytes(match.string[max(0, begin - _CONTEXT) : begin])
            self.found.add(value, context.rpartition(b"\n")[2])

    def evidence(self) -> list[str]:
        entries = self.found.top(TOP)
        width = len(str(entries[0].count)) if entries else 0
        return [_times(entry, width) + _clipped(_masked_value(entry)) for entry in entries]

    def name(self, entry: Entry) -> str:
        """How a value is shown."""
        return _clipped(_masked_value(entry)) or "nothing"


def _group(match: re.Match[bytes] | re.Match[str]) -> int:
    groups = match.groups()
    return next((number for number, value in enumerate(groups, start=1) if value is not None), 1)


def _times(entry: Entry, width: int) -> str:
    return f"{entry.count:>{width}}{' or more' if entry.missed else ''} × "


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")


def _masked_message(entry: Entry) -> str:
    """Masked before it is folded: without its digits a secret could not be recognised."""
    line = _decoded(entry.sample)
    masked = mask(line)
    return _decoded(entry.value if masked == line else message_of(masked.encode()))


def _masked_value(entry: Entry) -> str:
    value = _decoded(entry.value)
    shown = mask(_decoded(entry.sample) + value)
    return mask(value) if shown.endswith(value) else MASK
