# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Results of drills: of each set or backup, and as the module returns and reports them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.drill.options import Targets
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration


class Blame(str, Enum):
    """Cause in a set that does not restore: none, the contents as written, or the bytes that a location returns."""

    NOBODY = "nobody"
    CONTENTS = "contents"
    BYTES = "bytes"


@dataclass
class Drilled:
    """The drill of one set, or backup, of this name.

    `failure` says why it is no proof, `blame` whether the set is to blame, `unproven` what a drill leaves out and a
    restore does, `notes` what else there is to know.
    """

    name: str
    began: float
    rto: float = 0.0
    rpo: float | None = None
    words: str = ""
    failure: str | None = None
    blame: Blame = Blame.NOBODY
    # Found in the listing alone: nothing was restored.
    listed: bool = False
    notes: list[str] = field(default_factory=list)
    unproven: list[str] = field(default_factory=list)

    @property
    def damaged(self) -> bool:
        return self.blame is not Blame.NOBODY


def outcome_of(
    done: Sequence[Drilled], targets: Targets, title: str, others: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """The result that the module returns. `others` are report lines of drills that were not started."""
    steps = [*(step(drilled, targets, title) for drilled in done), *others]
    return {
        "changed": bool(done),
        "drills": [_describe(drilled) for drilled in done],
        "steps": steps,
        "warnings": [note for drilled in done for note in drilled.notes],
        "msg": "; ".join(entry["message"] for entry in steps) or "there is no set to restore",
    }


def step(drilled: Drilled, targets: Targets, title: str) -> dict[str, Any]:
    """The report line of a drill. Its value is the RTO in seconds."""
    over = [
        f"{name} {format_duration(value)} is over the target of {format_duration(limit)}"
        for name, value, limit in (("RTO", drilled.rto, targets.rto), ("RPO", drilled.rpo, targets.rpo))
        if value is not None and limit is not None and value > limit
    ]
    if drilled.failure is not None:
        status, message = Status.CRITICAL, f"{drilled.name} is no proof: {drilled.failure}"
    else:
        # A target that cannot be compared counts as missed.
        unknown = targets.rpo is not None and drilled.rpo is None
        status = Status.CRITICAL if over else Status.WARNING if unknown else Status.OK
        message = f"{drilled.name} restored and compared; {_against('RTO', drilled.rto, targets.rto)}"
        message += f", {_against('RPO', drilled.rpo, targets.rpo)}" if drilled.rpo is not None else ""
        message += ", RPO not known (newest_row asks for it)" if unknown else ""
        message += f"; not proven: {', '.join(drilled.unproven)}" if drilled.unproven else ""
    evidence = [*over, *([f"compared: {drilled.words}"] if drilled.words else []), *drilled.notes]
    evidence += [f"not proven: {what}" for what in drilled.unproven]
    value = round(drilled.rto, 3) if drilled.failure is None else None
    critical = f"> {targets.rto:g} s" if targets.rto is not None else None
    return line(drilled.name, title, status, message, drilled.began, round(drilled.rto, 3), value, critical, evidence)


def line(
    name: str,
    title: str,
    status: Status,
    message: str,
    began: float,
    duration: float = 0.0,
    value: float | None = None,
    critical: str | None = None,
    evidence: Sequence[str] = (),
) -> dict[str, Any]:
    return Result.make(
        f"drill-{name}",
        title,
        status,
        message,
        began,
        duration,
        value=value,
        unit="s" if value is not None else None,
        critical=critical,
        evidence=evidence,
    ).to_dict()


def _against(name: str, value: float, limit: float | None) -> str:
    return f"{name} {format_duration(value)}" + (f" (target {format_duration(limit)})" if limit is not None else "")


def _describe(drilled: Drilled) -> dict[str, Any]:
    return {
        "id": drilled.name,
        "rto": round(drilled.rto, 3),
        "rpo": round(drilled.rpo, 3) if drilled.rpo is not None else None,
        "proven": drilled.failure is None,
        "failure": drilled.failure,
        "damaged": drilled.damaged,
        "compared": drilled.words,
        "not_proven": list(drilled.unproven),
    }
