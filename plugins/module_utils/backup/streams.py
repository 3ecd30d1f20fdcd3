# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Into a repository and out of it: compressed by zstd, encrypted by age, with digests of what is stored."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
import threading
from dataclasses import dataclass
from typing import Iterable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import packing
from ansible_collections.day2.ops.plugins.module_utils.backup.compression import USUAL, Compression
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program, Sink, Source, run_pipeline


class Damaged(Day2Error):
    """What a repository gives back is not what was written into it."""


@dataclass(frozen=True)
class Coding:
    """How files are stored: compression and its threads, and the recipients of age (none: not encrypted)."""

    compression: Compression = USUAL
    threads: int = 1
    recipients: Sequence[str] = ()

    def programs(self) -> list[Program]:
        compress = [packer()] if self.compression.packed else []
        compress.append(compressor(self.compression.parameters, self.threads))
        if not self.recipients:
            return compress
        # Recipients are public keys: they may stand in argv.
        options = [word for each in self.recipients for word in ("-r", each)]
        return [*compress, Program(["age", "-e", *options])]

    @property
    def suffix(self) -> str:
        return ".zst.age" if self.recipients else ".zst"


def compressor(parameters: Sequence[str], threads: int = 1) -> Program:
    return Program(["zstd", "-q", "-c", f"-T{threads}", *parameters])


def packer() -> Program:
    """A process of its own: in this one streams would wait for each other. By source, for modules come in archives."""
    return Program([sys.executable, "-I", "-S", "-c", inspect.getsource(packing)], name="the packing of rows")


@dataclass(frozen=True)
class Target:
    """Where a file goes and what it is."""

    path: str
    role: str
    database: str | None = None
    table: str | None = None


def store(
    repository: Repository,
    folder: str,
    target: Target,
    coding: Coding,
    programs: Sequence[Program],
    source: Source = None,
    timeout: float | None = None,
    stop: threading.Event | None = None,
) -> StoredFile:
    """What the programs write (or what `source` says), in one file of a set."""
    path = target.path + coding.suffix
    digest, size = hashlib.sha256(), 0
    with repository.writer(f"{folder}/{path}") as writer:

        def sink(piece: bytes) -> None:
            nonlocal size
            digest.update(piece)
            size += len(piece)
            writer.write(piece)

        run_pipeline([*programs, *coding.programs()], sink, source, timeout, stop=stop)
        writer.commit()
    return StoredFile(
        path=path,
        role=target.role,
        bytes=size,
        sha256=digest.hexdigest(),
        compression=coding.compression.told,
        encrypted=bool(coding.recipients),
        database=target.database,
        table=target.table,
    )


def stored_pieces(repository: Repository, folder: str, each: StoredFile) -> Iterator[bytes]:
    """What the repository gives back; Damaged at its end when that is not what was written."""
    digest, size = hashlib.sha256(), 0
    for piece in repository.read(f"{folder}/{each.path}"):
        digest.update(piece)
        size += len(piece)
        if size > each.bytes:
            raise Damaged(f"{each.path} is longer than the {each.bytes} bytes that were written")
        yield piece
    if size != each.bytes:
        raise Damaged(f"{each.path} has {size} of the {each.bytes} bytes that were written")
    if digest.hexdigest() != each.sha256:
        raise Damaged(f"{each.path} has other bytes than were written")


def opening(each: StoredFile, identity: str | None) -> list[Program]:
    """The programs that turn a stored file into what went in. `identity` is the path of age's key file."""
    decompress = Program(["zstd", "-q", "-d", "-c"])
    if not each.encrypted:
        return [decompress]
    if identity is None:
        raise Day2Error(f"{each.path} is encrypted and no identity is given")
    if not os.access(identity, os.R_OK):
        raise Day2Error(f"the identity {identity} cannot be read by this user")
    return [Program(["age", "-d", "-i", identity]), decompress]


def fetch(
    repository: Repository,
    folder: str,
    each: StoredFile,
    sink: Sink,
    identity: str | None = None,
    readers: Sequence[Program] = (),
) -> None:
    """Read a stored file whole, through `readers` where there are some; whatever comes out goes to `sink`."""
    run_pipeline([*opening(each, identity), *readers], sink, stored_pieces(repository, folder, each))


def drain(pieces: Iterable[bytes]) -> None:
    for _piece in pieces:
        pass
