# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs of two or four bytes a character (SQL Server's errorlog, PowerShell's): read as UTF-8."""

from __future__ import annotations

import codecs
import io
from typing import BinaryIO

# How much of a file is looked at to find out.
LOOKED_AT = 512
_CHUNK = 1 << 16
# Longest mark first: that of UTF-32 begins as that of UTF-16 does.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Of text in a western language nearly every character has a zero byte; of a binary file both halves have some.
_MANY, _FEW = 0.8, 0.05


def wide_encoding(head: bytes) -> str | None:
    """The encoding of a file that begins so, by its mark or by where its zeros are; None for one byte a character."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name
    halves = head[0::2], head[1::2]
    if len(halves[1]) < 8:
        return None
    first, second = (half.count(0) / len(half) for half in halves)
    if second >= _MANY and first <= _FEW:
        return "utf-16-le"
    return "utf-16-be" if first >= _MANY and second <= _FEW else None


class _Decoded(io.RawIOBase):
    """The bytes of a stream in another encoding. What is no character becomes a question mark in a diamond."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._ready:
            data = self._stream.read(_CHUNK)
            self._ready = self._decoder.decode(data, not data).encode("utf-8")
            if not data:
                break
        part, self._ready = self._ready[: len(buffer)], self._ready[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def as_utf8(stream: BinaryIO, encoding: str) -> BinaryIO:
    """The stream's text as UTF-8, from where it stands."""
    return io.BufferedReader(_Decoded(stream, encoding), _CHUNK)
