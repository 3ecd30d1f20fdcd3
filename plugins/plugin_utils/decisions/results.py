# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tasks registered: of a loop, of a task that was skipped or that failed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Result = Mapping[str, Any]


def items(registered: object) -> list[Result]:
    """The results of a loop that ran: an item that was skipped did nothing, and a loop over nothing has none."""
    results = registered.get("results") if isinstance(registered, Mapping) else None
    found = results if isinstance(results, Sequence) and not isinstance(results, str) else []
    return [result for result in found if isinstance(result, Mapping) and not result.get("skipped")]


def went_well(result: object) -> bool:
    return isinstance(result, Mapping) and not any(result.get(key) for key in ("failed", "unreachable", "skipped"))


def changed(result: object) -> bool:
    """Whether a task did what it was to do, and that was a change."""
    return isinstance(result, Mapping) and went_well(result) and bool(result.get("changed"))


def message(result: object) -> str:
    return str(result.get("msg") or "") if isinstance(result, Mapping) else ""


def lines(result: object) -> list[str]:
    """The lines that a program wrote; none where it did not run."""
    text = result.get("stdout") if isinstance(result, Mapping) else None
    return str(text or "").splitlines()
