# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PgBouncer's admin console, where no command takes longer than it may."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator

from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import TrafficError
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import first_line

# Of whom PgBouncer asks no password at its socket, where it is the user that PgBouncer runs as.
_OWN = "pgbouncer"


class NotRunning(TrafficError):
    """Nobody listens at the console's place."""


class Late(TrafficError):
    """A command that has not ended in time; it goes on, without anybody who waits."""


@dataclass
class Session:
    """A login that is open until `end`, in seconds of the monotonic clock."""

    driver: Any
    connection: Any
    end: float

    def ask(self, command: str) -> list[dict[str, str]]:
        """As Console.ask."""
        try:
            cursor = self.connection.cursor()
            cursor.execute(command)
            self.wait(command)
            if cursor.description is None:
                return []
            names = [column[0] for column in cursor.description]
            # Some columns are numbers, and not the same ones in all releases.
            return [{name: "" if value is None else str(value) for name, value in zip(names, row)}
                    for row in cursor.fetchall()]  # fmt: skip
        except self.driver.Error as exc:
            raise TrafficError(f"pgbouncer: {command}: {first_line(exc)}") from exc

    def wait(self, what: str) -> None:
        """Until what was asked is answered."""
        while True:
            # As psycopg2.extensions has them: 0 done, 1 wait for reading, 2 wait for writing.
            state = self.connection.poll()
            if state == 0:
                return
            left, place = self.end - time.monotonic(), [self.connection.fileno()]
            if left <= 0:
                self.connection.close()
                raise Late(f"pgbouncer: {what} did not end in time")
            select.select(place if state == 1 else [], place if state == 2 else [], [], left)


@dataclass(frozen=True)
class Console:
    """Its place and login. `host` is a directory of sockets, a name or an address."""

    host: str
    port: int
    user: str | None = None
    password: str | None = None

    @property
    def socket(self) -> str | None:
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None

    def ask(self, command: str, limit: float) -> list[dict[str, str]]:
        """Rows of its answer, as text (empty: NULL). Late after so many seconds."""
        with self.session(limit) as session:
            return session.ask(command)

    @contextmanager
    def session(self, limit: float) -> Iterator[Session]:
        """One login for several commands, which together take no longer than so many seconds."""
        driver = _driver()
        session = Session(driver, None, time.monotonic() + limit)
        try:
            with self._as_owner():
                session.connection = driver.connect(
                    host=self.host, port=self.port, user=self.user or _OWN, password=self.password, dbname=_OWN,
                    async_=True,
                )  # fmt: skip
                session.wait("the login")
        except driver.OperationalError as exc:
            raise self._refused(exc) from exc
        try:
            yield session
        finally:
            session.connection.close()

    @contextmanager
    def _as_owner(self) -> Iterator[None]:
        """As the user whose socket it is, where root asks without a login: PgBouncer looks at who connects."""
        if self.socket is None or self.user is not None or os.geteuid() != 0:
            yield
            return
        try:
            owner = os.stat(self.socket).st_uid
        except FileNotFoundError:
            raise NotRunning(f"pgbouncer: {self.socket} is missing: PgBouncer does not run, or has another socket "
                             "(`unix_socket_dir`, `listen_port`)") from None  # fmt: skip
        os.seteuid(owner)
        try:
            yield
        finally:
            os.seteuid(0)

    def _refused(self, exc: Exception) -> TrafficError:
        said, where = first_line(exc), self.socket or f"{self.host}:{self.port}"
        if any(word in said for word in ("Connection refused", "No such file", "server running")):
            return NotRunning(f"pgbouncer: nobody listens at {where}: {said}")
        return TrafficError(f"pgbouncer: no login at the console at {where} as {self.user or _OWN}: {said}")


def _driver() -> Any:
    try:
        import psycopg2
    except ImportError as exc:
        raise TrafficError(
            f"kind pgbouncer needs psycopg2 for {sys.executable}: install python3-psycopg2 (Debian, RHEL) or"
            " psycopg2-binary (pip)"
        ) from exc
    return psycopg2
