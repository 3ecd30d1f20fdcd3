# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database of a set, restored beside the live one, proven, and only then given its name.

Nothing that answers under the name is touched before the last step, which is one transaction. What an interrupted run
leaves is a database that is marked as ours; the next run drops it.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import every_database
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, connected, first_line, tool
from ansible_collections.day2.ops.plugins.module_utils.restore import preflight, properties, roles, swap
from ansible_collections.day2.ops.plugins.module_utils.restore.load import Archives, Loading, analyse, load, look_at
from ansible_collections.day2.ops.plugins.module_utils.restore.names import (
    Marker,
    Role,
    beside,
    own_comment,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.preflight import Allowed, Seen, Wanted
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import Expectation, entry, prove

KEEP_OLD = 7 * 86400.0
# How long a restore that has failed may take to say so.
_UNDOING = 30.0


class RestoreRefused(Day2Error):
    """Something speaks against it; nothing was touched."""


class RestoreFailed(Day2Error):
    """It began and did not end well. The live database is as it was."""


@dataclass(frozen=True)
class Order:
    """What is wanted. Times are seconds."""

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
    """What a run has done so far: seconds of each phase, and what it will return."""

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
    seen = preflight.look(login, order.target, order.scratch)
    how = _loading(seen, order)
    against = preflight.refusals(seen, wanted, order.allowed)
    if against:
        raise RestoreRefused("refused, nothing was touched: " + "; ".join(against))
    plan = _plan(seen, wanted, order)
    if check_mode:
        plan["steps"].insert(0, _looked_at(archives))
        return {"changed": True, "msg": "; ".join(plan["steps"]), **plan}
    with connected(login) as connection:
        connection.autocommit = True
        with swap.alone(connection, order.target):
            return {**plan, **_restore(connection, login, order, archives, wanted, seen, how)}


def _loading(seen: Seen, order: Order) -> Loading:
    pg_restore, seen.pg_restore = tool("pg_restore", seen.server, order.bin_dir)
    vacuumdb, _version = tool("vacuumdb", seen.server, order.bin_dir)
    return Loading(pg_restore, vacuumdb, order.jobs, order.scratch, seen.server.version, order.timeout)


def _looked_at(archives: Archives) -> str:
    try:
        return look_at(archives)
    except Day2Error as exc:
        raise RestoreRefused(f"refused, nothing was touched: {archives.manifest.id}: {exc}") from exc


def _plan(seen: Seen, wanted: Wanted, order: Order) -> dict[str, Any]:
    name = beside(order.target)
    missing = preflight.missing_roles(seen, wanted)
    steps = [f"make roles {', '.join(missing)}"] if missing else []
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
    return {"steps": steps, "needs": preflight.needs(seen, wanted)}


def _keep(order: Order) -> str:
    return format_duration(order.keep_old)


def _restore(
    connection: Any, login: Login, order: Order, archives: Archives, wanted: Wanted, seen: Seen, how: Loading
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
            made_roles = _roles(connection, login, wanted, archives, seen)
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
            # As they are now: loading has taken its time.
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
        "warnings": warnings + kept,
        "cleared": cleared,
        "roles_made": made_roles,
        "verified": proof.words,
        "msg": f"{order.target} is {order.database} of {wanted.manifest.id}: {proof.words} as they were backed up"
        + (f"; the one before is {old}" if old else ""),
    }


def _make(connection: Any, target: str, wanted: Wanted, like: Mapping[str, Any], made: list[int]) -> None:
    """The empty database beside the target; `made` gets its OID as soon as there is something to drop."""
    name = beside(target)
    # Fails for a database of that name that is not ours, which is not dropped then.
    properties.create(connection, name, like)
    made.append(swap.oid_of(connection, name) or 0)
    swap.comment(connection, name, Marker(Role.NEW, target, wanted.manifest.id, time.time()).render())


def _roles(connection: Any, login: Login, wanted: Wanted, archives: Archives, seen: Seen) -> list[str]:
    missing = preflight.missing_roles(seen, wanted)
    if missing:
        roles.make(connection, archives, missing)
    return missing


def _drop_quietly(login: Login, target: str, name: str, made: Sequence[int]) -> None:
    """The one that was made; what is in the way of that is in the way of the next run too, which tells it."""
    try:
        with connected(login) as connection:
            connection.autocommit = True
            if swap.oid_of(connection, name) in made and name in swap.unfinished(connection, target):
                swap.drop_unfinished(login, connection, name, _UNDOING)
    except Day2Error:
        return


def _carry_over(connection: Any, name: str, like: Mapping[str, Any]) -> list[str]:
    """What somebody should know of it, a sentence each."""
    properties.give(connection, name, like)
    (have,) = [each for each in every_database(connection) if each["name"] == name]
    wrong = properties.differences(connection, have, like)
    if wrong:
        raise Day2Error("; ".join(wrong))
    return properties.sorted_otherwise(have, like)


def _of_now(connection: Any, target: str) -> Mapping[str, Any]:
    for each in every_database(connection):
        if each["name"] == target:
            return each
    raise Day2Error(
        f"{target} is gone: somebody dropped or renamed it meanwhile; `mode: new` restores under a name that is free"
    )


def _take_place(
    login: Login, order: Order, like: Mapping[str, Any], name: str, marker: Marker, before: int | None
) -> tuple[str | None, float]:
    """`marker` is that of the database which gives way, `before` its OID when the restore began."""
    meant: dict[str, int | None] = {order.target: marker.successor}
    if not order.replaces:
        comments = [(order.target, own_comment(like.get("comment")))]
        return None, swap.rename(login, [(name, order.target)], comments, order.swap_timeout, meant=meant)
    moves = [(order.target, marker.name), (name, order.target)]
    comments = [(marker.name, marker.render()), (order.target, marker.comment)]
    meant[marker.name] = before
    return marker.name, swap.rename(login, moves, comments, order.swap_timeout, meant=meant)
