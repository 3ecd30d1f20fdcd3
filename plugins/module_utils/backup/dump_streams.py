# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The streams of a set of databases: what each pg_dump reads, and how they run beside each other.

Of a database one archive (`main`) has everything but the rows of its largest tables; each of those has an archive of
its own. All are of one snapshot. Restored in the order main's pre-data, data, main's post-data, the archives of data
can be read in parallel.
"""

from __future__ import annotations

import os
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.snapshot import Snapshot
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Target
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, Server
from ansible_collections.day2.ops.plugins.module_utils.postgres.session import session_options
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program

# A table from this size on is read by a stream of its own.
SPLIT_BYTES = 128 << 20


@dataclass(frozen=True)
class Unit:
    """One stream: definitions are read first, then the larger ones begin first."""

    target: Target
    program: Program
    size: int


@dataclass(frozen=True)
class Dumping:
    """What all streams of a set have in common. `lock_timeout` is in seconds."""

    login: Login
    server: Server
    programs: Mapping[str, str]
    lock_timeout: float
    split_bytes: int = SPLIT_BYTES
    # Settings of pg_dump's sessions (PGOPTIONS).
    settings: Mapping[str, str] = field(default_factory=dict)


def globals_unit(dumping: Dumping) -> Unit:
    # Only a superuser may read the roles' passwords.
    options = [] if dumping.server.superuser else ["--no-role-passwords"]
    database = dumping.login.maintenance_database
    argv = [dumping.programs["pg_dumpall"], "--globals-only", "--no-password", "-l", database, *options]
    program = _in_session(dumping, dumping.login.program(argv), dumping.server.encoding)
    return Unit(Target("globals.sql", "globals"), program, 0)


def _in_session(dumping: Dumping, program: Program, encoding: str) -> Program:
    """The program with the settings of its sessions, added to what the environment has.

    A dump in another `encoding` than the database's could lose characters, and does not find names that databases
    share.
    """
    words = [os.environ.get("PGOPTIONS", ""), session_options(dumping.server.version, dumping.server.superuser_login)]
    words += [f"-c {name}={value}" for name, value in dumping.settings.items()]
    return replace(program, env={**program.env, "PGOPTIONS": " ".join(words).strip(), "PGCLIENTENCODING": encoding})


def database_units(dumping: Dumping, snapshot: Snapshot, number: int, size: int, application: str) -> list[Unit]:
    """The streams of one database of this `size` (bytes), the main one first; its session is called `application`."""
    login, database = dumping.login, snapshot.database
    encoding = snapshot.connection.get_parameter_status("server_encoding")
    # pg_dump takes names in its arguments for the encoding of its session.
    utf8 = encoding == "UTF8"
    own = [
        table
        for table in snapshot.tables
        if table.kind == "r" and table.size >= dumping.split_bytes and (utf8 or table.quoted.isascii())
    ]
    common = [dumping.programs["pg_dump"], "-Fc", "-Z0", f"--snapshot={snapshot.exported}", "--no-password"]
    common += [f"--lock-wait-timeout={dumping.lock_timeout * 1000:.0f}"]
    common += ["--no-unlogged-table-data"] if dumping.server.in_recovery else []
    place = database_folder(number)
    without = [f"--exclude-table-data={table.quoted}" for table in own]
    program = login.program([*common, "-C", *without], database, main_session(application))
    main = _in_session(dumping, program, encoding)
    units = [Unit(Target(f"{place}/main.dump", "main", database), main, size - sum(table.size for table in own))]
    for index, table in enumerate(own, start=1):
        argv = [*common, "--data-only", f"--table={table.quoted}"]
        program = _in_session(dumping, login.program(argv, database, application), encoding)
        units.append(Unit(Target(f"{place}/data{index:04d}.dump", "data", database, table.quoted), program, table.size))
    return units


def database_folder(number: int) -> str:
    return f"db{number:03d}"


def main_session(application: str) -> str:
    """What the session is called that reads the definitions."""
    return f"{application} main"


def zstd_threads(units: Sequence[Unit], jobs: int) -> int:
    """Processors for each zstd: where there is one large stream only, it has them all."""
    busy = max(1, min(jobs, sum(unit.size >= SPLIT_BYTES for unit in units)))
    return max(1, (os.cpu_count() or 1) // busy)


def together(
    store_unit: Callable[[Unit], StoredFile],
    units: Sequence[Unit],
    count: Callable[[], Any],
    jobs: int,
    end: Callable[[], object],
) -> tuple[list[StoredFile], Any]:
    """All units by so many threads (each waits for programs), rows counted meanwhile.

    Definitions are read at once, because they may change while they wait. The first failure of either ends all of it
    by `end`, and is raised.
    """
    in_order = sorted(units, key=lambda unit: (unit.target.role != "main", -unit.size))
    with ThreadPoolExecutor(jobs) as streams, ThreadPoolExecutor(1) as counting:
        counted: Future[Any] = counting.submit(count)
        futures: list[Future[StoredFile]] = [streams.submit(store_unit, unit) for unit in in_order]
        try:
            done, _rest = wait([*futures, counted], return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            return [future.result() for future in futures], counted.result()
        except BaseException:
            end()
            for future in futures:
                future.cancel()
            raise
