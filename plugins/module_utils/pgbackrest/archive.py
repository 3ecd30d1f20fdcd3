# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading a stanza: its backups, the listing of its archive, and the WAL itself where a range ends.

Segments come out of the repository by `repo-get` (decrypted, still compressed) and are read by pg_waldump, so neither a
running server nor a data directory is needed.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import IO, Iterator

from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client, PgBackRestError
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.info import Database, InfoError, Stanza, parse_info
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.reach import Range, Reach, survey
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import Listing, Path, parse_history, parse_listing
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Server, tool
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import parse_lsn

_DECOMPRESSORS = {
    ".zst": ("zstd", "-dcq"),
    ".gz": ("gzip", "-dc"),
    ".lz4": ("lz4", "-dc"),
    ".bz2": ("bzip2", "-dc"),
}
# An idle server archives segments without a commit (archive_timeout): the last commit is searched in so many.
_LOOK_BACK = 64
# Used as long as the archive has no segment to measure.
_DEFAULT_SIZE = 16 << 20
_RECORD = re.compile(r"^rmgr: (\S+) .*?tx: +(\d+), lsn: ([0-9A-F]+/[0-9A-F]+), .*?desc: (.*)$")
_ENDED = re.compile(r"^(?:COMMIT|ABORT)(?:_PREPARED)? .*?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC")


@dataclass
class Contents:
    """What a segment holds: its size, its last record, its first and last commit (or abort), how many commits, and
    each position of the search target."""

    size: int = 0
    last_lsn: int | None = None
    first_end: float | None = None
    last_end: float | None = None
    commits: int = 0
    found: list[int] = field(default_factory=list)

    @property
    def found_lsn(self) -> int | None:
        """The LSN of the last occurrence."""
        return self.found[-1] if self.found else None


@dataclass
class Archive:
    """A stanza and the listing of its archive."""

    client: Client
    stanza: Stanza
    database: Database
    listing: Listing
    size: int
    pg_waldump: str

    def reach(self, timeline: int | None = None) -> Reach:
        """Ranges and gaps, with the last commit and the last record of each range read from the WAL itself."""
        found = survey(self.stanza.usable, self.listing, self._histories, self.size, timeline)
        return replace(found, ranges=[self._ended(span, found) for span in found.ranges])

    @cached_property
    def _histories(self) -> dict[int, list[tuple[int, int]]]:
        return {
            timeline: parse_history(self.client.read_file(path)) for timeline, path in self.listing.histories.items()
        }

    def timelines(self) -> list[Path]:
        """The paths of all timelines that have a history."""
        return [Path(leaf, tuple(forks)) for leaf, forks in sorted(self._histories.items())]

    def _ended(self, span: Range, reach: Reach) -> Range:
        """A range with its last record and its last commit or abort; without one it ends at its beginning."""
        first, lsn = span.from_lsn // self.size, None
        for number in range(span.last.number, max(span.last.number - _LOOK_BACK, first - 1), -1):
            contents = self.read(reach.path.segment_at(number, self.size).name(self.size))
            lsn = lsn if lsn is not None else contents.last_lsn
            if contents.last_end is not None:
                return replace(span, to_time=max(contents.last_end, span.from_time), to_lsn=lsn)
        if span.last.number - first < _LOOK_BACK:
            return replace(span, to_time=span.from_time, to_lsn=lsn)
        return replace(span, to_time=self.listing.stored[span.last.name(self.size)], to_lsn=lsn, approximate=True)

    def read(self, name: str, target: Target | None = None, since: int = 0) -> Contents:
        """Read one segment whole; `since` is the LSN of the first record that counts."""
        return read_segment(self.client, self.listing.paths[name], self.pg_waldump, target, since)

    def find(self, reach: Reach, target: Target) -> int | None:
        """The LSN of a restore point or of a transaction's commit: segments of all ranges, newest first."""
        for span in reversed(reach.ranges):
            first = int(span.from_lsn // self.size)
            for number in range(span.last.number, first - 1, -1):
                name = reach.path.segment_at(number, self.size).name(self.size)
                contents = self.read(name, target)
                if contents.found_lsn is not None:
                    return contents.found_lsn
        return None


def open_archive(client: Client, bin_dir: str | None = None) -> Archive:
    """Read the stanza and its archive. InfoError, PgBackRestError or ServerError if that fails."""
    stanza = parse_info(client.ask("info", f"--repo={client.repo}"), client.stanza, client.repo)
    database = stanza.current
    if database is None:
        raise InfoError(f"stanza '{client.stanza}' has no database yet: run pgbackrest stanza-create")
    listing = list_archive(client, database)
    waldump, _version = tool("pg_waldump", _server(database), bin_dir)
    size = _DEFAULT_SIZE
    if listing.paths:
        size = read_segment(client, listing.paths[max(listing.paths)], waldump).size
    return Archive(client, stanza, database, listing, size, waldump)


def list_archive(client: Client, database: Database) -> Listing:
    """List the archive."""
    folder = f"archive/{client.stanza}/{database.archive}"
    return parse_listing(client.ask("repo-ls", f"--repo={client.repo}", "--recurse", arguments=[folder]), folder)


def _server(database: Database) -> Server:
    """A server that need not run on this host; its programs are searched for by version."""
    version = database.major * 10000
    return Server(version, database.version, database.system_identifier, False, "0/0", 1, False, "")


def read_segment(client: Client, path: str, pg_waldump: str, target: Target | None = None, since: int = 0) -> Contents:
    """A segment of the repository."""
    with tempfile.TemporaryDirectory(prefix="day2-wal-") as folder:
        name = os.path.basename(path)[:24]
        beside = os.path.join(folder, name)
        with open(beside, "wb") as stream:
            suffix = os.path.splitext(path)[1]
            opener = [Program(_DECOMPRESSORS[suffix])] if suffix in _DECOMPRESSORS else []
            run_pipeline([client.file(path), *opener], lambda piece: _write(stream, piece), timeout=client.timeout)
        contents = read_file(beside, pg_waldump, client.timeout, target, since)
    if contents.size == 0 or contents.size & (contents.size - 1):
        raise PgBackRestError(f"the archived segment {path} has {contents.size} bytes: it is damaged")
    return contents


def read_file(
    path: str, pg_waldump: str, timeout: float | None = None, target: Target | None = None, since: int = 0
) -> Contents:
    """A segment on disk, under its own name; `since` is the LSN of the first record that counts."""
    contents = Contents(size=os.path.getsize(path))
    # A segment that was switched before it was full has no more records: pg_waldump ends with 1 there.
    program = Program([pg_waldump, path], env={"TZ": "UTC"}, accepted=(0, 1))
    lines = _Lines()
    run_pipeline([program], lines.take, timeout=timeout)
    for line in lines.all():
        _note(line, contents, target, since)
    return contents


def _write(stream: IO[bytes], piece: bytes) -> None:
    stream.write(piece)


class _Lines:
    """Collects the relevant lines of a program's output, with little memory."""

    def __init__(self) -> None:
        self._rest = b""
        self._kept: list[str] = []
        self._last = ""

    def take(self, piece: bytes) -> None:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        for raw in whole:
            if raw.startswith(b"rmgr:"):
                self._last = raw.decode("utf-8", "replace")
                if b"COMMIT" in raw or b"ABORT" in raw or b"RESTORE_POINT" in raw:
                    self._kept.append(self._last)

    def all(self) -> Iterator[str]:
        yield from self._kept
        if self._last and self._last not in self._kept[-1:]:
            yield self._last


def _note(line: str, contents: Contents, target: Target | None, since: int) -> None:
    match = _RECORD.match(line)
    if not match:
        return
    manager, xid, lsn, words = match[1], int(match[2]), parse_lsn(match[3]), match[4]
    if lsn < since:
        return
    contents.last_lsn = lsn
    ended = _ENDED.match(words) if manager == "Transaction" else None
    if ended:
        contents.last_end = _moment(ended[1])
        contents.first_end = contents.last_end if contents.first_end is None else contents.first_end
        contents.commits += words.startswith("COMMIT")
        if target and target.aim is Aim.XID and xid == target.xid:
            contents.found.append(lsn)
    if target and target.aim is Aim.NAME and manager == "XLOG" and words == f"RESTORE_POINT {target.name}":
        contents.found.append(lsn)


def _moment(text: str) -> float:
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    return datetime.strptime(text, form).replace(tzinfo=timezone.utc).timestamp()
