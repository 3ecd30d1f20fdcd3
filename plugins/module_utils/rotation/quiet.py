# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether anything can be due for the logs of this host, by a look at what the last run has written down.

Most ticks of the timer find nothing to do, and an import takes longer than this question: so this file imports nothing
that Python has not loaded by itself. Whatever it cannot tell is for a whole run. What is written down is made by
resting.py, which says what keeps a host from being quiet.
"""

from __future__ import annotations

import os
import time

MARK = "/var/lib/day2/logs/quiet"
_FIRST, _LAST = b"day2 logs 1", b"end"


def signature(path: bytes) -> bytes:
    """What of a file or directory changes with its names and its content; `-` where there is none. Raises OSError."""
    try:
        seen = os.stat(path)
    except FileNotFoundError:
        return b"-"
    return b"%d:%d:%d:%d" % (seen.st_dev, seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns)


def written(until: float, same: dict[bytes, bytes], limits: list[tuple[int, list[bytes]]]) -> bytes:
    """Until when nothing is due, while paths have these signatures, and files together no more bytes than a limit."""
    lines = [_FIRST, b"%d" % until]
    lines += [b"= %s %s" % (seen, path) for path, seen in sorted(same.items())]
    for limit, paths in limits:
        lines += [b"< %d" % limit, *(b"+ %s" % path for path in paths)]
    return b"\n".join([*lines, _LAST, b""])


def nothing_is_due(mark: str = MARK, now: float | None = None) -> bool:
    """True only where that is certain; then it is noted that the logs were looked after now."""
    now = time.time() if now is None else now
    try:
        with open(mark, "rb") as stream:
            written = os.fstat(stream.fileno())
            lines = stream.read().split(b"\n")
        if written.st_uid != os.geteuid() or lines[0] != _FIRST or lines[-2:] != [_LAST, b""]:
            return False
        # A clock that was set back says nothing.
        if not written.st_mtime <= now < float(lines[1]) or not _is_same(lines[2:-2]):
            return False
        os.utime(mark, (now, now))
    except (OSError, ValueError, IndexError):
        return False
    return True


def _is_same(lines: list[bytes]) -> bool:
    left = 0
    for line in lines:
        kind, _space, rest = line.partition(b" ")
        if kind == b"=":
            seen, _space, path = rest.partition(b" ")
            if signature(path) != seen:
                return False
        elif kind == b"<":
            left = int(rest)
        else:
            left -= os.stat(rest).st_size
            if left < 0:
                return False
    return True
