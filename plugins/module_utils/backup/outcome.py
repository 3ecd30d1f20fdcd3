# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a backup run did, or would do, for people and playbooks. Pure."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Decision
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, Series
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms


def describe(backup_set: BackupSet, locations: Sequence[str]) -> dict[str, Any]:
    """A set. Sizes are bytes, durations seconds, times RFC 3339 in UTC."""
    about, state = backup_set.manifest, backup_set.state
    return {
        "id": about.id,
        "kind": about.kind,
        "series": about.series,
        "time": rfc3339_ms(about.time),
        "duration": round(about.finished - about.time, 3),
        "size": about.size,
        "files": len(about.files),
        "encrypted": about.encrypted,
        "verified": state.verified,
        "verified_at": rfc3339_ms(state.verified_at) if state.verified_at is not None else None,
        "proven_at": rfc3339_ms(state.proven_at) if state.proven_at is not None else None,
        "damaged": state.damaged,
        "history": state.history,
        "run_id": about.run_id,
        "locations": list(locations),
        **{name: about.about[name] for name in ("server", "wal", "paths") if name in about.about},
        "databases": [entry.get("name") for entry in about.about.get("databases", []) if isinstance(entry, Mapping)],
    }


def describe_location(name: str, found: Series, decision: Decision) -> dict[str, Any]:
    """What is in a repository, what goes and what stays."""
    return {
        "repository": name,
        "pruned": decision.prune,
        "kept": [{"id": set_id, "because": reasons} for set_id, reasons in decision.keep.items()],
        "held": decision.held,
        "locked": {},
        "broken": found.broken,
        "damaged": found.damaged,
    }


def foreign_sets(name: str, series: str, found: Series, origin: str | None) -> list[str]:
    """Warnings of sets that another cluster or host makes in turn with this one: retention counts them together."""
    manifests = [backup_set.manifest for backup_set in found.sets]
    own = [manifest.sequence for manifest in manifests if manifest.origin == origin]
    others = [manifest for manifest in manifests if manifest.origin not in (None, origin)]
    newer = [manifest for manifest in others if own and manifest.sequence > min(own)]
    if origin is None or not newer:
        return []
    return [
        f"{name}, series {series}: {newer[0].id} is of {newer[0].origin}, others are of {origin}, and retention takes"
        " them for the same: give each a `series` or a repository of its own"
    ]


def summarize(
    outcome: Mapping[str, Any], newest: BackupSet | None, max_age: float | None, now: float, would: str = ""
) -> str:
    """The outcome of a run in one sentence. `newest`, `max_age` (seconds) and `now` say why none was due."""
    made = outcome.get("set")
    if outcome["made"] and made:
        size = format_quantity(made["size"], Unit("B", BYTES))
        text = f"{made['id']} {size} in {format_duration(outcome['seconds'])}, verified: {made['verified']}"
    elif outcome["made"]:
        text = "a set would be made"
    else:
        text = "no set is due"
        if newest is not None and max_age is not None:
            age = format_duration(max(now - newest.manifest.time, 0.0))
            text += f", the newest good one is {newest.manifest.id} ({age} old; max_age is {format_duration(max_age)})"
    return f"{text}; {_pruned(outcome['locations'], would)}"


def _pruned(locations: Sequence[Mapping[str, Any]], would: str) -> str:
    gone = sum(len(location["pruned"]) for location in locations)
    held = next((location for location in locations if location["held"]), None)
    if held is not None and not gone:
        return str(held["held"])
    text = f"{gone} set{'s' * (gone != 1)} {would}pruned" if gone else "no set to prune"
    return f"{text}; in {held['repository']} {held['held']}" if held is not None else text
