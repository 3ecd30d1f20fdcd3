# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Acknowledged findings: known, owned, and quiet until a day that is written down. No file, no clock, no ansible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta, timezone
from fnmatch import fnmatchcase
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import day, rfc3339

_FIELDS = ("id", "host", "owner", "reason", "until")
_REQUIRED = ("id", "owner", "reason", "until")
# A lease knows of a service that is down, neither of steps that fail, nor of a mode that should be over, nor of what no
# maintenance brings about.
_BEYOND_LEASES = ("step", "steps", "maintenance", "backup", "certificate", "disk", "schedule")


class AcknowledgementError(Day2Error):
    """Entries that cannot be taken; the message names each and its field."""


@dataclass(frozen=True)
class Acknowledgement:
    """`id` and `host` are names or shell patterns; `until` is aware, in UTC."""

    id: str
    host: str
    owner: str
    reason: str
    until: datetime
    # Not those of these probes, whatever their ids are.
    without: tuple[str, ...] = ()

    def concerns(self, host: str, row: Result) -> bool:
        return fnmatchcase(row.id, self.id) and fnmatchcase(host, self.host) and row.probe not in self.without


def parse(entries: object) -> list[Acknowledgement]:
    """A host's entries; AcknowledgementError names all that is wrong with them."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise AcknowledgementError("they are not a list")
    problems: list[str] = []
    found = [_read(number, entry, problems) for number, entry in enumerate(entries, start=1)]
    if problems:
        raise AcknowledgementError("; ".join(problems))
    return [entry for entry in found if entry is not None]


def _read(number: int, entry: object, problems: list[str]) -> Acknowledgement | None:
    if not isinstance(entry, Mapping):
        problems.append(f"entry {number} is not a mapping of {', '.join(_FIELDS)}")
        return None
    name = f"entry {number} ('{entry['id']}')" if entry.get("id") else f"entry {number}"
    before = len(problems)
    problems += [f"{name}: '{field}' is no field; {meant(field, _FIELDS)}" for field in entry if field not in _FIELDS]
    problems += [f"{name}: '{field}' is missing" for field in _REQUIRED if not str(entry.get(field) or "").strip()]
    until = None
    if entry.get("until"):
        until = _end(entry["until"])
        if until is None:
            problems.append(
                f"{name}: 'until' is '{entry['until']}', not a day such as 2026-01-31 or a time with its zone"
            )
    if len(problems) > before or until is None:
        return None
    words = {field: str(entry.get(field) or "*") for field in _FIELDS}
    return Acknowledgement(words["id"], words["host"], words["owner"], words["reason"], until)


def of_leases(host: str, value: object) -> list[Acknowledgement]:
    """A host in maintenance mode: whoever holds the mode knows of its findings until the lease ends.

    `value` is what its checklist returned. Leases that are malformed silence nothing.
    """
    leases = value.get("maintenance") if isinstance(value, Mapping) else None
    found = []
    for lease in leases if isinstance(leases, (list, tuple)) else ():
        until = _end(lease.get("until")) if isinstance(lease, Mapping) else None
        if until is not None:
            reason = f"{lease.get('service')} is in maintenance: {lease.get('reason')}"
            found.append(Acknowledgement("*", host, str(lease.get("owner")), reason, until, _BEYOND_LEASES))
    return found


def _end(text: object) -> datetime | None:
    """A day counts to its end, in UTC; a time needs its zone."""
    written = str(text).strip()
    try:
        if len(written) == len("2026-01-31"):
            begins = datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=timezone.utc)
            return begins + timedelta(days=1)
        moment = datetime.fromisoformat(written.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.astimezone(timezone.utc) if moment.tzinfo else None


def apply(row: Result, host: str, entries: Sequence[Acknowledgement], now: datetime) -> Result:
    """A finding with its acknowledgement, if there is one; one that has ended is named in the message."""
    if not row.alarming:
        return row
    fitting = [entry for entry in entries if entry.concerns(host, row)]
    if not fitting:
        return row
    last = max(fitting, key=lambda entry: entry.until)
    if last.until <= now:
        return replace(
            row, message=f"{row.message}; acknowledged by {last.owner} until {_day(last.until)}, which is over"
        )
    return replace(row, acknowledged={"owner": last.owner, "reason": last.reason, "until": _day(last.until)})


def _day(until: datetime) -> str:
    """The day as it was written, or the time."""
    if until.time() == time():
        return day(until - timedelta(days=1))
    return rfc3339(until)


def words(acknowledged: Mapping[str, Any]) -> str:
    """`acknowledged by A. Owner until 2026-01-31: reason`."""
    return f"acknowledged by {acknowledged['owner']} until {acknowledged['until']}: {acknowledged['reason']}"
