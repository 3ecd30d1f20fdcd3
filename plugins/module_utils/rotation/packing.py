# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A piece of a log into its packed file: compressed, encrypted where its policy says so, compared, and only then gone.

A kill at any instant leaves the piece as it was written, or its packed file, or both; the next run goes on from there.
"""

from __future__ import annotations

import hashlib
import os
import queue
import stat
import threading
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import BinaryIO, Callable, Iterator, NoReturn, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.coding import Coding
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.rotation.chain import Seen
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.written import (
    PackingError,
    is_written,
    opened,
    refuse_written,
)

# What is being made; nobody takes it for a piece.
_BESIDE = ".{}.day2-packing"
_CHUNK = 1 << 20
_TEST = Program(["zstd", "-q", "-t"])


class Changed(PackingError):
    """The piece was written to while it was packed."""


@dataclass(frozen=True)
class Packed:
    """What a piece became. `lines` are its line ends."""

    path: str
    form: str
    seen: Seen
    lines: int
    plain_size: int


def pack(piece: Piece, policy: Policy, threads: int = 1) -> Packed:
    """Make the packed file beside the piece, under another name; `publish` puts it in its place.

    The piece is not touched. Raises PackingError: a writer has it open, it changed, there is no room, a program failed.
    """
    coding = Coding(policy.level, threads, policy.encrypt_to)
    with pinned(piece.path) as (folder, name):
        beside = os.path.join(folder, _BESIDE.format(name))
        try:
            seen, lines, size = _packed(os.path.join(folder, name), beside, coding, piece.path)
        except (OSError, PipelineError, PackingError) as exc:
            with suppress(OSError):
                os.unlink(beside)
            if isinstance(exc, PackingError):
                raise
            what = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
            raise PackingError(f"{piece.path} stays as it is: {what}") from exc
    return Packed(piece.path + coding.suffix, coding.suffix, seen, lines, size)


def _packed(path: str, beside: str, coding: Coding, shown: str) -> tuple[Seen, int, int]:
    with opened(path) as plain:
        refuse_written(plain, shown)
        before = os.fstat(plain.fileno())
        written, lines = _compress(plain, shown, beside, coding)
        with opened(beside) as packed:
            seen, given_back = _read_back(packed)
            if given_back != written.sum:
                _refuse(shown)
            refuse_written(plain, shown)
            after = os.fstat(plain.fileno())
            if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                raise Changed(f"{shown} was written to while it was packed")
            _be_like(packed, before, written, shown)
    # Before a record speaks of it: what is on record, and not there, was taken away.
    sync_directory(os.path.dirname(beside))
    return seen, lines, before.st_size


def _be_like(packed: BinaryIO, before: os.stat_result, written: _Made, shown: str) -> None:
    # By what is open: the log's owner may have put a link in its place, whose target would be given to them.
    status = os.fstat(packed.fileno())
    if (status.st_dev, status.st_ino) != written.identity:
        raise PackingError(f"{shown} stays as it is: somebody replaced the packed file that was being made of it")
    os.fchown(packed.fileno(), before.st_uid, before.st_gid)
    os.fchmod(packed.fileno(), before.st_mode & 0o777)
    os.utime(packed.fileno(), ns=(before.st_atime_ns, before.st_mtime_ns))


def _refuse(shown: str) -> NoReturn:
    raise PackingError(f"{shown} stays as it is: the disk does not give back what was written")


def publish(piece: Piece, packed: Packed) -> None:
    """The packed file in its place, on the disk. Raises OSError."""
    with pinned(piece.path) as (folder, name):
        os.rename(os.path.join(folder, _BESIDE.format(name)), os.path.join(folder, os.path.basename(packed.path)))
        sync_directory(folder)


def made(piece: Piece) -> Seen | None:
    """What a killed run had made beside a piece, and not published."""
    with pinned(piece.path) as (folder, name), suppress(FileNotFoundError):
        return digest_of(os.path.join(folder, _BESIDE.format(name)))
    return None


def discard(piece: Piece) -> None:
    """What was made beside a piece, and is not to be published. Raises OSError."""
    with pinned(piece.path) as (folder, name), suppress(FileNotFoundError):
        os.unlink(os.path.join(folder, _BESIDE.format(name)))


def remove(path: str) -> None:
    """A file of a log, as the disk has it when this returns. Raises OSError."""
    with pinned(path) as (folder, name):
        os.unlink(os.path.join(folder, name))
        sync_directory(folder)


def sweep(directory: str, goes: Callable[[str], bool]) -> None:
    """Remove what killed runs were making of the pieces whose names go; nobody may be packing there now."""
    opening, ending = _BESIDE.split("{}")
    with pinned(os.path.join(directory, "x")) as (folder, _name):
        for entry in os.listdir(folder):
            if entry.startswith(opening) and entry.endswith(ending) and goes(entry[1 : -len(ending)]):
                with suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, entry))


@contextmanager
def pinned(path: str) -> Iterator[tuple[str, str]]:
    """The directory of a file as it is now, and the file's name in it.

    Logs lie in directories of their writers, who could put a link in the place of one while root works there: what is
    opened once, and is where it was looked for, stays what it is.
    """
    folder, name = os.path.split(path)
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        here = f"/proc/self/fd/{descriptor}"
        if os.readlink(here) != os.path.normpath(folder):
            raise PackingError(f"{path} is reached through a symbolic link")
        yield here, name
    finally:
        os.close(descriptor)


def digest_of(path: str) -> Seen:
    """Of the file as the disk has it: what the kernel still keeps of it is dropped first, where it lets go."""
    with opened(path) as stream:
        return _read_back(stream)[0]


def _read_back(stream: BinaryIO) -> tuple[Seen, int]:
    """The digest for the chain, and the sum (CRC-32) that tells a disk's mistake, for a quarter of the time."""
    digest, size, total = hashlib.sha256(), 0, 0
    os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    while piece := stream.read(_CHUNK):
        digest.update(piece)
        total = zlib.crc32(piece, total)
        size += len(piece)
    return Seen(size, digest.hexdigest()), total


def is_there(path: str, wanted: Seen) -> bool:
    """Whether a file is there with these bytes."""
    with suppress(FileNotFoundError, NotADirectoryError), pinned(path) as (folder, name):
        place = os.path.join(folder, name)
        return stat.S_ISREG(os.lstat(place).st_mode) and digest_of(place) == wanted
    return False


def waiting(found: Sequence[Piece]) -> list[Piece]:
    """Those that are to be packed: not the file that a writer which renames by itself still writes to."""
    return [piece for piece in found if not piece.form and not (piece.path == piece.log and is_written(piece.path))]


def sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _compress(plain: BinaryIO, path: str, beside: str, coding: Coding) -> tuple[_Made, int]:
    """Compress it, encrypt it where there are recipients, and have zstd read what was made.

    Returns what was written, and the lines of the piece. zstd fails where it reads another number of bytes
    than it was announced, and its frame has a digest (XXH64) of what it read, with which it compares what comes out.
    """
    size, counted = os.fstat(plain.fileno()).st_size, bytearray()
    run_pipeline([Program(["wc", "-l"])], counted.extend, plain)
    plain.seek(0)
    compress, *encrypt = coding.programs()
    compress = Program([*compress.argv, "--check", f"--stream-size={size}"])
    with _Made(beside) as made:
        if encrypt:
            # Compressed text that is not encrypted yet is never on the disk.
            with _Branch(_TEST, _drop) as test, _Branch(encrypt[0], made.write) as encrypted:

                def both(piece: bytes) -> None:
                    test.put(piece)
                    encrypted.put(piece)

                run_pipeline([compress], both, plain)
        else:
            run_pipeline([compress], made.write, plain)
    if not encrypt:
        with opened(beside) as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            run_pipeline([_TEST], _drop, stream)
    if plain.seek(0, os.SEEK_CUR) != size or plain.read(1):
        raise Changed(f"{path} was written to while it was packed")
    return made, int(counted)


def _drop(_piece: bytes) -> None:
    """What a program says that is run for its exit status."""


class _Made:
    """A file that is being made, and is on the disk at the end. Raises OSError."""

    def __init__(self, path: str) -> None:
        self.path, self.sum = path, 0

    def __enter__(self) -> _Made:
        with suppress(FileNotFoundError):
            # Whatever it is: nothing is written through it.
            os.unlink(self.path)
        options = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self.path, options, 0o600)
        status = os.fstat(self._descriptor)
        self.identity = status.st_dev, status.st_ino
        return self

    def write(self, piece: bytes) -> None:
        self.sum = zlib.crc32(piece, self.sum)
        view = memoryview(piece)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def __exit__(self, kind: object, *_rest: object) -> None:
        try:
            if kind is None:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)


class _Branch:
    """A program that reads beside another one what a third one writes."""

    def __init__(self, program: Program, sink: Callable[[bytes], None]) -> None:
        self._pieces: queue.Queue[bytes] = queue.Queue(4)
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(program, sink), daemon=True)

    def _run(self, program: Program, sink: Callable[[bytes], None]) -> None:
        ended = False

        def pieces() -> Iterator[bytes]:
            nonlocal ended
            while piece := self._pieces.get():
                yield piece
            ended = True

        try:
            run_pipeline([program], sink, pieces())
        except (Day2Error, OSError) as exc:
            self._fault = exc
        while not ended and self._pieces.get():
            # Whoever writes does not wait for one that failed.
            continue

    def __enter__(self) -> _Branch:
        self._thread.start()
        return self

    def put(self, piece: bytes) -> None:
        self._pieces.put(piece)

    def __exit__(self, kind: object, *_rest: object) -> None:
        self._pieces.put(b"")
        self._thread.join()
        if kind is None and self._fault is not None:
            raise self._fault
