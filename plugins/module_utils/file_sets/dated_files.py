# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup files of a pattern: which is the newest, whether its size is plausible, whether it reads.

What programs other than this collection leave behind: dated files in a directory. By time, not by name.
"""

from __future__ import annotations

import bz2
import glob
import gzip
import hashlib
import lzma
import os
import shutil
import statistics
import tarfile
import zlib
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineKilled,
    Program,
    Sink,
    Source,
    run_pipeline,
)

# Still being written, by rsync, curl, scp and everybody's scripts.
_UNFINISHED = (".tmp", ".part", ".partial", ".incomplete", ".swp")
_DIGESTS = {".sha256": "sha256", ".sha512": "sha512", ".sha1": "sha1", ".md5": "md5"}
_CHUNK = 1 << 20
_DUMP_MAGIC = b"PGDMP"
_PLAIN_HEAD, _PLAIN_END = b"-- PostgreSQL database", b"dump complete"
_TAIL = 512
_MODEL_RUNS = 7


@dataclass(frozen=True)
class BackupFile:
    """One file: POSIX time of its last write, size in bytes."""

    path: str
    written: float
    size: int


def find(pattern: str) -> list[BackupFile]:
    """The files of a shell pattern, newest first. Unfinished ones and digests are not backups."""
    found = []
    for path in glob.iglob(pattern, recursive=True):
        if path.endswith(_UNFINISHED) or path.endswith(tuple(_DIGESTS)) or os.path.basename(path).startswith("."):
            continue
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue
        if os.path.isfile(path):
            found.append(BackupFile(path, status.st_mtime, status.st_size))
    return sorted(found, key=lambda backup: (backup.written, backup.path), reverse=True)


def size_percent(files: Sequence[BackupFile], runs: int = _MODEL_RUNS) -> float | None:
    """The newest one's size in percent of the median of those before it; None without a predecessor."""
    before = [backup.size for backup in files[1 : runs + 1]]
    if not before:
        return None
    median = statistics.median(before)
    return 100.0 * files[0].size / median if median else None


def fault(path: str) -> str | None:
    """Read a whole backup. What is wrong with it, or None.

    Digests beside it (`x.sha256`) are compared, compression is undone to its last byte (a cut file or a flipped bit
    shows), and what comes out is read as the archive that it is: tar, or a PostgreSQL custom-format dump.
    """
    try:
        wrong = _digest_fault(path) or _content_fault(path)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError) as exc:
        return f"cannot be read whole: {str(exc) or type(exc).__name__}"
    return wrong


def _digest_fault(path: str) -> str | None:
    for suffix, name in _DIGESTS.items():
        try:
            with open(path + suffix, encoding="ascii", errors="replace") as stream:
                words = stream.read(4096).split()
        except FileNotFoundError:
            continue
        digest = hashlib.new(name)
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(_CHUNK), b""):
                digest.update(block)
        if not words or words[0].lower() != digest.hexdigest():
            return f"differs from its {name} digest in {path + suffix}"
    return None


def _content_fault(path: str) -> str | None:
    if os.path.getsize(path) == 0:
        return "is empty"
    opener = _OPENERS.get(os.path.splitext(path)[1])
    if opener is None and os.path.splitext(path)[1] == ".zst":
        return _by_zstd(path)
    with (opener or open)(path, "rb") as stream:
        return _read_through(stream)


def _read_through(stream: Any) -> str | None:
    head = stream.read(512)
    if head.startswith(_DUMP_MAGIC):
        return _by_pg_restore(head, stream)
    if _is_tar(head):
        stream.seek(0)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for _member in archive:
                continue
        _drain(stream)
        return None
    return _plain_fault(head, _drain(stream) or head)


def _is_tar(head: bytes | bytearray) -> bool:
    return head[257:262] == b"ustar"


def _plain_fault(head: bytes, tail: bytes) -> str | None:
    """Of what is no archive: its first and its last bytes."""
    if not head:
        return "holds nothing"
    if _PLAIN_HEAD in head and _PLAIN_END not in tail:
        return "is a PostgreSQL dump in SQL without its last line: it was cut"
    return None


def _drain(stream: Any) -> bytes:
    """Read to the end; the last bytes."""
    tail = b""
    for block in iter(lambda: stream.read(_CHUNK), b""):
        tail = (tail + block)[-_TAIL:]
    return tail


def _by_pg_restore(head: bytes, stream: Any) -> str | None:
    """Let pg_restore write it as SQL to nowhere: its list alone says nothing about the data."""

    def pieces() -> Iterator[bytes]:
        yield head
        yield from iter(lambda: stream.read(_CHUNK), b"")

    return _verdict([Program(["pg_restore", "-f", "/dev/null"])], _ignore, pieces())


def _by_zstd(path: str) -> str | None:
    """What comes out of zstd decides what reads it, so it begins twice."""
    decompress = Program(["zstd", "-dcq", "--", path])
    head = bytearray()

    def take_head(piece: bytes) -> None:
        head.extend(piece[: _TAIL - len(head)])
        if len(head) == _TAIL:
            raise _Enough

    try:
        wrong = _verdict([decompress], take_head)
    except _Enough:
        wrong = None
    if wrong is not None:
        return wrong
    if head.startswith(_DUMP_MAGIC):
        return _verdict([decompress, Program(["pg_restore", "-f", "/dev/null"])], _ignore)
    if _is_tar(head):
        return _verdict([decompress, Program(["tar", "--list", "--file=-"])], _ignore)
    tail = bytearray()

    def keep_tail(piece: bytes) -> None:
        tail.extend(piece[-_TAIL:])
        del tail[:-_TAIL]

    return _verdict([decompress], keep_tail) or _plain_fault(bytes(head), bytes(tail))


class _Enough(Exception):
    """The first bytes are there: the program need not go on."""


def _ignore(_piece: bytes) -> None:
    return


def _verdict(programs: Sequence[Program], sink: Sink, source: Source = None) -> str | None:
    """What the program that failed first says of what it read. One that is missing, or was killed, says nothing."""
    for program in programs:
        if shutil.which(program.argv[0]) is None:
            raise Undetermined(f"{program.called} is not installed on this host: it is what reads this backup")
    try:
        run_pipeline(programs, sink, source)
    except PipelineKilled as exc:
        raise Undetermined(str(exc)) from exc
    except PipelineError as exc:
        return f"cannot be read whole: {exc}"
    return None


_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
