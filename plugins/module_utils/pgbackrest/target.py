# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery targets. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import LsnError, format_lsn, parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms


class TargetError(Day2Error):
    """An invalid target; the message names the field."""


class Aim(str, Enum):
    """Kinds of targets; the values are pgBackRest's types of a restore."""

    LATEST = "default"
    IMMEDIATE = "immediate"
    TIME = "time"
    LSN = "lsn"
    NAME = "name"
    XID = "xid"


@dataclass(frozen=True)
class Target:
    """`time` is POSIX seconds. `backup` and `timeline` narrow the choice; without them the newest that fits."""

    aim: Aim
    time: float | None = None
    lsn: int | None = None
    name: str | None = None
    xid: int | None = None
    backup: str | None = None
    timeline: int | None = None

    def __str__(self) -> str:
        if self.aim is Aim.TIME and self.time is not None:
            return f"the time {rfc3339_ms(self.time)}"
        if self.aim is Aim.LSN and self.lsn is not None:
            return f"LSN {format_lsn(self.lsn)}"
        if self.aim is Aim.NAME:
            return f"the restore point '{self.name}'"
        if self.aim is Aim.XID:
            return f"transaction {self.xid}"
        return "the end of a backup" if self.aim is Aim.IMMEDIATE else "the end of the archive"

    @property
    def value(self) -> str | None:
        """The value of the target as PostgreSQL accepts it."""
        if self.aim is Aim.TIME and self.time is not None:
            return datetime.fromtimestamp(self.time, timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f+00")
        if self.aim is Aim.LSN and self.lsn is not None:
            return format_lsn(self.lsn)
        return self.name if self.aim is Aim.NAME else str(self.xid) if self.aim is Aim.XID else None


# MAXFNAMELEN - 1 of PostgreSQL.
_LONGEST = 63
_VALUES = ("time", "lsn", "name", "xid")


def parse_target(raw: Mapping[str, Any] | str | None) -> Target:
    """`latest`, `immediate`, or one of `{time: …}`, `{lsn: …}`, `{name: …}`, `{xid: …}`; with `backup`, `timeline`."""
    if raw is None or isinstance(raw, str):
        raw = {"type": raw or "latest"}
    empty = [name for name in _VALUES if name in raw and str(raw[name] or "").strip() == "" and raw[name] != 0]
    if empty:
        raise TargetError(f"'recover_to': {empty[0]} is empty; without one, write `latest`")
    given = {name: value for name, value in raw.items() if value not in (None, "")}
    unknown = sorted(set(given) - {*_VALUES, "type", "backup", "timeline"})
    if unknown:
        raise TargetError(
            f"'recover_to': {unknown[0]!r} is unknown; there are {', '.join(_VALUES)}, type, backup, timeline"
        )
    about: dict[str, Any] = {"backup": given.get("backup"), "timeline": _whole("timeline", given.get("timeline"))}
    values = [name for name in _VALUES if name in given]
    if len(values) > 1 or (values and given.get("type", values[0]) != values[0]):
        raise TargetError(
            f"'recover_to' has {' and '.join([*values, *([given['type']] if 'type' in given else [])])}: one only"
        )
    if not values:
        words = {"latest": Aim.LATEST, "immediate": Aim.IMMEDIATE}
        kind = str(given.get("type", "latest"))
        if kind not in words:
            raise TargetError(
                f"'recover_to' is {kind!r}: latest, immediate, or one of {', '.join(_VALUES)} with a value"
            )
        return Target(words[kind], **about)
    name, value = values[0], given[values[0]]
    if name == "time":
        return Target(Aim.TIME, time=parse_time(value), **about)
    if name == "lsn":
        try:
            return Target(Aim.LSN, lsn=parse_lsn(str(value)), **about)
        except LsnError as exc:
            raise TargetError(f"'recover_to': {exc}") from exc
    if name == "name":
        return Target(Aim.NAME, name=_restore_point(str(value)), **about)
    return Target(Aim.XID, xid=_whole("xid", value), **about)


def _restore_point(name: str) -> str:
    """A name that pg_create_restore_point accepts, and that fits in one line of pg_waldump's output."""
    if len(name.encode(errors="surrogatepass")) > _LONGEST or any(character in name for character in "\n\0"):
        raise TargetError(
            f"'recover_to': {name!r} cannot be looked for: names of restore points have up to {_LONGEST} bytes and no"
            " line break; give the `lsn` or a `time` instead"
        )
    return name


def _whole(name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not str(value).strip().isdecimal():
        raise TargetError(f"'recover_to': {name} is {value!r}, not a whole number")
    return int(value)


def parse_time(value: Any) -> float:
    """POSIX seconds of a time with a time zone; TargetError without one, because it would be ambiguous."""
    text = str(value.isoformat() if isinstance(value, datetime) else value).strip()
    text = re.sub(r"[Zz]$", "+00:00", re.sub(r" ?UTC$", "+00:00", text))
    text = re.sub(r"([+-]\d\d)$", r"\1:00", text)
    # Python 3.9 accepts only three or six fractional digits.
    text = re.sub(r"\.(\d{1,6})\d*", lambda match: "." + match[1].ljust(6, "0"), text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise TargetError(f"'recover_to': {value!r} is no time, such as 2026-01-31T02:00:00Z") from None
    if moment.tzinfo is None:
        raise TargetError(f"'recover_to': the time {value!r} names no zone: write 2026-01-31T02:00:00Z or …+01:00")
    return moment.timestamp()
