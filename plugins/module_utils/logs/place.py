# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the place in a log from which on it matters, without reading what comes before."""

from __future__ import annotations

import os
from typing import BinaryIO

from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time

_WINDOW = 1 << 16
# Continuation lines (a traceback) have no time; after this much of them a stretch counts as undated.
_PATIENCE = 1 << 20


def start_of_last_lines(stream: BinaryIO, size: int, lines: int) -> int:
    """Offset of the first of the last `lines` lines."""
    place, missing = size, lines
    while place > 0:
        length = min(_WINDOW, place)
        stream.seek(place - length)
        data = stream.read(length)
        # The line break that ends the last line does not begin another.
        end = len(data) - 1 if place == size and data.endswith(b"\n") else len(data)
        while missing:
            end = data.rfind(b"\n", 0, end)
            if end < 0:
                break
            missing -= 1
        if not missing:
            return place - length + end + 1
        place -= length
    return 0


def start_of_time(stream: BinaryIO, size: int, cutoff: float, now: float) -> int | None:
    """Offset of the first line that is not older than `cutoff`; `size` if all are, None if no line shows a time.

    Bisects: the lines' times are taken to ascend.
    """
    low, high, dated = 0, size, False
    while high - low > _WINDOW:
        middle = (low + high) // 2
        moment = _first_time(stream, middle, high, now)
        if moment is not None:
            dated = True
        if moment is None or moment >= cutoff:
            high = middle
        else:
            low = middle
    stream.seek(_line_start(stream, low))
    place = stream.tell()
    while place < size:
        line = stream.readline(_WINDOW)
        if not line:
            break
        moment = line_time(line, now)
        if moment is not None:
            dated = True
            if moment >= cutoff:
                return place
        elif not dated and place - low > 2 * _PATIENCE:
            return None
        place += len(line)
        while not line.endswith(b"\n") and line:
            line = stream.readline(_WINDOW)
            place += len(line)
    return size if dated or size == 0 else None


def _line_start(stream: BinaryIO, place: int) -> int:
    """The first line that begins at `place` or after it."""
    if place == 0:
        return 0
    stream.seek(place - 1)
    while True:
        line = stream.readline(_WINDOW)
        if not line or line.endswith(b"\n"):
            return stream.tell()


def _first_time(stream: BinaryIO, place: int, limit: int, now: float) -> float | None:
    """The time of the first dated line from `place` on, before `limit`."""
    stream.seek(_line_start(stream, place))
    end = min(limit, place + _PATIENCE)
    while stream.tell() < end:
        line = stream.readline(_WINDOW)
        if not line:
            return None
        moment = line_time(line, now)
        if moment is not None:
            return moment
    return None


def size_of(stream: BinaryIO) -> int:
    return os.fstat(stream.fileno()).st_size
