# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Retention of a stanza: `keep` as pgBackRest's options, and why each backup is kept. Pure.

pgBackRest decides and expires (its manual, "Retention"). With a backup those that depend on it expire, and WAL expires
when no remaining backup needs it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Line
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Backup, Kind
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    QuantityError,
    format_duration,
    parse_lifetime,
)

_RULES = ("full", "differential", "archive", "archive_type", "age")
_ARCHIVE_TYPES = {"full": "full", "differential": "diff", "incremental": "incr"}
_REMOVED = re.compile(r"remove expired backup (\S+)")
_WAL = re.compile(r"remove archive, start = ([0-9A-F]{16,24}), stop = ([0-9A-F]{16,24})")
_DAY = 86400.0


class KeepError(Day2Error):
    """An invalid policy; the message names the field."""


@dataclass(frozen=True)
class Keep:
    """`full` backups by number, or `days` for those by age; without either the configuration file applies."""

    full: int | None = None
    days: int | None = None
    differential: int | None = None
    archive: int | None = None
    archive_type: str | None = None

    def options(self, repo: int) -> list[str]:
        """The same policy as options of `expire`."""
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
    """Labels that expired, and first and last segment of each run of WAL that expired with them."""

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
    try:
        seconds = parse_lifetime(raw)
    except QuantityError as exc:
        raise KeepError(f"'keep': age: {exc}") from exc
    if seconds <= 0:
        raise KeepError(f"'keep': age is {raw}; it must be longer than nothing")
    # pgBackRest counts whole days: round up.
    return math.ceil(seconds / _DAY)


def parse_expired(lines: Sequence[Line]) -> Expired:
    """From the log of `expire`, dry or not."""
    text = "\n".join(line.text for line in lines)
    return Expired(_REMOVED.findall(text), _WAL.findall(text))


def reasons(backups: Sequence[Backup], keep: Keep, now: float) -> dict[str, list[str]]:
    """The reasons why each remaining backup is kept, by label, newest first."""
    newest = sorted(backups, key=lambda backup: (backup.stop, backup.label), reverse=True)
    why: dict[str, list[str]] = {backup.label: [] for backup in newest}
    fulls = [backup for backup in newest if backup.kind is Kind.FULL]
    for number, backup in enumerate(fulls):
        if number == 0:
            why[backup.label].append("the newest full")
        if keep.full is not None and number < keep.full:
            why[backup.label].append(f"one of the newest {keep.full} full")
        if keep.days is not None:
            if now - backup.stop <= keep.days * _DAY:
                why[backup.label].append(f"younger than {format_duration(keep.days * _DAY)}")
            elif number == 0 or now - fulls[number - 1].stop <= keep.days * _DAY:
                why[backup.label].append("the one before, from which the oldest of that age is reached")
    for backup in [backup for backup in newest if backup.kind is Kind.DIFFERENTIAL][: keep.differential]:
        if keep.differential is not None:
            why[backup.label].append(f"one of the newest {keep.differential} differential")
    for backup in newest:
        needed = [other.label for other in newest if backup.label in other.references]
        if needed:
            why[backup.label].append(f"{len(needed)} build on it")
        if not why[backup.label]:
            why[backup.label].append(f"builds on {backup.prior}" if backup.prior else "pgBackRest's own retention")
    return why
