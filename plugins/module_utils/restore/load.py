# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archives of a set into an empty database: tables first, rows by several streams, then indexes and constraints.

The archive of everything but large tables' rows is unpacked into a file without a name, because its indexes can be
built by several processes only from a file; the kernel removes it with this process, however that ends.
"""

from __future__ import annotations

import os
import tempfile
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, Callable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import (
    Damaged,
    drain,
    fetch,
    opening,
    stored_pieces,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login
from ansible_collections.day2.ops.plugins.module_utils.postgres.session import session_options
from ansible_collections.day2.ops.plugins.module_utils.process import progress
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository
from ansible_collections.day2.ops.plugins.module_utils.restore import toc
from ansible_collections.day2.ops.plugins.module_utils.restore.explain import Failure, explain
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_bytes

# Total maintenance memory of all processes that build indexes, and the minimum of one process.
_INDEX_MEMORY_MB, _LEAST_MEMORY_MB = 1024, 64
# Maximum number of bytes that check mode reads: a few seconds from a disk.
_READ_TO_PLAN = 1 << 30


class LoadError(Day2Error):
    """pg_restore failed; `failure` is the explanation of its output."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"pg_restore failed: {failure}")
        self.failure = failure


@dataclass(frozen=True)
class Archives:
    """The archives of a database of a set, its repository, and its key (`identity` is the path of age's key file)."""

    repository: Repository
    manifest: Manifest
    database: str
    identity: str | None = None

    @property
    def folder(self) -> str:
        return f"{self.manifest.series}/{self.manifest.id}"

    @property
    def main(self) -> StoredFile:
        found = [file for file in self._files if file.role == "main"]
        if len(found) != 1:
            raise Day2Error(f"{self.manifest.id} has no archive of database {self.database!r}")
        return found[0]

    @property
    def data(self) -> list[StoredFile]:
        """Rows of large tables, the largest first."""
        return sorted((file for file in self._files if file.role == "data"), key=lambda file: -file.bytes)

    @property
    def _files(self) -> list[StoredFile]:
        return [file for file in self.manifest.files if file.database == self.database]


@dataclass(frozen=True)
class Loading:
    """Options of a load: paths of programs, number of processes, directory for the unpacked archive.

    `isolated` is a drill's: no credentials of foreign servers and no tablespaces, and a materialized view that reads
    a foreign server may stay empty. Everything else is the same for a drill and a restore.
    """

    pg_restore: str
    vacuumdb: str
    jobs: int
    scratch: str
    # The server's, as in 150018, and whether the login itself is a superuser's.
    version: int
    superuser_login: bool
    timeout: float | None = None
    isolated: bool = False

    @property
    def session(self) -> str:
        return session_options(self.version, self.superuser_login)


def look_at(archives: Archives) -> str:
    """Compare the files that a restore would read with the manifest; returns a summary, raises on differences.

    Up to a gigabyte is read. Of more the sizes are compared: the restore itself reads all of it before the swap.
    """
    globals_files = [file for file in archives.manifest.files if file.role == "globals"]
    files = [*globals_files, archives.main, *archives.data]
    size = sum(file.bytes for file in files)
    if size <= _READ_TO_PLAN:
        for file in files:
            drain(stored_pieces(archives.repository, archives.folder, file))
        what = "digests"
    else:
        stored = dict(archives.repository.keys(f"{archives.folder}/"))
        for file in files:
            have = stored.get(f"{archives.folder}/{file.path}")
            if have != file.bytes:
                raise Damaged(f"{file.path} has {have or 0} of the {file.bytes} bytes that were written")
        what = "sizes (its digests are compared when it is read)"
    compared = f"{len(files)} files ({format_bytes(size)}) have the {what} that were written"
    return f"{archives.manifest.id} is there: {compared}"


def check_key(archives: Archives) -> None:
    """Raise if an encrypted set cannot be decrypted with the given key."""
    if archives.manifest.encrypted:
        files = [stored for stored in archives.manifest.files if stored.role == "globals"]
        smallest = min([*files, archives.main, *archives.data], key=lambda stored: stored.bytes)
        fetch(archives.repository, archives.folder, smallest, _ignore, archives.identity)


def load(login: Login, name: str, archives: Archives, how: Loading) -> list[str]:
    """Load the archives into the database. A failure (also a damaged archive) ends all processes and is raised.

    Returns what a drill has left out, a sentence each; a restore leaves nothing out.
    """
    size = sum(stored.bytes for stored in [archives.main, *archives.data])
    progress.phase(f"restoring {archives.database} of {archives.manifest.id}", size)
    with _unpacked(archives, how) as main:
        order = toc.order(_entries(main, how), (toc.USER_MAPPING,) if how.isolated else ())
        options = ["--no-tablespaces"] if how.isolated else []
        base = [how.pg_restore, "--exit-on-error", "--no-password", *options]

        def restore(entries: Sequence[toc.Entry], section: str, jobs: int, *more: str) -> None:
            with _listed(entries, how) as listed:
                argv = [*base, *more, *listed, f"--section={section}", f"--jobs={jobs}"]
                _restore(_fast(login, argv, name, how, [main]), how.timeout)

        restore(order.main, "pre-data", 1)
        _rows(login, name, archives, how, lambda: restore(order.main, "data", 1 if archives.data else how.jobs))
        progress.phase(f"building indexes and constraints of {archives.database}")
        restore(order.main, "post-data", how.jobs)

        def refresh(entries: Sequence[toc.Entry]) -> None:
            # With it a failure names its entry.
            restore(entries, "post-data", how.jobs, "--verbose")

        unproven = refresh_views(order.refreshes, refresh, how.isolated)
        if order.triggers:
            # Event triggers are not meant for restores, so they must not fire.
            restore(order.triggers, "post-data", 1)
    mappings = [entry for entry in order.left_out if not entry.about]
    return [*_unproven_mappings(len(mappings)), *unproven]


def _unproven_mappings(number: int) -> list[str]:
    return [f"{counted(number, 'user mapping')} of foreign servers (credentials are left out)"] if number else []


def refresh_views(
    entries: Sequence[toc.Entry], restore: Callable[[Sequence[toc.Entry]], None], isolated: bool
) -> list[str]:
    """Compute materialized views anew, each after those that it reads.

    Of what functions read a server has no dependencies (pg_depend), so pg_dump's order may be wrong there: a view that
    finds another empty comes once more when the others are done. In a drill (`isolated`) those that read a foreign
    server stay empty, with those that wait for them, and are returned, a sentence each.
    """
    left, unproven = list(entries), list[toc.Entry]()
    while left:
        waiting = _refresh_ready(left, restore, unproven if isolated else None)
        if len(waiting) == len(left):
            for_foreign = [entry for entry, why in waiting if any(other.is_called(why.awaited) for other in unproven)]
            if not for_foreign:
                raise LoadError(waiting[0][1])
            unproven += for_foreign
        left = [entry for entry, _why in waiting if entry not in unproven]
    return [f"materialized view {entry.object_name}, which reads a foreign server" for entry in unproven]


def _refresh_ready(
    entries: Sequence[toc.Entry], restore: Callable[[Sequence[toc.Entry]], None], unproven: list[toc.Entry] | None
) -> list[tuple[toc.Entry, Failure]]:
    """All but those that find another view empty, which are returned; where it may, `unproven` gets foreign ones."""
    left, waiting = list(entries), list[tuple[toc.Entry, Failure]]()
    while left:
        try:
            restore(left)
            break
        except LoadError as exc:
            failed = next((entry for entry in left if entry.number == exc.failure.number), None)
            if failed is not None and exc.failure.awaited is not None:
                waiting.append((failed, exc.failure))
            elif failed is not None and exc.failure.foreign and unproven is not None:
                unproven.append(failed)
            else:
                raise
            left.remove(failed)
    return waiting


def _restore(program: Program, timeout: float | None) -> None:
    try:
        run_pipeline([program], _ignore, timeout=timeout)
    except PipelineError as exc:
        _raise_explained(exc)
        raise


def _raise_explained(exc: PipelineError) -> None:
    """Raise what pg_restore says of its failure, where that is known, and return otherwise."""
    failure = explain(exc.stderr) if exc.program == "pg_restore" else None
    if failure is not None:
        raise LoadError(failure) from exc


def analyse(login: Login, name: str, how: Loading) -> None:
    """Collect statistics: without them the first queries after a restore are slow."""
    progress.phase(f"analysing {name}")
    argv = [how.vacuumdb, "--analyze-only", "--quiet", "--no-password", f"--jobs={how.jobs}"]
    program = login.program(argv, name)
    program = Program(program.argv, env={**program.env, "PGOPTIONS": how.session})
    run_pipeline([program], _ignore, timeout=how.timeout)


def _fast(login: Login, argv: list[str], name: str, how: Loading, last: list[str] | None = None) -> Program:
    """Session settings that speed up the load of a database that is not in use yet."""
    memory = max(_LEAST_MEMORY_MB, _INDEX_MEMORY_MB // how.jobs)
    options = f"-c synchronous_commit=off -c maintenance_work_mem={memory}MB {how.session}"
    program = login.program(argv, name)
    return Program([*program.argv, *(last or [])], env={**program.env, "PGOPTIONS": options})


def _rows(login: Login, name: str, archives: Archives, how: Loading, others: Callable[[], None]) -> None:
    """Rows of the large tables, each from a stream of its own, and those of all others."""
    stop = threading.Event()

    def stream(stored: StoredFile) -> None:
        reader = _fast(login, [how.pg_restore, "--exit-on-error", "--no-password", "--data-only"], name, how)
        pieces = stored_pieces(archives.repository, archives.folder, stored)
        try:
            run_pipeline([*opening(stored, archives.identity), reader], _ignore, pieces, how.timeout, stop=stop)
        except PipelineError as exc:
            _raise_explained(exc)
            raise

    with ThreadPoolExecutor(how.jobs) as pool:
        futures = [pool.submit(stream, stored) for stored in archives.data] + [pool.submit(others)]
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
    """The main archive as a file without a name; its path is valid for child processes of this process only."""
    with _nameless(how.scratch) as plain:

        def write(piece: bytes) -> None:
            _write(plain, piece, how.scratch, f"{archives.main.path} was unpacked")

        fetch(archives.repository, archives.folder, archives.main, write, archives.identity)
        plain.flush()
        yield f"/proc/{os.getpid()}/fd/{plain.fileno()}"


def _write(stream: IO[bytes], piece: bytes, folder: str, what: str) -> None:
    left = memoryview(piece)
    try:
        # On a nearly full disk a short write is no error.
        while left:
            left = left[stream.write(left) or 0 :]
    except OSError as exc:
        raise Day2Error(f"{folder}: {exc.strerror}, while {what}") from exc


@contextmanager
def _nameless(folder: str) -> Iterator[IO[bytes]]:
    with ExitStack() as stack:
        try:
            plain = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
        except OSError as exc:
            raise Day2Error(f"nothing can be unpacked in the scratch directory {folder}: {exc.strerror}") from exc
        yield plain


def _entries(main: str, how: Loading) -> list[toc.Entry]:
    text = bytearray()
    run_pipeline([Program([how.pg_restore, "--list", main])], text.extend)
    # Names are in the encoding of the database that was dumped.
    return toc.parse_listing(text.decode(errors="surrogateescape"))


@contextmanager
def _listed(entries: Sequence[toc.Entry], how: Loading) -> Iterator[list[str]]:
    """Options of pg_restore for these entries only."""
    with _nameless(how.scratch) as listing:
        text = "".join(f"{entry.number};\n" for entry in entries)
        _write(listing, text.encode(), how.scratch, "the list of entries was written")
        yield [f"--use-list=/proc/{os.getpid()}/fd/{listing.fileno()}"]


def _ignore(_piece: bytes) -> None:
    """Discard the output: pg_restore writes nothing to standard output while it restores."""
