# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database is besides its contents: owner, rights, settings, connection limit, locale.

Properties are the records of postgres.catalogue.databases, as a manifest has them too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask, tell

# Settings that are lists of names, each of which is quoted by itself (GUC_LIST_QUOTE in PostgreSQL's guc_tables).
_LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)
_PROVIDERS = {"c": ("libc", ""), "i": ("icu", "ICU_LOCALE"), "b": ("builtin", "BUILTIN_LOCALE")}
# Since this version a template has one, which a database of it would have as well.
_PROVIDED = 150000
_NAME_OF_LIST = re.compile(r'"((?:[^"]|"")*)"|([^",\s]+)')
# `grantee=rights/grantor`, each name in quotes where it is more than letters and digits; no grantee: everybody.
_RIGHT = re.compile(r'(?:"((?:[^"]|"")*)"|([^"=/]*))=[^/]*/(?:"((?:[^"]|"")*)"|([^"=/]+))')
_COMPARED = (
    "owner", "encoding", "collate", "ctype", "locale_provider", "locale", "connection_limit", "is_template",
    "tablespace",
)  # fmt: skip


@dataclass(frozen=True, order=True)
class Right:
    """One privilege on a database. `grantee` is empty for everybody."""

    grantor: str
    grantee: str
    privilege: str
    grantable: bool


def create(connection: Any, name: str, wanted: Mapping[str, Any]) -> None:
    """An empty database of the same encoding, locale, tablespace and owner."""
    from psycopg2 import sql

    parts: list[sql.Composable] = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {} OWNER {}").format(
            sql.Identifier(name),
            sql.Literal(wanted["encoding"]),
            sql.Literal(wanted["collate"]),
            sql.Literal(wanted["ctype"]),
            sql.Identifier(wanted["owner"]),
        )
    ]
    provider, option = _PROVIDERS[wanted.get("locale_provider") or "c"]
    if connection.server_version >= _PROVIDED:
        parts.append(sql.SQL(f"LOCALE_PROVIDER {provider}"))
    if option and wanted.get("locale"):
        parts.append(sql.SQL(f"{option} {{}}").format(sql.Literal(wanted["locale"])))
    if wanted.get("tablespace") not in (None, "pg_default"):
        parts.append(sql.SQL("TABLESPACE {}").format(sql.Identifier(wanted["tablespace"])))
    tell(connection, sql.SQL(" ").join(parts))


def give(connection: Any, name: str, wanted: Mapping[str, Any]) -> None:
    """Rights, settings, connection limit and whether it is a template; its comment comes with its name."""
    from psycopg2 import sql

    database = sql.Identifier(name)
    limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
    tell(connection, limit.format(database, sql.Literal(wanted["connection_limit"])))
    if wanted["is_template"]:
        tell(connection, sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(database))
    if wanted["acl"] is not None:
        tell(connection, sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(
            database, sql.Identifier(wanted["owner"])
        ))  # fmt: skip
        for right in in_order(_rights(connection, wanted), wanted["owner"]):
            to = sql.Identifier(right.grantee) if right.grantee else sql.SQL("PUBLIC")
            option = " WITH GRANT OPTION" if right.grantable else ""
            grant = sql.SQL(f"GRANT {right.privilege} ON DATABASE {{}} TO {{}}{option}").format(database, to)
            if right.grantor == wanted["owner"]:
                tell(connection, grant)
            else:
                tell(connection, sql.SQL("SET ROLE {}").format(sql.Identifier(right.grantor)))
                tell(connection, grant)
                tell(connection, "RESET ROLE")
    for entry in wanted["settings"]:
        for setting in entry["settings"]:
            _set(connection, database, entry["role"], *setting.split("=", 1))


def _set(connection: Any, database: Any, role: str | None, parameter: str, value: str) -> None:
    from psycopg2 import sql

    whose = sql.SQL("ROLE {} IN DATABASE {}").format(sql.Identifier(role), database) if role else None
    whose = whose or sql.SQL("DATABASE {}").format(database)
    # A parameter of an extension has a dot in its name, which is two identifiers.
    named = sql.SQL(".").join(sql.Identifier(part) for part in parameter.split("."))
    values = _names(value) if parameter in _LISTS else [value]
    listed = sql.SQL(", ").join(sql.Literal(each) for each in values or [""])
    tell(connection, sql.SQL("ALTER {} SET {} TO {}").format(whose, named, listed))


def _names(value: str) -> list[str]:
    """`"$user", public` as names; a comma or a doubled quote within quotes belongs to the name."""
    return [match[2] or match[1].replace('""', '"') for match in _NAME_OF_LIST.finditer(value)]


def roles(wanted: Mapping[str, Any]) -> set[str]:
    """Roles that own the database, have rights on it, gave them, or have settings in it."""
    found = {str(wanted["owner"])}
    for right in wanted.get("acl") or []:
        match = _RIGHT.fullmatch(right)
        if match is not None:
            quoted = [name.replace('""', '"') for name in (match[1], match[3]) if name]
            found.update(quoted + [name for name in (match[2], match[4]) if name])
    return found | {str(each["role"]) for each in wanted.get("settings") or [] if each["role"]}


def _rights(connection: Any, wanted: Mapping[str, Any]) -> set[Right]:
    rows = ask(
        connection,
        "SELECT pg_get_userbyid(a.grantor), CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) ELSE '' END,"
        " a.privilege_type, a.is_grantable FROM aclexplode(coalesce(%s::text[]::aclitem[],"
        " acldefault('d', (SELECT oid FROM pg_roles WHERE rolname = %s)))) a",
        (wanted["acl"], wanted["owner"]),
    )
    return {Right(*row) for row in rows}


def in_order(rights: Iterable[Right], owner: str) -> list[Right]:
    """Each after the one that lets its grantor give it: only the owner needs none. Pure."""
    waiting, given = sorted(rights), list[Right]()
    while waiting:
        may = {(owner, right.privilege) for right in waiting}
        may |= {(right.grantee, right.privilege) for right in given if right.grantable}
        ready = [right for right in waiting if (right.grantor, right.privilege) in may]
        # What nobody may give (any more) is tried all the same: PostgreSQL says why not.
        given += ready or waiting
        waiting = [right for right in waiting if right not in given]
    return given


def differences(connection: Any, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What is not as wanted, a line each. Sizes, names and comments are not compared."""
    lines = [
        f"{key.replace('_', ' ')} is {have.get(key)!r} instead of {wanted[key]!r}"
        for key in _COMPARED
        if key in wanted and have.get(key) != wanted[key]
    ]
    if _rights(connection, have) != _rights(connection, wanted):
        lines.append(f"rights are {have['acl']} instead of {wanted['acl']}")
    if _settings(have) != _settings(wanted):
        lines.append(f"settings are {have['settings']} instead of {wanted['settings']}")
    return lines


def _settings(properties: Mapping[str, Any]) -> set[tuple[str | None, str]]:
    return {(entry["role"], setting) for entry in properties["settings"] for setting in entry["settings"]}
