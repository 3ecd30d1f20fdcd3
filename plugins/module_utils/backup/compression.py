# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the rows of a table are compressed, chosen by what a sample of them comes to. Pure.

Where columns are numbers, times and keys, zstd's short matches cost more than they save: searched for long ones only,
in tables small enough to forget most of them, rows come out smaller than at level 3 and sooner; documents
come out larger. Five bytes before each row (packing.py) matter where rows are short.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

# What a larger object is worth of a slower stream, and the other way: stored bytes for each byte that goes in.
_PACKING, _TWO_TABLES, _USUAL = 0.003, 0.001, 0.005
# Of samples; with what they are wrong by, an object is at most 2 % larger than at the usual level.
_LARGER = 1.01
USUAL_LEVEL = 3


@dataclass(frozen=True)
class Compression:
    """Parameters of zstd. With `packed` rows are put into blocks before. `effort` as above."""

    parameters: tuple[str, ...]
    packed: bool = False
    effort: float = 0.0

    @property
    def told(self) -> str:
        """For the manifest. Whatever it is, `zstd -d` reads it."""
        return " ".join([*(["rows in blocks,"] if self.packed else []), "zstd", *self.parameters])


def of_level(level: int) -> Compression:
    return Compression((f"-{level}",), effort=_USUAL)


def _both(strategy: str, effort: float = 0.0) -> list[Compression]:
    parameters = (f"--zstd=strategy={strategy},wlog=21,mml=7",)
    return [Compression(parameters, effort=effort), Compression(parameters, True, effort + _PACKING)]


USUAL = of_level(USUAL_LEVEL)
# dfast and fast; what they remember of places is 2 to the hlog, of short matches 2 to the clog.
_FAST, _FAST_PACKED = _both("1,hlog=13")
CANDIDATES = (USUAL, *_both("2,hlog=16,clog=12", _TWO_TABLES), *_both("1,hlog=10"), _FAST, _FAST_PACKED)
# What comes to less than this part of itself is mostly repetition. A sample does not foretell what becomes of that:
# only what is no worse for any of it may be chosen.
_REPETITION = 0.08


def choose(sizes: Mapping[Compression, int], length: int) -> Compression:
    """The best for rows of which a sample of `length` bytes came to these sizes, the usual one's among them."""
    if length <= 0 or USUAL not in sizes:
        return USUAL
    most = sizes[USUAL] * _LARGER
    steady = (USUAL, _FAST) if sizes[USUAL] < length * _REPETITION else CANDIDATES
    fitting = [each for each in steady if each in sizes and sizes[each] <= most]
    return min(fitting, key=lambda each: (sizes[each] / length + each.effort, each.effort, each.parameters))


def framed(rows: Sequence[bytes]) -> bytes:
    """Rows as pg_dump puts them into an archive: each with a sign and its length before."""
    return b"".join(b"\x00" + len(row).to_bytes(4, "little") + row for row in rows)
