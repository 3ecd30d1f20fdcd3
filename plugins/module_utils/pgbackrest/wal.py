# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names and numbers of WAL: LSNs, segments, timelines and their histories. Pure.

A segment's name is timeline, the LSN's upper half, and the segment's number within 4 GiB, each of eight hexadecimal
digits: with 16 MiB it wraps after FF (PostgreSQL, access/xlog_internal.h).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import parse_lsn

_NAME = re.compile(r"[0-9A-F]{24}")
_ARCHIVED = re.compile(r"(?:.*/)?([0-9A-F]{24})-[0-9a-f]{40}(?:\.(?:gz|lz4|zst|bz2))?")
_HISTORY = re.compile(r"(?:.*/)?([0-9A-F]{8})\.history")
_SPAN = 1 << 32


class WalError(Day2Error):
    """An invalid name of a segment, or an invalid history file."""


@dataclass(frozen=True, order=True)
class Segment:
    """A segment by its timeline and its number since LSN 0."""

    timeline: int
    number: int

    def name(self, size: int) -> str:
        upper, lower = divmod(self.number, _SPAN // size)
        return f"{self.timeline:08X}{upper:08X}{lower:08X}"


def parse_segment(name: str, size: int) -> Segment:
    if not _NAME.fullmatch(name):
        raise WalError(f"{name!r} is no name of a WAL segment")
    return Segment(int(name[:8], 16), int(name[8:16], 16) * (_SPAN // size) + int(name[16:], 16))


@dataclass(frozen=True)
class Listing:
    """Contents of an archive: path by segment name, when each was stored (POSIX seconds), paths of histories."""

    paths: Mapping[str, str] = field(default_factory=dict)
    stored: Mapping[str, float] = field(default_factory=dict)
    histories: Mapping[int, str] = field(default_factory=dict)


def parse_listing(answer: Mapping[str, Any], folder: str) -> Listing:
    """From `repo-ls --recurse --output=json` of a folder. Partial segments are ignored."""
    paths, stored, histories = {}, {}, {}
    for key, about in answer.items():
        segment, history = _ARCHIVED.fullmatch(key), _HISTORY.fullmatch(key)
        if segment and about.get("type") == "file":
            paths[segment[1]] = f"{folder}/{key}"
            stored[segment[1]] = float(about.get("time", 0))
        elif history:
            histories[int(history[1], 16)] = f"{folder}/{key}"
    return Listing(paths, stored, histories)


def parse_history(text: str) -> list[tuple[int, int]]:
    """Ancestors of a timeline, oldest first: (timeline, LSN where the next one left it)."""
    forks = []
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) < 2 or not words[0].isdecimal():
            raise WalError(f"{line[:60]!r} is no line of a timeline's history")
        forks.append((int(words[0]), parse_lsn(words[1])))
    return forks


@dataclass(frozen=True)
class Path:
    """The path of a recovery to a timeline: its ancestors, each up to the LSN where the next one left it."""

    leaf: int
    forks: Sequence[tuple[int, int]] = ()

    def segment_at(self, number: int, size: int) -> Segment:
        """The segment with a number: that of a fork is on the new timeline, which has a copy of its beginning."""
        timeline = self.leaf
        for parent, lsn in reversed(self.forks):
            if number >= lsn // size:
                break
            timeline = parent
        return Segment(timeline, number)

    def timeline_at(self, lsn: int) -> int:
        timeline = self.leaf
        for parent, fork in reversed(self.forks):
            if lsn >= fork:
                break
            timeline = parent
        return timeline


def name_runs(names: Iterable[str], most: int = 5) -> str:
    """Names for a message: all if they are few, otherwise first and last."""
    ordered = list(names)
    if len(ordered) <= most:
        return ", ".join(ordered)
    return f"{ordered[0]} … {ordered[-1]} ({len(ordered)} segments)"
