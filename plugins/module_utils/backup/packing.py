# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows of an archive of pg_dump's custom format packed into blocks: stdin to stdout.

pg_dump up to 18 puts five bytes before every row of an archive that it does not compress itself; blocks of many rows
are the same archive to pg_restore, smaller when it is compressed and quicker to read. An archive that is not known to
be of that form passes unchanged.

It runs as a program of a pipeline, from its source: nothing but the standard library may be imported.
"""

from __future__ import annotations

import os
import re
import signal
from typing import Callable

# Larger ones are mapped and given back by the allocator each time.
CHUNK = 1 << 16
# An archive of one table has some hundred bytes before its rows, more only where a column list is long.
_MOST_BEFORE = 16 << 20
# So many bytes of rows are walked row by row before the rest is believed to be alike.
_PROBED = 1 << 15
_AS_IT_IS = -1
_MAGIC = b"PGDMP"
# Of archives: 1.14 since PostgreSQL 12, 1.15 since 16, 1.16 since 17. Integers of 4 bytes, offsets of 8, custom format.
_VERSIONS = (14, 15, 16)
_SIZES = b"\x04\x08\x01"
_INTEGER = 5
_DATA = 1
# Text of a dump has no zero byte, so after the end of a row it begins the next one's length, a sign and four bytes;
# a length of zero ends the table.
_LENGTH = re.compile(rb"\n\x00(?!\x00{4})....", re.DOTALL)
_END = b"\n" + bytes(_INTEGER)


class Unpackable(ValueError):
    """Bytes that no archive of rows has."""


class _Contents:
    """The table of contents, read from its beginning. IndexError: there is more of it to come."""

    def __init__(self, head: bytes) -> None:
        self._head, self.at = head, 0

    def take(self, number: int) -> bytes:
        taken = self._head[self.at : self.at + number]
        if len(taken) < number:
            raise IndexError
        self.at += number
        return taken

    def integer(self) -> int:
        sign, *digits = self.take(_INTEGER)
        number = int.from_bytes(bytes(digits), "little")
        return -number if sign else number

    def skip_texts(self, count: int) -> None:
        for _each in range(count):
            self.skip_text()

    def skip_text(self) -> bool:
        """False where there is none (NULL)."""
        length = self.integer()
        if length > 0:
            self.take(length)
        return length >= 0


def _rows_begin(head: bytes) -> int:
    """Where the first row's length stands; IndexError: further on. Unpackable: this is no archive of one table."""
    contents = _Contents(head)
    if contents.take(len(_MAGIC)) != _MAGIC:
        raise Unpackable
    major, minor, _revision = contents.take(3)
    if major != 1 or minor not in _VERSIONS or contents.take(len(_SIZES)) != _SIZES:
        raise Unpackable
    if contents.take(1 if minor >= 15 else _INTEGER).strip(b"\x00"):
        # It is compressed by pg_dump.
        raise Unpackable
    contents.take(7 * _INTEGER)
    contents.skip_texts(3)
    tables = sum(_skip_entry(contents, minor) for _entry in range(contents.integer()))
    if tables != 1 or contents.take(1) != bytes([_DATA]):
        raise Unpackable
    contents.integer()
    return contents.at


def _skip_entry(contents: _Contents, minor: int) -> bool:
    """Whether the entry has data in the archive."""
    contents.integer()
    has_data = contents.integer() != 0
    # The catalogue's two OIDs, name and kind; its section; three statements, schema, tablespace and access method.
    contents.skip_texts(4)
    contents.integer()
    contents.skip_texts(6)
    if minor >= 16:
        contents.integer()
    # Owner, and whether it has OIDs.
    contents.skip_texts(2)
    while contents.skip_text():
        # What it depends on, up to a NULL.
        continue
    contents.take(9)
    return has_data


def _one_row_a_length(rows: bytes) -> bool:
    """Whether every length that can be seen is that of one row."""
    contents = _Contents(rows[:_PROBED])
    try:
        while True:
            length = contents.integer()
            if length == 0:
                return contents.at > _INTEGER
            row = contents.take(length)
            if length < 0 or not row.endswith(b"\n") or b"\x00" in row:
                return False
    except IndexError:
        return contents.at > _INTEGER


def rows_begin(head: bytes, ended: bool) -> int | None:
    """Where rows begin that can be packed; -1: there are none; None: that cannot be said of so few bytes. Pure."""
    try:
        begin = _rows_begin(head)
    except Unpackable:
        return _AS_IT_IS
    except IndexError:
        return _AS_IT_IS if ended or len(head) > _MOST_BEFORE else None
    if len(head) - begin < _PROBED and not ended:
        return None
    return begin if _one_row_a_length(head[begin:]) else _AS_IT_IS


class Packer:
    """Rows in, blocks out. Pure; what cannot be rows is Unpackable."""

    def __init__(self) -> None:
        # As if a row had ended before the first length.
        self._left, self._first = b"\n", True

    def feed(self, piece: bytes) -> bytes:
        text = _LENGTH.sub(b"\n", self._left + piece)
        # What is left of zero bytes belongs to a length that is not whole yet, or to the end.
        cut = text.find(b"\x00")
        if cut < 0:
            cut = len(text) - text.endswith(b"\n")
        elif not _END.startswith(text[cut - 1 : cut + 1]) or len(text) - cut > _INTEGER:
            raise Unpackable("the archive of pg_dump has bytes between its rows that are no length")
        else:
            cut -= 1
        self._left = text[cut:]
        rows = text[1:cut] if self._first else text[:cut]
        self._first = self._first and cut == 0
        return _block(rows)

    def finish(self) -> bytes:
        if self._left != _END or self._first:
            raise Unpackable("the archive of pg_dump ends within its rows")
        return _block(b"\n") + bytes(_INTEGER)


def _block(rows: bytes) -> bytes:
    return b"\x00" + len(rows).to_bytes(4, "little") + rows if rows else b""


def pack(read: Callable[[], bytes], write: Callable[[bytes], None]) -> None:
    """The whole archive: `read` gives a piece, and nothing at its end."""
    head, begin = b"", None
    while begin is None:
        piece = read()
        head += piece
        begin = rows_begin(head, not piece)
    if begin == _AS_IT_IS:
        write(head)
        for piece in iter(read, b""):
            write(piece)
        return
    packer = Packer()
    write(head[:begin] + packer.feed(head[begin:]))
    for piece in iter(read, b""):
        write(packer.feed(piece))
    write(packer.finish())


def _read() -> bytes:
    """A whole piece, but the last: pg_dump writes small ones, and blocks would be as small."""
    pieces, left = [], CHUNK
    while left:
        piece = os.read(0, left)
        if not piece:
            break
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _write(piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(1, left) :]


def main() -> None:
    # When its reader is gone it dies as other programs of a pipeline do: the reader is to blame.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        pack(_read, _write)
    except Unpackable as exc:
        raise SystemExit(str(exc)) from exc


if __name__ == "__main__":
    main()
