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
from typing import BinaryIO, Callable, Iterable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.logs.literals import find_needles

BLOCK = 1 << 18
OVERLAP = 1 << 16
KEEP = 20
CLIP = 600
_NEWLINE, _RETURN = b"\n\r"


# Is handed each line that matches, whole (of a line longer than a block: the piece that does), without its line break.
Collect = Callable[[bytes], None]
# Is handed the first match of each such line instead, where matching does not need the line cut out.
Take = Callable[["re.Match[bytes]"], None]


class Search:
    """One pattern, how often it matched, and the last lines that did. No pattern matches every line.

    `start` is the offset at which its part of a log begins. It lasts for one log; the figures go on over several.
    """

    def __init__(
        self, pattern: str | None, start: int = 0, collect: Collect | None = None, take: Take | None = None
    ) -> None:
        self.start = start
        self._collect = collect
        self._take = take
        self.count = 0
        self.last: deque[bytes] = deque(maxlen=KEEP)
        self.hit_in_long_line = False
        self._matches_line: Callable[[bytes], object] = bool
        self.scan: Callable[[bytearray, int, int], None] = self._scan_all
        self._everything = pattern is None
        if pattern is not None:
            self._prepare(pattern)
        elif collect is not None:
            self.scan = self._scan_lines

    @property
    def counts_all(self) -> bool:
        """Whether the number of line breaks is all there is to know."""
        return self._everything and self._collect is None

    def _prepare(self, pattern: str) -> None:
        """Choose the quickest way that counts the same lines as matching each of them by itself."""
        raw = pattern.encode("utf-8")
        try:
            self._matches_line = re.compile(raw).search
        except re.error:
            pattern_is_text = True
        else:
            pattern_is_text = not pattern.isascii()
        self.scan = self._scan_lines
        if pattern_is_text:
            # Only as text does é count as one character; bytes that are no text stay distinguishable.
            as_text = re.compile(pattern)
            self._matches_line = lambda line: as_text.search(line.decode("utf-8", "surrogateescape"))
            return
        # Lines are not cut out: ^ and $ have to know them in the middle of a block.
        self._expression = re.compile(raw, re.MULTILINE)
        self._needles = needles = find_needles(raw)
        if needles.texts and (needles.exact or not needles.line_bound):
            self.scan = self._scan_texts
        elif needles.within_line and not needles.line_bound and (self._collect is None or self._take):
            self.scan = self._scan_block

    def _scan_all(self, block: bytearray, begin: int, end: int) -> None:
        self.count += block.count(b"\n", begin, end) + (block[end - 1] != _NEWLINE)
        # The last lines are looked for in the last part only.
        tail = bytes(block[max(begin, end - KEEP * CLIP) : end]).rstrip(b"\n").rsplit(b"\n", KEEP)
        self.last.extend(line[:CLIP] for line in tail[-KEEP:])

    def _scan_lines(self, block: bytearray, begin: int, end: int) -> None:
        lines = bytes(block[begin:end]).split(b"\n")
        collect = self._collect
        for line in lines if lines[-1] else lines[:-1]:
            shown = line[:-1] if line.endswith(b"\r") else line
            if self._everything or self._matches_line(shown):
                self.count += 1
                self.last.append(line[:CLIP])
                if collect is not None:
                    collect(shown)

    def _scan_block(self, block: bytearray, begin: int, end: int) -> None:
        """Let the expression itself run over many lines: it cannot match over their ends."""
        if block.find(b"\r", begin, end) >= 0:
            # The return before a line's end is not part of the line, which the expression cannot know.
            self._scan_lines(block, begin, end)
            return
        search, take = self._expression.search, self._take
        hits: deque[int] = deque(maxlen=KEEP)
        match = search(block, begin, end)
        while match is not None:
            at = match.start()
            self.count += 1
            if take is not None:
                take(match)
            hits.append(at)
            begin = block.find(b"\n", match.end(), end) + 1
            if not begin:
                break
            match = search(block, begin, end)
        self._keep(block, hits, end)

    def _scan_texts(self, block: bytearray, begin: int, end: int) -> None:
        """Search for the texts, and match only the lines that have one."""
        needles = self._needles
        haystack = block[:end].lower() if needles.ignore_case else block
        find, texts = haystack.find, needles.texts
        matches, take = self._expression.search, self._take
        exact = needles.exact and take is None
        hits: deque[int] = deque(maxlen=KEEP if self._collect is None or take else None)
        count = 0
        upcoming = [find(text, begin, end) for text in texts]
        at = _first(upcoming)
        while at >= 0:
            stop = find(b"\n", at, end)
            if stop < 0:
                stop = end
            match = None
            if not exact:
                match = matches(block, block.rfind(b"\n", 0, at) + 1, stop - (block[stop - 1] == _RETURN))
            if exact or match is not None:
                count += 1
                hits.append(at)
            if take is not None and match is not None:
                take(match)
            if len(texts) == 1:
                at = find(texts[0], stop, end)
                continue
            for number, text in enumerate(texts):
                if 0 <= upcoming[number] < stop:
                    upcoming[number] = find(text, stop, end)
            at = _first(upcoming)
        self.count += count
        self._keep(block, hits, end)

    def _keep(self, block: bytearray, hits: Iterable[int], end: int) -> None:
        """Remember the lines that hold these places."""
        for at in hits:
            begin = block.rfind(b"\n", 0, at) + 1
            if self._collect is not None and self._take is None:
                stop = block.find(b"\n", at, end)
                stop = end if stop < 0 else stop
                self._collect(bytes(block[begin : stop - (block[stop - 1] == _RETURN)]))
                continue
            stop = block.find(b"\n", at, min(end, begin + CLIP))
            line = bytes(block[begin : stop if stop >= 0 else min(end, begin + CLIP)])
            self.last.append(line[:-1] if line.endswith(b"\r") else line)

    def look_at_piece(self, piece: bytes) -> None:
        """Search a piece of a line that is longer than a block."""
        if not self.hit_in_long_line and (self._everything or self._matches_line(piece)):
            self.hit_in_long_line = True
            if self._collect is not None:
                self._collect(piece)

    def end_long_line(self, head: bytes) -> None:
        if self.hit_in_long_line:
            self.count += 1
            self.last.append(head[:CLIP])
        self.hit_in_long_line = False


def _first(places: list[int]) -> int:
    return min((place for place in places if place >= 0), default=-1)


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

    def lines(self, block: bytearray, end: int, offset: int) -> None:
        """Whole lines: the first 'end' bytes of the block, which lie at 'offset' in the log."""
        for search, begin in self._due(offset, end):
            search.scan(block, begin, end)

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

    `on_search` is handed the number of the search that begins, before each block. Returns the offset at which the
    reading ended: less than `size` when the file was cut meanwhile.
    """
    reader = _Reader(searches, on_search)
    # One buffer for all: what is left of the last block moves to its front. Fresh memory for each block would cost
    # more than searching it.
    buffer = bytearray(BLOCK)
    window = memoryview(buffer)
    kept, place = 0, base
    while size is None or place < size:
        room = BLOCK - kept if size is None else min(BLOCK - kept, size - place)
        got = stream.readinto(window[kept : kept + room])  # type: ignore[attr-defined]
        if not got:
            break
        place += got
        filled = kept + got
        if reader.in_long_line:
            end = buffer.find(b"\n", 0, filled)
            reader.piece(bytes(buffer[: end if end >= 0 else filled]), place - filled)
            if end < 0:
                kept = _move(buffer, max(0, filled - OVERLAP), filled)
                continue
            reader.end_long_line()
            filled = _move(buffer, end + 1, filled)
        end = buffer.rfind(b"\n", 0, filled) + 1
        if end:
            reader.lines(buffer, end, place - filled)
        elif filled == BLOCK:
            reader.piece(bytes(buffer), place - filled)
            end = filled - OVERLAP
        kept = _move(buffer, end, filled)
    if reader.in_long_line:
        reader.end_long_line()
    elif kept:
        reader.lines(buffer, kept, place - kept)
    return place


def _move(buffer: bytearray, begin: int, end: int) -> int:
    """Bring a part of the buffer to its front; its length."""
    buffer[: end - begin] = buffer[begin:end]
    return end - begin
