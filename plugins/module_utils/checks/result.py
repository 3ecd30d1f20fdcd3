# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The uniform record of a check: its status, its value, and a sentence an operator understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Iterable

from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import Value


class Status(str, Enum):
    """Worst first."""

    CRITICAL = "critical"
    UNKNOWN = "unknown"
    WARNING = "warning"
    OK = "ok"
    SKIPPED = "skipped"


_ORDER = {status: place for place, status in enumerate(Status)}


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of them; of nothing at all it is `skipped`, for nothing was found to be ok."""
    return min(statuses, key=_ORDER.__getitem__, default=Status.SKIPPED)


def summarise(statuses: Iterable[Status]) -> dict[str, int]:
    """A count for each status, zeros included."""
    counts = {
        status.value: 0 for status in (Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN, Status.SKIPPED)
    }
    for status in statuses:
        counts[status.value] += 1
    return counts


@dataclass
class Observation:
    """What a probe saw, before any threshold is applied.

    `text` is the first half of the message. `failure` says that the thing asked for did not happen at all
    (a refused connection): always critical. `unexpected` says that the value is not what is normally
    expected (an inactive unit): critical unless the check sets `critical` itself. `status` is a verdict
    of somebody else's (a monitoring plugin), kept where the check has no thresholds of its own.
    """

    value: Value
    text: str
    unit: str | None = None
    evidence: list[str] = field(default_factory=list)
    failure: str | None = None
    unexpected: str | None = None
    status: Status | None = None

    def to_dict(self) -> dict[str, Any]:
        record = dict(self.__dict__)
        record["status"] = self.status.value if self.status else None
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Observation:
        status = record.pop("status")
        return cls(status=Status(status) if status else None, **record)


@dataclass
class Result:
    """One line of a checklist. `started` is RFC 3339 in UTC, `duration` is in seconds."""

    id: str
    title: str
    probe: str
    status: Status
    value: Value
    unit: str | None
    message: str
    warning: Any
    critical: Any
    evidence: list[str]
    ref: list[str]
    started: str
    duration: float
    # How long a threshold has to be met before the controller lets it count.
    sustained: str | None = None
    # Set on the controller, for findings only: owner, reason, until.
    acknowledged: dict[str, str] | None = None
    # Of a view over several runs: title, a sentence, and pairs of POSIX seconds and value.
    curves: list[dict[str, Any]] | None = None

    @property
    def alarming(self) -> bool:
        """Whether somebody has to look: a finding that nobody has acknowledged."""
        return self.status in (Status.CRITICAL, Status.UNKNOWN, Status.WARNING) and self.acknowledged is None

    def to_dict(self) -> dict[str, Any]:
        record = dict(self.__dict__)
        record["status"] = self.status.value
        for name in ("sustained", "acknowledged", "curves"):
            if record[name] is None:
                del record[name]
        return record
