# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Into a repository and out of it: compressed by zstd, encrypted by age, with digests of what is stored."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import dataclass
from typing import Iterable, Iterator, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process import progress
from ansible_collections.day2.ops.plugins.module_utils.process.coding import DECOMPRESS, Coding
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    Program,
    Remarks,
    Sink,
    Source,
    run_pipeline,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository


class Damaged(Day2Error):
    """What a repository gives back is not what was written into it."""


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
    remarks: Remarks | None = None,
) -> StoredFile:
    """What the programs write (or what `source` says), in one file of a set; `remarks` as of run_pipeline."""
    path = target.path + coding.suffix
    digest, size = hashlib.sha256(), 0
    with repository.writer(f"{folder}/{path}") as writer:

        def sink(piece: bytes) -> None:
            nonlocal size
            digest.update(piece)
            size += len(piece)
            writer.write(piece)
            progress.add(len(piece))

        run_pipeline([*programs, *coding.programs()], sink, source, timeout, stop=stop, remarks=remarks)
        writer.commit()
    return StoredFile(
        path=path,
        role=target.role,
        bytes=size,
        sha256=digest.hexdigest(),
        compression=coding.description,
        encrypted=bool(coding.recipients),
        database=target.database,
        table=target.table,
    )


def stored_pieces(repository: Repository, folder: str, stored: StoredFile) -> Iterator[bytes]:
    """What the repository gives back; Damaged at its end when that is not what was written."""
    digest, size = hashlib.sha256(), 0
    for piece in repository.read(f"{folder}/{stored.path}"):
        digest.update(piece)
        size += len(piece)
        if size > stored.bytes:
            raise Damaged(f"{stored.path} is longer than the {stored.bytes} bytes that were written")
        progress.add(len(piece))
        yield piece
    if size != stored.bytes:
        raise Damaged(f"{stored.path} has {size} of the {stored.bytes} bytes that were written")
    if digest.hexdigest() != stored.sha256:
        raise Damaged(f"{stored.path} has other bytes than were written")


def opening(stored: StoredFile, identity: str | None) -> list[Program]:
    """The programs that turn a stored file into what went in. `identity` is the path of age's key file."""
    if not stored.encrypted:
        return [DECOMPRESS]
    if identity is None:
        raise Day2Error(f"{stored.path} is encrypted and no identity is given")
    if not os.access(identity, os.R_OK):
        raise Day2Error(f"the identity {identity} cannot be read by this user")
    return [Program(["age", "-d", "-i", identity]), DECOMPRESS]


def fetch(
    repository: Repository,
    folder: str,
    stored: StoredFile,
    sink: Sink,
    identity: str | None = None,
    readers: Sequence[Program] = (),
) -> None:
    """Read a stored file whole, through `readers` where there are some; whatever comes out goes to `sink`."""
    run_pipeline([*opening(stored, identity), *readers], sink, stored_pieces(repository, folder, stored))


def drain(pieces: Iterable[bytes]) -> None:
    for _piece in pieces:
        pass
