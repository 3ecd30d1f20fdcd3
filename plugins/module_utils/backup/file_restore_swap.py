# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Targets change places with their trees, all of them or none, and what interrupted runs left is cleared."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup import file_restore_io as io
from ansible_collections.day2.ops.plugins.module_utils.backup import file_restore_plan as planning
from ansible_collections.day2.ops.plugins.module_utils.backup.file_restore_plan import (
    Record,
    Role,
    Standing,
    Target,
    Wrapper,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.locks import file_lock

_PURPOSE = "a restore of files"


@contextmanager
def alone(places: Sequence[str], wait: float) -> Iterator[None]:
    """One run at a time for each target. Directories that are missing above one are made, and go with a failure."""
    made: list[str] = []
    try:
        with ExitStack() as stack:
            for place in sorted(places):
                with io.told(f"{os.path.dirname(place)} cannot be made"):
                    io.make_parents(os.path.dirname(place), made)
                stack.enter_context(file_lock(planning.beside(place, "lock"), wait, _PURPOSE))
            yield
    except BaseException:
        locks = [planning.beside(place, "lock") for place in places if os.path.dirname(place) in made]
        for act, path in [*((os.unlink, each) for each in locks), *((os.rmdir, each) for each in made)]:
            with suppress(OSError):
                act(path)
        raise


def tidy(place: str) -> list[str]:
    """Clear what killed runs left beside a target."""
    cleared = []
    with io.told(f"what an interrupted restore left beside {place} cannot be cleared"):
        for each in io.wrappers(place):
            if io.settle(each.path, place):
                cleared.append(each.path)
        for each in io.wrappers(place):
            if each.standing is Standing.PENDING:
                io.remove(each.path)
                cleared.append(each.path)
            else:
                io.sweep(each.path)
    return cleared


def leave(places: Sequence[str]) -> None:
    """After a failure: nothing of it stays. What cannot be removed now is cleared by the next run."""
    for place in places:
        with suppress(Day2Error, OSError):
            tidy(place)


def swap(goals: Sequence[Target], staged: Sequence[str], set_id: str) -> list[str]:
    """Every target changes places with its tree, or none. The names of the wrappers, which now keep the old ones."""
    found = {goal.place: io.wrappers(goal.place) for goal in goals}
    now = time.time()
    order = Record(Role.OLD, set_id, secrets.token_hex(8), planning.next_sequence(found), now, None)
    done: list[tuple[str, str]] = []
    try:
        for goal, wrapper in zip(goals, staged):
            name = planning.kept_name(goal.place, Role.OLD, now, [each.path for each in found[goal.place]])
            io.write_record(wrapper, replace(order, outgoing=io.inode(os.path.join(wrapper, io.CONTENT))))
            os.rename(wrapper, name)
            done.append((name, goal.place))
            io.exchange(name, goal.place)
    except OSError as exc:
        raise io.RestoreFailed(_taken_back(done, Standing.OLD, exc)) from exc
    except BaseException as exc:
        _taken_back(done, Standing.OLD, exc)
        raise
    return [name for name, _place in done]


def swap_back(found: Mapping[str, Sequence[Wrapper]]) -> dict[str, Wrapper]:
    """Every target that is to go back does, or none. What the restore had put there is in the wrappers now."""
    back = planning.to_revert(found)
    now, sequence = time.time(), planning.next_sequence(found)
    done: list[tuple[str, str]] = []
    gone: dict[str, Wrapper] = {}
    try:
        for place in back:
            io.check_place(place)
        for place, each in back.items():
            record = each.record
            if record is None or (each.inode is None and not os.path.lexists(place)):
                continue
            name = planning.kept_name(place, Role.UNDONE, now, [one.path for one in found[place]])
            fresh = replace(record, role=Role.UNDONE, sequence=sequence, at=now, outgoing=each.inode)
            io.write_record(each.path, fresh)
            os.rename(each.path, name)
            done.append((name, place))
            io.exchange(name, place)
            gone[place] = replace(each, path=name)
    except OSError as exc:
        raise io.RestoreFailed(_taken_back(done, Standing.UNDONE, exc)) from exc
    except BaseException as exc:
        _taken_back(done, Standing.UNDONE, exc)
        raise
    return gone


def _taken_back(done: Sequence[tuple[str, str]], swapped: Standing, cause: BaseException) -> str:
    """Swap back what was swapped so far, newest first; how that went, in a sentence."""
    words = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    where = done[-1][1] if done else "what was unpacked"
    stuck = []
    for name, place in reversed(done):
        try:
            io.settle(name, place)
            if any(each.path == name and each.standing is swapped for each in io.wrappers(place)):
                io.exchange(name, place)
        except (OSError, Day2Error) as exc:
            stuck.append(f"{place} could not be swapped back with {name}/{io.CONTENT} ({exc})")
    told = "; ".join(stuck) if stuck else "every path is what it was before"
    return f"{where} cannot change places: {words}; {told}"


def expire(places: Sequence[str], keep: float, spare: Sequence[str], warnings: list[str]) -> list[str]:
    """Remove what was kept for longer than so many seconds, but not what this run put aside."""
    removed, now = [], time.time()
    for place in places:
        kept = [each for each in io.wrappers(place) if each.path not in spare]
        for each in planning.expired(kept, keep, now):
            try:
                io.remove(each.path)
                removed.append(each.path)
            except OSError as exc:
                warnings.append(f"{each.path} was kept for long enough and cannot be removed: {exc.strerror}")
    return removed
