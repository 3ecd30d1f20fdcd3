# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The history of runs: SQLite beside the reports, or a PostgreSQL server for controllers that forget.

One small row a result, clustered by run and series (a check of a host): a run appends, and what is forgotten lies
together. The SQL is what both servers understand; what differs is in dialects.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.plugin_utils.history.dialects import HistoryError, dialect_of

VERSION = 1
_CODES = {status: number for number, status in enumerate(Status)}
_STATUSES = {number: status for status, number in _CODES.items()}

Key = tuple[str, str]


@dataclass(frozen=True)
class Series:
    """A check of a host, as it was called last."""

    id: int
    title: str
    unit: str | None


class Point(NamedTuple):
    """One result of a series: POSIX time, its status before anything softened it, its number, and how it counted."""

    at: float
    status: Status
    value: float | None
    counted: Status


@dataclass(frozen=True)
class Row:
    """What is recorded of a result."""

    host: str
    check: str
    title: str
    unit: str | None
    status: Status
    value: float | None
    # What it counted as, where a threshold had not lasted yet; else its status.
    counted: Status | None = None


_TABLES = (
    "day2_history (version INTEGER NOT NULL)",
    "day2_run (id {serial}, run_id TEXT NOT NULL, system TEXT NOT NULL, cadence TEXT NOT NULL,"
    " at DOUBLE PRECISION NOT NULL, UNIQUE (system, run_id))",
    "day2_series (id {serial}, system TEXT NOT NULL, host TEXT NOT NULL, name TEXT NOT NULL, title TEXT NOT NULL,"
    " unit TEXT NOT NULL, UNIQUE (system, host, name))",
    "day2_result (run INTEGER NOT NULL, series INTEGER NOT NULL, status SMALLINT NOT NULL,"
    " counted SMALLINT NOT NULL, value DOUBLE PRECISION, PRIMARY KEY (run, series)) {clustered}",
)


class History:
    """An open history of one system. All times are POSIX seconds. `reads_only` makes and changes nothing."""

    def __init__(self, place: str, system: str = "", reads_only: bool = False) -> None:
        self.system = system
        self._reads_only = reads_only
        self._dialect = dialect_of(place, reads_only)
        self._connection = self._dialect.connect()
        try:
            with self._guarded():
                self._prepare()
        except HistoryError:
            self.close()
            raise

    @property
    def name(self) -> str:
        """How it is called in messages: of a server its host and database, and never a password."""
        return self._dialect.name

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Whatever is wrong with a history, damaged rows included, is a HistoryError."""
        try:
            yield
        except self._dialect.failures as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            raise HistoryError(f"{self.name}: {said[0]}") from error
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise HistoryError(f"{self.name}: it is damaged ({type(error).__name__}: {error})") from error

    def _run(self, sql: str, values: Sequence[Any] = ()) -> Any:
        cursor = self._connection.cursor()
        cursor.execute(sql.replace("?", self._dialect.placeholder), tuple(values))
        return cursor

    def _run_many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        self._dialect.run_many(self._connection.cursor(), sql.replace("?", self._dialect.placeholder), rows)

    def _prepare(self) -> None:
        if not self._reads_only:
            for setting in self._dialect.settings:
                self._run(setting)
        version = self._version()
        if version > VERSION:
            raise HistoryError(f"{self.name} is of version {version}; this release knows {VERSION}")
        if version == VERSION:
            return
        if self._reads_only:
            # Check mode: nothing is made. Tables that are not there yet are empty ones of this connection alone.
            self._make("TEMPORARY TABLE")
            return
        with self._transaction():
            for lock in self._dialect.lock:
                self._run(lock)
            self._make("TABLE IF NOT EXISTS")
            self._run("CREATE INDEX IF NOT EXISTS day2_run_at ON day2_run (at)")

    def _make(self, kind: str) -> None:
        words = {"serial": self._dialect.serial, "clustered": self._dialect.clustered}
        for table in _TABLES:
            self._run(f"CREATE {kind} {table.format(**words)}")
        if self._version() == 0:
            self._run("INSERT INTO day2_history (version) VALUES (?)", (VERSION,))

    def _version(self) -> int:
        """0: there are no tables yet. Asked so that whoever may only write rows need not be allowed to make tables."""
        if self._run(self._dialect.known).fetchone()[0] is None:
            return 0
        return int(self._run("SELECT coalesce(max(version), 0) FROM day2_history").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._run(self._dialect.begin)
        try:
            yield
            self._run("COMMIT")
        except BaseException:
            # The first failure is the one to report.
            with suppress(*self._dialect.failures):
                self._run("ROLLBACK")
            raise

    def record(self, run_id: str, cadence: str, at: float, rows: Sequence[Row]) -> None:
        """Add a run, all of it or nothing. The parts of a sliced run have one id and are one run."""
        with self._guarded(), self._transaction():
            self._run(
                "INSERT INTO day2_run (run_id, system, cadence, at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (run_id, self.system, cadence, at),
            )
            (run,) = self._run(
                "SELECT id FROM day2_run WHERE system = ? AND run_id = ?", (self.system, run_id)
            ).fetchone()
            known = {key: (one.title, one.unit) for key, one in self._series().items()}
            self._run_many(
                "INSERT INTO day2_series (system, host, name, title, unit) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (system, host, name) DO UPDATE SET title = excluded.title, unit = excluded.unit",
                [
                    (self.system, row.host, row.check, row.title, row.unit or "")
                    for row in rows
                    if known.get((row.host, row.check)) != (row.title, row.unit)
                ],
            )
            series = self._series()
            self._run_many(
                "INSERT INTO day2_result (run, series, status, counted, value) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (run, series) DO UPDATE"
                " SET status = excluded.status, counted = excluded.counted, value = excluded.value",
                [
                    (
                        run,
                        series[row.host, row.check].id,
                        _CODES[row.status],
                        _CODES[row.counted or row.status],
                        row.value,
                    )
                    for row in rows
                ],
            )

    def _series(self) -> dict[Key, Series]:
        rows = self._run(
            "SELECT id, host, name, title, unit FROM day2_series WHERE system = ?", (self.system,)
        ).fetchall()
        return {(host, name): Series(number, title, unit or None) for number, host, name, title, unit in rows}

    def series(self) -> dict[Key, Series]:
        """Everything that was ever looked at, by host and check."""
        with self._guarded():
            return self._series()

    def _want(self, series: Iterable[Series]) -> None:
        """The series that are asked for, in a table of this connection: a server is asked once for all of them."""
        self._run("CREATE TEMPORARY TABLE IF NOT EXISTS day2_wanted (series INTEGER PRIMARY KEY)")
        self._run("DELETE FROM day2_wanted")
        self._run_many("INSERT INTO day2_wanted (series) VALUES (?)", [(number,) for number in {s.id for s in series}])

    def points(self, series: Sequence[Series], since: float, until: float) -> dict[int, list[Point]]:
        """What happened to these series after a time and up to another, by id, oldest first."""
        found: dict[int, list[Point]] = {}
        with self._guarded():
            self._want(series)
            cursor = self._run(
                "SELECT r.series, n.at, r.status, r.value, r.counted"
                " FROM day2_run n JOIN day2_result r ON r.run = n.id JOIN day2_wanted w ON w.series = r.series"
                " WHERE n.at > ? AND n.at <= ? ORDER BY n.at",
                (since, until),
            )
            for number, at, status, value, counted in cursor:
                known = None if value is None else float(value)
                found.setdefault(number, []).append(Point(float(at), _STATUSES[status], known, _STATUSES[counted]))
        return found

    def counts(self, series: Sequence[Series], since: float, until: float) -> dict[int, dict[Status, int]]:
        """How often these series counted as which status, by id."""
        found: dict[int, dict[Status, int]] = {}
        with self._guarded():
            self._want(series)
            rows = self._run(
                "SELECT r.series, r.counted, count(*)"
                " FROM day2_run n JOIN day2_result r ON r.run = n.id JOIN day2_wanted w ON w.series = r.series"
                " WHERE n.at > ? AND n.at <= ? GROUP BY r.series, r.counted",
                (since, until),
            ).fetchall()
            for number, status, times in rows:
                found.setdefault(number, {})[_STATUSES[status]] = times
        return found

    def newest(self) -> float | None:
        """When the last run was; None before the first one."""
        with self._guarded():
            (at,) = self._run("SELECT max(at) FROM day2_run WHERE system = ?", (self.system,)).fetchone()
            return None if at is None else float(at)

    def prune(self, before: float) -> None:
        """Forget what is older."""
        with self._guarded(), self._transaction():
            self._run(
                "DELETE FROM day2_result WHERE run IN (SELECT id FROM day2_run WHERE system = ? AND at < ?)",
                (self.system, before),
            )
            self._run("DELETE FROM day2_run WHERE system = ? AND at < ?", (self.system, before))
