# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Properties of a database besides its contents: owner, privileges, settings, connection limit, locale.

Properties are the records of postgres.catalogue.databases, as a manifest has them too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask, execute, named
from ansible_collections.day2.ops.plugins.module_utils.restore.names import BEGUN

# Settings that are lists of names, each of which is quoted by itself (GUC_LIST_QUOTE in PostgreSQL's guc_tables).
_LISTS = (
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
)
# Since this version a template has a provider, which a database of it would have as well.
_PROVIDED = 150000
_RULES = 160000
_NAME_OF_LIST = re.compile(r'"((?:[^"]|"")*)"|([^",\s]+)')
# `grantee=rights/grantor`, each name in quotes where it is more than letters and digits; no grantee: everybody.
_RIGHT = re.compile(r'(?:"((?:[^"]|"")*)"|([^"=/]*))=[^/]*/(?:"((?:[^"]|"")*)"|([^"=/]+))')
_COMPARED = (
    "owner", "encoding", "collate", "ctype", "locale_provider", "locale", "icu_rules", "connection_limit",
    "is_template", "tablespace",
)  # fmt: skip


@dataclass(frozen=True)
class Provider:
    """Locale provider: its name, the option for its locale, the first version of PostgreSQL that has it."""

    name: str
    option: str
    since: int


# As pg_database.datlocprovider has them.
_PROVIDERS = {
    "c": Provider("libc", "", 0),
    "i": Provider("icu", "ICU_LOCALE", 150000),
    "b": Provider("builtin", "BUILTIN_LOCALE", 170000),
}


@dataclass(frozen=True, order=True)
class Right:
    """One privilege on a database. `grantee` is empty for everybody."""

    grantor: str
    grantee: str
    privilege: str
    grantable: bool


def create(connection: Any, name: str, wanted: Mapping[str, Any]) -> None:
    """Create an empty database with the same encoding, locale, tablespace and owner, marked as unfinished."""
    from psycopg2 import sql

    parts: list[sql.Composable] = [
        sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} OWNER {} CONNECTION LIMIT {}").format(
            named(name),
            sql.Literal(wanted["encoding"]),
            named(wanted["owner"]),
            sql.Literal(BEGUN),
        )
    ]
    for option, value in locale_options(connection.server_version, wanted):
        parts.append(sql.SQL(f"{option} {{}}").format(sql.Literal(value)))
    if wanted.get("tablespace") not in (None, "pg_default"):
        parts.append(sql.SQL("TABLESPACE {}").format(named(wanted["tablespace"])))
    execute(connection, sql.SQL(" ").join(parts))


def locale_options(version: int, wanted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Locale options of CREATE DATABASE for a server of this version (as in `150018`). Pure.

    The version of a collation is not carried over: indexes are built by the library that is here.
    """
    options = [("LC_COLLATE", str(wanted["collate"])), ("LC_CTYPE", str(wanted["ctype"]))]
    provider = _PROVIDERS[wanted.get("locale_provider") or "c"]
    if version >= _PROVIDED:
        options.append(("LOCALE_PROVIDER", provider.name))
    if provider.option and wanted.get("locale"):
        options.append((provider.option, str(wanted["locale"])))
    if wanted.get("icu_rules"):
        options.append(("ICU_RULES", str(wanted["icu_rules"])))
    return options


def locale_fault(version: int, wanted: Mapping[str, Any]) -> str | None:
    """Why a server of this version cannot have such a locale, or None. Pure."""
    letter = wanted.get("locale_provider") or "c"
    provider = _PROVIDERS.get(letter)
    if provider is None:
        return f"the locale provider {letter!r} is of a later PostgreSQL than this release knows"
    if version < provider.since:
        return (
            f"the locale is {provider.name}'s, which PostgreSQL {version // 10000} does not have for a database:"
            f" {provider.since // 10000} or later is needed"
        )
    if wanted.get("icu_rules") and version < _RULES:
        return (
            f"the database has ICU rules, which PostgreSQL {version // 10000} does not have: {_RULES // 10000} or"
            " later is needed"
        )
    return None


def give(connection: Any, name: str, wanted: Mapping[str, Any]) -> None:
    """Set privileges, settings, connection limit and whether it is a template; the comment is set with the name."""
    from psycopg2 import sql

    database = named(name)
    limit = sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}")
    execute(connection, limit.format(database, sql.Literal(wanted["connection_limit"])))
    if wanted["is_template"]:
        execute(connection, sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(database))
    if wanted["acl"] is not None:
        execute(connection, sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC, {}").format(
            database, named(wanted["owner"])
        ))  # fmt: skip
        for right in in_order(_rights(connection, wanted), wanted["owner"]):
            to = named(right.grantee) if right.grantee else sql.SQL("PUBLIC")
            option = " WITH GRANT OPTION" if right.grantable else ""
            grant = sql.SQL(f"GRANT {right.privilege} ON DATABASE {{}} TO {{}}{option}").format(database, to)
            if right.grantor == wanted["owner"]:
                execute(connection, grant)
            else:
                execute(connection, sql.SQL("SET ROLE {}").format(named(right.grantor)))
                execute(connection, grant)
                execute(connection, "RESET ROLE")
    for entry in wanted["settings"]:
        for setting in entry["settings"]:
            _set(connection, database, entry["role"], *setting.split("=", 1))


def _set(connection: Any, database: Any, role: str | None, parameter: str, value: str) -> None:
    from psycopg2 import sql

    whose = sql.SQL("ROLE {} IN DATABASE {}").format(named(role), database) if role else None
    whose = whose or sql.SQL("DATABASE {}").format(database)
    execute(connection, sql.SQL("ALTER {} {}").format(whose, set_clause(parameter, setting_values(parameter, value))))


def set_clause(parameter: str, values: Sequence[str]) -> Any:
    """`SET parameter TO values`, composed."""
    from psycopg2 import sql

    # A parameter of an extension has a dot in its name, which is two identifiers.
    called = named(*parameter.split("."))
    listed = sql.SQL(", ").join(sql.Literal(value) for value in values or [""])
    return sql.SQL("SET {} TO {}").format(called, listed)


def setting_values(parameter: str, value: str) -> list[str]:
    """A setting as the catalogue has it, as the values that SET takes. Pure."""
    return _names(value) if parameter.lower() in _LISTS else [value]


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
    return found | {str(entry["role"]) for entry in wanted.get("settings") or [] if entry["role"]}


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
    """Order privileges so that each comes after the one that its grantor needs to grant it. Pure."""
    waiting, given = sorted(rights), list[Right]()
    while waiting:
        may = {(owner, right.privilege) for right in waiting}
        may |= {(right.grantee, right.privilege) for right in given if right.grantable}
        ready = [right for right in waiting if (right.grantor, right.privilege) in may]
        # A privilege that its grantor may not grant (any more) is tried all the same: PostgreSQL reports the reason.
        given += ready or waiting
        waiting = [right for right in waiting if right not in given]
    return given


def differences(connection: Any, have: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Differences from the wanted properties, a line each. Sizes, names and comments are not compared."""
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


def sorted_otherwise(have: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """What to know of a collation that has another version here. Its indexes were built by this one. Pure."""
    now, then = have.get("collation_version"), wanted.get("collation_version")
    if now is None or then is None or now == then:
        return []
    return [
        f"text sorts by version {now} of the collation now, and by {then} before: indexes were built anew, but what"
        " compares with another database's order (partitions by range, merges outside) may differ"
    ]


def _settings(properties: Mapping[str, Any]) -> set[tuple[str | None, str]]:
    return {(entry["role"], setting) for entry in properties["settings"] for setting in entry["settings"]}
