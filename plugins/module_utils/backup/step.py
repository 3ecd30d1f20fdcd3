# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup run as one line of a report. Pure."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status


def step_of(kind: str, series: str, outcome: Mapping[str, Any], began: float, seconds: float) -> dict[str, Any]:
    """The record of a run that ended well. `began` is POSIX seconds; the value is the bytes of the newest set."""
    newest = outcome.get("set") or {}
    databases = ", ".join(newest.get("databases") or [])
    what = f"of {databases}" if kind == "postgresql" and databases else f"of {series}"
    return Result.make(
        f"backup-{series}",
        f"Backup {what}",
        # Check mode took no step.
        Status.OK if newest else Status.SKIPPED,
        str(outcome["msg"]),
        began,
        seconds,
        value=newest.get("size"),
        unit="B" if newest else None,
        evidence=_evidence(outcome),
    ).to_dict()


def _evidence(outcome: Mapping[str, Any]) -> list[str]:
    lines = []
    for name in outcome.get("cleared", ()):
        lines.append(f"cleared {name}, which an earlier run had left unfinished")
    for name in outcome.get("copied", ()):
        lines.append(f"copied {name}")
    for place in outcome["locations"]:
        lines.append(f"{place['repository']}: {len(place['kept'])} sets stay, {len(place['pruned'])} pruned")
        lines += [f"{place['repository']}: {name} was pruned" for name in place["pruned"]]
        lines += [f"{place['repository']}: {name} may not be pruned: {why}" for name, why in place["locked"].items()]
        lines += [f"{place['repository']}: {name} is no set: {why}" for name, why in place["broken"].items()]
        lines += [f"{place['repository']}: {name} is damaged: {why}" for name, why in place["damaged"].items()]
    return lines
