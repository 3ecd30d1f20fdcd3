# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disables everything in a restored cluster that would connect out of a drill, before any query runs."""

from __future__ import annotations

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import ArgumentFault
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ask, connected, execute, identifier

# Libraries whose background workers run the site's jobs.
_SCHEDULERS = ("pg_cron", "pg_partman_bgw", "pg_timetable", "pg_squeeze")
_DATABASES = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname"
# Event triggers first: the other statements would fire them.
_TRIGGERS = "SELECT evtname FROM pg_event_trigger WHERE evtenabled <> 'D'"
_MAPPINGS = "SELECT srvname, CASE WHEN umuser = 0 THEN NULL ELSE usename END FROM pg_user_mappings"
_WRAPPERS = "SELECT fdwname FROM pg_foreign_data_wrapper WHERE fdwhandler <> 0"
_SUBSCRIPTIONS = """
SELECT subname FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"""


def check_preloaded(settings: Mapping[str, str]) -> None:
    """ArgumentFault for a library that would run the site's jobs in the drill."""
    for name in ("shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"):
        words = [word.strip().strip("\"'").rsplit("/", 1)[-1] for word in str(settings.get(name, "")).split(",")]
        found = [word for word in words if word.removesuffix(".so") in _SCHEDULERS]
        if found:
            raise ArgumentFault(
                f"'settings': {name} has {', '.join(found)}, which would run the site's jobs: leave it out"
            )


def isolate(login: Login) -> None:
    """Disable event triggers, user mappings, handlers of foreign data and subscriptions in every database."""
    with connected(login) as connection:
        names = [str(name) for (name,) in ask(connection, _DATABASES)]
    for name in names:
        with connected(login, name) as connection:
            for statement in _statements(connection):
                execute(connection, statement)
            connection.commit()


def _statements(connection: Any) -> list[str]:
    made = [f"ALTER EVENT TRIGGER {identifier(name)} DISABLE" for (name,) in ask(connection, _TRIGGERS)]
    for server, user in ask(connection, _MAPPINGS):
        whose = "PUBLIC" if user is None else identifier(user)
        made.append(f"DROP USER MAPPING FOR {whose} SERVER {identifier(server)}")
    # Servers and foreign tables stay, as views may need them; a query of one is an error.
    made += [f"ALTER FOREIGN DATA WRAPPER {identifier(name)} NO HANDLER" for (name,) in ask(connection, _WRAPPERS)]
    for (name,) in ask(connection, _SUBSCRIPTIONS):
        made.append(f"ALTER SUBSCRIPTION {identifier(name)} DISABLE")
        made.append(f"ALTER SUBSCRIPTION {identifier(name)} SET (slot_name = NONE)")
    return made
