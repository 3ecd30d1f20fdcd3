# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a restored database is what the set says: rows, indexes, and what the site itself expects of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres import catalogue
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import Table
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import (
    Login,
    ServerError,
    ask,
    connected,
    first_line,
    tell,
)

_AMCHECK_SCHEMA = "day2_amcheck"
# As in amcheck's own documentation: B-trees that are valid and belong to this database.
_INDEXES = """
SELECT c.oid, c.oid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am am ON am.oid = c.relam
 WHERE am.amname = 'btree' AND c.relkind = 'i' AND c.relpersistence <> 't' AND i.indisready AND i.indisvalid
 ORDER BY 1"""


@dataclass(frozen=True)
class Expectation:
    """A query of the site's (one column, one row) and what it has to answer, as psql would print it."""

    query: str
    result: str
    title: str = ""

    @property
    def called(self) -> str:
        return self.title or self.query


@dataclass
class Proof:
    """What was compared, and what was not as it should be (a sentence each)."""

    # False: the set has no counts to compare with.
    counted: bool = True
    tables: int = 0
    rows: int = 0
    indexes: int | None = None
    expectations: int = 0
    # Contents that are not what the set says of itself: it is to blame.
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
    wanted = entry(manifest, database)
    proof = Proof()
    _extensions(login, name, wanted, proof)
    _counts(login, name, manifest, wanted.get("rows"), jobs, proof)
    _site(login, name, expectations, amcheck, proof, _settings(wanted))
    return proof


def prove_site(login: Login, name: str, expectations: Sequence[Expectation] = (), amcheck: bool = True) -> Proof:
    """The same of a database for which there is no manifest: its indexes, and what the site expects."""
    proof = Proof(counted=False)
    _site(login, name, expectations, amcheck, proof)
    return proof


def _settings(wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was set in the database for everybody, such as its search_path; not the limits of its users' patience."""
    own = [each for each in wanted.get("settings") or [] if isinstance(each, Mapping) and not each.get("role")]
    pairs = [str(setting).partition("=") for each in own for setting in each.get("settings") or []]
    return [(parameter, value) for parameter, _equals, value in pairs if not parameter.endswith("_timeout")]


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
    for each in expectations:
        doubts = _ask_site(login, name, each, settings)
        proof.doubts += doubts
        proof.expectations += not doubts


def entry(manifest: Manifest, database: str) -> Mapping[str, Any]:
    """What a manifest says of a database; Day2Error names those that it has."""
    entries = [each for each in manifest.about.get("databases", []) if isinstance(each, Mapping)]
    for each in entries:
        if each.get("name") == database:
            return each
    named = ", ".join(str(each.get("name")) for each in entries)
    raise Day2Error(f"{manifest.id} has no database {database!r}; it has {named or 'none'}")


def _extensions(login: Login, name: str, wanted: Mapping[str, Any], proof: Proof) -> None:
    with connected(login, name) as connection:
        have = catalogue.extensions(connection)
    lacking = [each for each in wanted.get("extensions") or {} if each not in have]
    proof.doubts += [f"extension {each} is missing" for each in lacking]


def _counts(
    login: Login,
    name: str,
    manifest: Manifest,
    recorded: Sequence[Mapping[str, Any]] | None,
    jobs: int,
    proof: Proof,
) -> None:
    """Exact, like those of the manifest. A set without counts has nothing to compare with, and that is said."""
    if recorded is None:
        proof.counted = False
        return
    with connected(login, name) as connection:
        have = {(table.schema, table.name): table for table in catalogue.tables(connection)}
    wanted = {(each["schema"], each["table"]): int(each["rows"]) for each in recorded}
    # A standby has the definitions of unlogged tables, and no rows of them.
    unlogged = bool((manifest.about.get("server") or {}).get("standby"))
    strange = [key for key in have if key not in wanted and not (unlogged and have[key].persistence == "u")]
    proof.differences += [f"table {'.'.join(key)} is missing" for key in wanted if key not in have]
    proof.differences += [f"table {'.'.join(key)} is not in the set" for key in strange]
    # A materialised view has been computed anew: what it had when it was refreshed last is not in a dump.
    both = sorted((key for key in wanted if key in have and have[key].kind != "m"), key=lambda key: -have[key].size)

    def count(table: Table) -> int:
        with connected(login, name) as connection:
            catalogue.read_everything(connection)
            return catalogue.count_rows(connection, table)

    with ThreadPoolExecutor(max(1, jobs)) as pool:
        counted = dict(zip(both, pool.map(count, [have[key] for key in both])))
    for key, rows in counted.items():
        if rows != wanted[key]:
            proof.differences.append(f"table {'.'.join(key)} has {rows} rows, and {wanted[key]} were backed up")
    proof.tables, proof.rows = len(counted), sum(counted.values())


def _indexes(login: Login, name: str, proof: Proof) -> None:
    """By amcheck, where the server has it: in a transaction that is rolled back, so that nothing of it stays."""
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
                # Event triggers of the site's have nothing to say about this.
                tell(connection, "SET LOCAL session_replication_role = replica")
                tell(connection, f"CREATE SCHEMA {schema}")
                tell(connection, f"CREATE EXTENSION amcheck SCHEMA {schema}")
            except psycopg2.errors.InsufficientPrivilege:
                # Only a superuser may: without it indexes are not checked, and the result says so.
                return
        checked = 0
        tell(connection, "SAVEPOINT before")
        for oid, index in ask(connection, _INDEXES):
            try:
                ask(connection, f"SELECT {schema}.bt_index_check(%s::oid::regclass)", (oid,))
            except psycopg2.DatabaseError as exc:
                if connection.closed:
                    raise
                proof.doubts.append(f"index {index}: {first_line(exc)}")
            # Releases the locks of this index and its table: a transaction may hold some thousands only.
            tell(connection, "ROLLBACK TO before")
            checked += 1
        connection.rollback()
        proof.indexes = checked


def _ask_site(login: Login, name: str, each: Expectation, settings: Sequence[tuple[str, str]]) -> list[str]:
    import psycopg2
    from psycopg2 import sql

    try:
        with connected(login, name) as connection:
            for setting in settings:
                # One that no session may set says nothing of the rows.
                with suppress(psycopg2.Error):
                    ask(connection, "SELECT set_config(%s, %s, false)", setting)
                    connection.commit()
                connection.rollback()
            connection.set_session(readonly=True)
            query = sql.SQL(each.query.rstrip().rstrip(";"))
            # format() writes a value as psql does; a line of its own: the query may end in a comment.
            asked = sql.SQL("SELECT format('%s', day2.answer) FROM (\n{}\n) AS day2 (answer) LIMIT 1")
            rows = ask(connection, asked.format(query))
    except ServerError as exc:
        return [f"{each.called}: {exc}"]
    answer = str(rows[0][0]) if rows else ""
    return [] if answer == each.result else [f"{each.called}: the answer is {answer!r} instead of {each.result!r}"]
