# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of an application out of Redis: those of prefixes, or all of one database; never those of others."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Protocol, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

_BATCH = 500
_SPECIAL = re.compile(r"([\\*?\[\]^-])")


class Asks(Protocol):
    """A connection to Redis."""

    def ask(self, *words: str | bytes) -> Any:
        """Send one command; return its answer."""


class FlushError(Day2Error):
    """A request that would remove what nobody named."""


@dataclass(frozen=True)
class Flushed:
    """Keys of the database before and after, how many of them were meant, and those that are left."""

    before: int
    meant: int
    after: int
    left: int


def pattern_of(prefix: str) -> str:
    """The keys that begin with it: every character stands for itself."""
    if not prefix:
        raise FlushError("an empty prefix would be every key: 'whole_database' says so, if that is meant")
    return _SPECIAL.sub(r"\\\1", prefix) + "*"


def flush(connection: Asks, prefixes: Sequence[str], whole_database: bool, only_look: bool) -> Flushed:
    """Remove the keys and count them on both sides. Memory is given back in the background (UNLINK)."""
    before = int(connection.ask("DBSIZE"))
    if whole_database:
        if not only_look:
            connection.ask("FLUSHDB", "ASYNC")
        after = int(connection.ask("DBSIZE"))
        return Flushed(before, before, after, after)
    patterns = [pattern_of(prefix) for prefix in prefixes]
    meant = sum(_handle(connection, pattern, remove=not only_look) for pattern in patterns)
    left = sum(_handle(connection, pattern, remove=False) for pattern in patterns)
    return Flushed(before, meant, int(connection.ask("DBSIZE")), left)


def _handle(connection: Asks, pattern: str, remove: bool) -> int:
    """Keys that fit; SCAN names some of them twice."""
    cursor: str | bytes = "0"
    number, seen = 0, set()
    while True:
        cursor, keys = connection.ask("SCAN", cursor, "MATCH", pattern, "COUNT", "1000")
        if remove:
            for place in range(0, len(keys), _BATCH):
                number += int(connection.ask("UNLINK", *keys[place : place + _BATCH]))
        else:
            seen.update(keys)
        if cursor in ("0", b"0"):
            return number or len(seen)


def outcome(done: Flushed, where: str, planning: bool) -> dict[str, Any]:
    """What the step tells. Keys that are written meanwhile are the application's new ones."""
    word = "would remove" if planning else "removed"
    message = f"{word} {done.meant} of {done.before} keys of {where}"
    status = Status.SKIPPED if planning else Status.OK
    lines = [f"keys before: {done.before}", f"keys after: {done.after}"]
    if done.left and not planning:
        lines.append(f"{done.left} of them are there again: the application goes on writing")
    return {"status": status.value, "message": message, "evidence": lines, "value": done.meant, "unit": "keys"}
