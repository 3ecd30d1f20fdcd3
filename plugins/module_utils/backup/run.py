# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of a backup: make a set when one is due, verify it, copy it, and prune what the policy lets go.

What a set is made of is the caller's (`make`); everything else is the same for databases and for files.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import copying, damage, sets
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import ANYTHING, Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.made import Made
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import (
    MANIFEST,
    Manifest,
    State,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.outcome import (
    describe,
    describe_location,
    foreign_sets,
    summarize,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import (
    CLOCK_TOLERANCE,
    Policy,
    SetFacts,
    decide,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, Series
from ansible_collections.day2.ops.plugins.module_utils.backup.step import step_of
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import DIGEST, READ, verify
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process import progress
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository

Make = Callable[[Repository, str], Made]
# A set that check mode would make has no id yet.
PLANNED = "the set of this run"


class BackupFailed(Day2Error):
    """A run that did not end well. `outcome` is what stands all the same."""

    def __init__(self, message: str, outcome: dict[str, Any]) -> None:
        super().__init__(message)
        self.outcome = outcome


@dataclass(frozen=True)
class Plan:
    """What a run is to do. Times are seconds; `copy` is the second location with its own policy."""

    kind: str
    series: str
    policy: Policy
    recipients: Sequence[str] = ()
    identity: str | None = None
    verify: bool = True
    max_age: float | None = None
    lock_wait: float = 0.0
    jobs: int = 1
    run_id: str | None = None
    pg_restore: str | None = None
    copy_policy: Policy | None = None
    # What a set would be of: the databases or paths, and the cluster or the host.
    contents: Contents = ANYTHING
    origin: str | None = None
    # Directories that somebody else makes before the run: a plan does not miss them.
    planned_directories: Sequence[str] = ()
    # What the lock says that it is held for.
    purpose: str = "a backup"


@dataclass
class _Place:
    """A location of the sets, and what is in it."""

    repository: Repository
    policy: Policy
    found: Series = field(default_factory=Series)
    held: Held = lambda: None


def run(
    plan: Plan, repository: Repository, copy: Repository | None, make: Make, check_mode: bool = False
) -> dict[str, Any]:
    """Make, verify, copy, prune. BackupFailed for whatever fails; then nothing is pruned."""
    places = [_Place(repository, plan.policy)]
    if copy is not None:
        places.append(_Place(copy, plan.copy_policy or plan.policy))
    if check_mode:
        return _planned(plan, places)
    outcome: dict[str, Any] = {"changed": False, "made": False, "cleared": []}
    began, begun = time.time(), time.monotonic()
    with ExitStack() as stack:
        first = places[0]
        _enter(stack, plan, first, outcome)
        now = time.time()
        if _due(first.found, plan, now):
            _make(plan, first, make, now, outcome)
        for place in places[1:]:
            _copy(stack, plan, first, place, outcome)
        outcome["changed"] = _changed(outcome)
        # Where none was due it is the one that made it so.
        newest = first.found.sets[0] if outcome["made"] else _counted(first.found, plan)
        if outcome["made"]:
            outcome.setdefault("warnings", []).extend(
                foreign_sets(first.repository.name, plan.series, first.found, plan.origin)
            )
        outcome["locations"] = [_prune(plan, place, outcome) for place in places]
        outcome["set"] = describe(newest, [place.repository.name for place in places]) if newest else None
    outcome["msg"] = summarize(outcome, newest, plan.max_age, now)
    outcome["step"] = step_of(plan.kind, plan.series, outcome, began, time.monotonic() - begun)
    return outcome


def _enter(stack: ExitStack, plan: Plan, place: _Place, outcome: dict[str, Any]) -> None:
    """Have a place for this run alone, and know what is in it."""
    place.repository.prepare()
    place.held = stack.enter_context(place.repository.lock(plan.series, plan.lock_wait, plan.purpose))
    place.found = sets.load(place.repository, plan.series)
    outcome["cleared"] += sets.clear_unpublished(place.repository, plan.series, place.found)
    noted = damage.note(place.repository, place.found, place.held, "the listing of a backup run")
    if noted:
        outcome["changed"] = True
        outcome.setdefault("warnings", []).extend(noted)


def _changed(outcome: Mapping[str, Any]) -> bool:
    return bool(outcome["changed"] or outcome["made"] or outcome["cleared"] or outcome.get("copied"))


def _counted(found: Series, plan: Plan) -> BackupSet | None:
    """The set that a run would otherwise make again."""
    return found.newest_good(plan.verify, plan.contents, plan.origin)


def _due(found: Series, plan: Plan, now: float) -> bool:
    newest = _counted(found, plan)
    if newest is None or plan.max_age is None:
        return True
    age = now - newest.manifest.time
    # One of the future was dated by a wrong clock: nobody knows how old it is.
    return age >= plan.max_age or age < -CLOCK_TOLERANCE


def _make(plan: Plan, place: _Place, make: Make, now: float, outcome: dict[str, Any]) -> None:
    name = sets.free_id(place.found, now)
    folder = f"{plan.series}/{name}"
    begun = time.monotonic()
    before = place.found.sets[0].manifest.size if place.found.sets else None
    progress.phase(f"backup {plan.series}", before, exact=False)
    try:
        content = make(place.repository, folder)
        seconds = time.monotonic() - begun
        manifest = Manifest(
            id=name,
            kind=plan.kind,
            series=plan.series,
            sequence=place.found.next_sequence,
            time=content.taken or now,
            finished=max(now + seconds, content.taken or now),
            files=content.files,
            recipients=list(plan.recipients),
            run_id=plan.run_id,
            about=content.about,
        )
        place.held()
        sets.publish(place.repository, manifest)
    except Day2Error as exc:
        _remove(place, folder)
        raise BackupFailed(f"no backup was made, and nothing was pruned: {exc}", outcome) from exc
    except BaseException:
        _remove(place, folder)
        raise
    made = BackupSet(manifest, State())
    place.found.sets.insert(0, made)
    if content.warnings:
        outcome.setdefault("warnings", []).extend(content.warnings)
    outcome.update(
        made=True, changed=True, seconds=round(seconds, 3), throughput=round(manifest.size / max(seconds, 1e-6))
    )
    if plan.verify:
        _verify(plan, place, made, outcome)


def _remove(place: _Place, folder: str) -> None:
    """What a failed run left, the manifest first; where that fails too, the next run clears it."""
    try:
        # With the lock lost this may be another run's by now.
        place.held()
        keys = [key for key, _size in place.repository.keys(f"{folder}/")]
        for key in sorted(keys, key=lambda key: key != f"{folder}/{MANIFEST}"):
            place.repository.remove(key)
        place.repository.tidy(f"{folder}/")
    except Day2Error:
        return


def _verify(plan: Plan, place: _Place, made: BackupSet, outcome: dict[str, Any]) -> None:
    begun = time.monotonic()
    progress.phase(f"reading back {made.manifest.id}", made.manifest.size)
    try:
        verdict = verify(place.repository, made.manifest, plan.jobs, plan.pg_restore, plan.identity)
        level, now = "none" if verdict.faults else verdict.level, time.time()
        made.state = replace(made.state, verified=level, verified_at=now)
        if verdict.faults:
            made.state = made.state.found_damaged("; ".join(verdict.faults), now, "the run that made it")
        elif verdict.level == READ:
            made.state = made.state.found_whole(now, "a run that read it")
        sets.save_state(place.repository, made)
    except Day2Error as exc:
        raise BackupFailed(
            f"the backup {made.manifest.id} is in {place.repository.name}, but its verification did not end, and"
            f" nothing was pruned: {exc}",
            outcome,
        ) from exc
    outcome["verify_seconds"] = round(time.monotonic() - begun, 3)
    if verdict.faults:
        raise BackupFailed(
            f"the backup {made.manifest.id} in {place.repository.name} is damaged, and nothing was pruned:"
            f" {'; '.join(verdict.faults)}",
            outcome,
        )
    if verdict.level == DIGEST:
        outcome.setdefault("warnings", []).append(
            f"{made.manifest.id} is encrypted and there is no identity here: what {place.repository.name} gives back"
            " has the digests that were written; whether it decrypts and reads is for a host that has the key."
            " Retention does not count on it before that (`identity`, or a drill)"
        )


def _copy(stack: ExitStack, plan: Plan, source: _Place, target: _Place, outcome: dict[str, Any]) -> None:
    """What the second location lacks, and what is damaged there."""
    try:
        _enter(stack, plan, target, outcome)
    except Day2Error as exc:
        raise _copy_failed(source.found.sets[0], source, exc, outcome) from exc
    for original in copying.missing(source.found, target.found):
        try:
            target.found.sets.insert(0, _copy_set(plan, source, target, original))
        except Day2Error as exc:
            _mark_damaged(source, original, exc)
            raise _copy_failed(original, source, exc, outcome) from exc
        outcome.setdefault("copied", []).append(original.manifest.id)
    failures = []
    for original, copy in copying.spoilt(source.found, target.found):
        damage_found = f"{copy.manifest.id} in {target.repository.name} is damaged ({copy.lost})"
        try:
            copying.mend(source.repository, target.repository, original, copy, target.held)
        except Day2Error as exc:
            _mark_damaged(source, original, exc)
            failures.append(_copy_failed(original, source, exc, outcome))
        else:
            outcome.setdefault("copied", []).append(copy.manifest.id)
            outcome.setdefault("warnings", []).append(f"{damage_found}: copied again from {source.repository.name}")
    if failures:
        raise failures[0]


def _mark_damaged(source: _Place, original: BackupSet, exc: Day2Error) -> None:
    """A set that could not be copied for its own bytes no longer counts."""
    if isinstance(exc, copying.SourceDamaged):
        original.state = original.state.found_damaged(str(exc), time.time(), "a run that copied it")
        source.held()
        sets.save_state(source.repository, original)


def _to_copy(source: _Place, target: _Place) -> list[BackupSet]:
    again = [original for original, _copy in copying.spoilt(source.found, target.found)]
    return [*copying.missing(source.found, target.found), *again]


def _copy_failed(original: BackupSet, source: _Place, exc: Day2Error, outcome: dict[str, Any]) -> BackupFailed:
    return BackupFailed(
        f"the backup {original.manifest.id} is in {source.repository.name}; its copy failed, and nothing was pruned:"
        f" {exc}",
        {**outcome, "changed": _changed(outcome)},
    )


def _copy_set(plan: Plan, source: _Place, target: _Place, original: BackupSet) -> BackupSet:
    """Proven before it is published: a copy that is damaged never becomes a set."""
    about = original.manifest
    if about.id in target.found.broken:
        raise Day2Error(
            f"{target.repository.name} has {about.id} already, and {target.found.broken[about.id]};"
            " remove it there, and the next run copies it again"
        )
    folder = f"{about.series}/{about.id}"
    copied = BackupSet(about, State())
    try:
        progress.phase(f"copying {about.id} to {target.repository.name}", about.size)
        copying.copy_files(source.repository, target.repository, folder, about.files)
        if plan.verify:
            progress.phase(f"reading back the copy of {about.id}", about.size)
            for stored in about.files:
                drain(stored_pieces(target.repository, folder, stored))
            copied.state = State(verified=copying.level_of(original), verified_at=time.time())
        target.held()
        sets.save_state(target.repository, copied)
        sets.publish(target.repository, about)
    except BaseException:
        _remove(target, folder)
        raise
    return copied


def _prune(plan: Plan, place: _Place, outcome: dict[str, Any]) -> dict[str, Any]:
    decision = sets.plan_pruning(place.found, place.policy, time.time())
    pruned = sets.prune(place.repository, plan.series, place.found, decision, place.held)
    outcome["changed"] = outcome["changed"] or bool(pruned.gone)
    description = describe_location(place.repository.name, place.found, decision)
    return {**description, "pruned": pruned.gone, "locked": pruned.locked}


def _planned(plan: Plan, places: Sequence[_Place]) -> dict[str, Any]:
    """Check mode: what would be made and what would go, and why each set stays."""
    now = time.time()
    warnings: list[str] = []
    for place in places:
        if place.repository.name not in plan.planned_directories:
            try:
                place.repository.prepare(make=False)
            except Day2Error as exc:
                warnings.append(f"as things are, {exc}")
        place.found = sets.load(place.repository, plan.series)
    due = _due(places[0].found, plan, now)
    copied = [backup_set.manifest.id for place in places[1:] for backup_set in _to_copy(places[0], place)]
    locations = []
    for place in places:
        facts = [backup_set.facts() for backup_set in place.found.sets]
        if due:
            planned = SetFacts(PLANNED, now, place.found.next_sequence, plan.verify, contents=plan.contents)
            facts.append(planned)
        locations.append(describe_location(place.repository.name, place.found, decide(facts, place.policy, now)))
    unfinished = sorted(name for place in places for name in place.found.unpublished)
    outcome: dict[str, Any] = {
        "changed": due or bool(unfinished or copied) or any(location["pruned"] for location in locations),
        "made": due,
        **({"copied": copied} if copied else {}),
        "cleared": unfinished,
        "locations": locations,
        "set": None,
        "warnings": warnings,
    }
    newest = None if due else _counted(places[0].found, plan)
    outcome["msg"] = summarize(outcome, newest, plan.max_age, now, "would be ")
    return {**outcome, "step": step_of(plan.kind, plan.series, outcome, now, 0.0)}
