# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a repository gives back what was written, and whether that decrypts, decompresses and parses to its end.

`pg_restore --list` reads the head of an archive only; here every byte is read.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, fetch, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineKilled,
    Program,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Missing, Repository, Unreadable

DIGEST, READ = "digest", "read"
_GLOBALS_END = b"PostgreSQL database cluster dump complete"
_TAIL = 4096
# What age says of a file that is not what it wrote.
_OF_THE_FILE = ("failed to decrypt and authenticate payload", "failed to read header", "bad header MAC")


class WrongIdentity(Day2Error):
    """A key that does not open a file which is what was written: no fault of the set's."""


@dataclass
class Verdict:
    """How far a set was verified, or what is wrong with it (a sentence a file)."""

    level: str
    faults: list[str] = field(default_factory=list)


def verify(
    repository: Repository, manifest: Manifest, jobs: int, pg_restore: str | None, identity: str | None = None
) -> Verdict:
    """Read all files of a set. An encrypted set without an identity is verified by its digests only.

    What is no verdict is raised: a repository that does not answer (RepositoryError), a program that was killed, a
    key that is another one's (WrongIdentity).
    """
    level = READ if not manifest.encrypted or identity is not None else DIGEST
    faults = _whole(manifest)
    folder = f"{manifest.series}/{manifest.id}"

    def look(stored: StoredFile) -> str | None:
        try:
            if level == READ:
                _read(repository, folder, stored, pg_restore, identity)
            else:
                drain(stored_pieces(repository, folder, stored))
        except (Damaged, Missing, Unreadable) as exc:
            return str(exc)
        except PipelineKilled:
            raise
        except PipelineError as exc:
            if stored.encrypted and about_the_key(str(exc)) and is_as_written(repository, folder, stored):
                raise WrongIdentity(
                    f"the identity {identity} does not open {stored.path}, which is what was written: it is another"
                    f" key's, or no key ({exc})"
                ) from exc
            return f"{stored.path}: {exc}"
        return None

    largest_first = sorted(manifest.files, key=lambda stored: stored.bytes, reverse=True)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        faults += [fault for fault in pool.map(look, largest_first) if fault is not None]
    return Verdict(level, faults)


def about_the_key(complaint: str) -> bool:
    """Whether a pipeline ended because of age, and not for what age says of the file itself. Pure."""
    return complaint.startswith("age ") and not any(words in complaint for words in _OF_THE_FILE)


def is_as_written(repository: Repository, folder: str, stored: StoredFile) -> bool:
    """Whether the repository gives back the bytes of a file."""
    try:
        drain(stored_pieces(repository, folder, stored))
    except (Damaged, Missing, Unreadable):
        return False
    return True


def _whole(manifest: Manifest) -> list[str]:
    """What the manifest itself should have."""
    if manifest.kind != "postgresql":
        return [] if manifest.files else ["the set has no file"]
    faults = (
        []
        if any(stored.role == "globals" for stored in manifest.files)
        else ["the set has no roles and grants (globals)"]
    )
    dumped = {stored.database for stored in manifest.files if stored.role == "main"}
    named = [str(entry.get("name")) for entry in manifest.about.get("databases", []) if isinstance(entry, dict)]
    return faults + [f"the set has no archive of database {name!r}" for name in named if name not in dumped]


def _read(
    repository: Repository, folder: str, stored: StoredFile, pg_restore: str | None, identity: str | None
) -> None:
    tail = bytearray()

    def keep_tail(piece: bytes) -> None:
        tail.extend(piece[-_TAIL:])
        del tail[:-_TAIL]

    if stored.role in ("main", "data") and pg_restore is not None:
        fetch(repository, folder, stored, lambda _piece: None, identity, [Program([pg_restore, "-f", "/dev/null"])])
        return
    readers = [Program(["tar", "--list", "--file=-"])] if stored.role == "archive" else []
    fetch(repository, folder, stored, keep_tail, identity, readers)
    if stored.role == "globals" and _GLOBALS_END not in tail:
        raise Damaged(f"{stored.path} does not end as roles and grants do: they are not whole")
