# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory by key prefix, estimated from a sample with little load on a busy server.

SCAN iterates over the keys in small steps, MEMORY USAGE measures some of them; both stop at a time limit. KEYS, which
blocks the server until it has read every key, is never used. If the iteration does not reach the end, the rest is
assumed to be like the part that was read: SCAN's order is by hash, so that part is random.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol, Sequence

# Keys per step: a few hundred take a server well under a millisecond.
_STEP = 500
# MEMORY USAGE of a big key samples its elements itself; five is the server's own default.
_ASKED_A_STEP = 50


class Asks(Protocol):
    def ask_all(self, commands: Sequence[Sequence[str | bytes]]) -> list[Any]:
        """Answers in the order of the commands."""


@dataclass
class Prefix:
    """Keys that were read, and the bytes of those that were measured."""

    keys: int = 0
    weighed: int = 0
    bytes: int = 0

    def estimate(self) -> float:
        return self.keys * self.bytes / self.weighed if self.weighed else 0.0


@dataclass
class Sample:
    """Prefixes by name. `share` is the part of all keys that was read, 1.0 for a complete iteration."""

    prefixes: dict[str, Prefix]
    seen: int
    share: float


def prefix_of(key: bytes, separator: str = ":") -> str:
    """The key up to and including its first separator; `(none)` for a key without one."""
    head, found, _rest = key.decode("utf-8", "backslashreplace").partition(separator)
    return head + found if found else "(none)"


def take(connection: Asks, total: int, seconds: float, match: str | None = None, most_prefixes: int = 1000) -> Sample:
    """Read keys for at most `seconds`; `total` is the number of keys in the database."""
    end = time.monotonic() + seconds
    prefixes: dict[str, Prefix] = {}
    cursor, walked, seen = b"0", 0, 0
    while True:
        words: list[str | bytes] = ["SCAN", cursor, "COUNT", str(_STEP)]
        if match is not None:
            words += ["MATCH", match]
        (answer,) = connection.ask_all([words])
        if isinstance(answer, Exception):
            raise answer
        cursor, keys = answer
        walked += _STEP
        seen += len(keys)
        weighed = keys[:: max(1, len(keys) // _ASKED_A_STEP)]
        sizes = dict(zip(weighed, connection.ask_all([["MEMORY", "USAGE", key] for key in weighed])))
        for key in keys:
            name = match or prefix_of(key)
            if name not in prefixes and len(prefixes) >= most_prefixes:
                name = "(others)"
            prefix = prefixes.setdefault(name, Prefix())
            prefix.keys += 1
            size = sizes.get(key)
            if isinstance(size, int):
                prefix.weighed += 1
                prefix.bytes += size
        if cursor == b"0":
            return Sample(prefixes, seen, 1.0)
        if time.monotonic() >= end:
            return Sample(prefixes, seen, min(1.0, walked / total) if total else 1.0)
