# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A watch over the locks of a backup: it ends the backup rather than let the application wait for it.

Whoever wants to change a table that is being read waits for the backup, and everybody who comes after waits behind
that one. A session of its own looks at the server's locks and ends all of it when somebody has waited too long, when
sessions of the backup wait for somebody who waits for them, and when definitions have changed while pg_dump read them.
It ends the sessions at the server first: the streams may hang in a repository, and locks are not to wait for that.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Callable

from ansible_collections.day2.ops.plugins.module_utils.backup.definitions import Part, compare
from ansible_collections.day2.ops.plugins.module_utils.backup.snapshot import Snapshot, SnapshotLost
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.lock_waits import (
    Patience,
    Wait,
    describe_session,
    own_sessions,
    terminate,
    waits,
)
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    ServerError,
    ask,
    connected,
    execute,
    notice_lost_clients,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

# How often the locks are looked at, and how long it takes to let go of them; of short limits these parts.
_INTERVAL, _RELEASE = 1.0, 1.5
_PART_INTERVAL, _PART_RELEASE = 0.1, 0.2
# Each look reads all locks of the server: with more than these a second, it is worth waiting longer.
_LOCKS_A_SECOND = 2000
# SQLSTATEs of `lock_timeout` and `statement_timeout`.
_LIMITS = ("55P03", "57014")


def poll_interval(limit: float, locks: int) -> float:
    """Seconds between two looks at so many locks, for a limit in seconds. Pure."""
    return min(max(_INTERVAL, locks / _LOCKS_A_SECOND), limit * _PART_INTERVAL)


class Watch:
    """Used as a context, of one database. `end` is called once, from another thread, when the backup has to be given
    up; it returns whether that was not under way already.

    `check` raises the reason: SnapshotLost, or ServerError where nobody can tell who waits.
    """

    def __init__(self, login: Login, limit: float, application: str, end: Callable[[], bool]) -> None:
        self._login, self._limit, self._application, self._end = login, limit, application, end
        self._pace(0)
        self._snapshot: Snapshot | None = None
        # What the session is called that is still reading the definitions.
        self._reading: str | None = None
        self._seen = False
        self._comparison: Future[None] | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._reason: Day2Error | None = None
        self._given_up = self._ended = False
        self._thread = threading.Thread(target=self._run, name="locks of the backup", daemon=True)
        # It waits for locks of the catalogue, and whoever looks at the locks must not.
        self._comparing = ThreadPoolExecutor(1)

    def _pace(self, locks: int) -> None:
        self._interval = poll_interval(self._limit, locks)
        self._patience = Patience(self._limit, self._interval + min(_RELEASE, self._limit * _PART_RELEASE))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._join()
        self._comparing.shutdown()

    def _join(self) -> None:
        self._over.set()
        self._thread.join()

    def add(self, snapshot: Snapshot, application: str) -> None:
        """The snapshot whose definitions are read by the session of this name."""
        with self._lock:
            self._snapshot, self._reading = snapshot, application
            self._pace(len(snapshot.relations))

    def check(self) -> None:
        if self._reason is not None:
            raise self._reason

    def has_read(self) -> None:
        """The definitions have been read: they are compared, once."""
        with self._lock:
            snapshot, reading, self._reading = self._snapshot, self._reading, None
            if snapshot is not None and reading is not None:
                self._comparison = self._comparing.submit(self._compare, snapshot, Part.DEFINITIONS)

    def finish(self) -> None:
        """Asked when all has been read, or failed: raises what the watch has found, or finds now, of this backup."""
        self._join()
        self.check()
        self.has_read()
        if self._comparison is not None:
            self._comparison.result()
            self.check()
        if self._snapshot is not None:
            self._compare(self._snapshot, Part.LABELS)
            self.check()

    def explain(self, failure: Day2Error) -> None:
        """Raises what led to a failure of the backup where that is another one, and returns otherwise."""
        try:
            self.finish()
        except ServerError as exc:
            # Of a server that went away both speak.
            if self._ended:
                raise exc from failure

    def _run(self) -> None:
        with self._or_give_up(), connected(self._login, application=self._application) as connection:
            notice_lost_clients(connection)
            # Names and statements are of all databases, in whatever encoding: the server is to convert nothing.
            connection.set_client_encoding("SQL_ASCII")
            try:
                while not self._over.wait(self._interval):
                    self._look(connection)
            except SnapshotLost:
                terminate(connection, self._application)
                raise

    def _or_give_up(self) -> ExitStack:
        """A context that takes whatever is raised for the reason to give up: a backup that nobody watches must not go
        on."""
        stack = ExitStack()
        stack.push(self._give_up)
        return stack

    def _give_up(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """End the backup's sessions, so that nobody waits for them any longer, and then its streams."""
        if value is None:
            return False
        with self._lock:
            first = not (self._given_up or self._over.is_set())
            self._given_up = True
            if self._reason is None:
                self._reason = _reason(value)
        if first:
            # A connection of its own: what failed may be the watch's. Of a server that is gone there are none to end.
            with suppress(Exception), connected(self._login, application=self._application) as connection:
                connection.autocommit = True
                terminate(connection, self._application)
            self._ended = self._end()
        return True

    def _look(self, connection: Any) -> None:
        found = self._patience.overdue(time.monotonic(), waits(connection, self._application))
        if found is not None:
            raise SnapshotLost(self._describe(connection, found))
        sessions = own_sessions(connection, self._application)
        with self._lock:
            snapshot, reading = self._snapshot, self._reading
        if snapshot is None:
            return
        if snapshot.pid not in {session.pid for session in sessions}:
            raise SnapshotLost(f"the session that held the snapshot of database {snapshot.database!r} has ended")
        copying = [session.copying for session in sessions if session.application == reading]
        # It reads rows by now, or was seen once and is gone.
        if any(copying) or (self._seen and not copying):
            self.has_read()
        self._seen = self._seen or bool(copying)

    def _compare(self, snapshot: Snapshot, part: Part) -> None:
        """In limits, because a lock of the catalogue may be waited for; what fails is the reason to give up."""
        with self._or_give_up(), connected(self._login, snapshot.database, self._application) as connection:
            notice_lost_clients(connection)
            for name in ("lock_timeout", "statement_timeout"):
                execute(connection, f"SET {name} = '{self._limit * 1000:.0f}ms'")
            changed = compare(snapshot.connection, connection, part)
            if changed is not None:
                raise SnapshotLost(
                    f"in database {snapshot.database!r} definitions changed while they were read: {changed}"
                )

    def _describe(self, connection: Any, wait: Wait) -> str:
        name = self._name(wait)
        who = describe_session(connection, wait.pid)
        limit = f"`lock_timeout` is {format_duration(self._limit)}"
        if not wait.ours:
            return f"{who} waits for {name}, which is being backed up, and others wait behind it ({limit})"
        by = describe_session(connection, wait.blockers[0] if wait.blockers else None)
        return f"the backup waits for {name} behind {by}, which waits for the backup ({limit})"

    def _name(self, wait: Wait) -> str:
        snapshot = self._snapshot
        if snapshot is not None and wait.database == snapshot.oid:
            if wait.relation in snapshot.relations:
                return f"table {snapshot.relations[wait.relation]} of database {snapshot.database!r}"
            with suppress(Exception):
                ((name,),) = ask(snapshot.connection, "SELECT %s::oid::regclass::text", (wait.relation,))
                return f"{name} of database {snapshot.database!r}"
        return f"relation {wait.relation} of database {wait.database}"


def _reason(failure: BaseException) -> Day2Error:
    if isinstance(failure, SnapshotLost):
        return failure
    if getattr(failure.__cause__, "pgcode", None) in _LIMITS:
        return SnapshotLost(f"definitions could not be compared within `lock_timeout`: {failure}")
    text = str(failure) if isinstance(failure, Day2Error) else f"{type(failure).__name__}: {failure}"
    return ServerError(f"the locks of the backup cannot be watched: {text}")
