# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count the lines of a log that match, for several patterns in one reading, in bounded memory.

Blocks of whole lines are searched as they are: no line is cut out unless it may match. Lines longer than a block are
searched in pieces that overlap.
"""

from __future__ import annotations

import re
from collections import deque
from typing import BinaryIO, Callable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.logs.literals import find_needles

BLOCK = 1 << 20
OVERLAP = 1 << 16
KEEP = 20
CLIP = 600


class Search:
    """One pattern, how often it matched, and the last lines that did. No pattern matches every line."""

    def __init__(self, pattern: str | None, start: int = 0) -> None:
        self.start = start
        self.count = 0
        self.last: deque[bytes] = deque(maxlen=KEEP)
        self.hit_in_long_line = False
        self._texts: tuple[bytes, ...] = ()
        self._exact = self._fold = False
        self._everything = pattern is None
        self._matches: Callable[[bytes], object] = bool
        if pattern is not None:
            self._prepare(pattern)

    def _prepare(self, pattern: str) -> None:
        try:
            expression = re.compile(pattern.encode("utf-8"))
        except re.error:
            expression = None
        if expression is None or not pattern.isascii():
            # Only as text does é count as one character; bytes that are no text stay distinguishable.
            as_text = re.compile(pattern)
            self._matches = lambda line: as_text.search(line.decode("utf-8", "surrogateescape"))
            return
        self._matches = expression.search
        needles = find_needles(pattern.encode("utf-8"))
        if needles is not None:
            self._texts, self._exact, self._fold = needles.texts, needles.exact, needles.ignore_case

    def scan(self, block: bytes, place: int) -> None:
        """Search whole lines from `place` to the end of the block."""
        if self._everything:
            self._count_all(block, place)
        elif self._texts:
            self._scan_texts(block, place)
        else:
            for line in block[place:].split(b"\n")[: -1 if block.endswith(b"\n") else None]:
                if self._matches(line[:-1] if line.endswith(b"\r") else line):
                    self.count += 1
                    self.last.append(line[:CLIP])

    def _count_all(self, block: bytes, place: int) -> None:
        self.count += block.count(b"\n", place) + (not block.endswith(b"\n"))
        lines = block[place:].rstrip(b"\n").rsplit(b"\n", KEEP)
        self.last.extend(line[:CLIP] for line in lines[-KEEP:])

    def _scan_texts(self, block: bytes, place: int) -> None:
        haystack = block.lower() if self._fold else block
        hits: deque[tuple[int, int]] = deque(maxlen=KEEP)
        count = 0
        find, size = haystack.find, len(block)
        upcoming = {text: find(text, place) for text in self._texts}
        matches = self._matches
        while True:
            for text, found in upcoming.items():
                if 0 <= found < place:
                    upcoming[text] = find(text, place)
            at = min((found for found in upcoming.values() if found >= 0), default=-1)
            if at < 0:
                break
            end = find(b"\n", at)
            if end < 0:
                end = size
            if self._exact or matches(self._line(block, place, at, end)):
                count += 1
                hits.append((at, end))
            place = end + 1
        self.count += count
        self.last.extend(self._line(block, 0, at, end)[:CLIP] for at, end in hits)

    @staticmethod
    def _line(block: bytes, floor: int, at: int, end: int) -> bytes:
        line = block[block.rfind(b"\n", floor, at) + 1 or floor : end]
        return line[:-1] if line.endswith(b"\r") else line

    def look_at_piece(self, piece: bytes) -> None:
        """Search a piece of a line that is longer than a block."""
        if not self.hit_in_long_line and (self._everything or self._matches(piece)):
            self.hit_in_long_line = True

    def end_long_line(self, head: bytes) -> None:
        if self.hit_in_long_line:
            self.count += 1
            self.last.append(head[:CLIP])
        self.hit_in_long_line = False


class _Reader:
    """Where a reading stands, and which searches have something to do there."""

    def __init__(self, searches: Sequence[Search], on_search: Callable[[int], None]) -> None:
        self._searches = searches
        self._on_search = on_search
        self._head: bytes | None = None

    @property
    def in_long_line(self) -> bool:
        return self._head is not None

    def _due(self, offset: int, length: int) -> Iterator[tuple[Search, int]]:
        """The searches whose range has begun within these bytes, and where in them it begins."""
        for number, search in enumerate(self._searches):
            begin = max(0, search.start - offset)
            if begin < length:
                self._on_search(number)
                yield search, begin

    def lines(self, block: bytes, offset: int) -> None:
        for search, begin in self._due(offset, len(block)):
            search.scan(block, begin)

    def piece(self, piece: bytes, offset: int) -> None:
        """A part of a line that is longer than a block; its first part is what people will see."""
        if self._head is None:
            self._head = piece[:CLIP]
        for search, _begin in self._due(offset, max(1, len(piece))):
            search.look_at_piece(piece)

    def end_long_line(self) -> None:
        for search in self._searches:
            search.end_long_line(self._head or b"")
        self._head = None


def scan(
    stream: BinaryIO,
    searches: Sequence[Search],
    base: int = 0,
    size: int | None = None,
    on_search: Callable[[int], None] = lambda _place: None,
) -> int:
    """Read `stream`, which stands at offset `base`, up to offset `size` (None: to its end).

    `on_search` is told which search begins, before each block. Returns the offset at which the reading ended:
    less than `size` when the file was cut meanwhile.
    """
    reader = _Reader(searches, on_search)
    carry = b""
    place = base
    while size is None or place < size:
        data = stream.read(BLOCK if size is None else min(BLOCK, size - place))
        if not data:
            break
        place += len(data)
        if carry:
            data = carry + data
        if reader.in_long_line:
            end = data.find(b"\n")
            reader.piece(data[:end] if end >= 0 else data, place - len(data))
            if end < 0:
                carry = data[-OVERLAP:]
                continue
            reader.end_long_line()
            data = data[end + 1 :]
        end = data.rfind(b"\n") + 1
        block, carry = data[:end], data[end:]
        if block:
            reader.lines(block, place - len(data))
        if len(carry) >= BLOCK:
            reader.piece(carry, place - len(carry))
            carry = carry[-OVERLAP:]
    if reader.in_long_line:
        reader.end_long_line()
    elif carry:
        reader.lines(carry, place - len(carry))
    return place
