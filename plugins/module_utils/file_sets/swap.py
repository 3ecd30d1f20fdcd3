# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exchanges targets with their trees, all or none, and removes remains of interrupted runs."""

from __future__ import annotations

import os
import secrets
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.file_sets import plan as planning
from ansible_collections.day2.ops.plugins.module_utils.file_sets import trees
from ansible_collections.day2.ops.plugins.module_utils.file_sets.plan import (
    Record,
    Role,
    Standing,
    Target,
    Wrapper,
)
from ansible_collections.day2.ops.plugins.module_utils.process.locks import file_lock

_PURPOSE = "a restore of files"


@contextmanager
def alone(places: Sequence[str], wait: float) -> Iterator[None]:
    """Lock each target against other runs. Missing parent directories are created, and removed after a failure."""
    made: list[str] = []
    try:
        with ExitStack() as stack:
            for place in sorted(places):
                with trees.translate_errors(f"{os.path.dirname(place)} cannot be made"):
                    trees.make_parents(os.path.dirname(place), made)
                stack.enter_context(file_lock(planning.beside(place, "lock"), wait, _PURPOSE))
            yield
    except BaseException:
        locks = [planning.beside(place, "lock") for place in places if os.path.dirname(place) in made]
        for act, path in [*((os.unlink, lock) for lock in locks), *((os.rmdir, folder) for folder in made)]:
            with suppress(OSError):
                act(path)
        raise


def tidy(place: str) -> list[str]:
    """Remove what killed runs left beside a target."""
    cleared = []
    with trees.translate_errors(f"what an interrupted restore left beside {place} cannot be cleared"):
        for wrapper in trees.wrappers(place):
            if trees.settle(wrapper.path, place):
                cleared.append(wrapper.path)
        for wrapper in trees.wrappers(place):
            if wrapper.standing is Standing.PENDING:
                trees.remove(wrapper.path)
                cleared.append(wrapper.path)
            else:
                trees.sweep(wrapper.path)
    return cleared


def leave(places: Sequence[str]) -> None:
    """Remove everything after a failure. What cannot be removed now is removed by the next run."""
    for place in places:
        with suppress(Day2Error, OSError):
            tidy(place)


def swap(goals: Sequence[Target], staged: Sequence[str], set_id: str) -> list[str]:
    """Exchange all targets with their trees, or none. Returns the names of wrappers, which now keep the old ones."""
    found = {goal.place: trees.wrappers(goal.place) for goal in goals}
    now = time.time()
    order = Record(Role.OLD, set_id, secrets.token_hex(8), planning.next_sequence(found), now, None)
    done: list[tuple[str, str]] = []
    try:
        for goal, wrapper in zip(goals, staged):
            name = planning.kept_name(goal.place, Role.OLD, now, [wrapper.path for wrapper in found[goal.place]])
            trees.write_record(wrapper, replace(order, outgoing=trees.inode(os.path.join(wrapper, trees.CONTENT))))
            os.rename(wrapper, name)
            done.append((name, goal.place))
            trees.exchange(name, goal.place)
    except OSError as exc:
        raise trees.RestoreFailed(_taken_back(done, Standing.OLD, exc)) from exc
    except BaseException as exc:
        _taken_back(done, Standing.OLD, exc)
        raise
    return [name for name, _place in done]


def swap_back(found: Mapping[str, Sequence[Wrapper]]) -> dict[str, Wrapper]:
    """Revert all targets, or none. Returns the wrappers, which now keep what the restore had put there."""
    back = planning.to_revert(found)
    now, sequence = time.time(), planning.next_sequence(found)
    done: list[tuple[str, str]] = []
    gone: dict[str, Wrapper] = {}
    try:
        for place in back:
            trees.check_place(place)
        for place, wrapper in back.items():
            record = wrapper.record
            if record is None or (wrapper.inode is None and not os.path.lexists(place)):
                continue
            name = planning.kept_name(place, Role.UNDONE, now, [one.path for one in found[place]])
            fresh = replace(record, role=Role.UNDONE, sequence=sequence, at=now, outgoing=wrapper.inode)
            trees.write_record(wrapper.path, fresh)
            os.rename(wrapper.path, name)
            done.append((name, place))
            trees.exchange(name, place)
            gone[place] = replace(wrapper, path=name)
    except OSError as exc:
        raise trees.RestoreFailed(_taken_back(done, Standing.UNDONE, exc)) from exc
    except BaseException as exc:
        _taken_back(done, Standing.UNDONE, exc)
        raise
    return gone


def _taken_back(done: Sequence[tuple[str, str]], swapped: Standing, cause: BaseException) -> str:
    """Revert the exchanges done so far, newest first; returns the result as a sentence."""
    words = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    where = done[-1][1] if done else "what was unpacked"
    stuck = []
    for name, place in reversed(done):
        try:
            trees.settle(name, place)
            if any(wrapper.path == name and wrapper.standing is swapped for wrapper in trees.wrappers(place)):
                trees.exchange(name, place)
        except (OSError, Day2Error) as exc:
            stuck.append(f"{place} could not be swapped back with {name}/{trees.CONTENT} ({exc})")
    outcome = "; ".join(stuck) if stuck else "every path is what it was before"
    return f"{where} cannot change places: {words}; {outcome}"


def expire(places: Sequence[str], keep: float, spare: Sequence[str], warnings: list[str]) -> list[str]:
    """Remove wrappers that were kept for longer than `keep` seconds, except those of this run."""
    removed, now = [], time.time()
    for place in places:
        kept = [wrapper for wrapper in trees.wrappers(place) if wrapper.path not in spare]
        for wrapper in planning.expired(kept, keep, now):
            try:
                trees.remove(wrapper.path)
                removed.append(wrapper.path)
            except OSError as exc:
                warnings.append(f"{wrapper.path} was kept for long enough and cannot be removed: {exc.strerror}")
    return removed
