# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an old primary has that the new one has not: its WAL beyond the place where their timelines part."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.following import History
from ansible_collections.day2.ops.plugins.module_utils.failover.local import Member
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes

# rmgr: Transaction ... lsn: 0/3000110, ... desc: COMMIT 2026-02-01 04:00:00.123456 UTC; ... (also COMMIT_PREPARED)
_COMMIT = re.compile(rb"^rmgr: Transaction .*?desc: COMMIT(?:_PREPARED)? .*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^;\n]*)")
_BLOCK = re.compile(rb"blkref #\d+: rel (\d+)/(\d+)/(\d+)")
# Names that a report lists, and relations that are counted at all: a report is for people.
_NAMED, _COUNTED = 20, 10000
_READING = 600.0


@dataclass(frozen=True, order=True)
class Relation:
    """A relation by the numbers of its file: tablespace, database, file node."""

    tablespace: int
    database: int
    node: int


@dataclass(frozen=True)
class Divergence:
    """`fork` and `end` are LSNs: where the timelines part, and where the old primary's WAL ends.

    `end` None: it could not be read. `commits` None: its WAL beyond the fork could not be read. `tables` are names
    where the new primary knows them, and numbers of their files where it does not.
    """

    timeline: int
    fork: int
    end: int | None
    commits: int | None = None
    last_commit: str | None = None
    relations: tuple[Relation, ...] = ()
    tables: tuple[str, ...] = ()
    kept: str | None = None

    @property
    def bytes(self) -> int | None:
        return None if self.end is None else max(0, self.end - self.fork)

    def as_dict(self) -> dict[str, Any]:
        return {
            "timeline": self.timeline, "fork_lsn": format_lsn(self.fork),
            "end_lsn": format_lsn(self.end) if self.end is not None else None, "bytes": self.bytes,
            "transactions": self.commits, "last_commit": self.last_commit, "tables": list(self.tables),
            "kept": self.kept,
        }  # fmt: skip

    def describe(self) -> str:
        """A sentence for people."""
        place = format_lsn(self.fork)
        if self.bytes == 0:
            return f"it has nothing of timeline {self.timeline} beyond {place}, where the new primary left it"
        if self.bytes is None:
            return (
                f"nobody knows what it has of timeline {self.timeline} beyond {place}: the end of its WAL is unreadable"
            )
        what = f"{format_bytes(self.bytes)} of WAL of timeline {self.timeline} beyond {place}"
        if self.commits is None:
            return f"it has {what}, which cannot be read"
        if not self.commits:
            return f"it has {what}, in which no transaction was committed"
        last = f", the last one at {self.last_commit}" if self.last_commit else ""
        more = len(self.tables) - _NAMED
        names = ", ".join(self.tables[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        touched = f"; it touched {names}" if names else ""
        return f"it has {what}: {counted(self.commits, 'committed transaction')}{last}{touched}"


def parting(own: History, own_end: int | None, primary: History) -> tuple[int, int] | None:
    """The last timeline that both servers have been on, and the LSN where the first of them left it. Pure.

    None where they have never been on the same one. Two servers that were promoted apart both have the next number:
    timelines are the same only where all before them are. `own_end` None: not known, so that the primary's counts.
    """
    mine: list[tuple[int, int | None]] = [*own.forks, (own.timeline, own_end)]
    theirs: list[tuple[int, int | None]] = [*primary.forks, (primary.timeline, None)]
    found = None
    for (timeline, left), (other, other_left) in zip(mine, theirs):
        if timeline != other:
            break
        known = [lsn for lsn in (left, other_left) if lsn is not None]
        found = (timeline, min(known)) if known else (timeline, 0)
        if left != other_left:
            break
    return found


@dataclass
class Beyond:
    """Commits and relations in the output of pg_waldump, which comes in pieces. Pure."""

    commits: int = 0
    last_commit: str | None = None
    relations: set[Relation] = field(default_factory=set)
    _rest: bytes = b""

    def take(self, piece: bytes) -> None:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for line in whole:
            self._read(line)

    def _read(self, line: bytes) -> None:
        match = _COMMIT.match(line)
        if match is not None:
            self.commits, self.last_commit = self.commits + 1, match[1].decode("ascii", "replace").strip()
        if len(self.relations) < _COUNTED:
            self.relations.update(Relation(*map(int, numbers)) for numbers in _BLOCK.findall(line))


def read_beyond(member: Member, timeline: int, fork: int, end: int) -> Beyond | None:
    """What a member's own WAL has from `fork` to `end`; None where it cannot be read from there on."""
    cluster, found, remarks = member.cluster, Beyond(), list[str]()
    argv = [os.path.join(cluster.bin_dir, "pg_waldump"), "-p", os.path.join(cluster.data, "pg_wal")]
    argv += ["-t", str(timeline), "-s", format_lsn(fork), "-e", format_lsn(end)]
    try:
        program = Program([*cluster.prefix, *argv], {"LC_ALL": "C", "TZ": "UTC"}, "pg_waldump", accepted=(0, 1))
        run_pipeline([program], found.take, timeout=_READING, remarks=remarks.extend)
    except PipelineError:
        return None
    missing = any("could not find" in line or "could not open" in line for line in remarks)
    return None if missing else found


def segments_from(folder: str, timeline: int, fork: int, size: int) -> list[str]:
    """Paths of a timeline's segments from the one with `fork` on. `size` is bytes of a segment."""
    first = fork // size
    found = []
    for name in sorted(os.listdir(folder)):
        if re.fullmatch(r"[0-9A-F]{24}", name) and int(name[:8], 16) == timeline:
            number = int(name[8:16], 16) * (0x100000000 // size) + int(name[16:], 16)
            found += [os.path.join(folder, name)] if number >= first else []
    return found


# The tables of a database by tablespace and file node. An index and a TOAST table stand for the table they belong to.
NAMES = """
SELECT coalesce(nullif(c.reltablespace, 0), d.dattablespace), pg_relation_filenode(c.oid),
       coalesce(owner.oid, i.indrelid, toasted.oid, c.oid)::regclass
  FROM pg_class c
  JOIN pg_database d ON d.datname = current_database()
  JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname <> 'pg_catalog'
  LEFT JOIN pg_index i ON i.indexrelid = c.oid
  LEFT JOIN pg_class toasted ON toasted.reltoastrelid = c.oid
  LEFT JOIN pg_class owner ON owner.reltoastrelid = i.indrelid
 WHERE c.relkind IN ('r', 'i', 't', 'm', 'S')"""
DATABASES = "SELECT oid, datname FROM pg_database"


def named(relations: Iterable[Relation], listing: str) -> list[str]:
    """The names of relations, by what NAMES has printed. Pure."""
    known = {}
    for line in listing.split("\n"):
        tablespace, _bar, rest = line.partition("|")
        node, found, name = rest.partition("|")
        if found and node:
            known[int(tablespace), int(node)] = name
    return sorted({known[x.tablespace, x.node] for x in relations if (x.tablespace, x.node) in known})


def by_database(relations: Sequence[Relation]) -> dict[int, list[Relation]]:
    """Those of databases: what all share (database 0) are catalogues."""
    found: dict[int, list[Relation]] = {}
    for relation in relations:
        if relation.database:
            found.setdefault(relation.database, []).append(relation)
    return found
