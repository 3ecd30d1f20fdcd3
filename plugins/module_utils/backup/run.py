# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of a backup: make a set when one is due, prove it, copy it, and let go of what the policy lets go of.

What a set is made of is the caller's (`make`); everything else is the same for databases and for files.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import copying, damage, sets
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import ANYTHING, Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import (
    MANIFEST,
    Manifest,
    State,
    StoredFile,
    rfc3339,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Held, Repository
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import (
    CLOCK_TOLERANCE,
    Decision,
    Policy,
    SetFacts,
    decide,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, Series
from ansible_collections.day2.ops.plugins.module_utils.backup.step import step_of
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import DIGEST, READ, verify
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

Make = Callable[[Repository, str], tuple[list[StoredFile], dict[str, Any]]]
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
    # Sets of another run of the manual have this purpose in their lock.
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
            outcome.setdefault("warnings", []).extend(_strangers(first, plan))
        outcome["locations"] = [_prune(plan, place, outcome) for place in places]
        outcome["set"] = describe(newest, [place.repository.name for place in places]) if newest else None
    outcome["msg"] = _sentence(outcome, newest)
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


def _strangers(place: _Place, plan: Plan) -> list[str]:
    """Warnings of sets that another cluster or host makes in turn with this one: retention counts them together."""
    own = [each.manifest.sequence for each in place.found.sets if each.manifest.origin == plan.origin]
    others = [each.manifest for each in place.found.sets if each.manifest.origin not in (None, plan.origin)]
    newer = [each for each in others if own and each.sequence > min(own)]
    if plan.origin is None or not newer:
        return []
    return [
        f"{place.repository.name}, series {plan.series}: {newer[0].id} is of {newer[0].origin}, others are of"
        f" {plan.origin}, and retention takes them for the same: give each a `series` or a repository of its own"
    ]


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
    try:
        files, about = make(place.repository, folder)
        seconds = time.monotonic() - begun
        manifest = Manifest(
            id=name,
            kind=plan.kind,
            series=plan.series,
            sequence=place.found.next_sequence,
            time=now,
            finished=now + seconds,
            files=files,
            recipients=list(plan.recipients),
            run_id=plan.run_id,
            about=about,
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
    for each in copying.missing(source.found, target.found):
        try:
            target.found.sets.insert(0, _copy_set(plan, source, target, each))
        except Day2Error as exc:
            _blame(source, each, exc)
            raise _copy_failed(each, source, exc, outcome) from exc
        outcome.setdefault("copied", []).append(each.manifest.id)
    failures = []
    for original, copy in copying.spoilt(source.found, target.found):
        told = f"{copy.manifest.id} in {target.repository.name} is damaged ({copy.lost})"
        try:
            copying.mend(source.repository, target.repository, original, copy, target.held)
        except Day2Error as exc:
            _blame(source, original, exc)
            failures.append(_copy_failed(original, source, exc, outcome))
        else:
            outcome.setdefault("copied", []).append(copy.manifest.id)
            outcome.setdefault("warnings", []).append(f"{told}: copied again from {source.repository.name}")
    if failures:
        raise failures[0]


def _blame(source: _Place, each: BackupSet, exc: Day2Error) -> None:
    """A set that could not be copied for its own bytes takes nobody's place from now on."""
    if isinstance(exc, copying.SourceDamaged):
        each.state = each.state.found_damaged(str(exc), time.time(), "a run that copied it")
        source.held()
        sets.save_state(source.repository, each)


def _to_copy(source: _Place, target: _Place) -> list[BackupSet]:
    again = [original for original, _copy in copying.spoilt(source.found, target.found)]
    return [*copying.missing(source.found, target.found), *again]


def _copy_failed(each: BackupSet, source: _Place, exc: Day2Error, outcome: dict[str, Any]) -> BackupFailed:
    return BackupFailed(
        f"the backup {each.manifest.id} is in {source.repository.name}; its copy failed, and nothing was pruned: {exc}",
        {**outcome, "changed": _changed(outcome)},
    )


def _copy_set(plan: Plan, source: _Place, target: _Place, each: BackupSet) -> BackupSet:
    """Proven before it is published: a copy that is damaged never becomes a set."""
    about = each.manifest
    if about.id in target.found.broken:
        raise Day2Error(
            f"{target.repository.name} has {about.id} already, and {target.found.broken[about.id]};"
            " remove it there, and the next run copies it again"
        )
    folder = f"{about.series}/{about.id}"
    copied = BackupSet(about, State())
    try:
        copying.copy_files(source.repository, target.repository, folder, about.files)
        if plan.verify:
            for stored in about.files:
                drain(stored_pieces(target.repository, folder, stored))
            copied.state = State(verified=copying.level_of(each), verified_at=time.time())
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
    told = _told(place, decision)
    return {**told, "pruned": pruned.gone, "locked": pruned.locked}


def _told(place: _Place, decision: Decision) -> dict[str, Any]:
    return {
        "repository": place.repository.name,
        "pruned": decision.prune,
        "kept": [{"id": name, "because": reasons} for name, reasons in decision.keep.items()],
        "held": decision.held,
        "locked": {},
        "broken": place.found.broken,
        "damaged": place.found.damaged,
    }


def _planned(plan: Plan, places: Sequence[_Place]) -> dict[str, Any]:
    """Check mode: what would be made and what would go, and why each set stays."""
    now = time.time()
    warnings: list[str] = []
    for place in places:
        try:
            place.repository.prepare(make=False)
        except Day2Error as exc:
            # A role may make it before.
            warnings.append(f"as things are, {exc}")
        place.found = sets.load(place.repository, plan.series)
    due = _due(places[0].found, plan, now)
    copied = [each.manifest.id for place in places[1:] for each in _to_copy(places[0], place)]
    told = []
    for place in places:
        facts = [each.facts() for each in place.found.sets]
        if due:
            planned = SetFacts(PLANNED, now, place.found.next_sequence, plan.verify, contents=plan.contents)
            facts.append(planned)
        told.append(_told(place, decide(facts, place.policy, now)))
    unfinished = sorted(name for place in places for name in place.found.unpublished)
    outcome: dict[str, Any] = {
        "changed": due or bool(unfinished or copied) or any(each["pruned"] for each in told),
        "made": due,
        **({"copied": copied} if copied else {}),
        "cleared": unfinished,
        "locations": told,
        "set": None,
        "warnings": warnings,
    }
    newest = None if due else _counted(places[0].found, plan)
    outcome["msg"] = _sentence(outcome, newest, "would be ")
    return {**outcome, "step": step_of(plan.kind, plan.series, outcome, now, 0.0)}


def describe(each: BackupSet, locations: Sequence[str]) -> dict[str, Any]:
    """A set for people and playbooks. Sizes are bytes, durations seconds, times RFC 3339 in UTC."""
    about, state = each.manifest, each.state
    return {
        "id": about.id,
        "kind": about.kind,
        "series": about.series,
        "time": rfc3339(about.time),
        "duration": round(about.finished - about.time, 3),
        "size": about.size,
        "files": len(about.files),
        "encrypted": about.encrypted,
        "verified": state.verified,
        "verified_at": rfc3339(state.verified_at) if state.verified_at is not None else None,
        "proven_at": rfc3339(state.proven_at) if state.proven_at is not None else None,
        "damaged": state.damaged,
        "history": state.history,
        "run_id": about.run_id,
        "locations": list(locations),
        **{name: about.about[name] for name in ("server", "wal", "paths") if name in about.about},
        "databases": [entry.get("name") for entry in about.about.get("databases", []) if isinstance(entry, Mapping)],
    }


def _sentence(outcome: Mapping[str, Any], newest: BackupSet | None, would: str = "") -> str:
    gone = sum(len(each["pruned"]) for each in outcome["locations"])
    made = outcome.get("set")
    if outcome["made"] and made:
        size = format_quantity(made["size"], Unit("B", BYTES))
        told = f"{made['id']} {size} in {format_duration(outcome['seconds'])}, verified: {made['verified']}"
    elif outcome["made"]:
        told = "a set would be made"
    else:
        told = "no set is due" + (f", the newest good one is {newest.manifest.id}" if newest else "")
    held = next((each["held"] for each in outcome["locations"] if each["held"]), None)
    return f"{told}; {gone} {would}pruned" + (f" ({held})" if held else "")
