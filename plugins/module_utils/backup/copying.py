# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets from one repository into another, where they are the same sets in a second location."""

from __future__ import annotations

import time
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, Series
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import DIGEST, is_as_written
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository


class SourceDamaged(Damaged):
    """The first location gives back other bytes than were written: there is nothing to copy."""


def missing(source: Series, target: Series) -> list[BackupSet]:
    """What the second location lacks of what is newer than what it has, oldest first: a copy that failed is made up
    for, and what its own retention let go stays away."""
    there = {backup_set.manifest.id for backup_set in target.sets}
    # A clock may have been set back, and a repository begun anew: newer by either is newer.
    newest = max((backup_set.manifest.time for backup_set in target.sets), default=0.0)
    last = target.next_sequence - 1
    return [
        backup_set
        for backup_set in reversed(source.sets)
        if backup_set.manifest.id not in there
        and (backup_set.manifest.time > newest or backup_set.manifest.sequence > last)
        and backup_set.state.damaged is None
    ]


def spoilt(source: Series, target: Series) -> list[tuple[BackupSet, BackupSet]]:
    """Sets that lack files in the second location and not in the first: each with its copy."""
    whole = {backup_set.manifest.id: backup_set for backup_set in source.sets if backup_set.state.damaged is None}
    return [
        (whole[copy.manifest.id], copy)
        for copy in target.sets
        if copy.lost is not None
        and (copy.unnoted or copy.state.lost)
        and copy.manifest.id in whole
        and copy.manifest.files == whole[copy.manifest.id].manifest.files
    ]


def copy_files(source: Repository, target: Repository, folder: str, files: Sequence[StoredFile]) -> None:
    """SourceDamaged leaves the place of that file as it was."""
    for stored in files:
        with target.writer(f"{folder}/{stored.path}") as writer:
            try:
                for piece in stored_pieces(source, folder, stored):
                    writer.write(piece)
            except Damaged as exc:
                raise SourceDamaged(f"in {source.name}, {exc}") from exc
            writer.commit()


def level_of(original: BackupSet) -> str:
    """It was read whole where it came from: in the copy its bytes are compared."""
    return original.state.verified if original.state.verified != "none" else DIGEST


def mend(source: Repository, target: Repository, original: BackupSet, copy: BackupSet, held: Held) -> None:
    """The files of a copy that are not what was written, again; every file of it is read back afterwards."""
    about = original.manifest
    folder = f"{about.series}/{about.id}"
    copy_files(source, target, folder, [stored for stored in about.files if not is_as_written(target, folder, stored)])
    for stored in about.files:
        drain(stored_pieces(target, folder, stored))
    held()
    now = time.time()
    whole = copy.state.found_whole(now, f"a copy from {source.name}", verified=level_of(original), verified_at=now)
    copy.state, copy.lost, copy.unnoted = whole, None, False
    sets.save_state(target, copy)
