# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster holds: databases with their properties, tables with their sizes, rows of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, ask, identifier
from ansible_collections.day2.ops.plugins.module_utils.postgres.session import AS_STORED

_DATABASES = """
SELECT d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       d.datconnlimit, d.datistemplate, d.datallowconn, d.datacl::text[], t.spcname,
       shobj_description(d.oid, 'pg_database'),
       CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE')
            THEN pg_database_size(d.oid) END,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'role', CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END, 'settings', s.setconfig)
                                  ORDER BY s.setrole), '[]')
          FROM pg_db_role_setting s WHERE s.setdatabase = d.oid),
       {locale}
  FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
 WHERE %(name)s::text IS NULL OR d.datname = %(name)s
 ORDER BY d.datname"""
_COLUMNS = (
    "name", "owner", "encoding", "collate", "ctype", "connection_limit", "is_template", "allows_connections", "acl",
    "tablespace", "comment", "size", "settings", "locale_provider", "locale",
    "icu_rules", "collation_version",
)  # fmt: skip
# The connection limit of a database whose DROP DATABASE was interrupted.
_INVALID = -2

# Tables whose rows a dump has: extensions' own come with CREATE EXTENSION, foreign ones stay where they are. Sizes are
# with what is stored apart (TOAST) and without its index: pg_table_size() waits for a REINDEX that has locked it. The
# size of a materialized view is the one of its last VACUUM: the exact one would wait for a REFRESH.
_TABLES = """
SELECT n.nspname, c.relname,
       CASE c.relkind WHEN 'm' THEN c.relpages * current_setting('block_size')::bigint
                      ELSE coalesce(pg_relation_size(c.oid), 0) + coalesce(pg_relation_size(c.reltoastrelid), 0) END,
       c.relkind::text, c.relpersistence::text, c.relispopulated
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence IN ('p', 'u') AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname"""
# What pg_dump locks before it reads anything, and those tables of extensions whose rows it dumps.
_LOCKED_BY_DUMPS = """
SELECT c.oid::bigint, n.nspname, c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND (NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                     AND d.deptype = 'e')
        OR c.oid IN (SELECT unnest(extconfig) FROM pg_extension))
 ORDER BY n.nspname, c.relname"""
_COUNT = "SELECT count(*) FROM {}{}"


@dataclass(frozen=True)
class Table:
    """A table or materialized view; `size` is bytes without indexes. Only of the latter some are not populated."""

    schema: str
    name: str
    size: int
    kind: str
    persistence: str
    populated: bool = True

    @property
    def quoted(self) -> str:
        return identifier(self.schema, self.name)


def locale_columns(version: int) -> tuple[str, str, str, str]:
    """Provider, its locale, ICU rules and version of the collation in pg_database of this version (as in `150018`).

    Columns came with 15 (provider, ICU's locale, version), 16 (rules) and 17 (one locale for all providers). Pure.
    """
    return (
        "d.datlocprovider::text" if version >= 150000 else "'c'",
        "d.datlocale" if version >= 170000 else "d.daticulocale" if version >= 150000 else "NULL::text",
        "d.daticurules" if version >= 160000 else "NULL::text",
        "d.datcollversion" if version >= 150000 else "NULL::text",
    )


def every_database(connection: Any) -> list[dict[str, Any]]:
    """Properties of all databases there are."""
    return _properties(connection, None)


def database(connection: Any, name: str) -> dict[str, Any] | None:
    """Properties of one database."""
    return next(iter(_properties(connection, name)), None)


def _properties(connection: Any, name: str | None) -> list[dict[str, Any]]:
    query = _DATABASES.format(locale=", ".join(locale_columns(connection.server_version)))
    return [dict(zip(_COLUMNS, row)) for row in ask(connection, query, {"name": name})]


def databases(connection: Any, wanted: list[str]) -> list[dict[str, Any]]:
    """Properties of the databases that are asked for, or of `all`; ServerError names one that is missing."""
    found = every_database(connection)
    if wanted == ["all"]:
        return [
            _reachable(connection, database)
            for database in found
            if database["allows_connections"] and not database["is_template"] and not _invalid(database)
        ]
    by_name = {database["name"]: database for database in found}
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise ServerError(f"there is no database {missing[0]!r} on this server; there are {', '.join(sorted(by_name))}")
    closed = [name for name in wanted if not by_name[name]["allows_connections"]]
    if closed:
        raise ServerError(f"database {closed[0]!r} allows no connections")
    invalid = [name for name in wanted if _invalid(by_name[name])]
    if invalid:
        raise ServerError(
            f"database {invalid[0]!r} is invalid: a DROP DATABASE of it was interrupted, and only another one ends it"
        )
    return [_reachable(connection, by_name[name]) for name in dict.fromkeys(wanted)]


def name_fault(connection: Any, name: str) -> str | None:
    """Why nobody can log in to a database of this name from here, or None. A login has the name in UTF-8, and the
    server compares it with what is stored."""
    encoding = connection.get_parameter_status("server_encoding")
    try:
        name.encode()
    except UnicodeEncodeError:
        return "is not UTF-8, as whoever logs in from here has it"
    if not name.isascii() and encoding not in AS_STORED:
        return f"is stored in {encoding}, and whoever logs in from here has it in UTF-8"
    return None


def check_role_names(connection: Any) -> None:
    """ServerError for a role on which pg_dumpall fails in this database, which is when all else has been read."""
    if connection.get_parameter_status("server_encoding") != "UTF8":
        return
    for (name,) in ask(connection, "SELECT rolname FROM pg_roles ORDER BY 1"):
        if name_fault(connection, name) is not None:
            raise ServerError(
                f"the name of role '{name}' is not UTF-8, and pg_dumpall cannot read it in a database that is: ALTER"
                " ROLE … RENAME TO one in ASCII, in a database of the encoding in which it was made"
            )


def _reachable(connection: Any, database: dict[str, Any]) -> dict[str, Any]:
    fault = name_fault(connection, database["name"])
    if fault is not None:
        raise ServerError(f"the name of database '{database['name']}' {fault}: ALTER DATABASE … RENAME TO one in ASCII")
    return database


def _invalid(database: dict[str, Any]) -> bool:
    """As an interrupted DROP DATABASE leaves it; nobody can log in to it."""
    return bool(database["connection_limit"] == _INVALID)


def tables(connection: Any) -> list[Table]:
    return [Table(*row) for row in ask(connection, _TABLES)]


# As pg_dump has it (getPartitioningInfo): hashes of an enumeration are those of its labels' OIDs.
_MOVED = """
SELECT n.nspname, c.relname, r.nspname, root.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class root ON root.oid = pg_partition_root(c.oid) JOIN pg_namespace r ON r.oid = root.relnamespace
 WHERE c.relispartition AND c.relkind = 'r'
   AND EXISTS (SELECT 1 FROM pg_partition_ancestors(c.oid) a (oid) JOIN pg_partitioned_table p ON p.partrelid = a.oid
                 JOIN pg_opclass o ON o.oid = ANY(p.partclass::oid[]) JOIN pg_am am ON am.oid = o.opcmethod
                WHERE o.opcname = 'enum_ops' AND am.amname = 'hash')"""


def moved_by_restores(connection: Any) -> dict[tuple[str, str], tuple[str, str]]:
    """Partitions whose rows come into others of their root by a restore, and these roots: schema and name each."""
    return {(schema, name): (of, root) for schema, name, of, root in ask(connection, _MOVED)}


def locked_by_dumps(connection: Any) -> dict[int, str]:
    """Tables that pg_dump locks: their OIDs, and their names as SQL has them. None of them is locked to find out."""
    return {oid: identifier(schema, name) for oid, schema, name in ask(connection, _LOCKED_BY_DUMPS)}


def read_everything(connection: Any) -> None:
    """For this transaction: no row is hidden (row security is an error then)."""
    ask(connection, "SELECT set_config('row_security', 'off', true)")


def count_rows(connection: Any, table: Table, alone: bool = True) -> int:
    """Exact, in the connection's own snapshot. Row security is an error, not a smaller number.

    Not `alone` counts the rows of tables that inherit from it too, of which some may be another server's.
    """
    # psycopg2's own quoting of names takes them for UTF-8, whatever the database's encoding.
    ((rows,),) = ask(connection, _COUNT.format("ONLY " if alone else "", table.quoted))
    return int(rows)


def extensions(connection: Any) -> dict[str, str]:
    return dict(ask(connection, "SELECT extname, extversion FROM pg_extension ORDER BY extname"))


# Of tables that this session has locked the size is exact. Of others it is what it was when they were built or vacuumed
# last: no lock is waited for.
_TABLESPACES = """
WITH held AS MATERIALIZED (
  SELECT relation FROM pg_locks
   WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted
     AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
SELECT t.oid::bigint, sum(CASE WHEN c.relkind = 'r' AND c.oid IN (SELECT relation FROM held)
                           THEN coalesce(pg_relation_size(c.oid), 0) + coalesce(pg_relation_size(c.reltoastrelid), 0)
                           ELSE c.relpages::int8 * current_setting('block_size')::int8 END)::int8
  FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
 WHERE c.relkind IN ('r', 'm', 'i') AND t.spcname <> 'pg_global' AND c.relpersistence <> 't' GROUP BY 1 ORDER BY 1"""


def tablespaces(connection: Any, shared: Any) -> dict[str, int]:
    """Bytes by tablespaces that tables and indexes of this database name, which its own is none of. `shared` as in
    `roles`."""
    names = dict(ask(shared, "SELECT oid::bigint, spcname FROM pg_tablespace"))
    return {str(names[oid]): int(size) for oid, size in ask(connection, _TABLESPACES) if oid in names}


# The bootstrap superuser is pinned and has no dependency: it is there by what it owns.
_ROLES = """
SELECT DISTINCT r.rolname FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_authid'::regclass AND s.dbid = %(oid)s
UNION
SELECT r.rolname FROM pg_roles r WHERE r.oid = 10 AND %(owns)s
ORDER BY 1"""
# What the first role owns has no dependency on it.
_FIRST_OWNS = """
SELECT EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relowner = 10 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')"""


def roles(connection: Any, shared: Any, oid: int) -> list[str]:
    """Roles that own something in the database of this OID, have rights on it or are named by a policy.

    `connection` is to that database, `shared` to the one where names of roles are read.
    """
    ((owns,),) = ask(connection, _FIRST_OWNS)
    return [name for (name,) in ask(shared, _ROLES, {"oid": oid, "owns": owns})]
