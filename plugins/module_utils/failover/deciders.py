# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else decides on this host who is primary: by its process, and by what it leaves in a data directory.

One that runs for another data directory decides nothing here. One of which nobody knows for which counts.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from glob import glob
from typing import Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.process.opened import GONE

_INTERPRETER = re.compile(r"python[\d.]*|pypy[\d.]*|bash|dash|sh|perl")
# Options of an interpreter that have a word of their own.
_WITH_WORD = ("-W", "-X")
_DATA_DIR = re.compile(r"""["']?\bdata_dir["']?\s*:\s*["']?([^"',\s}#]+)""")
_DATA_DIRECTORY = re.compile(r"^\s*data_directory\s*=\s*'?([^'\s#]+)", re.MULTILINE)
_CONNINFO = re.compile(r"^\s*conninfo\s*=\s*'?([^'\n]*)", re.MULTILINE)
# As a keyword, or as the path of a URI.
_DBNAME = re.compile(r"\bdbname\s*=\s*([^\s']+)|://[^/]*/([^?\s']+)")
_REPMGR = ("/etc/repmgr.conf", "/etc/repmgr/repmgr.conf", "/etc/postgresql/repmgr.conf")
_CIB = "/var/lib/pacemaker/cib/cib.xml"
# What is left in a data directory by a manager that rests. repmgrd leaves nothing, and decides nothing while it rests.
_MARKS = (("patroni.dynamic.json", "patroni"), ("postgresql-auto-failover.conf", "pg_auto_failover"))


@dataclass(frozen=True)
class Program:
    """A process by its program's own name, without what interprets it."""

    name: str
    words: Sequence[str] = ()
    environment: Mapping[str, str] | None = None

    def option(self, *names: str) -> str | None:
        """The last value of an option, as `--name value` or `--name=value`."""
        found = None
        for number, word in enumerate(self.words):
            key, equals, value = word.partition("=")
            if key in names:
                found = value if equals else next(iter(self.words[number + 1 :]), None)
        return found

    def variable(self, name: str) -> str | None:
        return (self.environment or {}).get(name)


def managed_by(data: str | None, proc: str = "/proc") -> str | None:
    """The name of the manager of a data directory (of any, where that is None), or None."""
    for program in programs(proc):
        found = _decides(program)
        if found is not None:
            name, theirs = found
            if data is None or theirs is None or os.path.realpath(theirs) == os.path.realpath(data):
                return name
    if data is None:
        return None
    for file, name in _MARKS:
        if os.path.exists(os.path.join(data, file)):
            return name
    return "patroni" if "overwritten by Patroni" in _read(os.path.join(data, "postgresql.conf"))[:1000] else None


def repmgr_database(data: str, proc: str = "/proc") -> str:
    """Where the repmgrd of a data directory keeps what it knows of its nodes."""
    for program in programs(proc):
        found = _decides(program) if program.name == "repmgrd" else None
        if found is not None and (found[1] is None or os.path.realpath(found[1]) == os.path.realpath(data)):
            texts = map(_CONNINFO.search, _repmgr_texts(program))
            said = next((match[1] for match in texts if match), "")
            named = _DBNAME.search(said)
            return next(filter(None, named.groups())) if named else "repmgr"
    return "repmgr"


def _repmgr_texts(program: Program) -> list[str]:
    named = program.option("-f", "--config-file")
    return [_read(path) for path in ([named] if named else _REPMGR)]


def programs(proc: str) -> Iterator[Program]:
    for pid in os.listdir(proc):
        if not pid.isdecimal():
            continue
        with suppress(*GONE, PermissionError):
            with open(os.path.join(proc, pid, "cmdline"), "rb") as stream:
                words = stream.read().decode("utf-8", "replace").rstrip("\0").split("\0")
            found = program_of(words)
            if found is not None and (found.name in _KNOWN or _manager_of_pods(found)):
                yield Program(found.name, found.words, _environment(os.path.join(proc, pid, "environ")))


def program_of(words: Sequence[str]) -> Program | None:
    """From a process's words. A script's own name follows that of its interpreter, and the interpreter's options."""
    # A title that a process gives itself: `pg_autoctl: node active`.
    name = os.path.basename(words[0].partition(": ")[0]) if words else ""
    rest = list(words[1:])
    if _INTERPRETER.fullmatch(name):
        while rest and rest[0].startswith("-"):
            option = rest.pop(0)
            if option == "-m":
                break
            if "c" in option.strip("-") and not option.startswith("--"):
                return None
            if option in _WITH_WORD and rest:
                rest.pop(0)
        if not rest:
            return None
        name = os.path.basename(rest.pop(0))
    return Program(name, rest)


def _decides(program: Program) -> tuple[str, str | None] | None:
    """The manager that a process is, and its data directory, None where nobody knows that."""
    if program.name == "patroni":
        if any(word.startswith(("--validate", "--generate", "--version", "--help")) for word in program.words):
            return None
        return "patroni", program.variable("PATRONI_POSTGRESQL_DATA_DIR") or _patronis_data(program)
    if program.name == "repmgrd":
        texts = _repmgr_texts(program)
        return "repmgrd", next((match[1] for match in map(_DATA_DIRECTORY.search, texts) if match), None)
    if program.name == "pg_autoctl":
        return "pg_auto_failover", program.option("--pgdata") or program.variable("PGDATA")
    if program.name == "stolon-keeper":
        folder = program.option("--data-dir") or program.variable("STKEEPER_DATA_DIR")
        return "stolon", os.path.join(folder, "postgres") if folder else None
    if program.name in ("pacemakerd", "pacemaker-remoted", "pacemaker_remoted"):
        return ("pacemaker", None) if _pacemaker_has_servers() else None
    return ("cloudnative_pg", program.variable("PGDATA")) if _manager_of_pods(program) else None


_KNOWN = (
    "patroni", "repmgrd", "pg_autoctl", "stolon-keeper", "pacemakerd", "pacemaker-remoted", "pacemaker_remoted",
)  # fmt: skip


def _manager_of_pods(program: Program) -> bool:
    return program.name == "manager" and list(program.words[:2]) == ["instance", "run"]


def _patronis_data(program: Program) -> str | None:
    named = [word for word in program.words if not word.startswith("-")][:1]
    paths = [
        path
        for name in named
        for path in (sorted(glob(os.path.join(name, "*.y*ml"))) if os.path.isdir(name) else [name])
    ]
    texts = [*map(_read, paths), program.variable("PATRONI_CONFIGURATION") or ""]
    return next((match[1] for match in map(_DATA_DIR.search, texts) if match), None)


def _pacemaker_has_servers() -> bool:
    """Whether Pacemaker knows a server of PostgreSQL, also one that it leaves alone now; so does one that hides it."""
    text = _read(_CIB)
    return not text or "postgres" in text.lower() or "pgsql" in text.lower()


def _environment(path: str) -> Mapping[str, str]:
    with suppress(OSError), open(path, "rb") as stream:
        pairs = (entry.partition("=") for entry in stream.read().decode("utf-8", "replace").split("\0"))
        return {name: value for name, equals, value in pairs if equals}
    return {}


def _read(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()
    return ""
