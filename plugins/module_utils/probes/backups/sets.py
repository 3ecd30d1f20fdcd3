# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of a repository: what their states and manifests say, and whether they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, load
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.file_sets.dated_files import BackupFile
from ansible_collections.day2.ops.plugins.module_utils.probes.backup import OF_SETS, PROVEN, S3, Kind, proven
from ansible_collections.day2.ops.plugins.module_utils.repositories import opening
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    Missing,
    Repository,
    RepositoryError,
    Unreadable,
)


def read_place(args: dict[str, Any], given: Sequence[str]) -> None:
    """`repository` becomes a Place; `given` are the fields of S3 that stand beside it."""
    beside = {name if name == "s3_timeout" else f"s3_{name}": args[name] for name in given}
    try:
        args["repository"] = opening.locate(args["repository"], beside)
    except RepositoryError as exc:
        raise FieldError("repository", str(exc)) from None
    # Secrets that were in it are kept out of messages as those beside it are.
    args.update({name: value for name, value in args["repository"].options if name in S3 and value is not None})


def open_kind(args: Mapping[str, Any]) -> Kind:
    try:
        repository = args["repository"].open()
        found = load(repository, args["series"] or "postgresql").sets
    except RepositoryError as exc:
        if isinstance(exc.__cause__, PermissionError):
            raise NeedsRoot(f"{args['repository']} cannot be read") from None
        raise Undetermined(str(exc)) from None
    good = [backup_set.manifest for backup_set in found if backup_set.state.damaged is None]
    files = [BackupFile(manifest.id, manifest.time, manifest.size) for manifest in good]
    return Sets(files, repository, found)


@dataclass(frozen=True)
class Sets(Kind):
    """All sets of a repository, newest first; `files` are those that are not damaged."""

    repository: Repository
    found: list[BackupSet]

    def answer(self, args: Mapping[str, Any], metric: str, now: float) -> Observation | None:
        if not self.found or metric not in (*OF_SETS, PROVEN, "unreadable"):
            return None
        return _of_sets(self, args["last"], metric, now)

    def spoilt(self, files: Sequence[BackupFile]) -> list[str]:
        newest = files[0].written if files else 0.0
        damaged = [
            backup_set
            for backup_set in self.found
            if backup_set.state.damaged is not None and backup_set.manifest.time > newest
        ]
        return [f"{backup_set.manifest.id} is damaged: {backup_set.state.damaged}" for backup_set in damaged]


def _of_sets(source: Sets, last: int, metric: str, now: float) -> Observation:
    chosen = source.found[:last]
    if metric == PROVEN:
        moments = [backup_set.state.proven_at for backup_set in source.found if backup_set.state.proven_at is not None]
        return proven(max(moments, default=None), now)
    if metric == "unencrypted":
        faults = {
            backup_set.manifest.id: None if backup_set.manifest.encrypted else "is not encrypted"
            for backup_set in chosen
        }
        word = "encrypted"
    elif metric == "unverified":
        faults = {backup_set.manifest.id: _verdict(backup_set) for backup_set in chosen}
        word = "verified"
    else:
        faults = {backup_set.manifest.id: _read_set(source.repository, backup_set) for backup_set in chosen}
        word = "whole"
    bad = [f"{name} {wrong}" for name, wrong in faults.items() if wrong is not None]
    text = f"{len(chosen) - len(bad)} of the {len(chosen)} newest sets are {word}" + (f"; {bad[0]}" if bad else "")
    return Observation(len(bad), text, evidence=bad, unexpected="all should be" if bad else None)


def _verdict(backup_set: BackupSet) -> str | None:
    if backup_set.state.damaged is not None:
        return f"is damaged: {backup_set.state.damaged}"
    if backup_set.state.good:
        return None
    return (
        "has the digests that were written, and was neither read nor restored"
        if backup_set.state.whole
        else ("was not verified")
    )


def _read_set(repository: Repository, backup_set: BackupSet) -> str | None:
    """By digests: whoever checks has no key, and the set was parsed when it was made."""
    about = backup_set.manifest
    try:
        for stored in about.files:
            drain(stored_pieces(repository, f"{about.series}/{about.id}", stored))
    except (Damaged, Missing, Unreadable) as exc:
        return str(exc)
    except RepositoryError as exc:
        # It does not answer: nobody knows what is in it.
        raise Undetermined(str(exc)) from None
    return None
