# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room on a full disk: files of logs go until so much is free as is wanted, in the order of their policies."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.rotation import emergency, pieces
from ansible_collections.day2.ops.plugins.module_utils.rotation.growth import per_day
from ansible_collections.day2.ops.plugins.module_utils.rotation.packing import pinned
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.written import PackingError
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes
from ansible_collections.day2.ops.plugins.module_utils.upkeep import cleanup
from ansible_collections.day2.ops.plugins.module_utils.upkeep.cleanup import Removed, Wanted


@dataclass
class Freed:
    """What went, each with why; bytes that were wanted, and that logs get a day."""

    removed: Removed
    why: list[str]
    wanted: int
    growth: float | None


def free(wanted: Wanted, amount: int, now: float, only_look: bool, place: Place) -> Freed:
    """Remove files until `amount` bytes are free. Pieces of policies count on the file systems of the directories."""
    cleanup.refuse_all(wanted)
    with nullcontext() if only_look or not place.policies.names() else place.lock("an emergency clean-up"):
        policies = place.policies.all()
        freed = Freed(Removed(), [], amount, None)
        loose = [
            emergency.Candidate(path, status.st_mtime)
            for path, _name, status, _folder in cleanup.candidates(wanted, now, policies, freed.removed)
        ]
        devices = {os.stat(directory).st_dev for directory in wanted.directories}
        found = {
            policy.name: [each for each in pieces.find(policy) if os.stat(os.path.dirname(each.path)).st_dev in devices]
            for policy in policies
        }
        rates = [rate for each in found.values() for rate in [per_day(each, now)] if rate is not None]
        freed.growth = sum(rates) if rates else None
        for candidate in emergency.in_order(loose, policies, found, wanted.age, now):
            if freed.removed.freed >= amount:
                break
            before = len(freed.removed.paths)
            _take(candidate.path, freed.removed, only_look)
            freed.why += [f"{candidate.path}: {candidate.why}"] if len(freed.removed.paths) > before else []
    return freed


def _take(path: str, removed: Removed, only_look: bool) -> None:
    try:
        with pinned(path) as (place, name):
            folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                status = os.stat(name, dir_fd=folder, follow_symlinks=False)
                cleanup.take(path, status, folder, removed, only_look)
            finally:
                os.close(folder)
    except FileNotFoundError:
        return
    except PackingError as exc:
        removed.refused.append(str(exc))


def outcome(freed: Freed, planning: bool) -> dict[str, Any]:
    """The outcome of the step."""
    removed = freed.removed
    missing = freed.wanted - removed.freed
    word = "would free" if planning else "freed"
    files = counted(len(removed.paths), "file")
    message = f"{word} {format_bytes(removed.freed)} of {format_bytes(freed.wanted)} in {files}"
    message = f"{message}; {emergency.storage(missing, freed.growth)}"
    told, kept = cleanup.remarks(removed)
    status = Status.WARNING if missing > 0 or removed.refused else Status.SKIPPED if planning else Status.OK
    lines = [*kept, *freed.why]
    return {"status": status.value, "message": message + told, "evidence": lines, "value": removed.freed, "unit": "B"}
