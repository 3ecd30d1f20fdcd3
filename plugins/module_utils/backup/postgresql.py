# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dump of a set: globals, and of each database one snapshot read by several streams.

Of a database one archive (`main`) has everything but the rows of its largest tables; each of those has an archive of
its own. All are of one exported snapshot. Restored in the order main's pre-data, data, main's post-data, the archives
of data can be read in parallel.
"""

from __future__ import annotations

import os
import threading
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.compression import USUAL, Compression, of_level
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository
from ansible_collections.day2.ops.plugins.module_utils.backup.sampling import chosen
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Coding, Target, store
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import Table
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    Server,
    ServerError,
    ask,
    connected,
    facts,
    identifier,
    tool,
)
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program

# A table from this size on is read by a stream of its own.
SPLIT_BYTES = 128 << 20
KIND = "postgresql"


@dataclass(frozen=True)
class Options:
    """How a cluster is dumped. Without a `level` of zstd's a sample of each large table decides on its compression."""

    databases: Sequence[str]
    jobs: int
    level: int | None = None
    recipients: Sequence[str] = ()
    count_rows: bool = True
    standby: bool = False
    split_bytes: int = SPLIT_BYTES
    bin_dir: str | None = None
    timeout: float | None = None

    @property
    def everything(self) -> bool:
        return list(self.databases) == ["all"]


@dataclass(frozen=True)
class _Unit:
    """One stream: the larger ones begin first. `rows_of` is the table that it is of alone."""

    target: Target
    program: Program
    size: int
    rows_of: Table | None = None


@dataclass
class _Opened:
    """A database whose snapshot is held."""

    properties: dict[str, Any]
    connection: Any
    units: list[_Unit]
    tables: list[Table]


def inspect(login: Login, options: Options) -> tuple[Server, list[dict[str, Any]], dict[str, str]]:
    """Server, databases and the paths of the programs; ServerError for whatever would make the dump fail later."""
    with connected(login) as connection:
        server = facts(connection)
        if server.in_recovery and not options.standby:
            raise ServerError("this server is a standby; say `standby: true` to read from it")
        found = catalogue.databases(connection, list(options.databases))
    programs = {name: tool(name, server, options.bin_dir) for name in ("pg_dump", "pg_dumpall", "pg_restore")}
    with suppress(ServerError):
        # It is wanted for samples only, and no dump depends on these.
        programs["psql"] = tool("psql", server, options.bin_dir)
    return (
        server,
        found,
        {name: path for name, (path, _version) in programs.items()}
        | {f"{name}_version": version for name, (_path, version) in programs.items()},
    )


def contents(options: Options, databases: Sequence[Mapping[str, Any]]) -> Contents:
    """What a set of these databases would be of."""
    return Contents(frozenset(str(each["name"]) for each in databases), options.everything)


def dump(
    login: Login, options: Options, repository: Repository, folder: str
) -> tuple[list[StoredFile], dict[str, Any]]:
    """Everything into `folder` of the repository: files, and what the manifest says about them.

    Whatever fails ends all streams, and nothing is published.
    """
    server, found, programs = inspect(login, options)
    with ExitStack() as stack:
        opened = [
            _open(stack, login, server, options, programs, number, properties)
            for number, properties in enumerate(found, start=1)
        ]
        units = sorted(
            [_globals(login, server, programs), *(unit for each in opened for unit in each.units)],
            key=lambda unit: unit.size,
            reverse=True,
        )
        stop = threading.Event()
        threads = _threads(units, options.jobs)

        def run(unit: _Unit) -> StoredFile:
            coding = Coding(_compression(login, options, programs, unit, stop), threads, options.recipients)
            return store(repository, folder, unit.target, coding, [unit.program], timeout=options.timeout, stop=stop)

        def count() -> dict[str, list[dict[str, Any]]]:
            return {each.properties["name"]: _rows(each) for each in opened} if options.count_rows else {}

        files, rows = _together(run, units, count, options.jobs, stop)
        about = _about(server, options, programs, opened, rows)
    return sorted(files, key=lambda each: each.path), about


def _compression(
    login: Login, options: Options, programs: dict[str, str], unit: _Unit, stop: threading.Event
) -> Compression:
    if options.level is not None:
        return of_level(options.level)
    if unit.rows_of is None or unit.target.database is None:
        return USUAL
    return chosen(login, programs.get("psql"), unit.target.database, unit.rows_of, stop)


def _threads(units: Sequence[_Unit], jobs: int) -> int:
    """Processors for each zstd: where there is one large stream only, it has them all."""
    busy = max(1, min(jobs, sum(unit.size >= SPLIT_BYTES for unit in units)))
    return max(1, (os.cpu_count() or 1) // busy)


def _together(
    run: Callable[[_Unit], StoredFile],
    units: Sequence[_Unit],
    count: Callable[[], Any],
    jobs: int,
    stop: threading.Event,
) -> tuple[list[StoredFile], Any]:
    """All units by so many threads (each waits for programs), rows counted meanwhile. The first failure ends them."""
    with ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[StoredFile]] = [pool.submit(run, unit) for unit in units]
        try:
            rows = count()
            done, _rest = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in futures], rows
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


def _globals(login: Login, server: Server, programs: dict[str, str]) -> _Unit:
    # Only a superuser may read the roles' passwords.
    options = [] if server.superuser else ["--no-role-passwords"]
    argv = [programs["pg_dumpall"], "--globals-only", "--no-password", "-l", login.maintenance_database, *options]
    return _Unit(Target("globals.sql", "globals"), login.program(argv), 0)


def _open(
    stack: ExitStack,
    login: Login,
    server: Server,
    options: Options,
    programs: dict[str, str],
    number: int,
    properties: dict[str, Any],
) -> _Opened:
    name = properties["name"]
    connection = stack.enter_context(connected(login, name))
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    ((snapshot,),) = ask(connection, "SELECT pg_export_snapshot()")
    catalogue.read_everything(connection)
    if options.timeout is not None:
        # Of other programs so much is waited for too: whoever counts rows does not wait for a lock for ever.
        ask(connection, "SELECT set_config('lock_timeout', %s, true)", (f"{options.timeout * 1000:.0f}ms",))
    tables = catalogue.tables(connection)
    held = {"extensions": catalogue.extensions(connection), "roles": catalogue.roles(connection)}
    properties = {**properties, **held}
    own = [table for table in tables if table.kind == "r" and table.size >= options.split_bytes]
    if server.in_recovery:
        # What is not logged has no rows on a standby, and asking for them is an error.
        tables = [table for table in tables if table.persistence == "p"]
        own = [table for table in own if table.persistence == "p"]
    common = [programs["pg_dump"], "-Fc", "-Z0", f"--snapshot={snapshot}", "--no-password"]
    common += ["--no-unlogged-table-data"] if server.in_recovery else []
    place = f"db{number:03d}"
    without = [f"--exclude-table-data={table.quoted}" for table in own]
    rest = properties["size"] - sum(table.size for table in own)
    units = [_Unit(Target(f"{place}/main.dump", "main", name), login.program([*common, "-C", *without], name), rest)]
    for index, table in enumerate(own, start=1):
        argv = [*common, "--data-only", f"--table={table.quoted}"]
        target = Target(f"{place}/data{index:04d}.dump", "data", name, identifier(table.schema, table.name))
        units.append(_Unit(target, login.program(argv, name), table.size, table))
    return _Opened(properties, connection, units, tables)


def _rows(opened: _Opened) -> list[dict[str, Any]]:
    return [
        {"schema": table.schema, "table": table.name, "rows": catalogue.count_rows(opened.connection, table)}
        for table in opened.tables
    ]


def _about(
    server: Server, options: Options, programs: dict[str, str], opened: Sequence[_Opened], rows: dict[str, Any]
) -> dict[str, Any]:
    return {
        "server": {
            "version": server.text,
            "version_num": server.version,
            "system_identifier": server.system_identifier,
            "cluster": server.cluster,
            "standby": server.in_recovery,
        },
        "tools": {"pg_dump": programs["pg_dump_version"], "pg_dumpall": programs["pg_dumpall_version"]},
        "wal": {"lsn": server.lsn, "timeline": server.timeline},
        "role_passwords": server.superuser,
        "all_databases": options.everything,
        "databases": [
            {**each.properties, "rows": rows.get(each.properties["name"]) if options.count_rows else None}
            for each in opened
        ],
    }
