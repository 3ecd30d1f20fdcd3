# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sessions of one database, ended while new logins wait.

Nothing is switched off that would have to be switched on again: logins wait for a lock of a transaction, which the
server undoes whatever becomes of this process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ServerError, ask, connected
from ansible_collections.day2.ops.plugins.module_utils.restore.swap import SwapFailed, oid_of, rename

_SESSIONS = """
SELECT coalesce(usename, '?'), coalesce(nullif(application_name, ''), backend_type),
       coalesce(host(client_addr), 'this host'), count(*), count(*) FILTER (WHERE state = 'active')
  FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() AND backend_type <> 'autovacuum worker'
 GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"""
_PREPARED = "SELECT gid FROM pg_prepared_xacts WHERE database = %s ORDER BY prepared"
# No name of anybody's; it never comes to be.
_NAME = "day2_sessions_of_{oid}"


class SessionsError(Day2Error):
    """Sessions that could not be ended; the message says whose."""


class _Nobody(Exception):
    """Nobody is in the database, and whoever comes waits: the transaction is undone by this."""


@dataclass(frozen=True)
class Session:
    """Sessions of one user, application and address, and how many of them were working."""

    user: str
    application: str
    address: str
    number: int
    active: int

    def __str__(self) -> str:
        return f"{self.number} of {self.user} ({self.application}) from {self.address}, {self.active} active"


def sessions(login: Login, database: str) -> list[Session]:
    """All but this one's own."""
    with connected(login) as connection:
        connection.autocommit = True
        if oid_of(connection, database) is None:
            raise SessionsError(f"there is no database '{database}' on this server")
        return [Session(*row) for row in ask(connection, _SESSIONS, (database,))]


def beside(login: Login, database: str) -> Login:
    """A login that is not in the database itself."""
    return replace(login, maintenance_database="template1") if login.maintenance_database == database else login


def end(login: Login, database: str, limit: float) -> list[Session]:
    """End them until nobody is in the database at one moment; returns who was there. SessionsError after `limit` s."""
    login = beside(login, database)
    found = sessions(login, database)
    if not found:
        return []
    with connected(login) as connection:
        oid = oid_of(connection, database)
        held = [str(row[0]) for row in ask(connection, _PREPARED, (database,))]
    if held:
        raise SessionsError(
            f"prepared transactions hold {database}: {', '.join(held)}. COMMIT PREPARED or ROLLBACK PREPARED ends one;"
            " no session was ended"
        )

    def nobody(_connection: Any) -> None:
        raise _Nobody

    try:
        rename(login, [(database, _NAME.format(oid=oid))], [], limit, nobody)
    except _Nobody:
        pass
    except SwapFailed as exc:
        left = ", ".join(map(str, sessions(login, database))) or str(exc)
        raise SessionsError(f"not all sessions of {database} ended within {limit:g} s: {left}") from exc
    except ServerError as exc:
        raise SessionsError(f"sessions of {database} cannot be ended: {exc}") from exc
    return found


def outcome(found: Sequence[Session], database: str, planning: bool) -> dict[str, Any]:
    """What the step tells."""
    number = sum(session.number for session in found)
    word = "would end" if planning else "ended"
    message = f"{word} {number} sessions of {database}" if number else f"nobody was in {database}"
    status = Status.SKIPPED if planning else Status.OK
    lines = [str(session) for session in found]
    return {"status": status.value, "message": message, "evidence": lines, "value": number, "unit": "sessions"}
