# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The uniform record of a check: its status, its value, and a sentence an operator understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Iterable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import (
    MAX_LINES,
    clip_evidence,
    mask,
    mask_lines,
    printable,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import Value
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import Moment, rfc3339_ms


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
    expected (an inactive unit): critical unless the check sets `critical` itself. `fault` says that something
    other than the value is wrong (a certificate not yet valid, where the value is the days left): always critical,
    because a threshold on the value says nothing about it. `status` is a verdict that comes with the value (a
    monitoring plugin's): thresholds can make it worse, never better. With `is_default` it is the probe's own opinion of
    the value, and thresholds of the check take its place (a critical one only those of `critical`).
    """

    value: Value
    text: str
    unit: str | None = None
    evidence: list[str] = field(default_factory=list)
    failure: str | None = None
    unexpected: str | None = None
    fault: str | None = None
    status: Status | None = None
    is_default: bool = False

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

    @classmethod
    def make(
        cls,
        id: str,
        title: str,
        status: Status,
        message: str,
        started: Moment,
        duration: float = 0.0,
        *,
        probe: str = "step",
        value: Value = None,
        unit: str | None = None,
        warning: Any = None,
        critical: Any = None,
        evidence: Sequence[str] = (),
        ref: Sequence[str] = (),
        sustained: str | None = None,
        curves: list[dict[str, Any]] | None = None,
        secrets: Sequence[str] = (),
        longest: int | None = None,
    ) -> Result:
        """The record of what happened, as people may read it: secrets masked, evidence capped.

        Masked are `secrets` and what has the shape of one. The message is one line, of at most `longest` characters.
        """
        line = " ".join(mask(message, secrets).split())
        if longest is not None and len(line) > longest:
            line = line[: longest - 1] + "…"
        return cls(
            id=id,
            title=title,
            probe=probe,
            status=status,
            value=printable(mask(value, secrets)) if isinstance(value, str) else value,
            unit=unit,
            message=printable(line),
            warning=warning,
            critical=critical,
            evidence=_shown(evidence, secrets),
            ref=list(ref),
            started=rfc3339_ms(started),
            # A clock that is set back makes nothing shorter than nothing.
            duration=round(max(0.0, duration), 4),
            sustained=sustained,
            curves=curves,
        )

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


def _shown(evidence: Sequence[str], secrets: Sequence[str]) -> list[str]:
    """The lines that people read; of what is cut away anyway, only the number matters."""
    lines = mask_lines(evidence[:MAX_LINES], secrets)
    return clip_evidence([*map(printable, lines), *evidence[MAX_LINES:]])
