# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets in a repository: `<series>/<id>/` with its files, `manifest.json` (the commit point) and `state.json`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.contents import ANYTHING, Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import (
    MANIFEST,
    STATE,
    Manifest,
    ManifestError,
    State,
    lost,
    parse_manifest,
    parse_state,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Decision, Policy, SetFacts, decide
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    SET_ID,
    ObjectLocked,
    Repository,
    Unreadable,
)
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic


@dataclass
class BackupSet:
    """A published set, and what is known of it.

    `lost` is what the listing of the repository shows to be missing of it. The state counts such a set as damaged;
    `unnoted` tells that the one in the repository does not say so yet.
    """

    manifest: Manifest
    state: State
    lost: str | None = None
    unnoted: bool = False

    def with_loss(self, at: float, by: str) -> State:
        """The state with what the listing showed written down."""
        written = replace(self.state, damaged=None) if self.unnoted else self.state
        return written.found_lost(str(self.lost), at, by)

    def facts(self) -> SetFacts:
        about, state = self.manifest, self.state
        proven = state.good and state.proven_at is not None
        damaged = state.damaged is not None
        return SetFacts(about.id, about.time, about.sequence, state.good, damaged, proven, about.contents)


@dataclass
class Series:
    """All there is of a series in a repository. `broken` has those whose manifest or state cannot be taken, and why.

    `strays` are files that a kill left beside the manifest of a published set.
    """

    sets: list[BackupSet] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    unpublished: dict[str, list[str]] = field(default_factory=dict)
    strays: dict[str, list[str]] = field(default_factory=dict)

    def newest_good(self, verified: bool, contents: Contents = ANYTHING, origin: str | None = None) -> BackupSet | None:
        """The newest that is not known to be damaged, or with `verified` the newest that is known to be whole.

        Only those count that have the `contents`, and are not known to be of another cluster or host.
        """
        own = [backup_set for backup_set in self.sets if backup_set.manifest.contents.has(contents)]
        own = [backup_set for backup_set in own if origin is None or backup_set.manifest.origin in (None, origin)]
        whole = [backup_set for backup_set in own if backup_set.state.damaged is None]
        return next((backup_set for backup_set in whole if backup_set.state.whole or not verified), None)

    @property
    def damaged(self) -> dict[str, str]:
        """What is wrong with each set that is damaged, newest first."""
        return {
            backup_set.manifest.id: backup_set.state.damaged
            for backup_set in self.sets
            if backup_set.state.damaged is not None
        }

    @property
    def next_sequence(self) -> int:
        return max((backup_set.manifest.sequence for backup_set in self.sets), default=0) + 1


def load(repository: Repository, series: str) -> Series:
    """Every set of a series, newest first, and what unfinished runs left.

    A set that lacks files, or has them in other sizes than were written, is damaged in what this returns.
    """
    files: dict[str, dict[str, int]] = {}
    for key, size in repository.keys(f"{series}/"):
        name, _slash, path = key[len(series) + 1 :].partition("/")
        if SET_ID.fullmatch(name) and path:
            files.setdefault(name, {})[path] = size
    found = Series()
    for name, paths in files.items():
        if MANIFEST not in paths:
            found.unpublished[name] = list(paths)
            continue
        # No file of a set is hidden: what is was to become a state, and its writer was killed.
        hidden = [path for path in paths if path.rpartition("/")[2].startswith(".")]
        if hidden:
            found.strays[name] = hidden
        try:
            found.sets.append(_load_set(repository, series, name, paths))
        except (ManifestError, Unreadable) as exc:
            found.broken[name] = str(exc)
    found.sets.sort(key=lambda backup_set: (backup_set.manifest.time, backup_set.manifest.sequence), reverse=True)
    return found


def published(repository: Repository, series: str) -> Series:
    """As `load`, for whoever needs a set: Day2Error says what there is where there is none."""
    found = load(repository, series)
    if found.sets or found.broken:
        return found
    if not repository.exists():
        raise Day2Error(f"the repository {repository.name} does not exist on this host")
    others = sorted({key.partition("/")[0] for key, _size in repository.keys("") if key.endswith(f"/{MANIFEST}")})
    hint = f"; it has sets of {', '.join(others)}" if others else ""
    raise Day2Error(f"the repository {repository.name} has no set of series {series}{hint}")


def _load_set(repository: Repository, series: str, name: str, listed: Mapping[str, int]) -> BackupSet:
    manifest = parse_manifest(repository.get(f"{series}/{name}/{MANIFEST}") or b"")
    if (manifest.id, manifest.series) != (name, series):
        raise ManifestError(f"its manifest is that of {manifest.series}/{manifest.id}")
    backup_set = BackupSet(manifest, parse_state(repository.get(f"{series}/{name}/{STATE}")))
    backup_set.lost = lost(manifest, listed)
    if backup_set.lost is None:
        backup_set.state = backup_set.state.without_loss()
    elif backup_set.state.damaged is None:
        _look_again(repository, backup_set)
    return backup_set


def _look_again(repository: Repository, backup_set: BackupSet) -> None:
    """The first listing may have begun before the set was published, or gone on while it was removed."""
    prefix = f"{backup_set.manifest.series}/{backup_set.manifest.id}/"
    again = {key[len(prefix) :]: size for key, size in repository.keys(prefix)}
    if MANIFEST not in again:
        raise ManifestError("it was removed while it was looked at")
    backup_set.lost = lost(backup_set.manifest, again)
    backup_set.state, backup_set.unnoted = (
        replace(backup_set.state, damaged=backup_set.lost),
        backup_set.lost is not None,
    )


def free_id(found: Series, moment: float) -> str:
    """An id of this time that no set has, published or not.

    It is not that of a set which retention removed in the same second either, since a copy elsewhere may still have it:
    numbers go up, and the newest set always stays.
    """
    name = basic(moment)
    taken = {backup_set.manifest.id for backup_set in found.sets} | {*found.unpublished, *found.broken}
    numbers = [int(other[len(name) + 1 :] or 1) for other in taken if re.fullmatch(rf"{name}(-[0-9]+)?", other)]
    return f"{name}-{max(numbers) + 1}" if numbers else name


def publish(repository: Repository, manifest: Manifest) -> None:
    """The moment from which the set exists."""
    repository.put(f"{manifest.series}/{manifest.id}/{MANIFEST}", manifest.render())


def save_state(repository: Repository, backup_set: BackupSet) -> None:
    about = backup_set.manifest
    repository.put(f"{about.series}/{about.id}/{STATE}", backup_set.state.render(), replace=True)


def clear_unpublished(repository: Repository, series: str, found: Series) -> list[str]:
    """Remove what unfinished runs left; the caller holds the lock, so nobody is still writing it.

    What object lock holds stays unpublished, and is nobody's backup.
    """
    cleared = []
    for left in (found.unpublished, found.strays):
        for name, paths in list(left.items()):
            try:
                for path in paths:
                    repository.remove(f"{series}/{name}/{path}")
            except ObjectLocked:
                continue
            cleared.append(name)
            del left[name]
    repository.tidy(f"{series}/")
    return sorted(cleared)


@dataclass
class Pruned:
    """What retention did: ids that went, ids that stay with reasons, ids that a lock holds with its words."""

    gone: list[str] = field(default_factory=list)
    kept: Mapping[str, list[str]] = field(default_factory=dict)
    locked: dict[str, str] = field(default_factory=dict)
    held: str | None = None


def plan_pruning(found: Series, policy: Policy, now: float) -> Decision:
    return decide([backup_set.facts() for backup_set in found.sets], policy, now)


def prune(repository: Repository, series: str, found: Series, decision: Decision, held: Held) -> Pruned:
    """Remove sets, the manifest of each first: a set that is half removed is no set any more. `held` is the lock's."""
    outcome = Pruned(kept=decision.keep, held=decision.held)
    for name in decision.prune:
        held()
        try:
            repository.remove(f"{series}/{name}/{MANIFEST}")
        except ObjectLocked as exc:
            outcome.locked[name] = str(exc)
            continue
        outcome.gone.append(name)
        for key, _size in list(repository.keys(f"{series}/{name}/")):
            try:
                repository.remove(key)
            except ObjectLocked as exc:
                outcome.locked[name] = str(exc)
    found.sets = [backup_set for backup_set in found.sets if backup_set.manifest.id not in outcome.gone]
    return outcome
