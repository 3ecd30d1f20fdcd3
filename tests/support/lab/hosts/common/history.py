# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs with a past: the same events on every host, at times that are relative to now."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .system import aged, file

Values = Callable[[random.Random], tuple[object, ...]]


@dataclass(frozen=True)
class Kind:
    """One kind of line, how often it occurs among the others, and what fills its gaps."""

    weight: int
    level: str
    logger: str
    text: str
    values: Values = lambda _: ()
    # What follows the line: a traceback, or bytes that are not UTF-8.
    more: bytes = b""


@dataclass(frozen=True)
class Entry:
    """One line (or several) of a log."""

    moment: datetime
    level: str
    data: bytes


def entries(kinds: Sequence[Kind], count: int, days: float, end: datetime, seed: int) -> list[Entry]:
    """`count` entries over the `days` before `end`, oldest first."""
    chance = random.Random(seed)
    span = days * 86400
    ages = sorted((chance.random() * span for _number in range(count)), reverse=True)
    weights = [kind.weight for kind in kinds]
    return [_entry(chance.choices(kinds, weights)[0], end - timedelta(seconds=age), chance) for age in ages]


def _entry(kind: Kind, moment: datetime, chance: random.Random) -> Entry:
    stamp = moment.strftime("%Y-%m-%d %H:%M:%S,") + f"{moment.microsecond // 1000:03d}"
    text = kind.text.format(*kind.values(chance))
    line = f"{stamp} {kind.level} [{kind.logger}] {text}"
    return Entry(moment, kind.level, line.encode() + kind.more + b"\n")


def write_rotated(path: str, log: Iterable[Entry], cuts: Sequence[datetime], owner: str, group: str) -> None:
    """Write PATH, PATH.1, PATH.2.gz, …: each cut (latest first) is when a rotation took place."""
    parts: list[list[Entry]] = [[] for _number in range(len(cuts) + 1)]
    for entry in log:
        parts[sum(entry.moment < cut for cut in cuts)].append(entry)
    for number, part in enumerate(parts):
        data = b"".join(entry.data for entry in part)
        # As logrotate with delaycompress leaves them; mtime=0 lets the same content be the same bytes.
        compressed = number > 1
        name = path + (f".{number}" if number else "") + (".gz" if compressed else "")
        file(name, gzip.compress(data, mtime=0) if compressed else data, 0o640, owner, group)
        if part:
            aged(name, part[-1].moment.timestamp())


def syslog_line(moment: datetime, host: str, process: str, text: str) -> str:
    """As Debian 12's rsyslog writes it."""
    return f"{moment.isoformat(timespec='microseconds')} {host} {process}: {text}\n"


def now() -> datetime:
    """In the host's own zone, as programs write their logs."""
    return datetime.now().astimezone()
