# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damage that a listing or a restore came upon, noted in the states of sets by whoever may write there."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Held, Repository, RepositoryError
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet, Series
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

# Seconds that a restore waits for a backup that is at work in the repository.
_WAIT = 10.0
_PURPOSE = "a note of damage"


def note(repository: Repository, found: Series, held: Held, by: str) -> list[str]:
    """Write down what the listing showed; the caller holds the lock. What there is to say, a sentence a set."""
    told = []
    for each in found.sets:
        if each.unnoted and each.lost is not None:
            each.state = each.with_loss(time.time(), by)
            words = f"{each.manifest.id} in {repository.name} is damaged: {each.lost}"
            held()
            try:
                sets.save_state(repository, each)
                each.unnoted = False
            except RepositoryError as exc:
                # The next listing shows it again.
                words += f" (its state cannot say so: {exc})"
            told.append(words)
    return told


def note_of_restore(repository: Repository, series: str, found: Series) -> None:
    """What a restore saw before it chose a set, where it may write. It goes on, or fails, without that as well."""
    if any(each.unnoted for each in found.sets):
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
    if not _may_write(repository):
        return
    by = f"a restore on {socket.gethostname()}"

    def unknown(found: Series) -> list[BackupSet]:
        """The one that gave back other bytes, where nothing is known against it."""
        return [each for each in found.sets if why and each.manifest.id == name and each.state.damaged is None]

    with suppress(Day2Error):
        # A restore that failed for another reason leaves no trace, not even that of a lock.
        found = sets.load(repository, series)
        if not unknown(found) and not any(each.unnoted for each in found.sets):
            return
        with repository.lock(series, _WAIT, _PURPOSE) as held:
            found = sets.load(repository, series)
            note(repository, found, held, by)
            for each in unknown(found):
                each.state = each.state.found_damaged(str(why), time.time(), by)
                held()
                sets.save_state(repository, each)


def _may_write(repository: Repository) -> bool:
    """Not root in a directory of somebody else, who could not read a state of root's afterwards."""
    try:
        return not repository.name.startswith("/") or os.stat(repository.name).st_uid == os.geteuid()
    except OSError:
        return False
