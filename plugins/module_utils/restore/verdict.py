# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records the result of a drill in the state of the set, in each of its locations.

A proof concerns what was written, so it holds for a copy with the same bytes. Bytes that differ from what was written
concern one location only.
"""

from __future__ import annotations

import socket

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import State
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.drill.result import Blame, Drilled
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Missing, Repository, Unreadable

# Seconds to wait for a backup that holds the lock of the repository.
_WAIT = 600.0
_PURPOSE = "the verdict of a drill"
_OF_THE_SET = (Blame.CONTENTS, Blame.BYTES)


def remember(drilled: Drilled, backup_set: BackupSet, repository: Repository, copy: Repository | None) -> None:
    """Record the result in the set's state, where a failure is raised, and in that of its copy."""
    state = _note(drilled, repository, backup_set, of_a_copy=False)
    if state is not None:
        backup_set.state = state
    if copy is None:
        return
    try:
        _note(drilled, copy, backup_set, of_a_copy=True)
    except Day2Error as exc:
        drilled.notes.append(f"the verdict is not known at {copy.name}: {exc}")


def _note(drilled: Drilled, repository: Repository, backup_set: BackupSet, of_a_copy: bool) -> State | None:
    """Add the result to the present state, which may have changed meanwhile; None: nothing was written."""
    about = backup_set.manifest
    if drilled.failure is not None and drilled.blame not in ([Blame.CONTENTS] if of_a_copy else _OF_THE_SET):
        return None
    with repository.lock(about.series, _WAIT, _PURPOSE) as held:
        fresh = next((s for s in sets.load(repository, about.series).sets if s.manifest.id == about.id), None)
        if fresh is None:
            return None
        if fresh.manifest.render() != about.render():
            raise Day2Error(f"its {about.id} is another set")
        fresh.state = _state(drilled, repository, fresh, of_a_copy)
        held()
        sets.save_state(repository, fresh)
    return fresh.state


def _state(drilled: Drilled, repository: Repository, fresh: BackupSet, of_a_copy: bool) -> State:
    moment, by = drilled.began + drilled.rto, f"a drill on {socket.gethostname()}"
    if drilled.listed and fresh.lost is None:
        # The missing files are there again.
        return fresh.state
    if drilled.failure is not None and not drilled.listed:
        return fresh.state.found_damaged(drilled.failure, moment, by)
    if fresh.lost is not None:
        if drilled.failure is None:
            # Other files than those of this database, or lost meanwhile: the set is still not complete.
            drilled.notes.append(f"{fresh.manifest.id} in {repository.name} is damaged: {fresh.lost}")
        return fresh.with_loss(moment, by)
    if of_a_copy and not fresh.state.whole:
        # Its bytes were never compared, or they differed.
        try:
            for stored in fresh.manifest.files:
                drain(stored_pieces(repository, f"{fresh.manifest.series}/{fresh.manifest.id}", stored))
        except (Damaged, Missing, Unreadable) as exc:
            return fresh.state.found_damaged(str(exc), moment, by)
    proven = {"by": "drill", "host": socket.gethostname(), "rto": round(drilled.rto, 3), "rpo": drilled.rpo}
    proven["compared"] = drilled.words
    if drilled.unproven:
        proven["not_proven"] = list(drilled.unproven)
    return fresh.state.found_whole(moment, by, proven_at=moment, proven=proven)
