# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of a set into an empty database: tables first, rows by several streams, then indexes and constraints.

The archive of everything but large tables' rows is unpacked into a file without a name, because its indexes can be
built by several processes only from a file; the kernel removes it with this process, however that ends.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Callable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import (
    Damaged,
    drain,
    fetch,
    opening,
    stored_pieces,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_bytes
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, no_limits
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program, run_pipeline

# Of all processes that build indexes together; each has at least so much.
_INDEX_MEMORY_MB, _LEAST_MEMORY_MB = 1024, 64
# Bytes that a plan may read: a few seconds from a disk.
_READ_TO_PLAN = 1 << 30


@dataclass(frozen=True)
class Archives:
    """A database of a set, where it lies, and how it is opened (`identity` is the path of age's key file)."""

    repository: Repository
    manifest: Manifest
    database: str
    identity: str | None = None

    @property
    def folder(self) -> str:
        return f"{self.manifest.series}/{self.manifest.id}"

    @property
    def main(self) -> StoredFile:
        found = [each for each in self._files if each.role == "main"]
        if len(found) != 1:
            raise Day2Error(f"{self.manifest.id} has no archive of database {self.database!r}")
        return found[0]

    @property
    def data(self) -> list[StoredFile]:
        """Rows of large tables, the largest first."""
        return sorted((each for each in self._files if each.role == "data"), key=lambda each: -each.bytes)

    @property
    def _files(self) -> list[StoredFile]:
        return [each for each in self.manifest.files if each.database == self.database]


@dataclass(frozen=True)
class Loading:
    """How: programs by their paths, the number of processes, the directory for what is unpacked.

    `leave_out` are kinds of entries, as pg_restore lists them, that are not restored; `options` are more of its own.
    """

    pg_restore: str
    vacuumdb: str
    jobs: int
    scratch: str
    # The server's, as in 150018.
    version: int
    timeout: float | None = None
    leave_out: Sequence[str] = ()
    options: Sequence[str] = ()


def look_at(archives: Archives) -> str:
    """What a restore would read, compared with the manifest, in words; what is not as it should be is raised.

    Up to a gigabyte is read. Of more the sizes are compared: the restore itself reads all of it before the swap.
    """
    globals_files = [each for each in archives.manifest.files if each.role == "globals"]
    files = [*globals_files, archives.main, *archives.data]
    size = sum(each.bytes for each in files)
    if size <= _READ_TO_PLAN:
        for each in files:
            drain(stored_pieces(archives.repository, archives.folder, each))
        what = "digests"
    else:
        stored = dict(archives.repository.keys(f"{archives.folder}/"))
        for each in files:
            have = stored.get(f"{archives.folder}/{each.path}")
            if have != each.bytes:
                raise Damaged(f"{each.path} has {have or 0} of the {each.bytes} bytes that were written")
        what = "sizes (its digests are compared when it is read)"
    if archives.manifest.encrypted:
        # The smallest shows whether the key is the right one.
        fetch(archives.repository, archives.folder, min(files, key=lambda each: each.bytes), _ignore, archives.identity)
    told = f"{len(files)} files ({format_bytes(size)}) have the {what} that were written"
    return f"{archives.manifest.id} is there: {told}"


def load(login: Login, name: str, archives: Archives, how: Loading) -> None:
    """Fill the database. Whatever fails (a damaged archive too) ends all processes and is raised."""
    with _unpacked(archives, how) as main, _listed(main, archives, how) as entries:
        base = [how.pg_restore, "--exit-on-error", "--no-password", *how.options, *entries]

        def restore(section: str, jobs: int) -> None:
            program = _fast(login, [*base, f"--section={section}", f"--jobs={jobs}"], name, how, [main])
            run_pipeline([program], _ignore, timeout=how.timeout)

        restore("pre-data", 1)
        _rows(login, name, archives, how, lambda: restore("data", 1 if archives.data else how.jobs))
        restore("post-data", how.jobs)


def analyse(login: Login, name: str, how: Loading) -> None:
    """Statistics: without them the first queries after a restore are slow ones."""
    argv = [how.vacuumdb, "--analyze-only", "--quiet", "--no-password", f"--jobs={how.jobs}"]
    program = login.program(argv, name)
    program = Program(program.argv, env={**program.env, "PGOPTIONS": no_limits(how.version)})
    run_pipeline([program], _ignore, timeout=how.timeout)


def _fast(login: Login, argv: list[str], name: str, how: Loading, last: list[str] | None = None) -> Program:
    """With settings of the session that only matter while a database that nobody uses is filled."""
    memory = max(_LEAST_MEMORY_MB, _INDEX_MEMORY_MB // how.jobs)
    options = f"-c synchronous_commit=off -c maintenance_work_mem={memory}MB {no_limits(how.version)}"
    program = login.program(argv, name)
    return Program([*program.argv, *(last or [])], env={**program.env, "PGOPTIONS": options})


def _rows(login: Login, name: str, archives: Archives, how: Loading, others: Callable[[], None]) -> None:
    """Rows of the large tables, each from a stream of its own, and those of all others."""
    stop = threading.Event()

    def stream(each: StoredFile) -> None:
        reader = _fast(login, [how.pg_restore, "--exit-on-error", "--no-password", "--data-only"], name, how)
        pieces = stored_pieces(archives.repository, archives.folder, each)
        run_pipeline([*opening(each, archives.identity), reader], _ignore, pieces, how.timeout, stop=stop)

    with ThreadPoolExecutor(how.jobs) as pool:
        futures = [pool.submit(stream, each) for each in archives.data] + [pool.submit(others)]
        try:
            done, _rest = wait(futures, return_when=FIRST_EXCEPTION)
            for future in [*done, *futures]:
                future.result()
        except BaseException:
            stop.set()
            for future in futures:
                future.cancel()
            raise


@contextmanager
def _unpacked(archives: Archives, how: Loading) -> Iterator[str]:
    """The main archive as a file that has no name; its path is good for programs of this process's own."""
    with _nameless(how.scratch) as plain:

        def write(piece: bytes) -> None:
            left = memoryview(piece)
            try:
                # On a disk that is nearly full a write takes a part only, and is no error.
                while left:
                    left = left[plain.write(left) or 0 :]
            except OSError as exc:
                raise Day2Error(f"{how.scratch}: {exc.strerror}, while {archives.main.path} was unpacked") from exc

        fetch(archives.repository, archives.folder, archives.main, write, archives.identity)
        plain.flush()
        yield f"/proc/{os.getpid()}/fd/{plain.fileno()}"


@contextmanager
def _nameless(folder: str) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            plain = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
        except OSError as exc:
            raise Day2Error(f"nothing can be unpacked in the scratch directory {folder}: {exc.strerror}") from exc
        yield plain


@contextmanager
def _listed(main: str, archives: Archives, how: Loading) -> Iterator[list[str]]:
    """Options that leave out the kinds of entries which are not wanted."""
    if not how.leave_out:
        yield []
        return
    text = bytearray()
    run_pipeline([Program([how.pg_restore, "--list", main])], text.extend)
    # Names are in the encoding of the database that was dumped.
    lines = text.decode(errors="surrogateescape").split("\n")
    kept = "\n".join(line for line in lines if not _is_kind(line, how.leave_out))
    with _nameless(how.scratch) as listing:
        try:
            listing.write(kept.encode(errors="surrogateescape"))
        except OSError as exc:
            raise Day2Error(f"{how.scratch}: {exc.strerror}, while the list of entries was written") from exc
        yield [f"--use-list=/proc/{os.getpid()}/fd/{listing.fileno()}"]


def _is_kind(line: str, kinds: Sequence[str]) -> bool:
    """A line is `dumpid; tableoid oid KIND schema name owner`, or a comment."""
    if line.startswith(";") or ";" not in line:
        return False
    words = line.partition(";")[2].split(maxsplit=2)
    about = re.match(r"(?:COMMENT|SECURITY LABEL) \S+ (.*)", words[2]) if len(words) == 3 else None
    if about is not None:
        # What is said of something that is left out.
        words[2] = about[1]
    return len(words) == 3 and any(words[2].startswith(f"{kind} ") for kind in kinds)


def _ignore(_piece: bytes) -> None:
    """pg_restore says nothing on its output while it restores, and what is only tried goes nowhere."""
