# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damage that a listing or a restore came upon, noted in the states of sets by whoever may write there."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager, suppress
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, Series
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository, RepositoryError

# Seconds that a restore waits for a backup that is at work in the repository.
_WAIT = 10.0
_PURPOSE = "a note of damage"


def note(repository: Repository, found: Series, held: Held, by: str) -> list[str]:
    """Write down what the listing showed; the caller holds the lock. What there is to say, a sentence a set."""
    warnings = []
    for backup_set in found.sets:
        if backup_set.unnoted and backup_set.lost is not None:
            backup_set.state = backup_set.with_loss(time.time(), by)
            words = f"{backup_set.manifest.id} in {repository.name} is damaged: {backup_set.lost}"
            held()
            try:
                sets.save_state(repository, backup_set)
                backup_set.unnoted = False
            except RepositoryError as exc:
                # The next listing shows it again.
                words += f" (its state cannot say so: {exc})"
            warnings.append(words)
    return warnings


def note_of_restore(repository: Repository, series: str, found: Series) -> None:
    """What a restore saw before it chose a set, where it may write. It goes on, or fails, without that as well."""
    if any(backup_set.unnoted for backup_set in found.sets):
        _note(repository, series, None, None)


@contextmanager
def noting(repository: Repository, chosen: BackupSet, check_mode: bool) -> Iterator[None]:
    """A restore that fails looks whether its set was to blame, and writes that down where it may."""
    try:
        yield
    except Day2Error as exc:
        if not check_mode:
            _note(repository, chosen.manifest.series, chosen.manifest.id, _other_bytes(exc))
        raise


def _other_bytes(exc: BaseException | None) -> str | None:
    while exc is not None and not isinstance(exc, Damaged):
        exc = exc.__cause__
    return str(exc) if exc is not None else None


def _note(repository: Repository, series: str, name: str | None, why: str | None) -> None:
    if not repository.may_write():
        return
    by = f"a restore on {socket.gethostname()}"

    def unknown(found: Series) -> list[BackupSet]:
        """The one that gave back other bytes, where nothing is known against it."""
        return [
            backup_set
            for backup_set in found.sets
            if why and backup_set.manifest.id == name and backup_set.state.damaged is None
        ]

    with suppress(Day2Error):
        # A restore that failed for another reason leaves no trace, not even that of a lock.
        found = sets.load(repository, series)
        if not unknown(found) and not any(backup_set.unnoted for backup_set in found.sets):
            return
        with repository.lock(series, _WAIT, _PURPOSE) as held:
            found = sets.load(repository, series)
            note(repository, found, held, by)
            for backup_set in unknown(found):
                backup_set.state = backup_set.state.found_damaged(str(why), time.time(), by)
                held()
                sets.save_state(repository, backup_set)
