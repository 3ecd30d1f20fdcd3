# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packed pieces and the heads of chains in a repository, away from the host.

Below `<host>/<log>/`: `pieces` with the paths of the host, and `heads`, one small file for each head of the chain that
was ever brought there, which nothing of ours writes twice or removes. `<host>/host.json` says which host of that name
it is: two of them never mix.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, field
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import ObjectLocked, Repository
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from ansible_collections.day2.ops.plugins.module_utils.rotation import pieces
from ansible_collections.day2.ops.plugins.module_utils.rotation.chain import Head
from ansible_collections.day2.ops.plugins.module_utils.rotation.packing import pinned
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Piece
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import Policy

_CHUNK = 1 << 20
_SHOWN = 5


class CopyError(Day2Error):
    """Pieces that are not brought, each with why; all others were, and nothing there was overwritten."""


@dataclass
class Copied:
    """Paths that were brought there, and keys that were removed there."""

    brought: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)


def attempt(policy: Policy, identity: str, planning: bool) -> None:
    """Find out whether this host can write to the log's repository, and is the one that has its name there.

    Raises Day2Error or OSError. A plan changes nothing.
    """
    repository = open_repository(policy.copy_to)
    repository.prepare(make=not planning)
    is_known = _is_own(repository, policy, identity)
    if not planning:
        _claim(repository, policy, identity, replace=is_known)


def _claim(repository: Repository, policy: Policy, identity: str, replace: bool = False) -> None:
    said = {"schema": 1, "id": identity, "hostname": socket.gethostname()}
    repository.put(_owner(policy), json.dumps(said, sort_keys=True).encode(), replace)


def _is_own(repository: Repository, policy: Policy, identity: str) -> bool:
    """Whether the host's name is known there, as this host. CopyError where it is another one."""
    content = repository.get(_owner(policy))
    if content is None:
        return False
    try:
        said = json.loads(content)
        is_own = said["id"] == identity
    except (ValueError, KeyError, TypeError):
        was = f"{_owner(policy)} in {repository.name} was altered there"
        raise CopyError(f"{was}: it says which host of this name its copies are of") from None
    if is_own:
        return True
    raise CopyError(
        f"{_host(policy)} in {repository.name} is another host of this name (its own is {said.get('hostname')!r}), and"
        " their copies are never mixed: give this one another name there ('host', log_management_host). Where this host"
        f" takes the place of that one, remove {_owner(policy)} there"
    )


def _owner(policy: Policy) -> str:
    return f"{_host(policy)}/host.json"


def bring(policy: Policy, kept: Sequence[Piece], head: Head | None, now: float, identity: str) -> Copied:
    """Bring what is not there yet, and remove what is older than the log's age and not held. Raises Day2Error, OSError.

    `head` is that of the chain, None for a log that is not sealed. It is brought after the pieces that it stands for.
    """
    repository, copied = open_repository(policy.copy_to), Copied()
    repository.prepare()
    if not _is_own(repository, policy, identity):
        _claim(repository, policy, identity)
    below = f"{_folder(policy)}/pieces"
    there = dict(repository.keys(f"{below}/"))
    faults = []
    for piece in kept:
        size = there.get(below + piece.path) if piece.is_packed else piece.size
        if not _is_text(piece.path):
            faults.append(f"{piece.path} cannot be copied, because its name is no UTF-8: rename it")
        elif size is None:
            _bring(repository, below + piece.path, piece.path)
            copied.brought.append(piece.path)
        elif size != piece.size:
            # A copy is whole from the beginning: it is this host's file that was altered since.
            copy = f"its copy in {repository.name}, which has {size} and stays as it is: find out who altered it"
            faults.append(f"{piece.path} ({piece.size} bytes) differs from {copy}")
    if head is not None and head.number:
        _bring_head(repository, policy, head)
    for key in there:
        path = key[len(below) :]
        moment = pieces.moment_of(path)
        if moment is not None and now - moment > policy.max_age and policy.hold_on(path, now) is None:
            try:
                repository.remove(key)
            except ObjectLocked:
                # It may go later: whoever locked it there has said until when it stays.
                continue
            copied.removed.append(key)
    if faults:
        raise CopyError("; ".join(faults[:_SHOWN]) + (f"; and {len(faults) - _SHOWN} more" if faults[_SHOWN:] else ""))
    return copied


def _is_text(path: str) -> bool:
    # Whoever writes a log may name its files; an object store takes text alone.
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


def heads(policy: Policy, identity: str) -> tuple[list[Head], list[str]]:
    """Every head of the chain that was brought to the repository, and what was done to heads there (sentences).

    Raises Day2Error or OSError where the repository cannot be read.
    """
    repository, found, faults = open_repository(policy.copy_to), [], []
    _is_own(repository, policy, identity)
    for key, _size in repository.keys(f"{_folder(policy)}/heads/"):
        content = repository.get(key)
        try:
            # Nothing of ours removes one: without content it went after it was listed.
            found.append(Head(**json.loads(content or b"")))
        except (ValueError, TypeError):
            faults.append(f"{key} in {repository.name} is no head of a chain: it was altered there")
    return found, faults


def _host(policy: Policy) -> str:
    return policy.host or socket.gethostname()


def _folder(policy: Policy) -> str:
    return f"{_host(policy)}/{policy.name}"


def _bring(repository: Repository, key: str, path: str) -> None:
    with pinned(path) as (folder, name), repository.writer(key) as writer:
        descriptor = os.open(os.path.join(folder, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            while piece := stream.read(_CHUNK):
                writer.write(piece)
        writer.commit()


def _bring_head(repository: Repository, policy: Policy, head: Head) -> None:
    # Its digest is in the name: another head of the same number stands beside it, and does not take its place.
    key = f"{_folder(policy)}/heads/{head.number:09d}-{head.digest[:16]}.json"
    if repository.get(key) is None:
        repository.put(key, json.dumps(asdict(head), sort_keys=True).encode())
