# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL: whether it accepts a login, and figures about a database. Checks of one login share one connection."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.postgres.metrics import METRICS, Rows
from ansible_collections.day2.ops.plugins.module_utils.postgres.replication import REPLICATION
from ansible_collections.day2.ops.plugins.module_utils.postgres.tables import TABLES
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration, format_quantity

_NAMED = {**METRICS, **REPLICATION, **TABLES}
_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_READS = re.compile(r"\s*\(*\s*(select|with|values|table|show)\b", re.IGNORECASE)
_CONNECTION = ("host", "port", "database", "user", "password", "service", "sslmode")
_MISSING = "psycopg2 is not installed for {python}: install python3-psycopg2 (Debian, RHEL) or psycopg2-binary (pip)"


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if metric == "query" and args["query"] is None:
        raise FieldError("query", "is missing; metric 'query' needs it")
    if args["service"] is not None and args["host"] is not None:
        raise FieldError("host", "does not go with 'service', which names the host")
    query = args["query"]
    if query is None:
        return
    statement = query.rstrip().rstrip(";")
    if ";" in statement:
        raise FieldError("query", "holds a ';': one statement only (write chr(59) for one in a text)")
    if not _READS.match(_COMMENT.sub(" ", statement)):
        raise FieldError("query", "only reads: it starts with SELECT, WITH, VALUES, TABLE or SHOW")


SPEC = ProbeSpec(
    doc="Figures of a PostgreSQL server, read in a read-only transaction with the server's own statement timeout.",
    arguments={
        "host": Argument("str", "Name, address, or the directory of a socket; without it libpq's default."),
        "port": Argument("port", "Port of the server."),
        "database": Argument("str", "The database to connect to; without it the one named like the user."),
        "user": Argument("str", "The role that logs in; without it the user that the check runs as."),
        "password": Argument(
            "str", "Password of `user`; a password file (.pgpass) or a service entry is better.", secret=True
        ),
        "service": Argument("str", "An entry of the connection service file (pg_service.conf)."),
        "sslmode": Argument(
            "str",
            "Whether the connection is by TLS and what is verified: libpq's sslmode.",
            choices=("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
        ),
        "query": Argument("str", "One statement that reads; the first column of its first row is the value."),
    },
    metrics={
        "connection": Metric("Time until the login stood. A login that fails is critical.", "ms", elapsed=True),
        **{name: Metric(metric.doc, metric.unit, metric.words) for name, metric in _NAMED.items()},
        "query": Metric("What `query` returns; its unit is the check's `unit`.", None),
    },
    default_metric="connection",
    connection=_CONNECTION,
    validate=_validate,
    choose_metric=lambda args: "query" if args["query"] is not None else "connection",
)
_LIBPQ = {"database": "dbname"}


@dataclass
class Session:
    """A connection, or why there is none."""

    connection: Any = None
    latency: float = 0.0
    error: str | None = None
    missing: str | None = None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


def source_key(check: Check) -> object:
    return tuple(check.args[name] for name in _CONNECTION)


def prepare() -> None:
    """Import the driver while this process may still read it (before it becomes another user)."""
    try:
        import_module("psycopg2")
    except ImportError:
        # The check itself will say what to install.
        return


def open_source(checks: list[Check], _progress: object) -> Session:
    try:
        import psycopg2
    except ImportError:
        import sys

        return Session(missing=_MISSING.format(python=sys.executable or "this Python"))
    args = checks[0].args
    given = {_LIBPQ.get(name, name): args[name] for name in _CONNECTION if args[name] is not None}
    if not any(name in given for name in ("dbname", "service", "user")):
        given["dbname"] = "postgres"
    begun = time.monotonic()
    try:
        connection = psycopg2.connect(**given, application_name="day2.ops")
    except psycopg2.Error as exc:
        return Session(error=_first_line(exc))
    connection.set_session(readonly=True, autocommit=False)
    return Session(connection, time.monotonic() - begun)


def _first_line(exc: Exception) -> str:
    lines = [line.strip() for line in str(exc).split("\n") if line.strip()]
    return lines[0] if lines else type(exc).__name__


def observe(session: Session, check: Check) -> Observation:
    name = check.metric.name
    if session.missing is not None:
        raise Undetermined(session.missing)
    if session.error is not None:
        if name == "connection":
            return Observation(None, "", failure=f"no login: {session.error}")
        raise Undetermined(f"no login: {session.error}")
    if name == "connection":
        return _connection(session)
    if name == "query":
        return _query(session, check)
    metric = _NAMED[name]
    sql = metric.sql
    if callable(sql):
        sql = sql(lambda statement: _read(session, statement, check.timeout))
    return metric.observe(_read(session, sql, check.timeout))


def _connection(session: Session) -> Observation:
    info = session.connection.info
    version = ".".join(str(part) for part in divmod(info.server_version, 10000))
    where = info.host if info.host.startswith("/") else f"{info.host}:{info.port}"
    took = format_duration(session.latency)
    text = f"{info.user} is connected to {info.dbname} on {where} (PostgreSQL {version}, {took})"
    return Observation(round(session.latency * 1000, 3), text)


def _query(session: Session, check: Check) -> Observation:
    rows = _read(session, check.args["query"], check.timeout)
    if not rows.rows:
        raise Undetermined("the query returned no row")
    value = _plain(rows.rows[0][0])
    evidence = []
    if len(rows.rows) > 1 or len(rows.columns) > 1:
        evidence = [" | ".join(rows.columns)] + [" | ".join(str(cell) for cell in row) for row in rows.rows[:19]]
    if value is None:
        raise Undetermined("the query returned NULL", evidence)
    unit = check.metric.unit
    if unit is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
        return Observation(value, f"the query returned {format_quantity(value, unit)}", evidence=evidence)
    return Observation(value, f"the query returned {value}", evidence=evidence)


def _plain(value: Any) -> Any:
    """A figure as a number, an interval in seconds, anything else as text."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    if hasattr(value, "as_tuple"):
        return int(value) if value == value.to_integral_value() else float(value)
    return str(value)


def _read(session: Session, sql: str, timeout: float) -> Rows:
    """Run one statement in a read-only transaction that the server itself ends in time."""
    import psycopg2

    connection = session.connection
    try:
        with connection.cursor() as cursor:
            # A little less than the check has, so that the server's own answer comes before the kill.
            cursor.execute("SET LOCAL statement_timeout = %s", (max(1, int(timeout * 1000 * 0.9)),))
            cursor.execute(sql)
            rows = cursor.fetchmany(1000)
            columns = [column.name for column in cursor.description or ()]
    except psycopg2.errors.QueryCanceled as exc:
        raise Undetermined(
            f"the server ended the statement after {timeout * 0.9:g} s (the check may take {timeout:g} s)"
        ) from exc
    except psycopg2.errors.InsufficientPrivilege as exc:
        raise Undetermined(f"not permitted: {_first_line(exc)}") from exc
    except psycopg2.Error as exc:
        raise Undetermined(f"the query failed: {_first_line(exc)}") from exc
    finally:
        if not connection.closed:
            connection.rollback()
    return Rows(columns, rows)
