# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""REINDEX CONCURRENTLY, one index after the other, beside transactions that last longer than it may wait.

PostgreSQL builds a copy of the index, waits for every transaction of the database that could still need the old one (a
dump holds its snapshot and its locks to its end), and then exchanges them. Where lock_timeout ends that wait, the copy
stays behind, invalid, with a name that ends in `_ccnew` (or the old one in `_ccold`): it costs every write and serves
no read. The manual (SQL command REINDEX, "Rebuilding Indexes Concurrently") says to drop it.

So an index that could not be built does not end the pass: those that remain wait until the transactions that are in the
way have ended, what was left behind is dropped, and each of them is tried once more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask, execute, first_line

# Those that the login may build anew. Catalogs cannot be reindexed concurrently, nor can exclusion constraints.
_INDEXES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), pg_relation_size(c.oid)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
       JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'i' AND t.relpersistence <> 't' AND NOT i.indisexclusion AND t.oid >= 16384
       AND n.nspname NOT IN ('pg_catalog', 'information_schema')
       AND (i.indisvalid OR (n.nspname <> 'pg_toast' AND c.relname !~ '_cc(new|old)[0-9]*$'))
       AND {owned}
 ORDER BY 2, 1"""
_MINE = "pg_has_role(t.relowner, 'USAGE')"
# What an earlier pass, or this one, left behind. An index that somebody builds just now is invalid, too, and its table
# is locked.
_LEFT = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
       JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$' AND pg_has_role(t.relowner, 'USAGE')
   AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.pid <> pg_backend_pid()
                      AND l.mode = 'ShareUpdateExclusiveLock')
 ORDER BY 1"""
# Transactions of this database: a key that no later one has, whose it is, its age in seconds where it can be seen.
# A prepared one has no process.
_TRANSACTIONS = """
SELECT l.virtualtransaction, coalesce(nullif(a.application_name, ''), a.usename::text, 'unknown') || ' (process '
       || l.pid || ')', extract(epoch FROM clock_timestamp() - a.xact_start)::float8
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'virtualxid' AND l.granted AND l.pid <> pg_backend_pid() AND a.datname = current_database()
       AND coalesce(a.backend_type, 'client backend') = 'client backend'
UNION ALL
SELECT 'prepared ' || transaction::text, 'prepared transaction ' || gid,
       extract(epoch FROM clock_timestamp() - prepared)::float8
  FROM pg_prepared_xacts WHERE database = current_database()
 ORDER BY 1"""
_LOCK_NOT_AVAILABLE = "55P03"
# Seconds between two looks at transactions.
_MOMENT = 1.0


@dataclass
class Reindexed:
    """What a pass did: indexes that were built, invalid copies that were dropped, and what was left, with why."""

    built: int = 0
    dropped: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Transaction:
    """Somebody else's. `key` is of this transaction alone, `age` in seconds, None where it cannot be seen."""

    key: str
    owner: str
    age: float | None


class Pass:
    """One pass over a database. `wait` is in seconds: how long transactions in the way are waited for."""

    def __init__(
        self,
        connection: Any,
        wait: float,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection, self._wait, self._now, self._sleep = connection, wait, now, sleep
        self.done = Reindexed()

    def run(self) -> Reindexed:
        """Every index that this login may build, and at the end those again that were in the way of somebody."""
        self._drop_left()
        names = [str(row[0]) for row in ask(self._connection, _INDEXES.format(owned=_MINE))]
        foreign = ask(self._connection, _INDEXES.format(owned=f"NOT {_MINE}"))
        deferred, blockers = self._build(names)
        if deferred:
            self._wait_for(blockers)
            self._drop_left()
            deferred, blockers = self._build(deferred)
        self._drop_left()
        who = ", ".join(transaction.owner for transaction in blockers) or "another session"
        self.done.left += [f"{name}: not reindexed, {who} lasted longer than the lock timeout" for name in deferred]
        if foreign:
            self.done.left.append(
                f"not reindexed, because their tables belong to others: {_some(row[0] for row in foreign)}"
            )
        return self.done

    def _build(self, names: Sequence[str]) -> tuple[list[str], list[Transaction]]:
        """Indexes that were not built because of transactions in the way, and these."""
        # One that is older than a wait may last is not expected to end within the next one.
        blockers = [
            transaction for transaction in self._transactions() if self._wait and (transaction.age or 0.0) >= self._wait
        ]
        deferred: list[str] = []
        for name in names:
            if self._alive(blockers):
                deferred.append(name)
                continue
            # Functions of an index find what they find when a row is written. They run as the table's owner.
            execute(self._connection, "SET search_path TO DEFAULT")
            why = self._statement(f"REINDEX INDEX CONCURRENTLY {name}")
            execute(self._connection, "SET search_path = ''")
            if why is None:
                self.done.built += 1
            elif why == _LOCK_NOT_AVAILABLE:
                deferred.append(name)
                blockers = self._lasting()
            else:
                self.done.left.append(f"{name}: not reindexed, {why}")
        return deferred, blockers

    def _drop_left(self) -> None:
        for (name,) in ask(self._connection, _LEFT):
            if self._statement(f"DROP INDEX CONCURRENTLY IF EXISTS {name}") is None:
                self.done.dropped.append(str(name))

    def _statement(self, sql: str) -> str | None:
        """None where it succeeded, SQLSTATE 55P03 where a lock was waited for too long, else what the server said."""
        import psycopg2

        try:
            execute(self._connection, sql)
        except psycopg2.OperationalError as exc:
            if exc.pgcode == _LOCK_NOT_AVAILABLE:
                return _LOCK_NOT_AVAILABLE
            if self._connection.closed:
                raise
            return first_line(exc)
        except psycopg2.Error as exc:
            return first_line(exc)
        return None

    def _transactions(self) -> list[Transaction]:
        return [Transaction(str(key), str(owner), age) for key, owner, age in ask(self._connection, _TRANSACTIONS)]

    def _lasting(self) -> list[Transaction]:
        """Those of now without the short ones of an application, which are gone a moment later."""
        before = {transaction.key for transaction in self._transactions()}
        self._sleep(_MOMENT)
        return [transaction for transaction in self._transactions() if transaction.key in before]

    def _alive(self, blockers: Iterable[Transaction]) -> bool:
        keys = {transaction.key for transaction in blockers}
        return bool(keys) and any(transaction.key in keys for transaction in self._transactions())

    def _wait_for(self, blockers: Sequence[Transaction]) -> None:
        until = self._now() + self._wait
        while self._alive(blockers) and (not self._wait or self._now() < until):
            self._sleep(_MOMENT)


def _some(names: Iterable[Any], most: int = 5) -> str:
    found = [str(name) for name in names]
    return ", ".join(found[:most]) + (f" and {len(found) - most} more" if len(found) > most else "")
