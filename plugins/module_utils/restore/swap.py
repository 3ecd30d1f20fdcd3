# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Marked databases, and renaming two databases in one transaction.

`connection` is to the maintenance database, in autocommit, unless a docstring states otherwise.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    ServerError,
    ask,
    connected,
    execute,
    first_line,
    named,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.names import (
    BEGUN,
    Marker,
    Role,
    beside,
    parse_marker,
)

# Transient SQLSTATEs: sessions that have not ended yet, a lock held by another session.
_PASSING = ("55006", "55P03", "40P01")
# Seconds between two rounds of terminating sessions that reconnect during the rename.
_AGAIN = 0.05
# How long the server may take to finish the last statement of a killed run.
_FINISHING = 60.0
# How long a DROP DATABASE may take: its checkpoint also writes changes of other databases.
_DROPPING = 600.0
# Objects that users create have OIDs from FirstNormalObjectId on.
_ANYTHING = """
SELECT 1 FROM pg_class WHERE oid >= 16384 UNION ALL SELECT 1 FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 1 FROM pg_type WHERE oid >= 16384 UNION ALL SELECT 1 FROM pg_namespace WHERE oid >= 16384
UNION ALL SELECT 1 FROM pg_extension WHERE oid >= 16384 UNION ALL SELECT 1 FROM pg_publication
UNION ALL SELECT 1 FROM pg_largeobject_metadata UNION ALL SELECT 1 FROM pg_event_trigger LIMIT 1"""
_LOCK_HOLDER = """
SELECT a.pid, coalesce(a.client_addr::text, 'this host'), a.backend_start::timestamptz(0)::text, a.state = 'active'
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
   AND (l.classid::bigint << 32) + l.objid::bigint = hashtextextended(%s, 0) LIMIT 1"""


# What of a database changes besides counted rows: definitions, files of tables (TRUNCATE), sequences, large objects.
_SHAPE = """
SELECT md5(concat_ws('/',
  (SELECT concat(count(*), sum(oid::bigint), sum(relfilenode::bigint)) FROM pg_class
    WHERE oid >= 16384 AND relpersistence <> 't'),
  (SELECT count(*) FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
    WHERE attrelid >= 16384 AND NOT attisdropped AND relpersistence <> 't'),
  (SELECT concat(count(*), sum(oid::bigint)) FROM pg_proc WHERE oid >= 16384),
  (SELECT concat(count(*), sum(oid::bigint)) FROM pg_constraint WHERE oid >= 16384),
  (SELECT concat(count(last_value), sum(last_value::numeric)) FROM pg_sequences),
  (SELECT concat(count(*), sum(oid::bigint)) FROM pg_largeobject_metadata),
  (SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_all_tables WHERE relid = 'pg_largeobject'::regclass)))"""


class SwapFailed(Day2Error):
    """The databases could not be renamed; both are unchanged."""


class Uncertain(Day2Error):
    """It is unknown whether the databases were renamed; the message says where to look."""


@contextmanager
def alone(connection: Any, database: str) -> Iterator[None]:
    """Lock a database against other restores: an advisory lock, which ends with the session.

    The holder may be the session of a killed run, whose last statement the server still finishes. A running restore is
    idle here while its programs work.
    """
    key = (f"day2.ops restore {database}",)
    end = time.monotonic() + _FINISHING
    while True:
        # Such a lock belongs to one database, and two runs may use two maintenance databases: each takes its own first,
        # and then looks for others in all of them, so that at least the second one sees the first.
        held = ask(connection, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", key)[0][0]
        rows = ask(connection, _LOCK_HOLDER, key)
        if held and not rows:
            break
        if held:
            ask(connection, "SELECT pg_advisory_unlock(hashtextextended(%s, 0))", key)
        if rows and (not rows[0][3] or time.monotonic() > end):
            pid, place, since, _active = rows[0]
            raise Day2Error(
                f"another restore of {database} is running: server process {pid} of {place}, since {since}; wait for it"
            )
        threading.Event().wait(_AGAIN)
    # It is released with the session, which every caller ends next.
    yield


def marked(connection: Any, database: str) -> list[tuple[str, Marker]]:
    """Databases that are or were this one, newest first: their present names, and what they are.

    Never the database with the live name, whatever its comment (a marked database may have been renamed by hand).
    """
    rows = ask(connection, "SELECT datname, shobj_description(oid, 'pg_database') FROM pg_database")
    found = [(str(name), parse_marker(comment)) for name, comment in rows if name != database]
    ours = [(name, marker) for name, marker in found if marker is not None and marker.of == database]
    return sorted(ours, key=lambda pair: (pair[1].sequence, pair[1].at), reverse=True)


def next_sequence(connection: Any, database: str) -> int:
    return max((marker.sequence for _name, marker in marked(connection, database)), default=0) + 1


def oid_of(connection: Any, name: str) -> int | None:
    rows = ask(connection, "SELECT oid FROM pg_database WHERE datname = %s", (name,))
    return int(rows[0][0]) if rows else None


def unfinished(connection: Any, database: str) -> list[str]:
    """Marked databases that a restore was filling."""
    return [name for name, marker in marked(connection, database) if marker.role is Role.NEW and name == marker.name]


def comment(connection: Any, name: str, text: str | None) -> None:
    from psycopg2 import sql

    execute(connection, sql.SQL("COMMENT ON DATABASE {} IS {}").format(named(name), sql.Literal(text)))


def drop(connection: Any, name: str, limit: float = _DROPPING) -> None:
    """Drop a database and its sessions, also a template. The server waits for all its processes: there is a limit."""
    from psycopg2 import errors, sql

    called = named(name)
    # After an interrupted DROP every ALTER is refused, so only for templates.
    if ask(connection, "SELECT 1 FROM pg_database WHERE datname = %s AND datistemplate", (name,)):
        execute(connection, sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(called))
    ask(connection, "SELECT set_config('statement_timeout', %s, false)", (f"{limit:g}s",))
    try:
        execute(connection, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(called))
    except errors.QueryCanceled as exc:
        raise Day2Error(
            f"{name} could not be dropped within {limit:g} s: the server waits for a process of its own that does not"
            " answer (pg_stat_activity); the next run tries it again"
        ) from exc
    finally:
        if not connection.closed:
            ask(connection, "SELECT set_config('statement_timeout', '0', false)")


def drop_unfinished(login: Login, connection: Any, name: str, limit: float = _DROPPING) -> None:
    """Drop an unfinished database. Its subscriptions are copies that never ran, and have to be dropped first."""
    from psycopg2 import sql

    copies = ask(
        connection,
        "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid WHERE d.datname = %s",
        (name,),
    )
    if copies:
        with connected(login, name) as inside:
            inside.autocommit = True
            for (name_of_trigger,) in ask(inside, "SELECT evtname FROM pg_event_trigger WHERE evtenabled <> 'D'"):
                # An event trigger may prevent the next statements.
                execute(inside, sql.SQL("ALTER EVENT TRIGGER {} DISABLE").format(named(name_of_trigger)))
            for (copy,) in copies:
                called = named(copy)
                execute(inside, sql.SQL("ALTER SUBSCRIPTION {} DISABLE").format(called))
                # The slot at the publisher is the live database's.
                execute(inside, sql.SQL("ALTER SUBSCRIPTION {} SET (slot_name = NONE)").format(called))
                execute(inside, sql.SQL("DROP SUBSCRIPTION {}").format(called))
    drop(connection, name, limit)


def written(login: Login, database: str) -> dict[str, Any]:
    """Rows inserted, updated and deleted in the tables of a database since its counters began."""
    with connected(login, database) as connection:
        connection.autocommit = True
        (row,) = ask(
            connection,
            "SELECT coalesce(sum(n_tup_ins), 0)::bigint, coalesce(sum(n_tup_upd), 0)::bigint,"
            " coalesce(sum(n_tup_del), 0)::bigint, (SELECT stats_reset::text FROM pg_stat_database"
            " WHERE datname = current_database()) FROM pg_stat_user_tables",
        )
        ((shape,),) = ask(connection, _SHAPE)
    return {**dict(zip(("inserted", "updated", "deleted", "since"), row)), "shape": shape}


def settled(login: Login, database: str, limit: float = 10.0) -> dict[str, Any]:
    """The counters, once they are stable: sessions that have ended report them a moment later."""
    end = time.monotonic() + limit
    before = written(login, database)
    while True:
        threading.Event().wait(0.6)
        now = written(login, database)
        if now == before or time.monotonic() > end:
            return now
        before = now


def rename(
    login: Login,
    moves: Sequence[tuple[str, str]],
    markers: Sequence[tuple[str, str | None]],
    limit: float,
    check: Callable[[Any], None] | None = None,
    meant: Mapping[str, int | None] | None = None,
) -> float:
    """Rename databases, and comment them by their new names, in one transaction; returns the seconds it took.

    `meant` has the OIDs of databases by their new names: a name may belong to another database by now.

    Their sessions are terminated, also those that reconnect: while the transaction waits for the last of them, new
    ones wait for the transaction. `check` runs when no session is left in them: if it raises, they are unchanged.
    SwapFailed after `limit` seconds.
    """
    import psycopg2

    begun, names = time.monotonic(), [old for old, _new in moves]
    end = begun + limit
    with connected(login) as connection, _nobody_in(login, names):
        known = dict(ask(connection, "SELECT datname, oid FROM pg_database WHERE datname = ANY(%s)", (names,)))
        connection.rollback()
        while True:
            try:
                _rename(connection, moves, markers, check, meant or {})
            except psycopg2.Error as exc:
                if connection.closed:
                    _look_again(login, {new: known.get(old) for old, new in moves}, end, exc)
                    return time.monotonic() - begun
                connection.rollback()
                if exc.pgcode not in _PASSING:
                    raise
                if time.monotonic() > end:
                    who = _holders(connection, names, exc)
                    raise SwapFailed(f"the names were not exchanged within {limit:g} s, because of {who}") from exc
                continue
            return time.monotonic() - begun


def _rename(
    connection: Any,
    moves: Sequence[tuple[str, str]],
    markers: Sequence[tuple[str, str | None]],
    check: Callable[[Any], None] | None,
    meant: Mapping[str, int | None],
) -> None:
    from psycopg2 import sql

    execute(connection, "SET LOCAL lock_timeout = '5s'")
    execute(connection, "SET LOCAL synchronous_commit = 'local'")
    for old, new in moves:
        rename_one = sql.SQL("ALTER DATABASE {} RENAME TO {}")
        execute(connection, rename_one.format(named(old), named(new)))
    for name, oid in meant.items():
        if oid is not None and oid_of(connection, name) != oid:
            raise SwapFailed(
                f"the database that should become {name} is not the one that was meant: somebody made anew"
            )
    for name, text in markers:
        comment(connection, name, text)
    if check is not None:
        check(connection)
    connection.commit()


def _look_again(login: Login, wanted: dict[str, Any], end: float, why: Exception) -> None:
    """Find out after a broken connection whether the commit took effect. SwapFailed if it did not."""
    reason = first_line(why)
    while True:
        try:
            with connected(login) as connection:
                found = dict(ask(connection, "SELECT datname, oid FROM pg_database"))
        except ServerError as exc:
            if time.monotonic() > end:
                raise Uncertain(
                    f"the connection broke while the names were exchanged ({reason}), and the server does not answer"
                    f" ({exc}): when it does, `\\l+` in psql shows which database has the name"
                ) from why
            threading.Event().wait(_AGAIN)
            continue
        if all(found.get(name) == oid for name, oid in wanted.items()):
            return
        raise SwapFailed(f"the connection broke before the names were exchanged: {reason}") from why


def _holders(connection: Any, names: Sequence[str], exc: Exception) -> str:
    """Sessions that are still in these databases, or the server's error if there are none."""
    rows = ask(
        connection,
        "SELECT format('server process %%s (%%s%%s)', pid, backend_type, ', ' || nullif(application_name, ''))"
        " FROM pg_stat_activity WHERE datname = ANY(%(names)s) UNION ALL"
        " SELECT format('prepared transaction %%L', gid) FROM pg_prepared_xacts WHERE database = ANY(%(names)s)",
        {"names": list(names)},
    )
    connection.rollback()
    holders = ", ".join(str(row[0]) for row in rows[:5])
    return f"{holders}: end what holds it, then run this again" if holders else first_line(exc)


@contextmanager
def _nobody_in(login: Login, databases: Sequence[str]) -> Iterator[None]:
    """Terminate the sessions of these databases repeatedly, until the context ends."""
    done = threading.Event()

    def end_them() -> None:
        with connected(login) as connection:
            connection.autocommit = True
            while not done.is_set():
                ask(
                    connection,
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = ANY(%s) AND pid <> pg_backend_pid()",
                    (list(databases),),
                )
                done.wait(_AGAIN)

    failure: list[Day2Error] = []

    def work() -> None:
        try:
            end_them()
        except Day2Error as exc:
            failure.append(exc)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    except SwapFailed as exc:
        raise SwapFailed(f"{exc} (sessions could not be ended: {failure[0]})" if failure else str(exc)) from exc
    finally:
        done.set()
        thread.join(10)


def clear(login: Login, connection: Any, database: str) -> list[str]:
    """Drop databases of interrupted restores. The caller holds the lock."""
    leftovers = unfinished(connection, database)
    leftovers += _unmarked(login, connection, database)
    for name in leftovers:
        drop_unfinished(login, connection, name)
    return leftovers


def _unmarked(login: Login, connection: Any, database: str) -> list[str]:
    """An empty database whose run was killed before it could mark it; others were not created by a restore."""
    name = beside(database)
    if not just_begun(connection, name):
        return []
    with connected(login, name) as inside:
        anything = ask(inside, _ANYTHING)
    return [] if anything else [name]


def just_begun(connection: Any, name: str) -> bool:
    """Whether a database is as a restore creates it: with its connection limit, and without later changes."""
    found = ask(
        connection,
        "SELECT 1 FROM pg_database d WHERE datname = %s AND datconnlimit = %s"
        " AND shobj_description(oid, 'pg_database') IS NULL"
        " AND NOT EXISTS (SELECT 1 FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)"
        " AND NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.datid = d.oid)",
        (name, BEGUN),
    )
    return bool(found)


def expire(connection: Any, database: str, keep: float, now: float) -> tuple[list[str], list[str]]:
    """Drop databases that were replaced or undone more than `keep` seconds ago: returns their names, and why some could
    not be dropped. The restore is done, so this is no failure."""
    import psycopg2

    gone, kept = [], []
    try:
        aside = [pair for pair in marked(connection, database) if pair[1].role is not Role.NEW]
        # Never the database that was set aside last: the clock may have jumped ahead.
        for name, marker in aside[1:]:
            if name != marker.name or now - marker.at <= keep:
                continue
            try:
                drop(connection, name)
                gone.append(name)
            except (psycopg2.DatabaseError, Day2Error) as exc:
                kept.append(f"{name} is older than it is kept, and was not dropped: {first_line(exc)}")
    except psycopg2.Error as exc:
        kept.append(f"databases that are no longer kept were not looked for: {first_line(exc)}")
    return gone, kept
