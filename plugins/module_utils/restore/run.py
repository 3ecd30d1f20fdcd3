# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a database of a set beside the live one, compares it, and only then renames it.

The live database is not changed before the last step, which is one transaction. An interrupted run leaves a database
with a marker; the next run drops it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.drill.options import Expectation
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import every_database
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, connected, first_line, tool
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository
from ansible_collections.day2.ops.plugins.module_utils.restore import preflight, properties, roles, swap
from ansible_collections.day2.ops.plugins.module_utils.restore.load import (
    Archives,
    Loading,
    analyse,
    check_key,
    load,
    look_at,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.names import (
    Marker,
    Role,
    beside,
    own_comment,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.preflight import Allowed, Seen, Wanted
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import entry, prove
from ansible_collections.day2.ops.plugins.module_utils.restore.roles import RolePlan
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

KEEP_OLD = 7 * 86400.0
# Seconds that cleaning up after a failed restore may take.
_UNDOING = 30.0


class RestoreRefused(Day2Error):
    """The restore is refused; nothing was changed."""


class RestoreFailed(Day2Error):
    """The restore began and failed. The live database is unchanged."""


@dataclass(frozen=True)
class Order:
    """Options of a restore. Times are seconds."""

    database: str
    target: str
    replaces: bool
    jobs: int
    scratch: str
    identity: str | None = None
    bin_dir: str | None = None
    allowed: Allowed = field(default_factory=Allowed)
    expectations: Sequence[Expectation] = ()
    amcheck: bool = True
    keep_old: float = KEEP_OLD
    swap_timeout: float = 30.0
    timeout: float | None = None


@dataclass
class Course:
    """Progress of a run: seconds of each phase, and the result so far."""

    phases: dict[str, float] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        import psycopg2

        begun = time.monotonic()
        try:
            yield
        except swap.Uncertain:
            raise
        except (Day2Error, psycopg2.Error, OSError) as exc:
            why = exc if isinstance(exc, Day2Error) else first_line(exc)
            raise RestoreFailed(f"the restore failed ({name}), and nothing was replaced: {why}") from exc
        finally:
            self.phases[name] = round(time.monotonic() - begun, 3)


def restore(
    login: Login, order: Order, repository: Repository, manifest: Manifest, check_mode: bool = False
) -> dict[str, Any]:
    """Restore one database; RestoreRefused before anything is touched, RestoreFailed after."""
    archives = Archives(repository, manifest, order.database, order.identity)
    wanted = Wanted(manifest, entry(manifest, order.database), archives.main.bytes, order.target, order.replaces)
    if order.target == login.maintenance_database:
        raise RestoreRefused(
            f"{order.target} is the database from which others are renamed: give another `maintenance_database`"
        )
    seen = preflight.look(login, wanted, order.scratch)
    how = _loading(seen, order)
    against = preflight.refusals(seen, wanted, order.allowed)
    if against:
        raise RestoreRefused("refused, nothing was touched: " + "; ".join(against))
    with _refusing(archives):
        compared = [look_at(archives)] if check_mode else []
        check_key(archives)
        planned = roles.plan(
            archives, wanted.entry, preflight.missing_roles(seen, wanted), seen.roles, preflight.here(seen, wanted)
        )
    if planned.gains and not order.allowed.gained_rights:
        raise RestoreRefused(
            f"refused, nothing was touched: {'; '.join(planned.gains)}: rename the role, CREATE ROLE the missing ones"
            " yourself, or `allow: [gained_rights]` where this is meant"
        )
    plan = _plan(seen, wanted, order, planned)
    if check_mode:
        plan["steps"][:0] = compared
        return {"changed": True, "msg": "; ".join(plan["steps"]), **plan}
    with connected(login) as connection:
        connection.autocommit = True
        with swap.alone(connection, order.target):
            return {**plan, **_restore(connection, login, order, archives, wanted, seen, how, planned)}


def _loading(seen: Seen, order: Order) -> Loading:
    pg_restore, seen.pg_restore = tool("pg_restore", seen.server, order.bin_dir)
    vacuumdb, _version = tool("vacuumdb", seen.server, order.bin_dir)
    server = seen.server
    return Loading(
        pg_restore, vacuumdb, order.jobs, order.scratch, server.version, server.superuser_login, order.timeout
    )


@contextmanager
def _refusing(archives: Archives) -> Iterator[None]:
    """Refuse a set that is damaged, whose key is another, or that does not define a role."""
    try:
        yield
    except Day2Error as exc:
        raise RestoreRefused(f"refused, nothing was touched: {archives.manifest.id}: {exc}") from exc


def _plan(seen: Seen, wanted: Wanted, order: Order, planned: RolePlan) -> dict[str, Any]:
    name = beside(order.target)
    steps = [f"make roles {planned.describe()}"] if planned.roles else []
    steps += [f"although {gain}" for gain in planned.gains]
    age = format_duration(max(time.time() - wanted.manifest.time, 0.0))
    steps += [
        f"restore {order.database} of {wanted.manifest.id}, which is {age} old, into {name}",
        "compare it with the manifest",
    ]
    if order.expectations:
        steps.append(f"ask {len(order.expectations)} of the site's queries")
    if order.replaces:
        since = f"what was written in these {age} is there alone"
        steps += [
            f"end the sessions of {order.target}",
            f"exchange the names; the old one is kept {_keep(order)}, and {since}",
        ]
    else:
        steps.append(f"name it {order.target}")
    return {"steps": steps, "needs": preflight.needs(seen, wanted), "warnings": list(planned.warnings)}


def _keep(order: Order) -> str:
    return format_duration(order.keep_old)


def _restore(
    connection: Any,
    login: Login,
    order: Order,
    archives: Archives,
    wanted: Wanted,
    seen: Seen,
    how: Loading,
    planned: RolePlan,
) -> dict[str, Any]:
    course = Course()
    cleared = swap.clear(login, connection, order.target)
    name = beside(order.target)
    like = wanted.like(seen)
    made: list[int] = []
    with ExitStack() as undo:
        undo.callback(_drop_quietly, login, order.target, name, made)
        with course.phase("prepare"):
            before = swap.oid_of(connection, order.target)
            roles.make(connection, planned)
            _make(connection, order.target, wanted, like, made)
        with course.phase("load"):
            load(login, name, archives, how)
        with course.phase("analyse"):
            analyse(login, name, how)
        with course.phase("verify"):
            proof = prove(login, name, wanted.manifest, order.database, order.jobs, order.expectations, order.amcheck)
            if proof.faults:
                raise Day2Error("; ".join(proof.faults[:10]))
        with course.phase("settle"):
            counters = swap.settled(login, name) if order.replaces else {}
        with course.phase("properties"):
            # Read them again: they may have changed during the load.
            like = _of_now(connection, order.target) if order.replaces else like
            warnings = _carry_over(connection, name, like)
        with course.phase("swap"):
            sequence = swap.next_sequence(connection, order.target)
            comment = own_comment(like.get("comment"))
            marker = Marker(
                Role.OLD, order.target, wanted.manifest.id, time.time(), comment, counters, sequence, made[0]
            )
            old, unavailable = _take_place(login, order, like, name, marker, before)
        undo.pop_all()
    gone, kept = swap.expire(connection, order.target, order.keep_old, time.time()) if order.replaces else ([], [])
    return {
        "changed": True,
        "phases": course.phases,
        "unavailable": round(unavailable, 3),
        "old": old,
        "dropped": gone,
        "warnings": [*planned.warnings, *warnings, *kept],
        "cleared": cleared,
        "roles_made": [role.name for role in planned.roles],
        "verified": proof.words,
        "msg": f"{order.target} is {order.database} of {wanted.manifest.id}: {proof.words} as they were backed up"
        + (f"; the one before is {old}" if old else ""),
    }


def _make(connection: Any, target: str, wanted: Wanted, like: Mapping[str, Any], made: list[int]) -> None:
    """Create the empty database beside the target; `made` gets its OID as soon as there is something to drop."""
    name = beside(target)
    # Fails if a database of that name exists that was not created by a restore; it is not dropped then.
    properties.create(connection, name, like)
    made.append(swap.oid_of(connection, name) or 0)
    swap.comment(connection, name, Marker(Role.NEW, target, wanted.manifest.id, time.time()).render())


def _drop_quietly(login: Login, target: str, name: str, made: Sequence[int]) -> None:
    """Drop the new database. A failure is ignored here: the next run meets it too, and reports it."""
    try:
        with connected(login) as connection:
            connection.autocommit = True
            if swap.oid_of(connection, name) in made and name in swap.unfinished(connection, target):
                swap.drop_unfinished(login, connection, name, _UNDOING)
    except Day2Error:
        return


def _carry_over(connection: Any, name: str, like: Mapping[str, Any]) -> list[str]:
    """Copy the live database's properties; returns warnings, a sentence each."""
    properties.give(connection, name, like)
    (have,) = [database for database in every_database(connection) if database["name"] == name]
    wrong = properties.differences(connection, have, like)
    if wrong:
        raise Day2Error("; ".join(wrong))
    return properties.sorted_otherwise(have, like)


def _of_now(connection: Any, target: str) -> Mapping[str, Any]:
    for database in every_database(connection):
        if database["name"] == target:
            return database
    raise Day2Error(
        f"{target} is gone: somebody dropped or renamed it meanwhile; `mode: new` restores under a name that is free"
    )


def _take_place(
    login: Login, order: Order, like: Mapping[str, Any], name: str, marker: Marker, before: int | None
) -> tuple[str | None, float]:
    """Rename both databases. `marker` is that of the replaced one, `before` its OID when the restore began."""
    meant: dict[str, int | None] = {order.target: marker.successor}
    if not order.replaces:
        comments = [(order.target, own_comment(like.get("comment")))]
        return None, swap.rename(login, [(name, order.target)], comments, order.swap_timeout, meant=meant)
    moves = [(order.target, marker.name), (name, order.target)]
    comments = [(marker.name, marker.render()), (order.target, marker.comment)]
    meant[marker.name] = before
    return marker.name, swap.rename(login, moves, comments, order.swap_timeout, meant=meant)
