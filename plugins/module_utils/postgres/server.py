# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL server for what works on it: how to reach it, what it is, and the programs that fit it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob
from typing import Any, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres import session
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program

_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")
# Where distributions put the programs of a major version.
_PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin")
_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "service": "PGSERVICE",
    "sslmode": "PGSSLMODE",
}

# How a server finds out that a client is gone: while a statement runs (PostgreSQL 14 and later), and when its host
# went away without a word. Without that, the locks of a killed client last until the statement ends, or for hours.
_LOST_CLIENTS = {
    "client_connection_check_interval": "5s",
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
}

# What sessions are called at the server.
APPLICATION = "day2.ops"


class ServerError(Day2Error):
    """A server that cannot be worked with; the message says why."""


@dataclass(frozen=True)
class Login:
    """How the server is reached: by host and port, the directory of a socket, or an entry of the service file."""

    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = None
    service: str | None = None
    sslmode: str | None = None
    maintenance_database: str = "postgres"

    def environment(self) -> dict[str, str]:
        """For libpq's programs: nothing of it stands in argv."""
        given = {name: getattr(self, name) for name in _ENVIRONMENT}
        return {_ENVIRONMENT[name]: str(value) for name, value in given.items() if value is not None}

    def program(self, argv: list[str], database: str | None = None, application: str = APPLICATION) -> Program:
        """A program of PostgreSQL's that logs in so. A database may have any name, so it goes in as one."""
        named = ["-d", conninfo(dbname=database, application_name=application)] if database is not None else []
        return Program([*argv, *named], env=self.environment())


def conninfo(**parts: str | None) -> str:
    """A connection string: each value in quotes, so that no name is taken for something else."""
    quoted = {name: str(value).replace("\\", "\\\\").replace("'", "\\'") for name, value in parts.items() if value}
    return " ".join(f"{name}='{value}'" for name, value in quoted.items())


def identifier(*names: str) -> str:
    """Quoted as SQL and as a pattern of pg_dump: every character stands for itself."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def named(*names: str) -> Any:
    """The same for psycopg2's sql.SQL, whose Identifier takes every name for UTF-8 whatever the session's encoding."""
    from psycopg2 import sql

    return sql.SQL(identifier(*names))


@contextmanager
def connected(login: Login, database: str | None = None, application: str = APPLICATION) -> Iterator[Any]:
    """A psycopg2 connection, begun as session.begin does; ServerError says why there is none, and what was refused."""
    try:
        import psycopg2
    except ImportError as exc:
        raise ServerError(
            f"psycopg2 is not installed for {sys.executable}: install python3-psycopg2 (Debian, RHEL)"
            " or psycopg2-binary (pip)"
        ) from exc
    given: dict[str, Any] = {name: getattr(login, name) for name in _ENVIRONMENT if getattr(login, name) is not None}
    try:
        connection = psycopg2.connect(
            dbname=database or login.maintenance_database,
            application_name=application,
            connect_timeout=15,
            # A session that only holds a snapshot is silent for hours: firewalls forget such connections.
            keepalives_idle=60,
            **session.parameters(),
            **given,
        )
    except (psycopg2.Error, UnicodeEncodeError) as exc:
        raise ServerError(f"no login: {first_line(exc)}") from exc
    try:
        session.begin(connection)
        yield connection
    except session.Pooled as exc:
        where = f"{connection.info.host or 'this host'}, port {connection.info.port}"
        raise ServerError(
            f"at {where} a connection pooler answers, such as pgbouncer: what a session holds there (snapshots, locks,"
            " settings) may be somebody else's a moment later; `host` and `port` have to be the server's own, whatever"
            " the pooler's mode"
        ) from exc
    except psycopg2.Error as exc:
        raise ServerError(first_line(exc)) from exc
    finally:
        connection.close()


def notice_lost_clients(connection: Any) -> dict[str, str]:
    """The server shall end this session soon after its client is gone; what it takes of that, by the setting's name.

    From here on the connection commits each statement."""
    import psycopg2

    connection.autocommit = True
    taken = {}
    for name, value in _LOST_CLIENTS.items():
        try:
            ask(connection, "SELECT set_config(%s, %s, false)", (name, value))
        except psycopg2.Error:
            # An older server, or one whose system cannot tell.
            if connection.closed:
                raise
        else:
            taken[name] = value
    return taken


def first_line(exc: Exception) -> str:
    """What a server said, without the hint and the context."""
    lines = [line.strip() for line in str(exc).split("\n") if line.strip()]
    return lines[0] if lines else type(exc).__name__


def ask(connection: Any, sql: Any, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Rows of one statement."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return list(cursor.fetchall())


def execute(connection: Any, sql: Any, values: Mapping[str, Any] | tuple[Any, ...] = ()) -> None:
    """One statement that returns no rows."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)


@dataclass(frozen=True)
class Server:
    """What a server says of itself. `version` is its number as in `150018`, `encoding` that of the database that was
    asked. `superuser` is whether the session is one, and `superuser_login` whether the login is, before any `SET ROLE`
    that the site has given it: by that are the options judged with which a program connects."""

    version: int
    text: str
    system_identifier: str
    in_recovery: bool
    lsn: str
    timeline: int
    superuser: bool
    cluster: str
    encoding: str = ""
    superuser_login: bool = False

    @property
    def major(self) -> int:
        return self.version // 10000


_FACTS = """
SELECT current_setting('server_version_num')::int, current_setting('server_version'),
       (SELECT system_identifier::text FROM pg_control_system()), pg_is_in_recovery(),
       (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END)::text,
       (SELECT timeline_id FROM pg_control_checkpoint()), current_setting('is_superuser') = 'on',
       current_setting('cluster_name'), current_setting('server_encoding'),
       (SELECT rolsuper FROM pg_roles WHERE rolname = session_user)"""


def facts(connection: Any) -> Server:
    (row,) = ask(connection, _FACTS)
    return Server(*row)


def tool(name: str, server: Server, bin_dir: str | None = None) -> tuple[str, str]:
    """Path and version of the oldest program of a name that is as new as the server; ServerError when none is."""
    path, version = _oldest(name, server.major, bin_dir, f"the server ({server.text})")
    return path, f"{version[0]}.{version[1]}"


def tool_of(name: str, major: int, bin_dir: str | None = None) -> tuple[str, str]:
    """Path and version of the oldest program of a name that is of this major version or a later one."""
    path, version = _oldest(name, major, bin_dir, f"PostgreSQL {major}")
    return path, f"{version[0]}.{version[1]}"


def tool_for(name: str, major: int, bin_dir: str | None = None) -> str:
    """Path of the oldest program of a name that is of this major version or a later one."""
    return tool_of(name, major, bin_dir)[0]


def _oldest(name: str, major: int, bin_dir: str | None, against: str) -> tuple[str, tuple[int, int]]:
    folders = [bin_dir] if bin_dir else [folder for place in _PLACES for folder in glob(place)]
    paths = [os.path.join(folder, name) for folder in folders]
    paths = [path for path in paths if os.access(path, os.X_OK)]
    if not paths and not bin_dir:
        # Only then: Debian's program of that name is a script that chooses a version by itself.
        paths = [path for path in [shutil.which(name)] if path]
    versions = {path: _version(path) for path in paths}
    if not versions:
        where = f"in {bin_dir}" if bin_dir else "on this host"
        raise ServerError(f"{name} is not installed {where}; the server needs version {major} or later")
    fitting = {path: version for path, version in versions.items() if version[0] >= major}
    if not fitting:
        newest = max(versions.values())
        raise ServerError(f"{name} {newest[0]}.{newest[1]} is older than {against}: install version {major}")
    path = min(fitting, key=lambda candidate: (fitting[candidate], candidate))
    return path, fitting[path]


def _version(path: str) -> tuple[int, int]:
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    except OSError as exc:
        raise ServerError(f"{path} cannot be started: {exc.strerror}") from exc
    match = _VERSION.search(done.stdout.rpartition("(PostgreSQL)")[2] or done.stdout)
    return (int(match[1]), int(match[2] or 0)) if match else (0, 0)
