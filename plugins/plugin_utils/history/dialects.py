# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What SQLite and PostgreSQL do differently: how they are reached, and a few words of their SQL.

The rest of the SQL is what both understand; a placeholder is written ? and turned into what the driver wants.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

# How long a writer waits for another one.
BUSY_SECONDS = 10.0


class HistoryError(Day2Error):
    """Why the history cannot be used; the run goes on without it."""


class Dialect:
    """`name` is how the place is called in messages, `failures` what its driver raises."""

    # A number that rows get by themselves; rows that live in their key.
    serial: str
    clustered = ""
    placeholder: str
    begin: str
    # Whether there are tables: one value, or NULL.
    known: str
    # What a writer sends first, and what keeps two makers of the tables apart.
    settings: Sequence[str] = ()
    lock: Sequence[str] = ()
    failures: tuple[type[BaseException], ...] = ()

    def __init__(self, place: str, reads_only: bool) -> None:
        self.place, self.name, self.reads_only = place, place, reads_only

    def connect(self) -> Any:
        """A connection that commits each statement, unless there was a BEGIN; or HistoryError."""
        raise NotImplementedError

    def run_many(self, cursor: Any, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        cursor.executemany(sql, rows)


class SQLite(Dialect):
    """A file."""

    serial = "INTEGER PRIMARY KEY"
    clustered = "WITHOUT ROWID"
    placeholder = "?"
    begin = "BEGIN IMMEDIATE"
    known = (
        "SELECT max(name) FROM (SELECT name FROM sqlite_master UNION SELECT name FROM sqlite_temp_master)"
        " WHERE name = 'day2_history'"
    )
    settings = ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "PRAGMA temp_store = MEMORY")
    failures = (sqlite3.Error, OSError)

    def connect(self) -> Any:
        try:
            place = self.place
            if not self.reads_only:
                os.makedirs(os.path.dirname(os.path.abspath(place)), mode=0o750, exist_ok=True)
            elif not os.path.exists(place):
                # A history that is not there yet is an empty one.
                place = ":memory:"
            return sqlite3.connect(place, timeout=BUSY_SECONDS, isolation_level=None)
        except (sqlite3.Error, OSError, ValueError) as error:
            raise HistoryError(f"{self.name}: {error}") from error


class PostgreSQL(Dialect):
    """A server by its DSN; `name` is its host and database, and never a password."""

    serial = "SERIAL PRIMARY KEY"
    placeholder = "%s"
    begin = "BEGIN"
    known = "SELECT to_regclass('day2_history')"
    # Two parts of a sliced run may both be the first; the number is this table's own.
    lock = ("SELECT pg_advisory_xact_lock(3229712905)",)

    def __init__(self, place: str, reads_only: bool) -> None:
        super().__init__(place, reads_only)
        # What is between the first // and the last @ may be a password, whatever it looks like.
        self.name = "postgresql://" + place.partition("//")[2].rpartition("@")[2].partition("?")[0]

    def connect(self) -> Any:
        try:
            import psycopg2
        except ImportError as error:
            raise HistoryError("psycopg2 is not installed for ansible's Python: pip install psycopg2-binary") from error
        self.failures = (psycopg2.Error,)
        try:
            secret = psycopg2.extensions.parse_dsn(self.place).get("password")
        except (psycopg2.Error, ValueError):
            # libpq's own words would show a part of the address, which may be one of the password.
            raise HistoryError(
                f"{self.name}: the address is malformed (in a password, write what is no letter and no digit as %20)"
            ) from None
        try:
            connection = psycopg2.connect(
                self.place,
                connect_timeout=int(BUSY_SECONDS),
                application_name="day2.ops",
                # Whoever locks it, or goes away in the middle, does not keep a run for ever.
                options=f"-c lock_timeout={BUSY_SECONDS:.0f}s -c statement_timeout={6 * BUSY_SECONDS:.0f}s",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=30000,
            )
        except (psycopg2.Error, ValueError) as error:
            said = (str(error).strip().splitlines() or ["no connection"])[0]
            raise HistoryError(f"{self.name}: {said.replace(secret, '***') if secret else said}") from None
        connection.autocommit = True
        return connection

    def run_many(self, cursor: Any, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        from psycopg2.extras import execute_batch

        execute_batch(cursor, sql, rows, page_size=1000)


def is_server(place: str) -> bool:
    """A PostgreSQL DSN, and no file."""
    return place.startswith(("postgresql://", "postgres://"))


def dialect_of(place: str, reads_only: bool) -> Dialect:
    return (PostgreSQL if is_server(place) else SQLite)(place, reads_only)
