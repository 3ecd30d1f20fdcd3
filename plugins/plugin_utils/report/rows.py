# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A row of a report as a module returned it or as a file has it, read into a Result. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.sustained import parse as parse_sustained
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import plain

EVIDENCE_LINES = 20


# What the steps of a playbook are together, for the row that says why they ended early.
_WORK = {"backup": "Backup", "drill": "Restore drill", "recovery": "Restore", "maintenance": "Maintenance"}


def synthetic(check: str, status: Status, message: str, now: datetime, cadence: str | None = None) -> Result:
    """The row of what is no check of the inventory: the connection, the checklist, the steps as a whole."""
    title, probe = {
        "reachable": ("Connection", "connection"),
        "checklist": ("Checklist", "checklist"),
        "steps": (_WORK.get(cadence or "", "Steps"), "steps"),
    }[check]
    return Result.make(check, title, status, message, now, probe=probe)


def read_row(raw: object, now: datetime) -> Result:
    """A result as a module returned it or a report has it; what is malformed in it is unknown."""
    if not isinstance(raw, Mapping):
        return synthetic("checklist", Status.UNKNOWN, "an entry of the result is not a check", now)
    check = plain(raw.get("id") or "unnamed")
    message = plain(raw.get("message") or "")
    try:
        status = Status(raw.get("status"))
    except ValueError:
        status, message = Status.UNKNOWN, f"the check returned no known status. {message}".strip()
    unit = raw.get("unit")
    return Result(
        id=check,
        title=plain(raw.get("title") or check),
        probe=plain(raw.get("probe") or ""),
        status=status,
        value=_value(raw.get("value")),
        unit=plain(unit) if unit else None,
        message=message,
        warning=_threshold(raw.get("warning")),
        critical=_threshold(raw.get("critical")),
        evidence=_texts(raw.get("evidence"))[:EVIDENCE_LINES],
        ref=_texts(raw.get("ref")),
        started=plain(raw.get("started") or rfc3339_ms(now)),
        duration=seconds(raw.get("duration")),
        sustained=_sustained(raw.get("sustained")),
    )


def _sustained(raw: object) -> str | None:
    try:
        return plain(raw) if raw and parse_sustained(plain(raw)) else None
    except QuantityError:
        return None


def _value(raw: object) -> float | int | str | bool | None:
    if raw is None or isinstance(raw, bool):
        return raw
    if isinstance(raw, int):
        return int(raw)
    if isinstance(raw, float):
        # JSON has no NaN and no infinity
        return float(raw) if math.isfinite(raw) else None
    return plain(raw)


def _threshold(raw: object) -> str | list[str] | None:
    if raw is None:
        return None
    return _texts(raw) if isinstance(raw, (list, tuple)) else plain(raw)


def _texts(raw: object) -> list[str]:
    if raw is None:
        return []
    return [plain(entry) for entry in raw] if isinstance(raw, (list, tuple)) else [plain(raw)]


def seconds(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, (int, float)) or not math.isfinite(raw):
        return 0.0
    return max(0.0, float(raw))
