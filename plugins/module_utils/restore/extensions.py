# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a server can create the extensions of a database, checked before anything is changed.

A dump has `CREATE EXTENSION` without a version. `look` asks the server, and reads the extension's files by the
server's own functions; what follows from that is pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.postgres.lexer import Kind, LexerError, statements
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask
from ansible_collections.day2.ops.plugins.module_utils.restore.comparisons import names_wanted

# CREATE EXTENSION fails unless the library of this name is preloaded: the extensions' own _PG_init says so.
_PRELOADED = {
    "bdr": "bdr",
    "pg_cron": "pg_cron",
    "pg_net": "pg_net",
    "pg_squeeze": "pg_squeeze",
    "pg_stat_kcache": "pg_stat_kcache",
    "pgaudit": "pgaudit",
    "pglogical": "pglogical",
}
# Extensions whose databases cannot be restored from a dump alone.
_WHOLE_CLUSTER = {
    "citus": "its tables lie on other servers too",
    "timescaledb": "its tables are restored by timescaledb_pre_restore() with the very same version of it only",
}
_PHYSICAL = "restore the cluster from its physical backup (`method: physical`)"
# Files of an extension that are read, at most.
_LARGEST = 4 << 20
_AVAILABLE = """
SELECT e.name, e.default_version, v.name IS NOT NULL, coalesce(v.requires::text[], '{}')
  FROM pg_available_extensions e
  LEFT JOIN pg_available_extension_versions v ON v.name = e.name AND v.version = e.default_version
 WHERE e.name = ANY(%s)"""
_PLACES = "SELECT name, setting FROM pg_config WHERE name IN ('SHAREDIR', 'PKGLIBDIR')"
# Scripts that make the extension from nothing; others are updates.
_SCRIPTS = """
SELECT name FROM pg_ls_dir(%(folder)s, true, false) name
 WHERE starts_with(name, %(prefix)s) AND name LIKE '%%.sql'
   AND substr(name, length(%(prefix)s) + 1) NOT LIKE '%%--%%'"""
# As bytes: pg_read_file refuses text that is not in the encoding of the database, such as a name in a comment.
_READ = "SELECT pg_read_binary_file(%(path)s, 0, %(size)s, true)"
_LIBRARY = re.compile(r"^\s*module_pathname\s*=\s*'\$libdir/([^'/]+)'", re.MULTILINE)
_SETTING = re.compile(r"current_setting\s*\(\s*'([^']+)'", re.IGNORECASE)
_RAISES = re.compile(r"\braise\b(?!\s+(?:notice|warning|info|debug|log)\b)", re.IGNORECASE)


@dataclass(frozen=True)
class Extension:
    """An extension on this server. `conditions` are DO blocks of its script that may raise an error."""

    name: str
    version: str
    installable: bool = True
    requires: Sequence[str] = ()
    library: str | None = None
    library_missing: bool = False
    conditions: Sequence[str] = ()


@dataclass(frozen=True)
class Extensions:
    """Extensions available on this server, libraries that it preloads, and settings that extension scripts read."""

    available: Mapping[str, Extension] = field(default_factory=dict)
    preloaded: frozenset[str] = frozenset()
    settings: Mapping[str, str] = field(default_factory=dict)


def look(connection: Any, wanted: Iterable[str]) -> Extensions:
    """Look up these extensions on the server. Reading their files needs a superuser."""
    names = sorted(wanted)
    places: dict[str, str] = {}
    if ask(connection, "SELECT current_setting('is_superuser') = 'on'")[0][0]:
        places = dict(ask(connection, _PLACES))
    found = {}
    for name, version, installable, requires in ask(connection, _AVAILABLE, (names,)):
        files = _files(connection, places, name, version) if places else {}
        found[name] = Extension(name, version, installable, requires, **files)
    libraries = ask(connection, "SELECT current_setting('shared_preload_libraries')")[0][0]
    asked = {
        setting for extension in found.values() for text in extension.conditions for setting in _SETTING.findall(text)
    }
    settings = ask(connection, "SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", (sorted(asked),))
    return Extensions(found, preloaded(libraries), dict(settings))


def _files(connection: Any, places: Mapping[str, str], name: str, version: str) -> dict[str, Any]:
    folder = f"{places['SHAREDIR']}/extension"
    library = _LIBRARY.search(_read(connection, f"{folder}/{name}.control"))
    found: dict[str, Any] = {"library": library[1] if library else None}
    if library:
        path = f"{places['PKGLIBDIR']}/{library[1].removesuffix('.so')}.so"
        ((size,),) = ask(connection, "SELECT (pg_stat_file(%s, true)).size", (path,))
        found["library_missing"] = size is None
    scripts = [row[0] for row in ask(connection, _SCRIPTS, {"folder": folder, "prefix": f"{name}--"})]
    whole = f"{name}--{version}.sql"
    texts = [_read(connection, f"{folder}/{script}") for script in ([whole] if whole in scripts else scripts)]
    return {**found, "conditions": [body for text in texts for body in conditions(text)]}


def _read(connection: Any, path: str) -> str:
    ((text,),) = ask(connection, _READ, {"path": path, "size": _LARGEST})
    # Every byte is a character of latin-1, and what is looked for is ASCII.
    return bytes(text or b"").decode("latin-1")


def conditions(script: str) -> list[str]:
    """Bodies of the script's DO blocks that may raise an error. Pure."""
    try:
        found = list(statements(script))
    except LexerError:
        # A script that ends without a semicolon, or has literals that are not understood.
        return []
    bodies = [
        token.text
        for statement in found
        if statement and statement[0].is_word("DO")
        for token in statement
        if token.kind is Kind.STRING
    ]
    return [body for body in bodies if _RAISES.search(body)]


def preloaded(setting: str) -> frozenset[str]:
    """Names of the libraries in shared_preload_libraries, without their directories. Pure."""
    words = [word.strip().strip("\"'").rsplit("/", 1)[-1] for word in setting.split(",")]
    return frozenset(word.removesuffix(".so") for word in words if word)


def faults(wanted: Iterable[str], seen: Extensions, database: str, allowed: bool = False) -> list[str]:
    """Why extensions cannot be created in a database of this name, a sentence each, with what to do. Pure.

    With `allowed` only reasons that are certain: parts that are not installed here.
    """
    names = sorted(wanted)
    missing = [name for name in names if name not in seen.available]
    said = [f"extensions are not installed on this server: {', '.join(missing)}"] if missing else []
    for name in names:
        extension = seen.available.get(name)
        if extension is not None:
            why = _lacking(extension, names)
            if why is None and not allowed:
                doubt = _doubt(extension, seen, database)
                why = f"{doubt}; `allow: [extensions]` tries it all the same" if doubt else None
            said += [f"extension {name} cannot be restored: {why}"] if why else []
    return said


def _lacking(extension: Extension, names: Sequence[str]) -> str | None:
    """What of the extension is not here, or not in the set."""
    if not extension.installable:
        return (
            f"this server has no script that makes its version {extension.version}: install the whole package of the"
            " extension"
        )
    if extension.library_missing:
        return f"its library {extension.library} is not installed: install the whole package of the extension"
    lacking = [name for name in extension.requires if name not in names]
    if lacking:
        return f"version {extension.version} here needs {', '.join(lacking)}, which the set does not have"
    return None


def _doubt(extension: Extension, seen: Extensions, database: str) -> str | None:
    """What is known of extensions of this name, and what their scripts say."""
    if extension.name in _WHOLE_CLUSTER:
        return f"{_WHOLE_CLUSTER[extension.name]}; {_PHYSICAL}"
    needed = _PRELOADED.get(extension.name)
    if needed is not None and needed not in seen.preloaded:
        return _preload(needed)
    for condition in extension.conditions:
        why = _refuses(condition, extension, seen, database)
        if why:
            return why
    return None


def _preload(library: str) -> str:
    return f"its library {library} is not in shared_preload_libraries of the server: add it and restart the server"


def _refuses(condition: str, extension: Extension, seen: Extensions, database: str) -> str | None:
    """Why a DO block of the script would raise an error in this database, as far as its text shows. None: no reason."""
    lower = condition.lower()
    if "shared_preload_libraries" in lower and not seen.preloaded & {extension.name, extension.library or ""}:
        return _preload(extension.library or extension.name)
    names = names_wanted(condition, seen.settings)
    if names is None or database in names:
        return None
    settings = {name: seen.settings[name] for name in _SETTING.findall(condition) if name in seen.settings}
    only = ", ".join(f"{name} is {value}" for name, value in settings.items())
    return (
        f"it can be created in one database of the server only{f' ({only})' if only else ''}, and a restored one is"
        f" called {database} until it is proven; DROP EXTENSION {extension.name} before the backup and keep it in a"
        f" database of its own, or {_PHYSICAL}"
    )
