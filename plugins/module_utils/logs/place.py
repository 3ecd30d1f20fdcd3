# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the place in a log from which on it matters, without reading what comes before."""

from __future__ import annotations

import io
import os
import subprocess
from datetime import datetime
from typing import BinaryIO, Iterator, NamedTuple

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time, mentioned_time, why_unreadable

_WINDOW = 1 << 16
_FLOW = 1 << 18
# Continuation lines (a traceback) have no time; after this much of them a stretch counts as undated.
_PATIENCE = 1 << 20
# Threads write lines a little out of order; only a longer way back is the clock's when daylight saving ends.
_DISORDER = 60.0
# Dated lines that are looked at together.
_ASKED = 5
# Of a line that is quoted in a message.
_QUOTED = 80


class UnreadableTime(Undetermined):
    """A line shows a time that cannot be read, and lies where nobody can tell without it whether it counts."""


class _Unread:
    """The first line since the last dated one whose time cannot be read.

    With no such line, what has no time goes on where the dated line ended. With one, nobody knows how far that is. No
    line goes on an older one and mentions a time after `cutoff`: then that may be its own.
    """

    def __init__(self, now: float, cutoff: float | None = None) -> None:
        self._now, self._cutoff = now, cutoff
        self._reason: str | None = None
        self._passed = 0

    def pass_over(self, line: bytes) -> None:
        """A line without a time that can be read."""
        if self._reason is None:
            why = why_unreadable(line, self._now) or self._conflict(line)
            if why is None:
                return
            shown = line[:_QUOTED].decode("utf-8", "backslashreplace").strip()
            more = "…" if len(line.strip()) > _QUOTED else ""
            self._reason = f"the time of a line cannot be read ({why}), 'since' cannot be answered: {shown}{more}"
        self._passed += len(line)
        if self._passed > _PATIENCE:
            self.check()

    def _conflict(self, line: bytes) -> str | None:
        mentioned = mentioned_time(line, self._now) if self._cutoff is not None else None
        if mentioned is None or self._cutoff is None or not self._cutoff <= mentioned <= self._now:
            return None
        return "it has a time of after the line before it, in the middle of its text"

    def forget(self) -> None:
        """A dated line that is older than what is looked for: those before it are too."""
        self._reason, self._passed = None, 0

    @property
    def reason(self) -> str | None:
        return self._reason

    def check(self) -> None:
        if self._reason is not None:
            raise UnreadableTime(self._reason)


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

    Bisects: the lines' times are taken to ascend. UnreadableTime where a line shows a time that cannot be read, and may
    be the first.
    """
    before = _before_repeated_hour(cutoff)
    if before is None:
        return _bisect(stream, size, cutoff, now)
    place = _bisect(stream, size, before, now)
    return place if place is None else _start_in_repeated_hour(stream, place, size, cutoff, now)


def start_in_flow(stream: BinaryIO, cutoff: float, now: float) -> int | None:
    """The same for what cannot be sought, such as a compressed log; None also if all lines are older.

    An hour that came twice counts as the later one.
    """
    place, kept, cut, unread = 0, b"", 0, _Unread(now, cutoff)
    while True:
        block = stream.read(_FLOW)
        data = kept + block
        whole = data.rfind(b"\n") + 1 if block else len(data)
        lines = io.BytesIO(data[:whole]).readlines()
        last = next(
            (
                (number, moment)
                for number in range(len(lines))[::-1]
                for moment in [_later(lines[number], now)]
                if moment is not None
            ),
            None,
        )
        found = last is not None and last[1] >= cutoff
        if last is not None and not found:
            unread.forget()
        for line in lines if found or last is None else lines[last[0] + 1 :]:
            moment = _later(line, now)
            if moment is None:
                unread.pass_over(line)
            elif moment >= cutoff:
                unread.check()
                return place
            else:
                unread.forget()
            if found:
                place += len(line) + cut
                cut = 0
        if whole:
            place, cut = place + whole + cut, 0
        if not block:
            unread.check()
            return None
        kept = data[whole:]
        if len(kept) > _PATIENCE:
            # An endless line: its head is enough.
            cut += len(kept) - _WINDOW
            kept = kept[:_WINDOW]


def _bisect(stream: BinaryIO, size: int, cutoff: float, now: float) -> int | None:
    low, high, dated = 0, size, False
    while high - low > _WINDOW:
        middle = (low + high) // 2
        moment = _time_near(stream, middle, high, now)
        if moment is not None:
            dated = True
        if moment is None or moment >= cutoff:
            high = middle
        else:
            low = middle
    low = _line_start(stream, low)
    unread = _Unread(now, cutoff)
    for place, line in _lines_from(stream, low, size):
        moment = line_time(line, now)
        if moment is None:
            unread.pass_over(line)
            if not dated and place - low > 2 * _PATIENCE:
                return None
            continue
        dated = True
        if moment >= cutoff:
            unread.check()
            return place
        unread.forget()
    if not dated and size:
        return None
    unread.check()
    return size


def _before_repeated_hour(moment: float) -> float | None:
    """A time before the two hours that local clocks call by the same names, if `moment` is within them."""
    local = datetime.fromtimestamp(moment)
    first, second = (local.replace(fold=fold).timestamp() for fold in (0, 1))
    return None if first == second else first - abs(second - first)


def _start_in_repeated_hour(stream: BinaryIO, begin: int, size: int, cutoff: float, now: float) -> int:
    """The second of the two hours begins where the lines' times go back.

    Where they do not, only one of the hours has lines, and nobody may know which: rather the later one.
    """
    start: int | None = None
    start_if_later: int | None = None
    latest, went_back, is_first = 0.0, False, False
    unread = _Unread(now)
    for place, line in _lines_from(stream, begin, size):
        first, second = (line_time(line, now, fold) for fold in (0, 1))
        if first is None or second is None:
            unread.pass_over(line)
            unread.check()
            continue
        if first == second:
            if first >= cutoff:
                end = place
                break
            continue
        went_back = went_back or first < latest - _DISORDER
        latest = max(latest, first)
        # The later of the hours has not come that far: these lines, and those before them, are of the first one.
        is_first = is_first or second > now
        if start is None and (second if went_back else first) >= cutoff:
            start = place
        if start_if_later is None and second >= cutoff:
            start_if_later = place
        if went_back and start is not None:
            return start
    else:
        end = size
    found = start if went_back or is_first else start_if_later
    return end if found is None else found


def _later(line: bytes, now: float) -> float | None:
    return line_time(line, now, fold=1)


def _lines_from(stream: BinaryIO, place: int, size: int) -> Iterator[tuple[int, bytes]]:
    """The heads of the lines from an offset on, each with its own."""
    stream.seek(place)
    while place < size:
        line = stream.readline(_WINDOW)
        if not line:
            return
        yield place, line
        place += len(line)
        while not line.endswith(b"\n") and line:
            line = stream.readline(_WINDOW)
            place += len(line)


def _line_start(stream: BinaryIO, place: int) -> int:
    """Offset of the first line that begins at `place` or after it."""
    if place == 0:
        return 0
    stream.seek(place - 1)
    while True:
        line = stream.readline(_WINDOW)
        if not line or line.endswith(b"\n"):
            return stream.tell()


def _time_near(stream: BinaryIO, place: int, limit: int, now: float) -> float | None:
    """The middle one of the times of the first few dated lines from `place` on, before `limit`.

    One line with a time that is not its own (`Expires: Thu, 01 Jan 1970` in a message) must not lead astray.
    """
    moments: list[float] = []
    stream.seek(_line_start(stream, place))
    end = min(limit, place + _PATIENCE)
    while stream.tell() < end:
        line = stream.readline(_WINDOW)
        moment = line_time(line, now) if line else None
        if moment is not None:
            moments.append(moment)
        if not line or len(moments) == _ASKED:
            break
    return sorted(moments)[len(moments) // 2] if moments else None


def count_lines(stream: BinaryIO, begin: int) -> tuple[int, int] | None:
    """Lines from an offset on, and the offset of their end, by `wc`; None when it cannot tell."""
    descriptor = stream.fileno()
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    os.lseek(descriptor, begin, os.SEEK_SET)
    try:
        done = subprocess.run(["wc", "-l"], stdin=descriptor, capture_output=True, check=True)
        breaks = int(done.stdout)
        # The offset is shared: it stands where wc stopped, which is later than where the file ended before.
        end = os.lseek(descriptor, 0, os.SEEK_CUR)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    finally:
        # The stream takes it to be where it left it.
        os.lseek(descriptor, place, os.SEEK_SET)
    unfinished = end > begin and os.pread(descriptor, 1, end - 1) != b"\n"
    return breaks + unfinished, end


class Head(NamedTuple):
    """How a log begins: the time of its first dated line, where that line lies, and the bytes up to well after it.

    `unread` says why the time of a line before that one cannot be read.
    """

    moment: float
    place: int
    data: bytes
    unread: str | None = None

    def is_of_same_log(self, other: Head) -> bool:
        """Whether one log is a copy of the other, or of its beginning: all that is known of both is the same."""
        length = min(len(self.data), len(other.data))
        return self.data[:length] == other.data[:length]


def head_of(stream: BinaryIO, now: float) -> Head | None:
    """How a log begins that stands at its beginning; None when no line shows a time."""
    data, unread = bytearray(), _Unread(now)
    while len(data) < _PATIENCE:
        line = stream.readline(_WINDOW)
        if not line:
            return None
        place = len(data)
        data += line
        moment = _later(line, now)
        if moment is not None:
            return Head(moment, place, bytes(data) + stream.read(_WINDOW), unread.reason)
        unread.pass_over(line)
    return None


def first_unread(data: bytes, now: float) -> str | None:
    """What is to say about the first line whose time cannot be read."""
    unread = _Unread(now)
    for line in io.BytesIO(data):
        unread.pass_over(line)
        if unread.reason is not None:
            break
    return unread.reason
