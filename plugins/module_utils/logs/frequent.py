# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count how often each value comes, in bounded memory however many values there are.

Exact for up to twice KEPT different values. Beyond that the rarest are dropped, and what comes anew may have been among
them: no count is too high, and none is too low by more than `total / KEPT` (Misra and Gries, Finding repeated elements,
1982: each time the mark of what is dropped rises by one, KEPT other lines have paid for it).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

KEPT = 10_000
# Bits of the sketch that estimates how many different values there were (linear counting; Whang, Vander-Zanden and
# Taylor 1990): within 1 % up to some ten million, in 1 MiB.
_BITS = 1 << 23


@dataclass(frozen=True)
class Entry:
    """A value, where it was first seen, and how often it came: at least `count`, at most `count + missed`."""

    value: bytes
    sample: bytes
    count: int
    missed: int


class Frequent:
    """The most frequent of many values."""

    def __init__(self, kept: int = KEPT) -> None:
        self.total = 0
        self._kept = kept
        self._counts: dict[bytes, int] = {}
        self._samples: dict[bytes, bytes] = {}
        self._missed: dict[bytes, int] = {}
        # No dropped value came more often than this.
        self._dropped = 0
        self._sketch: bytearray | None = None
        self._marked = 0

    def again(self, value: bytes, times: int = 1) -> bool:
        """Count a value that is known; False when it is not."""
        count = self._counts.get(value)
        if count is None:
            return False
        self.total += times
        self._counts[value] = count + times
        return True

    def add(self, value: bytes, sample: bytes = b"", times: int = 1) -> None:
        """Count a value that came so many times."""
        if self.again(value, times):
            return
        self.total += times
        if len(self._counts) >= 2 * self._kept:
            self._drop()
        self._counts[value] = times
        self._samples[value] = sample
        if self._dropped:
            self._missed[value] = self._dropped
        if self._sketch is not None:
            self._mark(self._sketch, value)

    @property
    def exact(self) -> bool:
        """Whether no value had to be dropped."""
        return self._sketch is None

    @property
    def distinct(self) -> int:
        """How many different values came; estimated when it is not `exact`."""
        if self.exact:
            return len(self._counts)
        return max(len(self._counts), round(-_BITS * math.log(max(1, _BITS - self._marked) / _BITS)))

    def top(self, number: int) -> list[Entry]:
        """The most frequent first; of equal ones the one that came first."""
        values = sorted(self._counts, key=self._counts.__getitem__, reverse=True)[:number]
        return [Entry(value, self._samples[value], self._counts[value], self._missed.get(value, 0)) for value in values]

    def is_certain(self, first: Entry) -> bool:
        """Whether the first of the top has been counted wholly, and no other may have come more often."""
        return first.missed == 0 and first.count >= max(
            [self._dropped] + [self._at_most(value) for value in self._missed]
        )

    def _at_most(self, value: bytes) -> int:
        return self._counts[value] + self._missed.get(value, 0)

    def _drop(self) -> None:
        if self._sketch is None:
            self._sketch = bytearray(_BITS // 8)
            for value in self._counts:
                self._mark(self._sketch, value)
        order = sorted(self._counts, key=self._at_most, reverse=True)
        self._dropped = self._at_most(order[self._kept])
        for value in order[self._kept :]:
            del self._counts[value], self._samples[value]
            self._missed.pop(value, None)

    def _mark(self, sketch: bytearray, value: bytes) -> None:
        place, bit = divmod(hash(value) & (_BITS - 1), 8)
        if not sketch[place] >> bit & 1:
            sketch[place] |= 1 << bit
            self._marked += 1
