# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Baselines on the host: recorded once, compared by every later check.

A baseline is a JSON file `<directory>/<check id>.json`: {"version": 1, "recorded": POSIX time, "subject", "lines"} or,
for a figure, {"version": 1, "recorded", "subject": "figure", "value", "unit"}.
"""

from __future__ import annotations

import difflib
import json
import os
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic

DIRECTORY = "/var/lib/day2/baseline"
_VERSION = 1


@dataclass(frozen=True)
class Baseline:
    """`recorded` is a POSIX time; a figure has a value and a unit, everything else lines."""

    subject: str
    recorded: float
    lines: tuple[str, ...] = ()
    value: float | None = None
    unit: str | None = None


def place(directory: str, check: str) -> str:
    return os.path.join(directory, f"{check}.json")


def read(path: str) -> Baseline | None:
    """The baseline in a file; None when none was recorded."""
    try:
        with open(path, encoding="utf-8") as stream:
            record = json.load(stream)
        if record["version"] != _VERSION:
            raise Undetermined(f"{path} is of version {record['version']}, this release reads {_VERSION}")
        return Baseline(
            record["subject"],
            float(record["recorded"]),
            tuple(record.get("lines", ())),
            record.get("value"),
            record.get("unit"),
        )
    except FileNotFoundError:
        return None
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be read") from None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise Undetermined(f"{path} is damaged ({exc}): record the baseline again") from exc


def write(path: str, baseline: Baseline) -> None:
    """Publish a baseline. Raises Day2Error when the directory cannot be written."""
    record: dict[str, Any] = {"version": _VERSION, "recorded": baseline.recorded, "subject": baseline.subject}
    if baseline.subject == "figure":
        record.update(value=baseline.value, unit=baseline.unit)
    else:
        record["lines"] = list(baseline.lines)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_atomic(path, json.dumps(record, indent=1) + "\n")
    except OSError as exc:
        raise Day2Error(f"the baseline cannot be written to {path}: {exc.strerror}") from exc


def difference(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Removed lines (`- …`) and added lines (`+ …`), in their order."""
    found = difflib.ndiff(list(before), list(after)) if len(before) + len(after) < 2000 else _quick(before, after)
    return [line for line in found if line[:2] in ("- ", "+ ")]


def _quick(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """For long lists, where a careful comparison takes minutes; order does not count."""
    old, new = set(before), set(after)
    return [f"- {line}" for line in before if line not in new] + [f"+ {line}" for line in after if line not in old]


def drift_percent(before: float, now: float) -> float | None:
    """Change of a figure from its baseline in percent; None if the baseline is zero."""
    return 100.0 * (now - before) / abs(before) if before else None
