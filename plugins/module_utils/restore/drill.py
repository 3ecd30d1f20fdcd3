# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drills: sets restored into a scratch place, compared, measured, and thrown away; the verdict stays with the set."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ask, connected, tool_for
from ansible_collections.day2.ops.plugins.module_utils.restore import properties, roles, swap
from ansible_collections.day2.ops.plugins.module_utils.restore.drills import (
    Drilled,
    Targets,
    expected,
    lost,
    order,
    step,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.load import Archives, Loading, analyse, load
from ansible_collections.day2.ops.plugins.module_utils.restore.names import Marker, Role, beside
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import Expectation, Proof, entry, prove
from ansible_collections.day2.ops.plugins.module_utils.restore.scratch import scratch_cluster

# Entries that would reach out of a scratch place, or do something when rows arrive.
_LEFT_OUT = ("SUBSCRIPTION", "USER MAPPING", "EVENT TRIGGER", "PUBLICATION")
_NAME = "day2_drill"


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


def run(drill: Drill, repository: Repository, series: str, check_mode: bool = False) -> dict[str, Any]:
    """Drill the sets that need it most. The outcome has a step for each; a failed one is a critical step."""
    found = sets.load(repository, series)
    due = _due(drill, found.sets)
    title = f"Restore drill of {drill.database}"
    if check_mode:
        names = ", ".join(each.manifest.id for each in due)
        return {"changed": bool(due), "drills": [], "steps": [], "msg": f"would restore {names or 'nothing'}"}
    begun, done = time.monotonic(), []
    for number, each in enumerate(due):
        used = time.monotonic() - begun
        if number and used + expected(each, found.sets) > drill.time_budget:
            break
        drilled = _one(drill, repository, each, found.sets)
        _remember(repository, series, each, drilled)
        done.append(drilled)
    return outcome_of(done, drill.targets, title)


def outcome_of(done: Sequence[Drilled], targets: Targets, title: str) -> dict[str, Any]:
    """What a module returns of drills."""
    steps = [step(each, targets, title) for each in done]
    return {
        "changed": bool(done),
        "drills": [_told(each) for each in done],
        "steps": steps,
        "msg": "; ".join(each["message"] for each in steps) or "there is no set to restore",
    }


def _due(drill: Drill, found: Sequence[BackupSet]) -> list[BackupSet]:
    with_database = [each for each in found if drill.database in _databases(each.manifest)]
    if drill.source is not None:
        from ansible_collections.day2.ops.plugins.module_utils.backup.choose import choose

        return [choose(with_database, drill.source)]
    if not with_database:
        raise Day2Error(f"no set of this series has a database {drill.database!r}")
    return order(with_database)[: drill.most]


def _databases(manifest: Manifest) -> list[str]:
    return [str(each.get("name")) for each in manifest.about.get("databases", []) if isinstance(each, Mapping)]


def _one(drill: Drill, repository: Repository, each: BackupSet, found: Sequence[BackupSet]) -> Drilled:
    drilled = Drilled(each.manifest, time.time())
    begun = time.monotonic()
    archives = Archives(repository, each.manifest, drill.database, drill.identity)
    try:
        _check_disk(drill, each.manifest)
        with _place(drill, each.manifest) as (login, name):
            proof = _restore(drill, login, name, archives)
            drilled.words, drilled.rto = proof.words, time.monotonic() - begun
            data_until = newest_row(drill, login, name, each.manifest.time)
        if proof.faults:
            # A question that is wrong, or asked too late, would condemn one good set after the other.
            drilled.failure, drilled.damaged = "; ".join(proof.faults[:10]), bool(proof.differences)
        drilled.rpo = lost(data_until, each, found, drilled.began)
    except Day2Error as exc:
        drilled.failure = str(exc)
        drilled.damaged = isinstance(exc, Damaged) or _is_damaged(archives)
        drilled.rto = time.monotonic() - begun
    return drilled


def _check_disk(drill: Drill, manifest: Manifest) -> None:
    need = int(entry(manifest, drill.database).get("size") or 0)
    try:
        status = os.statvfs(drill.scratch)
    except OSError as exc:
        raise Day2Error(f"the scratch directory {drill.scratch}: {exc.strerror}") from exc
    free = status.f_bavail * status.f_frsize
    limit = min(free, drill.disk_budget) if drill.disk_budget is not None else free
    if need > limit:
        raise Day2Error(f"{drill.scratch} has {limit} bytes for it, and {need} are needed")


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
    how = Loading(
        tool_for("pg_restore", major, drill.bin_dir),
        tool_for("vacuumdb", major, drill.bin_dir),
        drill.jobs,
        drill.scratch,
        drill.timeout,
        _LEFT_OUT,
        ("--no-tablespaces",),
    )
    with connected(login) as connection:
        connection.autocommit = True
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
    except Damaged:
        return True
    except Day2Error:
        return False
    return False


def _remember(repository: Repository, series: str, each: BackupSet, drilled: Drilled) -> None:
    """The verdict, on top of what was found of the set meanwhile."""
    with repository.lock(series, 600.0, "the verdict of a drill"):
        fresh = next((s for s in sets.load(repository, series).sets if s.manifest.id == each.manifest.id), None)
        if fresh is None:
            return
        if drilled.failure is None:
            proven = {"by": "drill", "host": socket.gethostname(), "rto": round(drilled.rto, 3), "rpo": drilled.rpo}
            proven["compared"] = drilled.words
            fresh.state = replace(fresh.state, proven_at=drilled.began + drilled.rto, proven=proven)
        elif drilled.damaged:
            fresh.state = replace(fresh.state, damaged=drilled.failure)
        else:
            return
        each.state = fresh.state
        sets.save_state(repository, fresh)


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
