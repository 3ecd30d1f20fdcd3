# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A snapshot of a database in which every table that a dump reads is locked (ACCESS SHARE), before anything is read.

The locks come first and the snapshot after them: whatever changed a table before has ended then, and the snapshot sees
it; nothing can change one afterwards. (A snapshot alone does not keep rows: TRUNCATE and rewrites take them away from
sessions that read an older one.) The session that holds the locks does nothing else, so it waits for nobody.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import Table
from ansible_collections.day2.ops.plugins.module_utils.postgres.lock_waits import holder
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, ask, execute, first_line
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

# For one lock so long at a time; then all are let go of, and it begins anew. Less than `deadlock_timeout` usually is:
# no deadlock between this and the application is ever resolved at the application's expense, and nobody who waits for
# one table waits for another one's sake.
_STEP = 0.5
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_HELD = """
SELECT relation::bigint FROM pg_locks
 WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessShareLock' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
# SQLSTATEs of a table that was locked, dropped, renamed or replaced since it was listed, and of a deadlock.
_LOCKED = ("55P03", "40P01")
_GONE = ("42P01", "3F000", "42809", "42704", "XX000")
_NO_MEMORY = "53200"


class SnapshotLost(Day2Error):
    """What was read would not be what the snapshot has, or somebody waited too long: a run begun anew may succeed."""


@dataclass(frozen=True)
class Snapshot:
    """One database, read as it was at `taken` (POSIX seconds). `relations` are the names of what is locked, by OID."""

    database: str
    oid: int
    connection: Any
    exported: str
    pid: int
    taken: float
    tables: list[Table]
    relations: Mapping[int, str]


def hold(
    connection: Any, database: str, limit: float, check: Callable[[], None], clock: Callable[[], float] = time.monotonic
) -> Snapshot:
    """Lock the tables and take the snapshot, in `limit` seconds. `check` is asked between the attempts.

    The connection is this snapshot's alone until it is closed. ServerError names the table that cannot be locked, and
    who holds it.
    """
    connection.autocommit = True
    end, blocked, strange = clock() + limit, "", ""
    while True:
        wanted = catalogue.locked_by_dumps(connection)
        failure = _lock(connection, wanted, min(_STEP, limit))
        if failure is None:
            seen = catalogue.locked_by_dumps(connection)
            lacking = seen.keys() - {oid for (oid,) in ask(connection, _HELD)}
            if lacking:
                strange = f"tables appear faster than they can be locked, the last was {seen[min(lacking)]}"
            else:
                snapshot, failure = _snapshot(connection, database, seen, limit)
                if snapshot is not None:
                    return snapshot
        execute(connection, "ROLLBACK")
        if failure in _LOCKED:
            found = holder(connection, list(wanted))
            # It may have been let go of since.
            blocked = f"{wanted[found[0]]} is locked by {found[1]}" if found else blocked
        check()
        if clock() >= end:
            raise ServerError(
                f"the tables of database {database!r} could not be locked for reading within {format_duration(limit)}"
                f" (`lock_timeout`): {blocked or strange or 'they change all the time'}"
            )


def _lock(connection: Any, wanted: Mapping[int, str], step: float) -> str | None:
    """Begin a transaction and lock the tables; the SQLSTATE where they are not to be had now. The caller rolls back."""
    import psycopg2

    # No statement before the locks may take the snapshot: these two do not.
    execute(connection, _BEGIN)
    execute(connection, f"SET LOCAL lock_timeout = '{step * 1000:.0f}ms'")
    names = ", ".join(f"ONLY {name}" for name in wanted.values())
    try:
        if names:
            execute(connection, f"LOCK TABLE {names} IN ACCESS SHARE MODE")
    except psycopg2.Error as exc:
        if exc.pgcode in (*_LOCKED, *_GONE):
            return str(exc.pgcode)
        with suppress(psycopg2.Error):
            execute(connection, "ROLLBACK")
        if exc.pgcode == _NO_MEMORY:
            raise ServerError(
                f"{len(wanted)} tables cannot be locked: {first_line(exc)}; pg_dump needs as many locks: raise"
                " `max_locks_per_transaction` of the server"
            ) from exc
        raise
    return None


def _snapshot(
    connection: Any, database: str, relations: Mapping[int, str], limit: float
) -> tuple[Snapshot | None, str | None]:
    """The transaction has its snapshot since the first query after the locks. The SQLSTATE where the sizes of tables
    are not to be had now: this session must not wait for anything while it has locks."""
    import psycopg2

    ((exported, pid, oid),) = ask(
        connection,
        "SELECT pg_export_snapshot(), pg_backend_pid(), oid::bigint"
        " FROM pg_database WHERE datname = current_database()",
    )
    try:
        tables = catalogue.tables(connection)
    except psycopg2.Error as exc:
        if exc.pgcode not in _LOCKED:
            raise
        return None, str(exc.pgcode)
    execute(connection, f"SET LOCAL lock_timeout = '{limit * 1000:.0f}ms'")
    return Snapshot(database, oid, connection, exported, pid, time.time(), tables, relations), None
