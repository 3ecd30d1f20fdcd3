# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who waits for whom at a server, and whether anybody has waited too long for a backup.

Only locks of relations count: whoever waits for a snapshot to end (`CREATE INDEX CONCURRENTLY`) keeps nobody else
waiting, and pg_dump makes them wait as well.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask

# Two sessions of the backup and somebody else's wait for each other, which no server sees: it does not end by itself.
CIRCLE_LIMIT = 30.0
_EXCLUSIVE = "AccessExclusiveLock"
# From there on a statement may hold values: a password, a row.
_VALUES = re.compile(r"['$=(\\]")
_STATEMENT_LENGTH = 80

# On a standby the startup process waits for AccessExclusiveLock, and pg_blocking_pids knows nothing of it: whoever has
# locked the relation keeps it waiting.
_WAITS = """
WITH own AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE left(application_name, %(length)s) = %(prefix)s),
     locks AS MATERIALIZED (SELECT pid, database::bigint, relation::bigint, mode, granted
                              FROM pg_locks WHERE locktype = 'relation'),
     waits AS MATERIALIZED (SELECT DISTINCT ON (pid) pid, database, relation, mode
                              FROM locks WHERE NOT granted ORDER BY pid)
SELECT w.pid, w.database, w.relation, w.mode, w.pid IN (SELECT pid FROM own),
       ARRAY(SELECT pid FROM own), b.blockers,
       ARRAY(SELECT l.pid FROM locks l
              WHERE l.granted AND l.database = w.database AND l.relation = w.relation AND l.pid <> w.pid)
  FROM waits w CROSS JOIN LATERAL (SELECT pg_blocking_pids(w.pid) AS blockers) b"""
# Statements are in the encoding of their session's database, which may be another one: they are read as bytes.
_OWN = """
SELECT pid, application_name, substring(textsend(query) FROM 1 FOR 5) = 'COPY '::bytea
  FROM pg_stat_activity WHERE left(application_name, %s) = %s"""
_SESSION = """
SELECT textsend(coalesce(usename::text, backend_type)), textsend(application_name), textsend(query)
  FROM pg_stat_activity WHERE pid = %s"""
_TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE left(application_name, %s) = %s AND pid <> pg_backend_pid()"""
# Not granted ones too: a table that is waited for keeps later sessions waiting.
_HOLDERS = """
SELECT l.relation::bigint, l.pid FROM pg_locks l
 WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND l.relation = ANY(%s::oid[])
 ORDER BY l.granted DESC, l.relation LIMIT 1"""


@dataclass(frozen=True)
class Wait:
    """A session that waits for the lock of a relation. `ours` is of the backup, `for_ours` waits for one of it."""

    pid: int
    database: int
    relation: int
    mode: str
    ours: bool = False
    for_ours: bool = False
    blockers: tuple[int, ...] = ()


class Patience:
    """How long each session has waited, by what is seen every few moments. Pure: the caller has the clock.

    `margin` is subtracted from the limits, for what a wait lasts before it is seen and until its end is acted on.
    """

    def __init__(self, limit: float, margin: float) -> None:
        self._limit = max(0.0, limit - margin)
        self._circle = max(0.0, min(limit, CIRCLE_LIMIT) - margin)
        self._since: dict[tuple[int, int, bool], float] = {}

    def overdue(self, now: float, waits: Sequence[Wait]) -> Wait | None:
        """Somebody who has waited too long for the backup, or a session of the backup that will not get its lock."""
        held_up = {wait.pid for wait in waits if wait.for_ours and not wait.ours}
        limits = {
            (wait.pid, wait.relation, wait.ours): (self._circle if wait.ours else self._limit, wait)
            for wait in waits
            if (held_up & set(wait.blockers) if wait.ours else wait.for_ours)
        }
        self._since = {key: self._since.get(key, now) for key in limits}
        for key, (limit, wait) in limits.items():
            if now - self._since[key] >= limit:
                return wait
        return None


@dataclass(frozen=True)
class OwnSession:
    """A session of the backup. `copying` is true once it reads rows."""

    pid: int
    application: str
    copying: bool


def waits(connection: Any, prefix: str) -> list[Wait]:
    """All sessions of the server that wait for a relation. The backup's own are those whose application begins so."""
    return [wait_of(row) for row in ask(connection, _WAITS, {"prefix": prefix, "length": len(prefix)})]


def wait_of(row: Sequence[Any]) -> Wait:
    """A row of the query: process, database, relation, mode, whether it is of the backup, the backup's processes, who
    keeps it waiting, and who has locked the relation. Pure."""
    pid, database, relation, mode, ours, own, blockers, holders = row
    # Whoever waits for this lock waits for everybody who has one.
    blocking = {*blockers, *(holders if mode == _EXCLUSIVE else ())}
    return Wait(pid, database, relation, mode, ours, bool(blocking & set(own)), tuple(sorted(blocking)))


def own_sessions(connection: Any, prefix: str) -> list[OwnSession]:
    return [OwnSession(*row) for row in ask(connection, _OWN, (len(prefix), prefix))]


def terminate(connection: Any, prefix: str) -> None:
    """End all sessions whose application begins so, but for this one. Their locks are free when the server has."""
    ask(connection, _TERMINATE, (len(prefix), prefix))


def holder(connection: Any, relations: Sequence[int]) -> tuple[int, str] | None:
    """One of these relations that somebody has locked against readers, and who that is."""
    rows = ask(connection, _HOLDERS, (list(relations),))
    return (rows[0][0], describe_session(connection, rows[0][1])) if rows else None


def describe_session(connection: Any, pid: int | None) -> str:
    """Who a session is and what it does, without the values in its statement; its process where nothing is known."""
    if not pid:
        return "a prepared transaction (pg_prepared_xacts)"
    rows = None
    with suppress(Exception):
        # The number is in the message whatever the server says of it, and the reason matters more.
        rows = ask(connection, _SESSION, (pid,))
    if rows is None:
        return f"process {pid}"
    if not rows:
        return f"process {pid}, which is gone"
    user, application, query = (decode(part) for part in rows[0])
    known = ", ".join(part for part in (user, application) if part)
    doing = statement(query)
    return f"process {pid}" + (f" ({known})" if known else "") + (f" with {doing!r}" if doing else "")


def decode(value: Any) -> str:
    """Text whose encoding nobody knows: UTF-8 where it is valid, else as LATIN1 has it. Pure."""
    content = bytes(value or b"")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def statement(query: str) -> str:
    """The beginning of a statement, up to where values may stand. Pure."""
    text = " ".join(_VALUES.split(query, maxsplit=1)[0].split())
    return text if len(text) <= _STATEMENT_LENGTH else text[:_STATEMENT_LENGTH].rstrip() + "…"
