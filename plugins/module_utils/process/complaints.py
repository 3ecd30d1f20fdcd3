# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to quote of a program's standard error: the first error, and the end. Pure.

PostgreSQL's programs say what failed first and then where (`CONTEXT`), what was asked (`detail: Query was`) and what
else failed for it: neither the first nor the last lines alone are enough.
"""

from __future__ import annotations

import re

# `pg_dump: error:`, `ERROR:  `, `FATAL:  `, `zstd: error 70 :`, `tar: Error is`; not `errors ignored: 3`.
_ERROR = re.compile(r"\b(error|fatal|panic)\b(?=[^\w]{0,3}\d{0,4}[^\w]{0,2}:|\s+is\b)", re.IGNORECASE)
# What the server said is sometimes a detail of what the program says.
_OF_SERVER = re.compile(r"\b(ERROR|FATAL|PANIC):  ")
# pg_restore names the object in a line of its own before the error.
_OBJECT = "from TOC entry"
_LAST_LINES = 3
_LINE_LENGTH = 400
# Bytes of the end that are kept, and of a line that has no end.
_KEPT = 8192


class Complaints:
    """Standard error as it arrives, in bounded memory."""

    def __init__(self) -> None:
        self._end = bytearray()
        self._line = bytearray()
        self._before = ""
        self._first: list[str] = []
        # Whether the server's own words are among them.
        self._reason = False

    def add(self, piece: bytes) -> None:
        self._end += piece
        del self._end[:-_KEPT]
        *lines, rest = piece.split(b"\n")
        for line in lines:
            self._line += line[:_KEPT]
            self._see(_text(self._line))
            self._line.clear()
        self._line += rest[: max(0, _KEPT - len(self._line))]

    def _see(self, line: str) -> None:
        if not self._first and _ERROR.search(line):
            self._first = [self._before, line] if _OBJECT in self._before else [line]
            self._reason = _OF_SERVER.search(line) is not None
        elif self._first and not self._reason and _OF_SERVER.search(line):
            self._first.append(line)
            self._reason = True
        self._before = line

    def text(self) -> str:
        """One line, empty when the program said nothing."""
        if self._line:
            self._see(_text(self._line))
            self._line.clear()
        last = [line for line in map(_text, bytes(self._end).split(b"\n")) if line][-_LAST_LINES:]
        first = [line for line in self._first if line not in last]
        return " / ".join([*first, *last])

    def kept(self) -> str:
        """Lines as they were written: the first error, where it is no longer in the end, and the end."""
        end = bytes(self._end).decode("utf-8", "replace")
        return "\n".join([*(line for line in self._first if line not in end), end])


def _text(line: bytes | bytearray) -> str:
    text = bytes(line).decode("utf-8", "replace").strip()
    return text if len(text) <= _LINE_LENGTH else text[:_LINE_LENGTH] + "…"
