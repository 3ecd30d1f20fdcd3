# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures that probe postgres knows by name: their SQL, and how an answer is read.

What a role may not see is said, not guessed: without pg_read_all_stats the server hides other roles' sessions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTES,
    Unit,
    counted,
    format_duration,
    format_quantity,
)

GRANT = "the role may not see other roles' sessions: GRANT pg_read_all_stats to it"


@dataclass(frozen=True)
class Rows:
    """A result set: its columns' names and at most 1,000 rows."""

    columns: list[str]
    rows: list[tuple[Any, ...]]


@dataclass(frozen=True)
class NamedMetric:
    doc: str
    unit: str
    # A statement, or what makes it after it has asked the server what it has.
    sql: str | Callable[[Callable[[str], Rows]], str]
    observe: Callable[[Rows], Observation]
    # Whether its values are text.
    words: bool = False


# A hidden session shows neither its type nor its times; one with a database and a user is a client's.
_CONNECTIONS = """
SELECT count(*) FILTER (WHERE backend_type = 'client backend'
                           OR (backend_type IS NULL AND datid IS NOT NULL AND usesysid IS NOT NULL)),
       current_setting('max_connections')::int
  FROM pg_stat_activity"""


def _connections(rows: Rows) -> Observation:
    used, limit = rows.rows[0]
    share = 100.0 * used / limit
    return Observation(round(share, 2), f"{used} of {counted(limit, 'connection')} used ({share:.1f} %)")


_CACHE = "SELECT blks_hit, blks_read FROM pg_stat_database WHERE datname = current_database()"


def _cache(rows: Rows) -> Observation:
    hit, read = rows.rows[0]
    if not hit + read:
        raise Undetermined("nothing was read from this database since its statistics were reset")
    share = 100.0 * hit / (hit + read)
    return Observation(
        round(share, 2), f"{share:.1f} % of {counted(hit + read, 'block read')} came from shared buffers"
    )


_SIZE = "SELECT current_database(), pg_database_size(current_database())"


def _size(rows: Rows) -> Observation:
    name, size = rows.rows[0]
    return Observation(int(size), f"database {name} has {format_quantity(float(size), Unit('B', BYTES))}")


# On a standby: nothing lags when all that arrived is replayed and the stream still runs. A broken stream hides
# what is missing, so there the age of the last replayed commit counts. On a primary: the worst standby.
_LAG = """
SELECT pg_is_in_recovery() AS standby,
       (SELECT count(*) FROM pg_stat_wal_receiver) AS receivers,
       pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() AS replayed,
       extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS age,
       (SELECT count(*) FROM pg_stat_replication) AS standbys,
       (SELECT count(*) FROM pg_stat_replication WHERE state IS NULL) AS hidden,
       (SELECT extract(epoch FROM max(replay_lag))::float8 FROM pg_stat_replication) AS worst"""


def _lag(rows: Rows) -> Observation:
    standby, receivers, replayed, age, standbys, hidden, worst = rows.rows[0]
    if standby:
        if receivers and replayed:
            return Observation(0.0, "all WAL that was received is replayed")
        if age is None:
            raise Undetermined("this standby has not replayed a commit since it started")
        note = "" if receivers else " (no WAL receiver is running)"
        return Observation(round(age, 3), f"the last replayed commit is {format_duration(age)} old{note}")
    if hidden:
        raise Undetermined(GRANT)
    if not standbys:
        raise Undetermined("this is a primary, and no standby is connected to it")
    lag = worst or 0.0
    return Observation(
        round(lag, 3), f"the slowest of {counted(standbys, 'standby', 'standbys')} is {format_duration(lag)} behind"
    )


_LONGEST = """
SELECT extract(epoch FROM clock_timestamp() - xact_start)::float8 AS seconds, pid, usename, datname, state,
       left(query, 200) AS statement,
       (SELECT count(*) FROM pg_stat_activity WHERE state IS NULL AND backend_type IS NULL
           AND datid IS NOT NULL AND usesysid IS NOT NULL) AS hidden
  FROM (SELECT 1) one
  LEFT JOIN pg_stat_activity
    ON xact_start IS NOT NULL AND pid <> pg_backend_pid()
   AND backend_type IN ('client backend', 'walsender', 'parallel worker')
 ORDER BY xact_start NULLS LAST LIMIT 10"""


def _longest(rows: Rows) -> Observation:
    seconds, pid, user, database, _state, _statement, hidden = rows.rows[0]
    if hidden:
        raise Undetermined(GRANT)
    if seconds is None:
        return Observation(0.0, "no transaction is open")
    evidence = [
        f"pid {row[1]}: {format_duration(row[0])}, {row[2]}@{row[3]}, {row[4]}: {' '.join((row[5] or '').split())}"
        for row in rows.rows
        if row[0] is not None
    ]
    text = f"the longest transaction is open for {format_duration(seconds)} (pid {pid}, {user}@{database})"
    return Observation(round(seconds, 3), text, evidence=evidence)


_DEADLOCKS = """
SELECT deadlocks, temp_bytes, extract(epoch FROM now() - stats_reset)::float8
  FROM pg_stat_database WHERE datname = current_database()"""


def since(age: float | None) -> str:
    """How long the server has counted; without a reset that is its whole life."""
    return f"in {format_duration(age)} of statistics" if age is not None else "since the database was made"


def _deadlocks(rows: Rows) -> Observation:
    count, _bytes, age = rows.rows[0]
    return Observation(int(count), f"{counted(count, 'deadlock')} {since(age)}")


def _temporary(rows: Rows) -> Observation:
    _count, size, age = rows.rows[0]
    shown = format_quantity(float(size), Unit("B", BYTES))
    return Observation(int(size), f"{shown} written to temporary files {since(age)}")


_XID_AGE = """
SELECT datname, age(datfrozenxid), mxid_age(datminmxid), current_setting('autovacuum_freeze_max_age')::int
  FROM pg_database ORDER BY greatest(age(datfrozenxid), mxid_age(datminmxid)) DESC"""
# Half of the 32-bit space lies in the past (PostgreSQL documentation, 25.1.5).
_WRAPAROUND = 1 << 31


def _xid_age(rows: Rows) -> Observation:
    name, xids, multixacts, freeze = rows.rows[0]
    age = max(xids, multixacts)
    how_old = f"{counted(age, 'transaction')} old ({name})"
    text = f"oldest transaction id is {how_old}, {100 * age / _WRAPAROUND:.1f} % of the way to"
    evidence = [f"{row[0]}: {counted(row[1], 'transaction')}, {counted(row[2], 'multixact')}" for row in rows.rows]
    evidence.append(f"autovacuum freezes at {freeze}")
    return Observation(int(age), f"{text} wraparound", evidence=evidence)


# PostgreSQL 17 moved them to a view of their own.
_CHECKPOINTS = """
SELECT checkpoints_timed, checkpoints_req, extract(epoch FROM now() - stats_reset)::float8 FROM pg_stat_bgwriter"""
_CHECKPOINTS_17 = """
SELECT num_timed, num_requested, extract(epoch FROM now() - stats_reset)::float8 FROM pg_stat_checkpointer"""


def _checkpoints_sql(read: Callable[[str], Rows]) -> str:
    modern = read("SELECT to_regclass('pg_catalog.pg_stat_checkpointer') IS NOT NULL").rows[0][0]
    return _CHECKPOINTS_17 if modern else _CHECKPOINTS


def _checkpoints(rows: Rows) -> Observation:
    timed, asked, age = rows.rows[0]
    if not timed + asked:
        raise Undetermined(f"no checkpoint {since(age)}")
    share = 100.0 * asked / (timed + asked)
    total = counted(timed + asked, "checkpoint")
    text = f"{asked} of {total} {since(age)} {'was' if asked == 1 else 'were'} not by the clock ({share:.1f} %)"
    return Observation(round(share, 2), text)


METRICS: dict[str, NamedMetric] = {
    "connections_percent": NamedMetric(
        "Client sessions as a share of max_connections; background workers do not count.",
        "%",
        _CONNECTIONS,
        _connections,
    ),
    "cache_hit_percent": NamedMetric(
        "Block reads of the database that shared buffers answered, since its statistics were reset.",
        "%",
        _CACHE,
        _cache,
    ),
    "database_size": NamedMetric("Size of the database on disk.", "B", _SIZE, _size),
    "replication_lag": NamedMetric(
        "On a standby the age of what it last replayed, on a primary the lag of its slowest standby.", "s", _LAG, _lag
    ),
    "deadlocks": NamedMetric("Deadlocks in the database since its statistics were reset.", "", _DEADLOCKS, _deadlocks),
    "temp_bytes": NamedMetric(
        "Bytes that statements wrote to temporary files since the statistics were reset.", "B", _DEADLOCKS, _temporary
    ),
    "xid_age": NamedMetric(
        "Age of the oldest transaction id of all databases; at 2^31 the server stops.",
        "transactions",
        _XID_AGE,
        _xid_age,
    ),
    "checkpoints": NamedMetric(
        "Checkpoints that were asked for, most often by WAL that filled max_wal_size, as a share of all.",
        "%",
        _checkpoints_sql,
        _checkpoints,
    ),
    "longest_transaction": NamedMetric("Age of the oldest open transaction of a client.", "s", _LONGEST, _longest),
}
