# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of a stanza stays: `keep` in pgBackRest's options, and why each backup stays. Pure.

pgBackRest decides and removes (its manual, "Retention"). A backup takes what builds on it with it, and WAL goes when no
backup that stays needs it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    QuantityError,
    format_duration,
    parse_duration,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Line
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup, Kind

_RULES = ("full", "differential", "archive", "archive_type", "age")
_ARCHIVE_TYPES = {"full": "full", "differential": "diff", "incremental": "incr"}
_REMOVED = re.compile(r"remove expired backup (\S+)")
_WAL = re.compile(r"remove archive, start = ([0-9A-F]{16,24}), stop = ([0-9A-F]{16,24})")
_DAY = 86400.0


class KeepError(Day2Error):
    """A policy that cannot be meant; the message names the field."""


@dataclass(frozen=True)
class Keep:
    """`full` backups by number, or `days` for those by age; without either what the configuration file says."""

    full: int | None = None
    days: int | None = None
    differential: int | None = None
    archive: int | None = None
    archive_type: str | None = None

    def options(self, repo: int) -> list[str]:
        """Options of `expire` that say the same."""
        given = {
            "full": self.days if self.days is not None else self.full,
            "full-type": "time" if self.days is not None else "count" if self.full is not None else None,
            "diff": self.differential,
            "archive": self.archive,
            "archive-type": self.archive_type,
        }
        return [f"--repo{repo}-retention-{name}={value}" for name, value in given.items() if value is not None]


@dataclass(frozen=True)
class Expired:
    """Labels that went, and the ends of each run of WAL that went with them."""

    backups: Sequence[str]
    wal: Sequence[tuple[str, str]]


def parse_keep(raw: Mapping[str, Any] | None) -> Keep:
    """`{full: 4, differential: 7, archive: 2, archive_type: full}` or `{age: 30d}`; KeepError names what is wrong."""
    given = {name: value for name, value in (raw or {}).items() if value is not None}
    for name in given:
        if name not in _RULES:
            raise KeepError(f"'keep': '{name}' is no rule of physical backups; there are {', '.join(_RULES)}")
    if "full" in given and "age" in given:
        raise KeepError("'keep': full and age are two answers to one question, by number or by time: give one")
    archive_type = given.get("archive_type")
    if archive_type is not None and archive_type not in _ARCHIVE_TYPES:
        raise KeepError(f"'keep': archive_type is {archive_type!r}; there are {', '.join(_ARCHIVE_TYPES)}")
    return Keep(
        full=_count("full", given.get("full")),
        days=_days(given.get("age")),
        differential=_count("differential", given.get("differential")),
        archive=_count("archive", given.get("archive")),
        archive_type=_ARCHIVE_TYPES[archive_type] if archive_type is not None else None,
    )


def _count(name: str, raw: object) -> int | None:
    if raw is None:
        return None
    if isinstance(raw, bool) or not isinstance(raw, (int, str)) or not str(raw).strip().isdecimal() or int(raw) < 1:
        raise KeepError(f"'keep': {name} is {raw!r}; one is the least that stays")
    return int(raw)


def _days(raw: object) -> int | None:
    if raw is None:
        return None
    if not re.search(r"[a-z]", str(raw)):
        raise KeepError(f"'keep': age is {raw!r}, which has no unit: write for instance 30d")
    try:
        seconds = parse_duration(raw)
    except QuantityError as exc:
        raise KeepError(f"'keep': age: {exc}") from exc
    if seconds <= 0:
        raise KeepError(f"'keep': age is {raw}; it must be longer than nothing")
    # pgBackRest counts whole days: what is asked for stays at least.
    return math.ceil(seconds / _DAY)


def parse_expired(lines: Sequence[Line]) -> Expired:
    """From the log of `expire`, dry or not."""
    text = "\n".join(line.text for line in lines)
    return Expired(_REMOVED.findall(text), _WAL.findall(text))


def reasons(backups: Sequence[Backup], keep: Keep, now: float) -> dict[str, list[str]]:
    """Why each of the backups that stay does so, newest first."""
    newest = sorted(backups, key=lambda each: (each.stop, each.label), reverse=True)
    told: dict[str, list[str]] = {each.label: [] for each in newest}
    fulls = [each for each in newest if each.kind is Kind.FULL]
    for number, each in enumerate(fulls):
        if number == 0:
            told[each.label].append("the newest full")
        if keep.full is not None and number < keep.full:
            told[each.label].append(f"one of the newest {keep.full} full")
        if keep.days is not None:
            if now - each.stop <= keep.days * _DAY:
                told[each.label].append(f"younger than {format_duration(keep.days * _DAY)}")
            elif number == 0 or now - fulls[number - 1].stop <= keep.days * _DAY:
                told[each.label].append("the one before, from which the oldest of that age is reached")
    for each in [each for each in newest if each.kind is Kind.DIFFERENTIAL][: keep.differential]:
        if keep.differential is not None:
            told[each.label].append(f"one of the newest {keep.differential} differential")
    for each in newest:
        needed = [other.label for other in newest if each.label in other.references]
        if needed:
            told[each.label].append(f"{len(needed)} build on it")
        if not told[each.label]:
            told[each.label].append(f"builds on {each.prior}" if each.prior else "pgBackRest's own retention")
    return told
