# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The dump of a set: globals, and of one database after the other a snapshot, read by several streams while its tables
are locked."""

from __future__ import annotations

import secrets
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.advice import STANDBY, advise, cancelled
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.dump_streams import (
    SPLIT_BYTES,
    Dumping,
    Unit,
    database_folder,
    database_units,
    globals_unit,
    main_session,
    together,
    zstd_threads,
)
from ansible_collections.day2.ops.plugins.module_utils.backup.lock_watch import Watch
from ansible_collections.day2.ops.plugins.module_utils.backup.made import Made
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.rows import RowCounter
from ansible_collections.day2.ops.plugins.module_utils.backup.snapshot import Snapshot, SnapshotLost, hold
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import store
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue, roles
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    APPLICATION,
    Login,
    Server,
    ServerError,
    ask,
    connected,
    execute,
    facts,
    notice_lost_clients,
    tool,
)
from ansible_collections.day2.ops.plugins.module_utils.process.coding import DEFAULT_LEVEL, Coding
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import ObjectLocked, Repository
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

KIND = "postgresql"
# So often a dump is begun, when it has to give way or definitions change under it.
ATTEMPTS = 3
LOCK_TIMEOUT = 30.0
_WARNING = "pg_dump: warning:"


@dataclass(frozen=True)
class Options:
    """How a cluster is dumped. `lock_timeout` and `timeout` are seconds."""

    databases: Sequence[str]
    jobs: int
    level: int = DEFAULT_LEVEL
    recipients: Sequence[str] = ()
    count_rows: bool = True
    standby: bool = False
    split_bytes: int = SPLIT_BYTES
    bin_dir: str | None = None
    timeout: float | None = None
    lock_timeout: float = LOCK_TIMEOUT

    @property
    def everything(self) -> bool:
        return list(self.databases) == ["all"]


@dataclass(frozen=True)
class _Dumped:
    """A database in a set: what the manifest says of it, the time of its snapshot (POSIX seconds), its files, and what
    pg_dump warned of."""

    properties: dict[str, Any]
    taken: float
    files: list[StoredFile]
    warnings: list[str]


def inspect(login: Login, options: Options) -> tuple[Server, list[dict[str, Any]], dict[str, str]]:
    """Server, databases and the paths of the programs; ServerError for whatever would make the dump fail later."""
    with connected(login) as connection:
        server = facts(connection)
        if server.in_recovery and not options.standby:
            raise ServerError("this server is a standby; say `standby: true` to read from it")
        found = catalogue.databases(connection, list(options.databases))
        catalogue.check_role_names(connection)
    programs = {name: tool(name, server, options.bin_dir) for name in ("pg_dump", "pg_dumpall", "pg_restore")}
    return (
        server,
        found,
        {name: path for name, (path, _version) in programs.items()}
        | {f"{name}_version": version for name, (_path, version) in programs.items()},
    )


def contents(options: Options, databases: Sequence[Mapping[str, Any]]) -> Contents:
    """What a set of these databases would be of."""
    return Contents(frozenset(str(database["name"]) for database in databases), options.everything)


def dump(login: Login, options: Options, repository: Repository, folder: str) -> Made:
    """Everything into `folder` of the repository: files, and what the manifest says about them.

    One database after the other, each in a snapshot of its own, so that nobody waits for a backup of another database
    and the server has locks for the tables of one at a time. Roles come last: whoever owns something has been made by
    then. Whatever fails ends all streams, and nothing is published.
    """
    server, found, programs = inspect(login, options)
    dumping = Dumping(login, server, programs, options.lock_timeout, options.split_bytes)
    dumped: list[_Dumped] = []
    warnings: list[str] = []
    for number, properties in enumerate(found, start=1):
        database, said = _dump_database(dumping, options, repository, folder, number, properties["name"])
        dumped += [database] if database is not None else []
        warnings += said
    unit = globals_unit(dumping)
    coding = Coding(options.level, zstd_threads([unit], options.jobs), options.recipients)
    roles_file = store(repository, folder, unit.target, coding, [unit.program], timeout=options.timeout)
    files = [roles_file, *(stored for database in dumped for stored in database.files)]
    return Made(
        sorted(files, key=lambda stored: stored.path),
        _about(server, options, programs, dumped),
        taken=min((database.taken for database in dumped), default=None),
        warnings=warnings,
    )


def _dump_database(
    dumping: Dumping, options: Options, repository: Repository, folder: str, number: int, name: str
) -> tuple[_Dumped | None, list[str]]:
    """One database, begun anew when it lost its snapshot, and warnings; None when it was dropped since it was listed
    among all."""
    given_up: list[str] = []
    while True:
        try:
            made = _Attempt(dumping, options, repository, folder, number, name).run()
        except SnapshotLost as exc:
            given_up.append(str(exc))
            if len(given_up) == ATTEMPTS:
                advice = f"; {STANDBY}" if dumping.server.in_recovery else ""
                raise Day2Error(f"the dump was given up {ATTEMPTS} times: {'; '.join(given_up)}{advice}") from exc
            _clear(repository, f"{folder}/{database_folder(number)}/")
        except Day2Error as exc:
            if isinstance(exc, ServerError) and options.everything and _is_gone(dumping.login, name):
                return None, [f"database {name!r} was dropped or renamed since the backup began, and is left out"]
            hint = advise(str(exc))
            if hint is None:
                raise
            raise Day2Error(f"{exc}; {hint}") from exc
        else:
            return made, [*(f"the dump was given up and begun anew: {reason}" for reason in given_up), *made.warnings]


def warnings_of(database: str, remarks: Sequence[str]) -> list[str]:
    """What pg_dump warned of: objects that are not in the archive, or not as they should be. Pure."""
    said = [line.partition(_WARNING)[2].strip() for line in remarks if _WARNING in line]
    # Rows come before constraints in every restore of a set.
    remarks = [words for words in dict.fromkeys(said) if "circular foreign-key constraints" not in words]
    return [f"pg_dump of database {database!r} warns: {words}" for words in remarks]


def _is_gone(login: Login, name: str) -> bool:
    with connected(login) as connection:
        return catalogue.database(connection, name) is None


def _clear(repository: Repository, prefix: str) -> None:
    """What an attempt left that was given up: the next one may have other files."""
    for key in [key for key, _size in repository.keys(prefix)]:
        try:
            repository.remove(key)
        except ObjectLocked:
            continue


class _Attempt:
    """One dump of a database. Its sessions have a name of their own, by which the watch knows them."""

    def __init__(
        self, dumping: Dumping, options: Options, repository: Repository, folder: str, number: int, name: str
    ) -> None:
        self._dumping, self._options, self._repository, self._folder = dumping, options, repository, folder
        self._number, self._name = number, name
        self._application = f"{APPLICATION} backup {secrets.token_hex(4)}"
        self._stop = threading.Event()
        self._said: list[str] = []
        self._holding: Any = None
        self._counter = RowCounter(dumping.login, options.lock_timeout, self._application)

    def run(self) -> _Dumped:
        try:
            return self._run()
        except SnapshotLost:
            raise
        except Day2Error as exc:
            if self._dumping.server.in_recovery and cancelled(str(exc)):
                raise SnapshotLost(str(exc)) from exc
            raise

    def _run(self) -> _Dumped:
        login, limit = self._dumping.login, self._options.lock_timeout
        with Watch(login, limit, self._application, self._end) as watch, ExitStack() as held:
            try:
                properties, snapshot, units = self._open(held, watch)
                files, rows = self._dump(watch, snapshot, units)
                watch.finish()
            except SnapshotLost:
                raise
            except Day2Error as exc:
                if self._dumping.server.in_recovery and self._has_lost_snapshot():
                    raise SnapshotLost(f"the standby has ended what was in its way: {exc}") from exc
                # It may be what the watch ended, or what changed definitions led to.
                watch.explain(exc)
                raise
        return _Dumped({**properties, "rows": rows}, snapshot.taken, files, warnings_of(self._name, self._said))

    def _has_lost_snapshot(self) -> bool:
        import psycopg2

        if self._holding is None:
            return False
        try:
            ask(self._holding, "SELECT 1")
        except psycopg2.Error:
            return True
        return False

    def _end(self) -> bool:
        """End all streams; whether nobody else has yet."""
        first = not self._stop.is_set()
        self._stop.set()
        self._counter.cancel()
        return first

    def _open(self, held: ExitStack, watch: Watch) -> tuple[dict[str, Any], Snapshot, list[Unit]]:
        """What the manifest says of the database, its snapshot, which is held, and its streams."""
        connection = held.enter_context(connected(self._dumping.login, self._name, self._application))
        self._holding = connection
        dumping = replace(self._dumping, settings=notice_lost_clients(connection))
        snapshot = hold(connection, self._name, self._options.lock_timeout, watch.check)
        if dumping.server.in_recovery:
            # What is not logged has no rows on a standby, and asking for them is an error.
            snapshot = replace(snapshot, tables=[table for table in snapshot.tables if table.persistence == "p"])
        watch.add(snapshot, main_session(self._application))
        # What databases share is read where a restore looks at it: this one may have another encoding.
        with connected(self._dumping.login, application=self._application) as shared:
            execute(shared, f"SET lock_timeout = '{self._options.lock_timeout * 1000:.0f}ms'")
            properties = catalogue.database(shared, self._name) or {}
            more = {"time": rfc3339_ms(snapshot.taken), "extensions": catalogue.extensions(connection)}
            more |= {"roles": catalogue.roles(connection, shared, snapshot.oid)}
            more |= {"tablespaces": catalogue.tablespaces(connection, shared)}
            more |= {"role_definitions": roles.definitions(shared, snapshot.oid)}
        units = database_units(dumping, snapshot, self._number, properties.get("size") or 0, self._application)
        return {**properties, **more}, snapshot, units

    def _dump(
        self, watch: Watch, snapshot: Snapshot, units: Sequence[Unit]
    ) -> tuple[list[StoredFile], list[dict[str, Any]] | None]:
        options = self._options
        coding = Coding(options.level, zstd_threads(units, options.jobs), options.recipients)

        def store_unit(unit: Unit) -> StoredFile:
            stored = store(
                self._repository, self._folder, unit.target, coding, [unit.program], timeout=options.timeout,
                stop=self._stop, remarks=self._said.extend,
            )  # fmt: skip
            if unit.target.role == "main":
                watch.has_read()
            return stored

        def count() -> list[dict[str, Any]] | None:
            return self._counter.count(snapshot) if options.count_rows else None

        return together(store_unit, units, count, options.jobs, self._end)


def _about(
    server: Server,
    options: Options,
    programs: Mapping[str, str],
    dumped: Sequence[_Dumped],
) -> dict[str, Any]:
    return {
        "server": {
            "version": server.text,
            "version_num": server.version,
            "system_identifier": server.system_identifier,
            "cluster": server.cluster,
            "encoding": server.encoding,
            "standby": server.in_recovery,
        },
        "tools": {"pg_dump": programs["pg_dump_version"], "pg_dumpall": programs["pg_dumpall_version"]},
        "wal": {"lsn": server.lsn, "timeline": server.timeline},
        "role_passwords": server.superuser,
        "all_databases": options.everything,
        # Rows of tables that inherit from one are theirs alone; sets of earlier releases counted them there too.
        "rows_alone": True,
        "databases": [database.properties for database in dumped],
    }
