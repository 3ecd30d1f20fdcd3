# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares a restored database with its set: row counts, indexes, and the answers that the site expects."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.drill.options import Expectation
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, printable
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import Table
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    ServerError,
    ask,
    connected,
    execute,
    first_line,
    identifier,
)
from ansible_collections.day2.ops.plugins.module_utils.process import progress

_AMCHECK_SCHEMA = "day2_amcheck"
# As in amcheck's own documentation: B-trees that are valid and belong to this database.
_INDEXES = """
SELECT c.oid, c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am am ON am.oid = c.relam
 WHERE am.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisready AND i.indisvalid
 ORDER BY 1"""

# Schema and name of a table.
Key = tuple[str, str]


@dataclass
class Proof:
    """What was compared, and the differences (a sentence each)."""

    # False: the set has no counts to compare with.
    counted: bool = True
    tables: int = 0
    rows: int = 0
    indexes: int | None = None
    expectations: int = 0
    # Contents that differ from the manifest: the set is to blame.
    differences: list[str] = field(default_factory=list)
    # What this server, or what the site expects, may be to blame for as well.
    doubts: list[str] = field(default_factory=list)

    @property
    def faults(self) -> list[str]:
        return [*self.differences, *self.doubts]

    @property
    def words(self) -> str:
        parts = [f"{self.rows} rows of {self.tables} tables" if self.counted else "rows were not counted"]
        parts += [f"{self.indexes} indexes"] if self.indexes is not None else []
        parts += [f"{self.expectations} of the site's queries"] if self.expectations else []
        return ", ".join(parts)


def prove(
    login: Login,
    name: str,
    manifest: Manifest,
    database: str,
    jobs: int,
    expectations: Sequence[Expectation] = (),
    amcheck: bool = True,
) -> Proof:
    """Compare the database with the manifest's entry of `database`. It only reads."""
    progress.phase(f"comparing {name} with its manifest")
    wanted = entry(manifest, database)
    proof = Proof()
    _extensions(login, name, wanted, proof)
    _counts(login, name, manifest, wanted.get("rows"), jobs, proof)
    _site(login, name, expectations, amcheck, proof, _settings(wanted))
    return proof


def prove_site(login: Login, name: str, expectations: Sequence[Expectation] = (), amcheck: bool = True) -> Proof:
    """Check a database for which there is no manifest: its indexes, and the answers that the site expects."""
    proof = Proof(counted=False)
    _site(login, name, expectations, amcheck, proof)
    return proof


def _settings(wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings of the database for all roles, such as its search_path, without time limits for users and an encoding
    that this session would not notice."""
    own = [entry for entry in wanted.get("settings") or [] if isinstance(entry, Mapping) and not entry.get("role")]
    pairs = [str(setting).partition("=") for entry in own for setting in entry.get("settings") or []]
    return [
        (parameter, value)
        for parameter, _equals, value in pairs
        if not parameter.endswith("_timeout") and parameter != "client_encoding"
    ]


def _site(
    login: Login,
    name: str,
    expectations: Sequence[Expectation],
    amcheck: bool,
    proof: Proof,
    settings: Sequence[tuple[str, str]] = (),
) -> None:
    if amcheck:
        _indexes(login, name, proof)
    for expectation in expectations:
        doubts = _ask_site(login, name, expectation, settings)
        proof.doubts += doubts
        proof.expectations += not doubts


def entry(manifest: Manifest, database: str) -> Mapping[str, Any]:
    """The manifest's entry of a database; Day2Error names the databases that it has."""
    entries = [entry for entry in manifest.about.get("databases", []) if isinstance(entry, Mapping)]
    for entry in entries:
        if entry.get("name") == database:
            return entry
    named = ", ".join(str(entry.get("name")) for entry in entries)
    raise Day2Error(f"{manifest.id} has no database {database!r}; it has {named or 'none'}")


def _extensions(login: Login, name: str, wanted: Mapping[str, Any], proof: Proof) -> None:
    with connected(login, name) as connection:
        have = catalogue.extensions(connection)
    lacking = [extension for extension in wanted.get("extensions") or {} if extension not in have]
    proof.doubts += [f"extension {extension} is missing" for extension in lacking]


def _counts(
    login: Login,
    name: str,
    manifest: Manifest,
    recorded: Sequence[Mapping[str, Any]] | None,
    jobs: int,
    proof: Proof,
) -> None:
    """Compare exact row counts with those in the manifest. A set without counts is reported as not compared."""
    if recorded is None:
        proof.counted = False
        return
    with connected(login, name) as connection:
        have = {(table.schema, table.name): table for table in catalogue.tables(connection)}
        moved = catalogue.moved_by_restores(connection)
    # A materialized view that had no rows to count has no number.
    wanted = {(row["schema"], row["table"]): int(row["rows"] or 0) for row in recorded}
    alone = manifest.about.get("rows_alone") is True
    # A standby has the definitions of unlogged tables, and no rows of them.
    unlogged = bool((manifest.about.get("server") or {}).get("standby"))
    strange = [key for key in have if key not in wanted and not (unlogged and have[key].persistence == "u")]
    proof.differences += [f"table {_called(key)} is missing" for key in wanted if key not in have]
    proof.differences += [f"table {_called(key)} is not in the set" for key in strange]
    # A materialised view has been computed anew: what it had when it was refreshed last is not in a dump.
    both = sorted((key for key in wanted if key in have and have[key].kind != "m"), key=lambda key: -have[key].size)

    def count(table: Table) -> int:
        with connected(login, name) as connection:
            catalogue.read_everything(connection)
            return catalogue.count_rows(connection, table, alone)

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        counted = dict(zip(both, pool.map(count, [have[key] for key in both])))
    found, backed_up = _together(counted, moved), _together({key: wanted[key] for key in counted}, moved)
    for key, rows in found.items():
        if rows != backed_up[key]:
            proof.differences.append(f"table {_called(key)} has {rows} rows, and {backed_up[key]} were backed up")
    proof.tables, proof.rows = len(counted), sum(counted.values())


def _called(key: Key) -> str:
    return printable(".".join(key))


def _together(rows: Mapping[Key, int], moved: Mapping[Key, Key]) -> dict[Key, int]:
    """Rows by table, those of partitions that exchange rows by their root. Pure."""
    found: dict[Key, int] = {}
    for key, number in rows.items():
        place = moved.get(key, key)
        found[place] = found.get(place, 0) + number
    return found


def _indexes(login: Login, name: str, proof: Proof) -> None:
    """Check indexes with amcheck, if the server has it, in a transaction that is rolled back."""
    import psycopg2

    with connected(login, name) as connection:
        if not ask(connection, "SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'"):
            return
        ((schema,),) = ask(
            connection,
            "SELECT coalesce((SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'amcheck'),"
            " '')",
        )
        if not schema:
            schema = _AMCHECK_SCHEMA
            try:
                _no_event_triggers(connection)
                execute(connection, f"CREATE SCHEMA {schema}")
                execute(connection, f"CREATE EXTENSION amcheck SCHEMA {schema}")
            except psycopg2.errors.InsufficientPrivilege:
                # This needs a superuser: without it indexes are not checked, which is reported.
                return
        checked = 0
        execute(connection, "SAVEPOINT before")
        for oid, index in ask(connection, _INDEXES):
            try:
                ask(connection, f"SELECT {schema}.bt_index_check(%s::oid::regclass)", (oid,))
            except psycopg2.DatabaseError as exc:
                if connection.closed:
                    raise
                proof.doubts.append(f"index {index}: {first_line(exc)}")
            # Releases the locks of this index and its table: a transaction may hold some thousands only.
            execute(connection, "ROLLBACK TO before")
            checked += 1
        connection.rollback()
        proof.indexes = checked


def _no_event_triggers(connection: Any) -> None:
    """Disable the site's event triggers until this transaction is rolled back."""
    execute(connection, "SET LOCAL session_replication_role = replica")
    for (name,) in ask(connection, "SELECT evtname FROM pg_event_trigger WHERE evtenabled IN ('R', 'A')"):
        execute(connection, f"ALTER EVENT TRIGGER {identifier(name)} DISABLE")


def _ask_site(login: Login, name: str, expectation: Expectation, settings: Sequence[tuple[str, str]]) -> list[str]:
    import psycopg2
    from psycopg2 import sql

    try:
        with connected(login, name) as connection:
            execute(connection, "RESET search_path")
            connection.commit()
            for setting in settings:
                # A setting that no session may change has no effect on the rows.
                with suppress(psycopg2.Error):
                    ask(connection, "SELECT pg_catalog.set_config(%s, %s, false)", setting)
                    connection.commit()
                connection.rollback()
            connection.set_session(readonly=True)
            query = sql.SQL(expectation.query.rstrip().rstrip(";"))
            # format() writes a value as psql does; a line of its own: the query may end in a comment.
            asked = sql.SQL("SELECT pg_catalog.format('%s', day2.answer) FROM (\n{}\n) AS day2 (answer) LIMIT 1")
            rows = ask(connection, asked.format(query))
    except ServerError as exc:
        return [f"{expectation.called}: {exc}"]
    answer = str(rows[0][0]) if rows else ""
    if answer == expectation.result:
        return []
    return [f"{expectation.called}: the answer is {answer!r} instead of {expectation.result!r}"]
