# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drills: sets restored into a scratch place, compared, measured, and thrown away; the verdict stays with the set."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.choose import choose
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Missing, Repository, Unreadable
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_bytes
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ask, connected, tool_for, tool_of
from ansible_collections.day2.ops.plugins.module_utils.restore import preflight, properties, roles, swap
from ansible_collections.day2.ops.plugins.module_utils.restore.drills import (
    Blame,
    Drilled,
    Targets,
    expected,
    lost,
    needs,
    order,
    put_off,
    step,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.load import Archives, Loading, analyse, load
from ansible_collections.day2.ops.plugins.module_utils.restore.names import Marker, Role, beside
from ansible_collections.day2.ops.plugins.module_utils.restore.preflight import Wanted
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import Expectation, Proof, entry, prove
from ansible_collections.day2.ops.plugins.module_utils.restore.scratch import scratch_cluster
from ansible_collections.day2.ops.plugins.module_utils.restore.verdict import remember

# Entries that would reach out of a scratch place, or do something when rows arrive.
_LEFT_OUT = ("SUBSCRIPTION", "USER MAPPING", "EVENT TRIGGER", "PUBLICATION")
_NO_TABLESPACES = ("--no-tablespaces",)
_NAME = "day2_drill"
# Sets that a message names.
_TOLD = 5


@dataclass(frozen=True)
class Drill:
    """What a run of drills may do. Times are seconds, sizes bytes; `login` None: a cluster of its own."""

    database: str
    jobs: int
    scratch: str
    login: Login | None = None
    identity: str | None = None
    bin_dir: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    expectations: Sequence[Expectation] = ()
    amcheck: bool = True
    newest_row: str | None = None
    targets: Targets = field(default_factory=Targets)
    most: int = 1
    time_budget: float = 3600.0
    disk_budget: int | None = None
    source: str | None = None
    timeout: float | None = None


def run(
    drill: Drill, repository: Repository, series: str, check_mode: bool = False, copy: Repository | None = None
) -> dict[str, Any]:
    """Drill the sets that need it most. The outcome has a step for each; a failed one is a critical step.

    `copy` is the second location of the sets: what is found of one is noted there too.
    """
    found = sets.published(repository, series)
    due = _due(drill, found.sets)
    title = f"Restore drill of {drill.database}"
    if check_mode:
        names = ", ".join(each.manifest.id for each in due)
        return {"changed": bool(due), "drills": [], "steps": [], "msg": f"would restore {names or 'nothing'}"}
    begun, done = time.monotonic(), list[Drilled]()
    if drill.source is None:
        done = [_without_files(each, repository, copy) for each in found.sets if each.unnoted]
    if not due and not done:
        told = "; ".join(f"{name}: {why}" for name, why in list(found.damaged.items())[:_TOLD])
        raise Day2Error(f"every set with {drill.database} is damaged ({told})")
    drilled_before = len(done)
    for each in due:
        left = drill.time_budget - (time.monotonic() - begun)
        estimate = expected(each, found.sets)
        if estimate is not None and estimate.seconds > left:
            if len(done) > drilled_before:
                break
            return outcome_of(done, drill.targets, title, [put_off(each, estimate, left, title, time.time())])
        drilled = _one(drill, repository, each, found.sets)
        if estimate is None:
            drilled.notes.append("how long it takes could not be estimated: no drill before, and no time of its making")
        remember(drilled, each, repository, copy)
        done.append(drilled)
    return outcome_of(done, drill.targets, title)


def _without_files(each: BackupSet, repository: Repository, copy: Repository | None) -> Drilled:
    """A set that needs no restore to fail: the listing says so. One that is known to be damaged is not told again."""
    drilled = Drilled(each.manifest, time.time(), failure=each.lost, blame=Blame.BYTES, listed=True)
    remember(drilled, each, repository, copy)
    return drilled


def outcome_of(
    done: Sequence[Drilled], targets: Targets, title: str, others: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """What a module returns of drills. `others` are lines of those that were not begun."""
    steps = [*(step(each, targets, title) for each in done), *others]
    return {
        "changed": bool(done),
        "drills": [_told(each) for each in done],
        "steps": steps,
        "warnings": [note for each in done for note in each.notes],
        "msg": "; ".join(each["message"] for each in steps) or "there is no set to restore",
    }


def _due(drill: Drill, found: Sequence[BackupSet]) -> list[BackupSet]:
    with_database = [each for each in found if drill.database in each.manifest.contents.names]
    if drill.source is not None:
        # A restore that is whole takes a verdict of damage back.
        return [choose(with_database, drill.source, damaged_too=True, now=time.time())]
    if not with_database:
        raise Day2Error(f"no set of this series has a database {drill.database!r}")
    return order(with_database)[: drill.most]


def _one(drill: Drill, repository: Repository, each: BackupSet, found: Sequence[BackupSet]) -> Drilled:
    drilled = Drilled(each.manifest, time.time())
    if each.lost is not None:
        drilled.failure, drilled.blame, drilled.listed = each.lost, Blame.BYTES, True
        return drilled
    begun = time.monotonic()
    archives = Archives(repository, each.manifest, drill.database, drill.identity)
    try:
        _check_disk(drill, archives)
        with _place(drill, each.manifest) as (login, name):
            proof = _restore(drill, login, name, archives)
            drilled.words, drilled.rto = proof.words, time.monotonic() - begun
            data_until = newest_row(drill, login, name, each.manifest.time)
        if proof.faults:
            # A question that is wrong, or asked too late, would condemn one good set after the other.
            drilled.failure = "; ".join(proof.faults[:10])
            drilled.blame = Blame.CONTENTS if proof.differences else Blame.NOBODY
        drilled.rpo = lost(data_until, each, found, drilled.began)
    except (Day2Error, OSError) as exc:
        drilled.failure = str(exc)
        drilled.blame = Blame.BYTES if isinstance(exc, Damaged) or _is_damaged(archives) else Blame.NOBODY
        drilled.rto = time.monotonic() - begun
    return drilled


def _check_disk(drill: Drill, archives: Archives) -> None:
    manifest = archives.manifest
    wanted = Wanted(manifest, entry(manifest, drill.database), archives.main.bytes, _NAME, False)
    need = needs(wanted.size, wanted.scratch, drill.login is None)
    free = preflight.free(drill.scratch)
    if free is None:
        raise Day2Error(f"the scratch directory {drill.scratch} does not exist, or this user may not look at it")
    # A database of another cluster lies where that one keeps its data.
    here = need.total if drill.login is None else need.archive
    for limit, size, what in ((drill.disk_budget, need.total, "the disk budget"), (free, here, drill.scratch)):
        if limit is not None and size > limit:
            raise Day2Error(
                f"{what} has {format_bytes(limit)} for it, and about {format_bytes(size)} are needed ({need.words})"
            )


@contextmanager
def _place(drill: Drill, manifest: Manifest) -> Iterator[tuple[Login, str]]:
    """A login and the name of a database that may be made there; gone afterwards."""
    if drill.login is None:
        major = int(manifest.about["server"]["version_num"]) // 10000
        folder = os.path.dirname(tool_for("postgres", major, drill.bin_dir))
        with scratch_cluster(drill.scratch, folder, drill.settings) as login:
            yield login, _NAME
        return
    with connected(drill.login) as connection:
        connection.autocommit = True
        with swap.alone(connection, _NAME):
            swap.clear(drill.login, connection, _NAME)
            try:
                yield drill.login, beside(_NAME)
            finally:
                for name in swap.unfinished(connection, _NAME):
                    swap.drop_unfinished(drill.login, connection, name)


def _restore(drill: Drill, login: Login, name: str, archives: Archives) -> Proof:
    manifest = archives.manifest
    wanted = {**entry(manifest, drill.database), "tablespace": None}
    major = int(manifest.about["server"]["version_num"]) // 10000
    pg_restore, version = tool_of("pg_restore", major, drill.bin_dir)
    unreadable = preflight.archive_fault(manifest, version)
    if unreadable is not None:
        raise Day2Error(unreadable)
    vacuumdb = tool_for("vacuumdb", major, drill.bin_dir)
    with connected(login) as connection:
        connection.autocommit = True
        version_here = connection.server_version
        how = Loading(
            pg_restore, vacuumdb, drill.jobs, drill.scratch, version_here, drill.timeout, _LEFT_OUT, _NO_TABLESPACES
        )
        cannot = properties.locale_fault(version_here, wanted)
        if cannot is not None:
            raise Day2Error(cannot)
        there = {str(role) for (role,) in ask(connection, "SELECT rolname FROM pg_roles")}
        missing = {*(wanted.get("roles") or []), str(wanted["owner"])} - there
        if missing and drill.login is None:
            roles.make(connection, archives, sorted(missing))
        elif missing:
            raise Day2Error(f"roles are missing on this server: {', '.join(sorted(missing))}")
        properties.create(connection, name, wanted)
        swap.comment(connection, name, Marker(Role.NEW, _NAME, manifest.id, time.time()).render())
        load(login, name, archives, how)
        analyse(login, name, how)
        return prove(login, name, manifest, drill.database, drill.jobs, drill.expectations, drill.amcheck)


def newest_row(drill: Drill, login: Login, name: str, otherwise: float) -> float:
    """Until when the restored data goes: the site's own query, or `otherwise`; POSIX seconds."""
    if drill.newest_row is None:
        return otherwise
    from psycopg2 import sql

    with connected(login, name) as connection:
        connection.set_session(readonly=True)
        query = sql.SQL("SELECT extract(epoch FROM (SELECT ({})::timestamptz))").format(
            sql.SQL("SELECT * FROM ({}) newest LIMIT 1").format(sql.SQL(drill.newest_row.rstrip().rstrip(";")))
        )
        ((moment,),) = ask(connection, query)
    if moment is None:
        raise Day2Error("the query of the newest row answers nothing: there are no rows")
    return float(moment)


def _is_damaged(archives: Archives) -> bool:
    """Whether what failed is the set's fault: its bytes are compared, which tells it from a full disk."""
    try:
        for each in archives.manifest.files:
            drain(stored_pieces(archives.repository, archives.folder, each))
    except (Damaged, Missing, Unreadable):
        return True
    except Day2Error:
        return False
    return False


def _told(drilled: Drilled) -> dict[str, Any]:
    return {
        "id": drilled.manifest.id,
        "rto": round(drilled.rto, 3),
        "rpo": round(drilled.rpo, 3) if drilled.rpo is not None else None,
        "proven": drilled.failure is None,
        "failure": drilled.failure,
        "damaged": drilled.damaged,
        "compared": drilled.words,
    }
