# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Explains failures of pg_restore from its output: the object, the error, and what to do. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ENTRY = re.compile(r"from TOC entry (\d+); \d+ \d+ ([^\n]*)")
_COPY = re.compile(r'COPY failed for table "([^\n]*?)": $')
_COMMAND = re.compile(r"^Command was: ([^\n]*)", re.MULTILINE)
# Maximum number of characters of a command that are shown.
_SHOWN = 120
_ERROR = re.compile(r"(?:ERROR|FATAL): +([^\n]*)")
_DETAIL = re.compile(r"^(?:DETAIL|HINT): +([^\n]*)", re.MULTILINE)
_FUNCTION = re.compile(r'^(?:CONTEXT: +)?(?:SQL|PL/\w+|pl\w+) function "?([^"\n]+?)"?(?: line| during| statement|$)',
                       re.MULTILINE)  # fmt: skip
_EMPTY_PATH = (
    "pg_restore runs with an empty search_path, so a view, an index, a generated column or a constraint whose"
    " functions use names without a schema cannot be made anew: name the schemas in {function}, or give it its own"
    " path (ALTER FUNCTION … SET search_path = …), and make a new backup"
)
_PRELOAD = (
    "the extension's library has to be preloaded: add it to shared_preload_libraries of the server (of a drill's own"
    " cluster: `settings`) and restart it"
)
# Patterns of error messages, and what to do.
_ADVICE = (
    (r"(?:relation|function|type|operator|view|schema|table|text search \w+|collation) .*does not exist", _EMPTY_PATH),
    (r"no schema has been selected to create in", _EMPTY_PATH),
    (r"(?:must|can only|needs to|has to) be (?:pre)?loaded via .?shared_preload_libraries", _PRELOAD),
    (r"can only create extension in database|can only be (?:created|installed) in (?:the )?database",
     "the extension can be created in one database of a server only, and a restore has another name until it is proven:"
     " DROP EXTENSION before the backup and keep it in a database of its own, or restore the cluster"
     " (`method: physical`)"),
    (r"extension .* is not available|could not open extension control file|has no installation script nor update path",
     "install the extension's package for this server's version"),
    (r"could not (?:access|load) (?:file|library)", "install the library's package for this server's version"),
    (r"role .* does not exist", "create the role, or `allow: [create_roles]`"),
    (r"tablespace .* does not exist", "CREATE TABLESPACE of that name first"),
    (r"No space left on device|could not extend file", "make room on the file system that the server writes to"),
    (r"user mapping not found|has no handler|could not connect to server|password is required",
     "the object reads a foreign server, which has to answer while it is restored"),
    (r"has not been populated",
     "a function reads that view, which the source had left empty too (WITH NO DATA): REFRESH it there, or drop what"
     " reads it, and make a new backup"),
    (r"out of shared memory|max_locks_per_transaction", "raise max_locks_per_transaction of the server and restart it"),
    (r"violates check constraint|violates foreign key constraint",
     "the rows do not satisfy the constraint when they are loaded: a CHECK that reads other tables, or rows that were"
     " written while the constraint was not enforced"),
    (r"could not create unique index|duplicate key value",
     "the source holds rows that its unique index should have refused (a damaged index, or another version of the"
     " collation): find and mend them there (amcheck, REINDEX), then make a new backup"),
    (r"security label provider .* is not loaded",
     "the label's provider has to be preloaded: add it to shared_preload_libraries of the server"),
    (r"unrecognized configuration parameter",
     "the parameter is of a later PostgreSQL or of a library that is not loaded here: use programs of the server's"
     " version (`bin_dir`), or preload the library"),
    (r"unsupported version .* in file header", "the archive is of a later pg_dump: use its pg_restore (`bin_dir`)"),
    (r"permission denied|must be (?:superuser|owner|member)", "run the restore as a superuser of the server"),
    (r"invalid byte sequence|has no equivalent in encoding",
     "the text does not fit the database's encoding: the source was SQL_ASCII, or its encoding was changed"),
    (r"server closed the connection unexpectedly|terminating connection",
     "the server ended the session: its log says why (memory, a crash, a restart)"),
)  # fmt: skip
_FOREIGN = re.compile(r"user mapping not found|foreign-data wrapper .* has no handler"
                      r"|password is required|could not connect to server")  # fmt: skip
_UNPOPULATED = re.compile(r'materialized view "(.*)" has not been populated')


@dataclass(frozen=True)
class Failure:
    """`number` is that of the archive's entry, which pg_restore names with --verbose only; `entry` is its kind and
    name, or the command; `error` is what the server said."""

    number: int | None
    entry: str
    error: str
    detail: str = ""
    function: str | None = None
    advice: str | None = None

    @property
    def foreign(self) -> bool:
        """Whether a foreign server could not be read."""
        return bool(_FOREIGN.search(self.error))

    @property
    def awaited(self) -> str | None:
        """The materialized view, without its schema, that has to be computed before this object."""
        found = _UNPOPULATED.search(self.error)
        return found[1] if found else None

    def __str__(self) -> str:
        parts = [f"{self.entry or 'pg_restore'}: {self.error}"]
        parts += [self.detail] if self.detail else []
        parts += [f"in function {self.function}"] if self.function else []
        parts += [self.advice] if self.advice else []
        return "; ".join(parts)


def explain(complaint: str) -> Failure | None:
    """The first failure in pg_restore's own words; None where there is no error of a server in them."""
    error = _ERROR.search(complaint)
    if error is None:
        return None
    before = list(_ENTRY.finditer(complaint, 0, error.start()))
    entry = before[-1] if before else None
    command = _COMMAND.search(complaint, error.end())
    after = complaint[error.end() : command.start() if command else len(complaint)]
    table = _COPY.search(complaint[: error.start()])
    function, detail = _FUNCTION.search(after), _DETAIL.search(after)
    name = function[1] if function else None
    return Failure(
        number=int(entry[1]) if entry else None,
        entry=entry[2].strip() if entry else f"rows of {table[1]}" if table else _shortened(command),
        error=error[1].strip(),
        detail=detail[1].strip() if detail else "",
        function=name,
        advice=_advice(error[1], name),
    )


def _shortened(command: re.Match[str] | None) -> str:
    text = command[1].strip() if command else ""
    return f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text


def _advice(error: str, function: str | None) -> str | None:
    for pattern, advice in _ADVICE:
        if re.search(pattern, error):
            return advice.format(function=f"function {function}" if function else "what it uses")
    return None
