# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill found of a set, noted beside it in each of its locations.

A proof is of what was written, so it holds for a copy whose bytes are the same. Bytes that are not what was written
are the fault of one location only.
"""

from __future__ import annotations

import socket

from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import State
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Missing, Repository, Unreadable
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Damaged, drain, stored_pieces
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.restore.drills import Blame, Drilled

# Seconds to wait for a backup that is at work in the repository.
_WAIT = 600.0
_PURPOSE = "the verdict of a drill"
_OF_THE_SET = (Blame.CONTENTS, Blame.BYTES)


def remember(drilled: Drilled, each: BackupSet, repository: Repository, copy: Repository | None) -> None:
    """Into the state of the set where it was restored from, which is raised where it fails, and of its copy."""
    state = _note(drilled, repository, each, of_a_copy=False)
    if state is not None:
        each.state = state
    if copy is None:
        return
    try:
        _note(drilled, copy, each, of_a_copy=True)
    except Day2Error as exc:
        drilled.notes.append(f"the verdict is not known at {copy.name}: {exc}")


def _note(drilled: Drilled, repository: Repository, each: BackupSet, of_a_copy: bool) -> State | None:
    """The state as it is now, on top of what was found meanwhile; None: nothing was written."""
    about = each.manifest
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
        # It has its files again.
        return fresh.state
    if drilled.failure is not None and not drilled.listed:
        return fresh.state.found_damaged(drilled.failure, moment, by)
    if fresh.lost is not None:
        if drilled.failure is None:
            # Not what this database needed, or gone meanwhile: the set is not whole all the same.
            drilled.notes.append(f"{fresh.manifest.id} in {repository.name} is damaged: {fresh.lost}")
        return fresh.with_loss(moment, by)
    if of_a_copy and not fresh.state.whole:
        # Nobody has compared its bytes, or they were other ones.
        try:
            for stored in fresh.manifest.files:
                drain(stored_pieces(repository, f"{fresh.manifest.series}/{fresh.manifest.id}", stored))
        except (Damaged, Missing, Unreadable) as exc:
            return fresh.state.found_damaged(str(exc), moment, by)
    proven = {"by": "drill", "host": socket.gethostname(), "rto": round(drilled.rto, 3), "rpo": drilled.rpo}
    proven["compared"] = drilled.words
    return fresh.state.found_whole(moment, by, proven_at=moment, proven=proven)
