# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths of a set of files take the place of what is there, which is kept; and go back.

Read whole, unpacked beside, counted and synced, all of the paths; only then the first one changes places.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import file_restore_io as io
from ansible_collections.day2.ops.plugins.module_utils.backup import file_restore_plan as planning
from ansible_collections.day2.ops.plugins.module_utils.backup import file_restore_swap as swapping
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.choose import LATEST, choose, passed_over
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.damage import note_of_restore, noting
from ansible_collections.day2.ops.plugins.module_utils.backup.file_restore_listing import (
    LISTER,
    Listing,
    differences,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.file_restore_plan import RestoreRefused, Target
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, rfc3339
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository
from ansible_collections.day2.ops.plugins.module_utils.backup.run import describe
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import fetch
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_bytes
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program

_UNPACK = (
    "tar", "--extract", "--file=-", "--numeric-owner", "--preserve-permissions", "--xattrs", "--xattrs-include=*",
    "--acls", "--delay-directory-restore",
)  # fmt: skip
# Inodes beside a tree, but for the directories that it is unpacked in: those of a wrapper and its record.
_AROUND = 5
_UNTOUCHED = "nothing was touched"


@dataclass(frozen=True)
class Order:
    """What is to be restored. `paths` empty: all of the set's; `root`: below this directory; times are seconds."""

    series: str
    source: str = LATEST
    run_id: str | None = None
    paths: Sequence[str] = ()
    root: str | None = None
    identity: str | None = None
    keep_old: float = 7 * 86400.0
    lock_wait: float = 0.0


def restore(order: Order, repository: Repository, check_mode: bool = False, diff: bool = False) -> dict[str, Any]:
    """Put the paths back as a set has them. Whatever fails leaves all of them as they were."""
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
            staged = [_unpacked(order, repository, chosen.manifest, *each) for each in zip(goals, listings)]
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
    """Give the paths back what the newest restore among them replaced. What was restored is kept."""
    began, begun = time.time(), time.monotonic()
    places = _reverted_places(order, repository)
    found = {place: io.wrappers(place) for place in places}
    cleared: list[str] = []
    if check_mode or not any(found.values()):
        # Refused before anything, the lock included, is made.
        back = planning.to_revert(found)
    else:
        with swapping.alone(list(places), order.lock_wait):
            cleared = [name for place in places for name in swapping.tidy(place)]
            back = swapping.swap_back({place: io.wrappers(place) for place in places})
    outcome: dict[str, Any] = {
        "changed": bool(back or cleared),
        "reverted": bool(back),
        "set": None,
        "paths": [
            {"path": places[place], "place": place, "existed": each.inode is not None, "kept": each.path}
            for place, each in back.items()
        ],
        "cleared": cleared,
        "removed": [],
        "warnings": [],
    }
    if back:
        told = f"{', '.join(back)} {'would be' if check_mode else 'is'} again what the newest restore had replaced"
    else:
        told = f"{', '.join(places)}: the newest restore was reverted already"
    outcome["msg"] = told
    return {**outcome, "step": _step(order, outcome, began, None if check_mode else time.monotonic() - begun)}


def _planned(
    repository: Repository,
    chosen: BackupSet,
    goals: Sequence[Target],
    listings: Sequence[Listing],
    warnings: list[str],
) -> dict[str, Any]:
    """What check mode tells; the run adds what became of it."""
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
        wanted = Contents(frozenset(os.path.normpath(each) for each in order.paths))
        chosen = choose(found.sets, order.source, order.run_id, found.broken, contents=wanted, now=time.time())
    except Day2Error as exc:
        raise RestoreRefused(f"{repository.name}, series {order.series}: {exc}; {_UNTOUCHED}") from exc
    warnings = []
    if order.source == LATEST and order.run_id is None:
        newer = passed_over(found.sets, chosen, found.broken)
        warnings = [f"{name} is newer than {chosen.manifest.id} and damaged: {why}" for name, why in newer.items()]
    excluded = chosen.manifest.about.get("exclude")
    if excluded:
        told = ", ".join(str(each) for each in excluded)
        warnings.append(f"{chosen.manifest.id} was made without {told}: such files are only in what was replaced")
    return chosen, warnings


def _check(order: Order, repository: Repository, goals: Sequence[Target]) -> None:
    if order.root is not None and not (order.root.startswith("/") and os.path.isdir(order.root)):
        raise RestoreRefused(f"'root' {order.root} is no directory")
    for goal in goals:
        if repository.name.startswith("/") and planning.inside(
            os.path.realpath(repository.name), os.path.realpath(goal.place)
        ):
            raise RestoreRefused(f"{goal.place} holds the repository itself; give 'root' or 'paths'; {_UNTOUCHED}")
        with io.told(goal.place):
            io.check_place(goal.place)


def _listed(order: Order, repository: Repository, manifest: Manifest, goal: Target, detailed: bool) -> Listing:
    """Read an archive whole: its digest, its key, its end, what is in it and what it takes."""
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
    with io.told(goal.place):
        lines = differences(listing.entries, io.entries(goal.place))
    listing.entries.clear()
    return {"before_header": goal.place, "after_header": goal.place, "prepared": "".join(f"{each}\n" for each in lines)}


def _fits(goals: Sequence[Target], listings: Sequence[Listing]) -> None:
    """Whether all of it has room beside what is there, on each file system."""
    wanted: dict[int, tuple[int, int]] = {}
    for goal, listing in zip(goals, listings):
        folder = io.nearest(os.path.dirname(goal.place))
        with io.told(folder):
            device, size, inodes = io.free(folder)
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
    """The tree of an archive in a wrapper beside its target, proven and on the disk."""
    wrapper = planning.beside(goal.place, f"new-{manifest.id}")
    try:
        with io.told(wrapper):
            unpacked = io.make(wrapper)
            tar = Program([*_UNPACK, f"--directory={unpacked}"])
            fetch(repository, f"{manifest.series}/{manifest.id}", goal.stored, _nowhere, order.identity, [tar])
            io.take_out(wrapper, goal.member)
            found = io.count(os.path.join(wrapper, io.CONTENT))
    except Day2Error as exc:
        raise io.RestoreFailed(f"{goal.path} of {manifest.id} was not unpacked: {exc}; nothing was replaced") from exc
    if found != listing.count:
        raise io.RestoreFailed(
            f"{goal.path} of {manifest.id} has {listing.count} entries, and {found} were unpacked: nothing was replaced"
        )
    return wrapper


def _nowhere(_piece: bytes) -> None:
    return


def _reverted_places(order: Order, repository: Repository) -> dict[str, str]:
    """Targets with the paths they are of. The set is asked only where no paths are given."""
    paths = [os.path.normpath(each) for each in order.paths]
    if not paths:
        chosen, _warnings = _choose(order, repository, note=False)
        paths = [goal.path for goal in planning.targets(chosen.manifest, (), order.root)]
    if not all(each.startswith("/") for each in paths):
        raise RestoreRefused("'paths' have to be absolute")
    return {planning.placed(path, order.root): path for path in paths}


def _step(order: Order, outcome: Mapping[str, Any], began: float, seconds: float | None) -> dict[str, Any]:
    """The run as a line of a report; the value is the bytes restored. `seconds` is None in check mode."""
    taken = seconds is not None
    sizes = [each["size"] for each in outcome["paths"] if "size" in each]
    evidence = [f"{each['place']}: the one before is {each['kept']}" for each in outcome["paths"] if each.get("kept")]
    evidence += [f"{name} went: it was kept for long enough" for name in outcome["removed"]]
    evidence += [f"cleared {name}, which an interrupted run had left" for name in outcome["cleared"]]
    return Result(
        id=f"restore-{order.series}",
        title=f"Restore of {order.series}",
        probe="step",
        status=Status.OK if taken else Status.SKIPPED,
        value=sum(sizes) if taken and sizes else None,
        unit="B" if taken and sizes else None,
        message=str(outcome["msg"]),
        warning=None,
        critical=None,
        evidence=[*evidence, *outcome["warnings"]],
        ref=[],
        started=rfc3339(began),
        duration=round(seconds or 0.0, 3),
    ).to_dict()
