# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a cluster holds: databases with their properties, tables with their sizes, rows of a snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError, ask, identifier

_DATABASES = """
SELECT d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       d.datconnlimit, d.datistemplate, d.datallowconn, d.datacl::text[], t.spcname,
       shobj_description(d.oid, 'pg_database'), pg_database_size(d.oid),
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                    'role', CASE WHEN s.setrole <> 0 THEN pg_get_userbyid(s.setrole) END, 'settings', s.setconfig)
                                  ORDER BY s.setrole), '[]')
          FROM pg_db_role_setting s WHERE s.setdatabase = d.oid),
       {locale}
  FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace
 ORDER BY d.datname"""
_COLUMNS = (
    "name", "owner", "encoding", "collate", "ctype", "connection_limit", "is_template", "allows_connections", "acl",
    "tablespace", "comment", "size", "settings", "locale_provider", "locale",
    "icu_rules", "collation_version",
)  # fmt: skip

# Tables whose rows a dump has: extensions' own come with CREATE EXTENSION, foreign ones stay where they are.
_TABLES = """
SELECT n.nspname, c.relname, pg_table_size(c.oid), c.relkind::text, c.relpersistence::text
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence IN ('p', 'u') AND n.nspname !~ '^pg_'
   AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname"""


@dataclass(frozen=True)
class Table:
    """A table or materialised view; `size` is bytes without indexes."""

    schema: str
    name: str
    size: int
    kind: str
    persistence: str

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
    query = _DATABASES.format(locale=", ".join(locale_columns(connection.server_version)))
    return [dict(zip(_COLUMNS, row)) for row in ask(connection, query)]


def databases(connection: Any, wanted: list[str]) -> list[dict[str, Any]]:
    """Properties of the databases that are asked for, or of `all`; ServerError names one that is missing."""
    found = every_database(connection)
    if wanted == ["all"]:
        return [each for each in found if each["allows_connections"] and not each["is_template"]]
    by_name = {each["name"]: each for each in found}
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise ServerError(f"there is no database {missing[0]!r} on this server; there are {', '.join(sorted(by_name))}")
    closed = [name for name in wanted if not by_name[name]["allows_connections"]]
    if closed:
        raise ServerError(f"database {closed[0]!r} allows no connections")
    return [by_name[name] for name in dict.fromkeys(wanted)]


def tables(connection: Any) -> list[Table]:
    return [Table(*row) for row in ask(connection, _TABLES)]


def read_everything(connection: Any) -> None:
    """For this transaction: no row is hidden (row security is an error then)."""
    ask(connection, "SELECT set_config('row_security', 'off', true)")


def count_rows(connection: Any, table: Table) -> int:
    """Exact, in the connection's own snapshot. Row security is an error, not a smaller number."""
    from psycopg2 import sql

    (row,) = ask(connection, sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table.schema, table.name)))
    return int(row[0])


def extensions(connection: Any) -> dict[str, str]:
    return dict(ask(connection, "SELECT extname, extversion FROM pg_extension ORDER BY extname"))


# The bootstrap superuser is pinned and has no dependency: it is there by what it owns.
_ROLES = """
SELECT DISTINCT r.rolname FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
 WHERE s.refclassid = 'pg_authid'::regclass
   AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION
SELECT r.rolname FROM pg_roles r WHERE r.oid = 10
   AND EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relowner = 10 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
ORDER BY 1"""


def roles(connection: Any) -> list[str]:
    """Roles that own something in this database, have rights on it or are named by a policy."""
    return [name for (name,) in ask(connection, _ROLES)]
