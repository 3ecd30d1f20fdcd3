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
import statistics
import subprocess
import tarfile
import zlib
from dataclasses import dataclass
from typing import IO, Any, Callable, Sequence, cast

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined

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
    return sorted(found, key=lambda each: (each.written, each.path), reverse=True)


def size_percent(files: Sequence[BackupFile], runs: int = _MODEL_RUNS) -> float | None:
    """The newest one's size in percent of the median of those before it; None without a predecessor."""
    before = [each.size for each in files[1 : runs + 1]]
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
    if head[257:262] == b"ustar":
        stream.seek(0)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            for _member in archive:
                continue
        _drain(stream)
        return None
    if not head:
        return "holds nothing"
    tail = _drain(stream) or head
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
    try:
        process = subprocess.Popen(
            ["pg_restore", "-f", "/dev/null"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
    except FileNotFoundError:
        raise Undetermined("pg_restore is not installed here: it is what reads a PostgreSQL dump") from None
    feed = cast(IO[bytes], process.stdin)
    try:
        feed.write(head)
        for block in iter(lambda: stream.read(_CHUNK), b""):
            feed.write(block)
        feed.close()
    except BrokenPipeError:
        # It has seen enough; what it says about that comes below.
        pass
    complaint = cast(IO[bytes], process.stderr).read().decode("utf-8", "replace").strip()
    if process.wait() == 0:
        return None
    return f"pg_restore cannot read it: {complaint.splitlines()[0] if complaint else process.returncode}"


def _by_zstd(path: str) -> str | None:
    try:
        process = subprocess.Popen(
            ["zstd", "-dcq", "--", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except FileNotFoundError:
        raise Undetermined(f"zstd is not installed here to read {path}") from None
    with cast(IO[bytes], process.stdout) as stream:
        wrong = _read_through(_Unseekable(stream))
    complaint = cast(IO[bytes], process.stderr).read().decode("utf-8", "replace").strip()
    if process.wait() != 0:
        return f"zstd cannot read it: {complaint.splitlines()[-1] if complaint else process.returncode}"
    return wrong


class _Unseekable:
    """A pipe that can be read again from its beginning as long as nobody went past the first bytes."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._head, self._ahead = stream, b"", b""

    def read(self, size: int = -1) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        data = self._stream.read(size)
        if not self._head:
            self._head = data
        return data

    def seek(self, place: int) -> None:
        self._ahead = self._head


_OPENERS: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".tgz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
