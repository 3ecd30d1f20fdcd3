# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory by key prefix, estimated from a sample that a busy server does not feel.

SCAN walks the keys in small steps, MEMORY USAGE asks about some of them; both end when their time is over. KEYS, which
stops the server until it has seen every key, is never used. Of a walk that did not reach the end the rest is taken to
be like the part that was seen: SCAN's order is by hash, so that part is a random one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Protocol, Sequence

# Keys a step: a few hundred take a server well under a millisecond.
_STEP = 500
# MEMORY USAGE of a big key samples its elements itself; five is the server's own default.
_ASKED_A_STEP = 50


class Asks(Protocol):
    def ask_all(self, commands: Sequence[Sequence[str | bytes]]) -> list[Any]:
        """Answers in the order of the commands."""


@dataclass
class Prefix:
    """Keys that were seen, and the bytes of those that were weighed."""

    keys: int = 0
    weighed: int = 0
    bytes: int = 0

    def estimate(self) -> float:
        return self.keys * self.bytes / self.weighed if self.weighed else 0.0


@dataclass
class Sample:
    """Prefixes by name. `share` is the part of all keys that was seen, 1.0 when the walk reached its end."""

    prefixes: dict[str, Prefix]
    seen: int
    share: float


def prefix_of(key: bytes, separator: str = ":") -> str:
    """What comes before the first separator, with it; a key without one stands for itself as `(none)`."""
    head, found, _rest = key.decode("utf-8", "backslashreplace").partition(separator)
    return head + found if found else "(none)"


def take(connection: Asks, total: int, seconds: float, match: str | None = None, most_prefixes: int = 1000) -> Sample:
    """Walk keys for at most `seconds`; `total` is how many the database has."""
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
