# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles that a set has and a server lacks, made as the set's globals have them."""

from __future__ import annotations

import re
from typing import Any, Iterable

from ansible_collections.day2.ops.plugins.module_utils.backup.streams import fetch
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask, identifier, tell
from ansible_collections.day2.ops.plugins.module_utils.restore.load import Archives

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


def make(connection: Any, archives: Archives, missing: Iterable[str]) -> None:
    """In one transaction: roles, their attributes and passwords, and memberships among roles that are there then."""
    text = bytearray()
    globals_files = [each for each in archives.manifest.files if each.role == "globals"]
    if not globals_files:
        raise Day2Error(f"{archives.manifest.id} has no roles and grants (globals)")
    fetch(archives.repository, archives.folder, globals_files[0], text.extend, archives.identity)
    there = {str(name) for (name,) in ask(connection, "SELECT rolname FROM pg_roles")}
    chosen = statements(text.decode(errors="replace"), set(missing), there)
    lacking = sorted(set(missing) - made(chosen, set(missing)))
    if lacking:
        raise Day2Error(f"the set's globals do not make {', '.join(lacking)}")
    tell(connection, "BEGIN")
    try:
        for each in chosen:
            tell(connection, each)
        tell(connection, "COMMIT")
    except BaseException:
        tell(connection, "ROLLBACK")
        raise


def statements(globals_sql: str, missing: set[str], there: set[str]) -> list[str]:
    """Those lines of pg_dumpall's that concern missing roles: it writes one statement a line. Pure."""
    quoted = {spelling for name in missing for spelling in _spellings(name)}
    known = quoted | {spelling for name in there for spelling in _spellings(name)}
    chosen = []
    for line in globals_sql.split("\n"):
        words = _words(line)
        if words[:2] in (["CREATE", "ROLE"], ["ALTER", "ROLE"]) and len(words) > 2 and words[2] in quoted:
            chosen.append(line)
        elif words[:1] == ["GRANT"] and words[2:3] == ["TO"] and _among({words[1], *words[3:4]}, known, quoted):
            chosen.append(re.sub(r"\s+GRANTED BY .*;$", ";", line))
    return chosen


def _among(pair: set[str], known: set[str], quoted: set[str]) -> bool:
    return pair <= known and bool(quoted & pair)


def made(chosen: Iterable[str], missing: set[str]) -> set[str]:
    """Which of the missing roles these statements create."""
    created = {words[2] for words in map(_words, chosen) if words[:2] == ["CREATE", "ROLE"]}
    return {name for name in missing if created & _spellings(name)}


def _words(line: str) -> list[str]:
    """Words of a statement; a quoted name is one."""
    return [word.rstrip(";") if not word.startswith('"') else word for word in
            re.findall(r'"(?:[^"]|"")*"|[^\s"]+', line)]  # fmt: skip


def _spellings(name: str) -> set[str]:
    return {identifier(name)} | ({name} if _PLAIN.fullmatch(name) else set())
