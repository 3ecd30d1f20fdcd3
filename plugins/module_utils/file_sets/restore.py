# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores paths of a set of files; the replaced ones are kept, and can be put back.

All paths are read completely, unpacked beside their destination, counted and synced before the first is exchanged.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.choose import LATEST, choose, passed_over
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.damage import note_of_restore, noting
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.backup.outcome import describe
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import fetch
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, printable
from ansible_collections.day2.ops.plugins.module_utils.file_sets import plan as planning
from ansible_collections.day2.ops.plugins.module_utils.file_sets import swap as swapping
from ansible_collections.day2.ops.plugins.module_utils.file_sets import trees
from ansible_collections.day2.ops.plugins.module_utils.file_sets.listing import (
    LISTER,
    Listing,
    differences,
)
from ansible_collections.day2.ops.plugins.module_utils.file_sets.plan import RestoreRefused, Target
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes

_UNPACK = (
    "tar", "--extract", "--file=-", "--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*",
    "--acls", "--delay-directory-restore",
)  # fmt: skip
# Inodes in addition to a tree: those of a wrapper and its record.
_AROUND = 5
_UNTOUCHED = "nothing was touched"


@dataclass(frozen=True)
class Order:
    """Options of a restore. `paths` empty: all of the set; `root`: below this directory; times are seconds."""

    series: str
    source: str = LATEST
    run_id: str | None = None
    paths: Sequence[str] = ()
    root: str | None = None
    identity: str | None = None
    keep_old: float = 7 * 86400.0
    lock_wait: float = 0.0


def restore(order: Order, repository: Repository, check_mode: bool = False, diff: bool = False) -> dict[str, Any]:
    """Restore paths from a set. A failure leaves all of them unchanged."""
    chosen, warnings = _choose(order, repository, note=not check_mode)
    with noting(repository, chosen, check_mode):
        return _restored(order, repository, chosen, warnings, check_mode, diff)


def _restored(
    order: Order, repository: Repository, chosen: BackupSet, warnings: list[str], check_mode: bool, diff: bool
) -> dict[str, Any]:
    began, begun = time.time(), time.monotonic()
    goals = planning.targets(chosen.manifest, order.paths, order.root)
    _check(order, repository, goals)
    listings = [_listed(order, repository, chosen.manifest, goal, diff) for goal in goals]
    outcome = _planned(repository, chosen, goals, listings, warnings)
    if diff:
        outcome["diff"] = [_diff(goal, listing) for goal, listing in zip(goals, listings)]
    if check_mode:
        _fits(goals, listings)
        return {**outcome, "step": _step(order, outcome, began, None)}
    places = [goal.place for goal in goals]
    with swapping.alone(places, order.lock_wait):
        try:
            outcome["cleared"] = [name for place in places for name in swapping.tidy(place)]
            _fits(goals, listings)
            staged = [_unpacked(order, repository, chosen.manifest, *pair) for pair in zip(goals, listings)]
            kept = swapping.swap(goals, staged, chosen.manifest.id)
        except BaseException:
            swapping.leave(places)
            raise
        for row, name in zip(outcome["paths"], kept):
            row["kept"] = name if row["existed"] else None
        outcome["removed"] = swapping.expire(places, order.keep_old, kept, warnings)
    outcome["msg"] = f"restored {', '.join(places)} from {chosen.manifest.id}"
    return {**outcome, "step": _step(order, outcome, began, time.monotonic() - begun)}


def revert(order: Order, repository: Repository, check_mode: bool = False) -> dict[str, Any]:
    """Put back what the newest restore of these paths replaced. What was restored is kept."""
    began, begun = time.time(), time.monotonic()
    places = _reverted_places(order, repository)
    found = {place: trees.wrappers(place) for place in places}
    cleared: list[str] = []
    if check_mode or not any(found.values()):
        # Check before anything is created, including the lock.
        back = planning.to_revert(found)
    else:
        with swapping.alone(list(places), order.lock_wait):
            cleared = [name for place in places for name in swapping.tidy(place)]
            back = swapping.swap_back({place: trees.wrappers(place) for place in places})
    outcome: dict[str, Any] = {
        "changed": bool(back or cleared),
        "reverted": bool(back),
        "set": None,
        "paths": [
            {"path": places[place], "place": place, "existed": wrapper.inode is not None, "kept": wrapper.path}
            for place, wrapper in back.items()
        ],
        "cleared": cleared,
        "removed": [],
        "warnings": [],
    }
    if back:
        message = f"{', '.join(back)} {'would be' if check_mode else 'is'} again what the newest restore had replaced"
    else:
        message = f"{', '.join(places)}: the newest restore was reverted already"
    outcome["msg"] = message
    return {**outcome, "step": _step(order, outcome, began, None if check_mode else time.monotonic() - begun)}


def _planned(
    repository: Repository,
    chosen: BackupSet,
    goals: Sequence[Target],
    listings: Sequence[Listing],
    warnings: list[str],
) -> dict[str, Any]:
    """The result of check mode, to which the run adds its own."""
    rows = [
        {
            "path": goal.path,
            "place": goal.place,
            "existed": os.path.lexists(goal.place),
            "kept": None,
            "entries": listing.count,
            "size": listing.size,
        }
        for goal, listing in zip(goals, listings)
    ]
    would = ", ".join(f"{row['place']} ({format_bytes(listing.size)})" for row, listing in zip(rows, listings))
    return {
        "changed": True,
        "reverted": False,
        "set": describe(chosen, [repository.name]),
        "paths": rows,
        "cleared": [],
        "removed": [],
        "warnings": warnings,
        "msg": f"{would} would be restored from {chosen.manifest.id}",
    }


def _choose(order: Order, repository: Repository, note: bool) -> tuple[BackupSet, list[str]]:
    try:
        found = sets.published(repository, order.series)
        if note:
            note_of_restore(repository, order.series, found)
        wanted = Contents(frozenset(os.path.normpath(path) for path in order.paths))
        chosen = choose(found.sets, order.source, order.run_id, found.broken, contents=wanted, now=time.time())
    except Day2Error as exc:
        raise RestoreRefused(f"{repository.name}, series {order.series}: {exc}; {_UNTOUCHED}") from exc
    warnings = []
    if order.source == LATEST and order.run_id is None:
        newer = passed_over(found.sets, chosen, found.broken)
        warnings = [f"{name} is newer than {chosen.manifest.id} and damaged: {why}" for name, why in newer.items()]
    excluded = chosen.manifest.about.get("exclude")
    if excluded:
        patterns = ", ".join(str(pattern) for pattern in excluded)
        warnings.append(f"{chosen.manifest.id} was made without {patterns}: such files are only in what was replaced")
    return chosen, warnings


def _check(order: Order, repository: Repository, goals: Sequence[Target]) -> None:
    if order.root is not None and not (order.root.startswith("/") and os.path.isdir(order.root)):
        raise RestoreRefused(f"'root' {order.root} is no directory")
    for goal in goals:
        if repository.is_within(goal.place):
            raise RestoreRefused(f"{goal.place} holds the repository itself; give 'root' or 'paths'; {_UNTOUCHED}")
        with trees.translate_errors(goal.place):
            trees.check_place(goal.place)


def _listed(order: Order, repository: Repository, manifest: Manifest, goal: Target, detailed: bool) -> Listing:
    """Read an archive completely: check digest, key and end; list its entries and the space they need."""
    listing = Listing(goal.member, detailed)
    try:
        fetch(
            repository, f"{manifest.series}/{manifest.id}", goal.stored, listing.feed, order.identity, [Program(LISTER)]
        )
        listing.finish()
    except Day2Error as exc:
        raise RestoreRefused(f"{manifest.id} of {repository.name} cannot be restored: {exc}; {_UNTOUCHED}") from exc
    return listing


def _diff(goal: Target, listing: Listing) -> dict[str, str]:
    with trees.translate_errors(goal.place):
        lines = differences(listing.entries, trees.entries(goal.place))
    listing.entries.clear()
    return {
        "before_header": goal.place,
        "after_header": goal.place,
        "prepared": "".join(f"{printable(line)}\n" for line in lines),
    }


def _fits(goals: Sequence[Target], listings: Sequence[Listing]) -> None:
    """Check that each file system has enough free space for all paths."""
    wanted: dict[int, tuple[int, int]] = {}
    for goal, listing in zip(goals, listings):
        folder = trees.nearest(os.path.dirname(goal.place))
        with trees.translate_errors(folder):
            device, size, inodes = trees.free(folder)
        needs, count = wanted.get(device, (0, 0))
        around = goal.member.count("/") + _AROUND
        wanted[device] = needs, count = needs + listing.needs, count + listing.count + around
        if needs > size:
            raise RestoreRefused(
                f"{goal.place} does not fit beside what is there: {format_bytes(needs)} are needed and"
                f" {format_bytes(size)} free in {folder}; {_UNTOUCHED}"
            )
        if inodes is not None and count > inodes:
            raise RestoreRefused(f"{folder} has {inodes} inodes left, and {count} are needed; {_UNTOUCHED}")


def _unpacked(order: Order, repository: Repository, manifest: Manifest, goal: Target, listing: Listing) -> str:
    """Unpack an archive into a wrapper beside its target, compared and synced."""
    wrapper = planning.beside(goal.place, f"new-{manifest.id}")
    try:
        with trees.translate_errors(wrapper):
            unpacked = trees.make(wrapper)
            tar = Program([*_UNPACK, f"--directory={unpacked}"])
            fetch(repository, f"{manifest.series}/{manifest.id}", goal.stored, _nowhere, order.identity, [tar])
            trees.take_out(wrapper, goal.member)
            found = trees.count(os.path.join(wrapper, trees.CONTENT))
    except Day2Error as exc:
        reason = f"{goal.path} of {manifest.id} was not unpacked: {exc}; nothing was replaced"
        raise trees.RestoreFailed(reason) from exc
    if found != listing.count:
        raise trees.RestoreFailed(
            f"{goal.path} of {manifest.id} has {listing.count} entries, and {found} were unpacked: nothing was replaced"
        )
    return wrapper


def _nowhere(_piece: bytes) -> None:
    return


def _reverted_places(order: Order, repository: Repository) -> dict[str, str]:
    """Targets and their paths in the set. The set is read only if no paths are given."""
    paths = [os.path.normpath(path) for path in order.paths]
    if not paths:
        chosen, _warnings = _choose(order, repository, note=False)
        paths = [goal.path for goal in planning.targets(chosen.manifest, (), order.root)]
    if not all(path.startswith("/") for path in paths):
        raise RestoreRefused("'paths' have to be absolute")
    return {planning.placed(path, order.root): path for path in paths}


def _step(order: Order, outcome: Mapping[str, Any], began: float, seconds: float | None) -> dict[str, Any]:
    """The report line of the run; its value is the restored bytes. `seconds` is None in check mode."""
    taken = seconds is not None
    sizes = [entry["size"] for entry in outcome["paths"] if "size" in entry]
    evidence = [
        f"{entry['place']}: the one before is {entry['kept']}" for entry in outcome["paths"] if entry.get("kept")
    ]
    evidence += [f"{name} went: it was kept for long enough" for name in outcome["removed"]]
    evidence += [f"cleared {name}, which an interrupted run had left" for name in outcome["cleared"]]
    return Result.make(
        f"restore-{order.series}",
        f"Restore of {order.series}",
        Status.OK if taken else Status.SKIPPED,
        str(outcome["msg"]),
        began,
        seconds or 0.0,
        value=sum(sizes) if taken and sizes else None,
        unit="B" if taken and sizes else None,
        evidence=[*evidence, *outcome["warnings"]],
    ).to_dict()
