# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drills: sets are restored into a scratch place, compared, measured, and removed; the set records the result."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.choose import choose
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.drill.newest_row import newest_row
from ansible_collections.day2.ops.plugins.module_utils.drill.options import Drill
from ansible_collections.day2.ops.plugins.module_utils.drill.result import Blame, Drilled, outcome_of
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import every_database
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    Server,
    ask,
    connected,
    facts,
    tool_for,
    tool_of,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Missing, Repository, Unreadable
from ansible_collections.day2.ops.plugins.module_utils.restore import (
    extensions,
    preflight,
    properties,
    roles,
    space,
    swap,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.drill_plan import expected, lost, needs, order, put_off
from ansible_collections.day2.ops.plugins.module_utils.restore.load import (
    Archives,
    Loading,
    analyse,
    check_key,
    load,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.names import Marker, Role, beside
from ansible_collections.day2.ops.plugins.module_utils.restore.preflight import Wanted
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import Proof, entry, prove
from ansible_collections.day2.ops.plugins.module_utils.restore.roles import RolePlan
from ansible_collections.day2.ops.plugins.module_utils.restore.scratch import scratch_cluster
from ansible_collections.day2.ops.plugins.module_utils.restore.verdict import remember
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes

_NAME = "day2_drill"
# Maximum number of sets that a message names.
_NAMED = 5


def run(
    drill: Drill, repository: Repository, series: str, check_mode: bool = False, copy: Repository | None = None
) -> dict[str, Any]:
    """Drill the sets that are due. The outcome has a step for each set; that of a failed drill is critical.

    `copy` is the second location of the sets, in which the results are recorded too.
    """
    found = sets.published(repository, series)
    due = _due(drill, found.sets)
    title = f"Restore drill of {drill.database}"
    if check_mode:
        names = ", ".join(backup_set.manifest.id for backup_set in due)
        return {"changed": bool(due), "drills": [], "steps": [], "msg": f"would restore {names or 'nothing'}"}
    begun, done = time.monotonic(), list[Drilled]()
    if drill.source is None:
        done = [_without_files(backup_set, repository, copy) for backup_set in found.sets if backup_set.unnoted]
    if not due and not done:
        named = "; ".join(f"{name}: {why}" for name, why in list(found.damaged.items())[:_NAMED])
        raise Day2Error(f"every set with {drill.database} is damaged ({named})")
    drilled_before = len(done)
    for backup_set in due:
        left = drill.time_budget - (time.monotonic() - begun)
        estimate = expected(backup_set, found.sets)
        if estimate is not None and estimate.seconds > left:
            if len(done) > drilled_before:
                break
            return outcome_of(done, drill.targets, title, [put_off(backup_set, estimate, left, title, time.time())])
        drilled = _one(drill, repository, backup_set, found.sets)
        if estimate is None:
            drilled.notes.append("how long it takes could not be estimated: no drill before, and no time of its making")
        remember(drilled, backup_set, repository, copy)
        done.append(drilled)
    return outcome_of(done, drill.targets, title)


def _without_files(backup_set: BackupSet, repository: Repository, copy: Repository | None) -> Drilled:
    """The failed drill of a set whose files are missing in the listing; one that is marked already is not reported."""
    drilled = Drilled(backup_set.manifest.id, time.time(), failure=backup_set.lost, blame=Blame.BYTES, listed=True)
    remember(drilled, backup_set, repository, copy)
    return drilled


def _due(drill: Drill, found: Sequence[BackupSet]) -> list[BackupSet]:
    with_database = [backup_set for backup_set in found if drill.database in backup_set.manifest.contents.names]
    if drill.source is not None:
        # A complete restore removes the mark of a damaged set.
        return [choose(with_database, drill.source, damaged_too=True, now=time.time())]
    if not with_database:
        raise Day2Error(f"no set of this series has a database {drill.database!r}")
    return order(with_database)[: drill.most]


def _one(drill: Drill, repository: Repository, backup_set: BackupSet, found: Sequence[BackupSet]) -> Drilled:
    drilled = Drilled(backup_set.manifest.id, time.time())
    if backup_set.lost is not None:
        drilled.failure, drilled.blame, drilled.listed = backup_set.lost, Blame.BYTES, True
        return drilled
    begun = time.monotonic()
    archives = Archives(repository, backup_set.manifest, drill.database, drill.identity)
    try:
        _check_disk(drill, archives)
        check_key(archives)
        with _place(drill, backup_set.manifest) as (login, name):
            proof = _restore(drill, login, name, archives, drilled)
            drilled.words, drilled.rto = proof.words, time.monotonic() - begun
            data_until = backup_set.manifest.time
            if drill.newest_row is not None:
                data_until = newest_row(drill.newest_row, login, name)
            proof.doubts += _settle(login, name, archives, drill)
        if proof.faults:
            # A wrong query of the site, or a timeout, would mark one good set after the other as damaged.
            drilled.failure = "; ".join(proof.faults[:10])
            drilled.blame = Blame.CONTENTS if proof.differences else Blame.NOBODY
        drilled.rpo = lost(data_until, backup_set, found, drilled.began)
    except (Day2Error, OSError) as exc:
        drilled.failure = str(exc)
        drilled.blame = Blame.BYTES if isinstance(exc, Damaged) or _is_damaged(archives) else Blame.NOBODY
        drilled.rto = time.monotonic() - begun
    return drilled


def _check_disk(drill: Drill, archives: Archives) -> None:
    manifest = archives.manifest
    wanted = Wanted(manifest, entry(manifest, drill.database), archives.main.bytes, _NAME, False)
    need = needs(wanted.size, wanted.scratch, drill.login is None)
    there = space.volume(drill.scratch)
    if there is None:
        raise Day2Error(f"the scratch directory {drill.scratch} does not exist, or this user may not look at it")
    # A database in an existing cluster uses the file system of that cluster's data.
    here = need.total if drill.login is None else need.archive
    for limit, size, what in ((drill.disk_budget, need.total, "the disk budget"), (there.free, here, drill.scratch)):
        if limit is not None and size > limit:
            raise Day2Error(
                f"{what} has {format_bytes(limit)} for it, and about {format_bytes(size)} are needed ({need.words})"
            )


@contextmanager
def _place(drill: Drill, manifest: Manifest) -> Iterator[tuple[Login, str]]:
    """A login, and the name of a database that may be created there; both are removed afterwards."""
    if drill.login is None:
        major = int(manifest.about["server"]["version_num"]) // 10000
        folder = os.path.dirname(tool_for("postgres", major, drill.bin_dir))
        encoding = str(manifest.about["server"].get("encoding") or "UTF8")
        with scratch_cluster(drill.scratch, folder, drill.settings, encoding) as login:
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


def _restore(drill: Drill, login: Login, name: str, archives: Archives, drilled: Drilled) -> Proof:
    """Restore with the functions of a real restore; what a drill leaves out is recorded in `drilled`."""
    manifest, wanted = archives.manifest, _wanted(archives, drill)
    with connected(login) as connection:
        connection.autocommit = True
        how = _loading(drill, manifest, facts(connection))
        _refuse(connection, name, wanted, how, drill.allow_extensions)
        planned = _roles(connection, drill, archives, wanted)
        roles.make(connection, planned, labels=False)
        drilled.unproven += _unproven(archives, drill, planned)
        properties.create(connection, name, wanted)
        swap.comment(connection, name, Marker(Role.NEW, _NAME, manifest.id, time.time()).render())
        drilled.unproven += load(login, name, archives, how)
        analyse(login, name, how)
        return prove(login, name, manifest, drill.database, drill.jobs, drill.expectations, drill.amcheck)


def _wanted(archives: Archives, drill: Drill) -> dict[str, Any]:
    """The database's properties in the set, except its tablespace."""
    found = entry(archives.manifest, drill.database)
    return {key: value for key, value in found.items() if key != "tablespace"}


def _loading(drill: Drill, manifest: Manifest, server: Server) -> Loading:
    major = int(manifest.about["server"]["version_num"]) // 10000
    pg_restore, version_of = tool_of("pg_restore", major, drill.bin_dir)
    unreadable = preflight.archive_fault(manifest, version_of)
    if unreadable is not None:
        raise Day2Error(unreadable)
    vacuumdb = tool_for("vacuumdb", major, drill.bin_dir)
    return Loading(
        pg_restore,
        vacuumdb,
        drill.jobs,
        drill.scratch,
        server.version,
        server.superuser_login,
        drill.timeout,
        isolated=True,
    )


def _refuse(connection: Any, name: str, wanted: Mapping[str, Any], how: Loading, allowed: bool) -> None:
    """Raise if a restore would refuse the contents of the set."""
    named = wanted.get("extensions") or {}
    faults = extensions.faults(named, extensions.look(connection, named), name, allowed)
    faults += [fault for fault in [properties.locale_fault(how.version, wanted)] if fault is not None]
    if faults:
        raise Day2Error("; ".join(faults))


def _roles(connection: Any, drill: Drill, archives: Archives, wanted: Mapping[str, Any]) -> RolePlan:
    there = {str(role) for (role,) in ask(connection, "SELECT rolname FROM pg_roles")}
    missing = {*(wanted.get("roles") or []), *properties.roles(wanted)} - there
    if missing and drill.login is not None:
        raise Day2Error(f"roles are missing on this server: {', '.join(sorted(missing))}")
    return roles.plan(archives, wanted, missing, there)


def _unproven(archives: Archives, drill: Drill, planned: RolePlan) -> list[str]:
    """What this drill leaves out in addition to what the load leaves out, a sentence each."""
    found = entry(archives.manifest, drill.database)
    spaces = sorted({str(found.get("tablespace") or "pg_default"), *(found.get("tablespaces") or {})} - {"pg_default"})
    labelled = [role.name for role in planned.roles if role.labels]
    return [
        *([f"that tablespaces {', '.join(spaces)} have room"] if spaces else []),
        *([f"security labels of roles {', '.join(labelled)} (their provider is not loaded)"] if labelled else []),
    ]


def _settle(login: Login, name: str, archives: Archives, drill: Drill) -> list[str]:
    """Set owner, privileges and settings as a restore does; returns differences from the set, a sentence each."""
    wanted = _wanted(archives, drill)
    with connected(login) as connection:
        connection.autocommit = True
        properties.give(connection, name, wanted)
        (have,) = [database for database in every_database(connection) if database["name"] == name]
        return properties.differences(connection, have, wanted)


def _is_damaged(archives: Archives) -> bool:
    """Whether a failure is due to the set: comparing its bytes distinguishes this from a full disk."""
    try:
        for file in archives.manifest.files:
            drain(stored_pieces(archives.repository, archives.folder, file))
    except (Damaged, Missing, Unreadable):
        return True
    except Day2Error:
        return False
    return False
