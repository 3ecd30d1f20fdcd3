# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs vacuumdb and reindexdb. The login goes by their own environment: no password stands in a command line."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    Server,
    ask,
    connected,
    facts,
    tool,
)
from ansible_collections.day2.ops.plugins.module_utils.postgres.session import session_options
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import mortal
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted
from ansible_collections.day2.ops.plugins.module_utils.upkeep import reindex
from ansible_collections.day2.ops.plugins.module_utils.upkeep.vacuum import (
    Done,
    Table,
    Work,
    lacking,
    options,
    outcome,
    rooms,
)

_SIZE = "SELECT pg_database_size(current_database())"
# What a build that broke off leaves behind costs every write and serves no read.
_INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1"
# The data directory is told to those who may know it. Another host's disks are not to be seen from here.
_TABLES = """
SELECT c.oid::regclass::text,
       coalesce(nullif(pg_tablespace_location(coalesce(nullif(c.reltablespace, 0), d.dattablespace)), ''),
                (SELECT setting FROM pg_settings WHERE name = 'data_directory')),
       coalesce(pg_total_relation_size(c.oid), 0)
  FROM pg_class c, pg_database d WHERE d.datname = current_database() AND c.relkind IN ('r', 'm')"""
# Standbys that are connected, and those that have a slot and are not.
_STANDBYS = """
SELECT (SELECT count(*) FROM pg_stat_replication)
     + (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT active)"""
# Once a program is gone its statement shall end with it (PostgreSQL 14).
_CHECKS_CLIENT = 140000
_HERE = "SELECT inet_server_addr() IS NULL OR inet_server_addr() = inet_client_addr()"


class VacuumError(Day2Error):
    """A database that could not be maintained; the message says why."""


def maintain(login: Login, work: Work, planning: bool) -> dict[str, Any]:
    """Do the work and tell it, as a step's outcome."""
    with connected(login, work.database) as connection:
        connection.autocommit = True
        server = facts(connection)
        # Whoever holds a table for longer keeps nobody waiting for ever: its size is not told meanwhile either.
        wait = _limit(connection, work)
        before = _number(connection)
        unknown = _refuse(connection, work) if work.full else None
        standbys = int(ask(connection, _STANDBYS)[0][0])
    notes = [] if work.full or work.truncates(standbys) else [_not_truncated(work, standbys)]
    said: list[str] = []
    left: list[str] = []
    if not planning:
        for argv in work.commands(standbys):
            said += _run(login, server, work, argv)
        if work.reindex and not work.full:
            made = _reindex(login, server, work, wait)
            left = made.left
            notes.append(f"reindexed: {counted(made.built, 'index', 'indexes')}")
            notes += [f"dropped an invalid index that an interrupted REINDEX left: {name}" for name in made.dropped]
    with connected(login, work.database) as connection:
        connection.autocommit = True
        invalid = [str(row[0]) for row in ask(connection, _INVALID)]
        done = Done(before, _number(connection), said, invalid, unknown, left, notes)
    return outcome(work, done, planning)


def _limit(connection: Any, work: Work) -> float:
    """Set lock_timeout, which is in PostgreSQL's words; return it in seconds, 0 for no limit."""
    ask(connection, "SELECT set_config('lock_timeout', %s, false)", (work.lock_timeout,))
    return float(ask(connection, "SELECT setting::float8 / 1000 FROM pg_settings WHERE name = 'lock_timeout'")[0][0])


def _not_truncated(work: Work, standbys: int) -> str:
    if work.truncate == "never":
        return "empty pages at the ends of tables were not given back (truncate: never)"
    return (
        f"empty pages at the ends of tables were not given back: {counted(standbys, 'standby', 'standbys')} would"
        " cancel queries (truncate: always gives them back)"
    )


def _reindex(login: Login, server: Server, work: Work, wait: float) -> reindex.Reindexed:
    with connected(login, work.database) as connection:
        connection.autocommit = True
        _limit(connection, work)
        if server.version >= _CHECKS_CLIENT:
            ask(connection, "SELECT set_config('client_connection_check_interval', '5s', false)")
        return reindex.Pass(connection, wait).run()


def _number(connection: Any) -> int:
    return int(ask(connection, _SIZE)[0][0])


def _refuse(connection: Any, work: Work) -> str | None:
    """VacuumError where the disk is too small; says what of it is not to be known."""
    if not ask(connection, _HERE)[0][0]:
        return "free space was not looked at: the server is on another host"
    tables = [Table(str(name), place, int(size)) for name, place, size in ask(connection, _TABLES)]
    free, unknown = {}, {table.name for table in tables if table.place is None}
    for place in {table.place for table in tables if table.place is not None}:
        try:
            free[place] = (os.stat(place).st_dev, shutil.disk_usage(place).free)
        except OSError:
            unknown.update(table.name for table in tables if table.place == place)
    faults = lacking(tables, rooms(free), work.jobs)
    if faults:
        raise VacuumError(f"VACUUM FULL of {work.database} was not begun: {'; '.join(faults)}")
    return f"free space was not to be seen for {len(unknown)} of {len(tables)} tables" if unknown else None


def _run(login: Login, server: Server, work: Work, argv: Sequence[str]) -> list[str]:
    """What the program said on its error output."""
    path, _version = tool(argv[0], server)
    program = login.program([path, *argv[1:]], work.database)
    limits = options(session_options(server.version, server.superuser_login), work.lock_timeout)
    environment = {**os.environ, "LC_ALL": "C.UTF-8", **program.env, "PGOPTIONS": limits}
    try:
        done = subprocess.run(
            mortal(program.argv), env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    except OSError as exc:
        raise VacuumError(f"{argv[0]} cannot be started: {exc.strerror}") from exc
    lines = [line.strip() for line in done.stderr.decode("utf-8", "replace").split("\n") if line.strip()]
    if done.returncode != 0:
        raise VacuumError(
            f"{argv[0]} of {work.database} ended with status {done.returncode}: {' / '.join(lines[-3:]) or 'no words'}"
        )
    return lines
