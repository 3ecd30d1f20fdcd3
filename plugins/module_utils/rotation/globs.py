# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shell patterns of paths compared with each other: whether a path can have both. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import ENCRYPTED, PACKED

_MAGIC = re.compile(r"[*?[]")


@dataclass(frozen=True)
class _Any:
    """`*`"""


@dataclass(frozen=True)
class _One:
    """A character of these, or (`but`) any other."""

    these: frozenset[str]
    but: bool = False

    def meets(self, other: _One) -> bool:
        if self.but and other.but:
            return True
        if self.but or other.but:
            some, none = (other, self) if self.but else (self, other)
            return bool(some.these - none.these)
        return bool(self.these & other.these)


_Part = Union[_Any, _One]


def has_magic(pattern: str) -> bool:
    return bool(_MAGIC.search(pattern))


def meet(one: str, other: str) -> bool:
    """Whether a path can match both: component by component, as no wildcard stands for a slash."""
    ours, theirs = one.split("/"), other.split("/")
    return len(ours) == len(theirs) and all(map(_meet, ours, theirs))


def covers(wide: str, narrow: str) -> bool:
    """Whether what the second matches is matched by the first, where that is easily told; else it is denied."""
    if wide == narrow:
        return True
    ours, theirs = wide.split("/"), narrow.split("/")
    return len(ours) == len(theirs) and all(
        mine == his or (not has_magic(his) and fnmatchcase(his, mine)) for mine, his in zip(ours, theirs)
    )


def own_piece(pattern: str) -> bool:
    """Whether the piece of a log of this pattern can match it again, and would be rotated as a log."""
    name = pattern.rpartition("/")[2]
    return any(
        _meet(name, f"{name}-{'[0-9]' * 8}-{'[0-9]' * digits}{form}")
        for digits in (9, 10, 11)
        for form in ("", PACKED, ENCRYPTED)
    )


def _meet(one: str, other: str) -> bool:
    ours, theirs = _parts(one), _parts(other)

    @cache
    def from_(left: int, right: int) -> bool:
        mine: _Part | None = ours[left] if left < len(ours) else None
        his: _Part | None = theirs[right] if right < len(theirs) else None
        if mine is None and his is None:
            return True
        if isinstance(mine, _Any):
            return from_(left + 1, right) or (his is not None and from_(left, right + 1))
        if isinstance(his, _Any):
            return from_(left, right + 1) or (mine is not None and from_(left + 1, right))
        return mine is not None and his is not None and mine.meets(his) and from_(left + 1, right + 1)

    return from_(0, 0)


def _parts(pattern: str) -> Sequence[_Part]:
    found: list[_Part] = []
    place = 0
    while place < len(pattern):
        char = pattern[place]
        end = _class_end(pattern, place) if char == "[" else None
        if char == "*":
            if not found or not isinstance(found[-1], _Any):
                found.append(_Any())
        elif char == "?":
            found.append(_One(frozenset(), but=True))
        elif end is not None:
            inner = pattern[place + 1 : end]
            but = inner[:1] in ("!", "^")
            found.append(_One(_members(inner[1:] if but else inner), but))
            place = end
        else:
            found.append(_One(frozenset(char)))
        place += 1
    return found


def _class_end(pattern: str, begin: int) -> int | None:
    place = begin + 1
    if pattern[place : place + 1] in ("!", "^"):
        place += 1
    end = pattern.find("]", place + 1)
    return end if end >= 0 else None


def _members(inner: str) -> frozenset[str]:
    found: set[str] = set()
    place = 0
    while place < len(inner):
        if inner[place + 1 : place + 2] == "-" and place + 2 < len(inner):
            found.update(map(chr, range(ord(inner[place]), ord(inner[place + 2]) + 1)))
            place += 3
        else:
            found.add(inner[place])
            place += 1
    return frozenset(found)
