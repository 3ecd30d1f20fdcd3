# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reverts a restore: the replaced database gets its name back, and the restored one is kept beside it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import every_database
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ask, connected
from ansible_collections.day2.ops.plugins.module_utils.restore import swap
from ansible_collections.day2.ops.plugins.module_utils.restore.names import Marker, Role, own_comment

_FORCE = "`force: true` (playbooks restore and recover: -e recovery_force=true)"


class RevertRefused(Day2Error):
    """A revert would lose rows, or there is no database to revert to; nothing was changed."""


def revert(
    login: Login, target: str, force: bool, swap_timeout: float = 30.0, check_mode: bool = False
) -> dict[str, Any]:
    """Swap the names back. A restore that was interrupted before its swap has only leftovers, which are dropped."""
    with connected(login) as connection:
        connection.autocommit = True
        with swap.alone(connection, target):
            found = swap.marked(connection, target)
            live = next((entry for entry in every_database(connection) if entry["name"] == target), None)
            olds = [(name, marker) for name, marker in found if marker.role is Role.OLD]
            newest = next((marker for _name, marker in found if marker.role is not Role.NEW), None)
            back = _is_back(newest, olds[0][1] if olds else None, swap.oid_of(connection, target))
            if not olds or (back and live is not None):
                return _nothing(login, connection, target, back, check_mode)
            name, marker = olds[0]
            ids = ask(connection, "SELECT oid FROM pg_database WHERE datname = %s", (target,))
            _same(target, name, marker, ids, force)
            before = _rows_of(connection, ids)
            lost = _lost(marker, swap.written(login, target)) if live is not None else None
            if lost and not force:
                raise RevertRefused(f"refused, nothing was touched: {lost}; {_FORCE} goes back all the same")
            leftovers = swap.unfinished(connection, target)
            outcome = {"changed": True, "old": None, "cleared": leftovers, "lost": lost}
            if check_mode:
                return {**outcome, "msg": f"{name} would be {target} again" + (f"; {lost}" if lost else "")}
            outcome["cleared"] = swap.clear(login, connection, target)
            check = None if force or live is None else _unchanged(target, ids, before)
            sequence = swap.next_sequence(connection, target)
            mark = Marker(Role.UNDONE, target, marker.set_id, time.time(), own_comment((live or {}).get("comment")),
                          sequence=sequence, successor=swap.oid_of(connection, name) or 0)  # fmt: skip
            earlier_comment = [(olds[1][0], replace(olds[1][1], returned=mark.successor).render())] if olds[1:] else []
            undone, seconds = _swap_back(login, target, live, name, marker, mark, earlier_comment, swap_timeout, check)
            message = f"{target} is again what it was before {marker.set_id} took its place"
            message += f"; the restored one is {undone}" if undone else "; there was none of this name any more"
            return {**outcome, "unavailable": round(seconds, 3), "old": undone, "msg": message}


def _is_back(newest: Marker | None, old: Marker | None, live: int | None) -> bool:
    """Whether the live database is the one that a revert gave its name back to, and no restore came since.

    Recorded in the undone database, and in the next older one as well, because the undone database may be dropped.
    """
    if live is None:
        return False
    undone = newest is not None and newest.role is Role.UNDONE and newest.successor in (0, live)
    return undone or (old is not None and old.returned == live)


def _same(target: str, name: str, marker: Marker, ids: list[tuple[Any, ...]], force: bool) -> None:
    """The live database has to be the one that took the place of the old one."""
    if ids and marker.successor and ids[0][0] != marker.successor and not force:
        raise RevertRefused(
            f"refused, nothing was touched: {target} is not the database that took the place of {name} (somebody made"
            f" or renamed one since); {_FORCE} puts it aside all the same"
        )


def _nothing(login: Login, connection: Any, target: str, back: bool, check_mode: bool) -> dict[str, Any]:
    leftovers = swap.unfinished(connection, target) if check_mode else swap.clear(login, connection, target)
    if not back and not leftovers:
        raise RevertRefused(f"there is no database that {target} replaced (any more): nothing to go back to")
    words = [f"{target} is what it was before already" if back else f"{target} was not replaced"]
    gone = "would drop" if check_mode else "dropped"
    words += [f"{gone} {', '.join(leftovers)}, which an interrupted restore had left"] if leftovers else []
    return {"changed": bool(leftovers), "old": None, "cleared": leftovers, "lost": None, "msg": "; ".join(words)}


def _swap_back(
    login: Login,
    target: str,
    live: Mapping[str, Any] | None,
    name: str,
    marker: Marker,
    mark: Marker,
    earlier_comment: list[tuple[str, str]],
    limit: float,
    check: Callable[[Any], None] | None,
) -> tuple[str | None, float]:
    """Rename both; returns the name of the database that is set aside, if there is one, and the seconds it took.

    `earlier_comment` is for the database of the generation before: where nothing is put aside, only this comment
    records the revert.
    """
    moves, comments = [(name, target)], [(target, marker.comment), *earlier_comment]
    if live is None:
        return None, swap.rename(login, moves, comments, limit)
    moves, comments = [(target, mark.name), *moves], [(mark.name, mark.render()), *comments]
    return mark.name, swap.rename(login, moves, comments, limit, check)


def _rows_of(connection: Any, ids: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The server's counters of a whole database: those of its tables cannot be read without a connection to it."""
    return ask(
        connection,
        "SELECT tup_inserted, tup_updated, tup_deleted FROM pg_stat_database WHERE datid = ANY(%s)",
        ([oid for (oid,) in ids],),
    )


def _unchanged(target: str, ids: list[tuple[Any, ...]], before: list[tuple[Any, ...]]) -> Callable[[Any], None]:
    """Asked when all sessions have ended and reported their last rows."""

    def check(connection: Any) -> None:
        if _rows_of(connection, ids) != before:
            raise RevertRefused(
                f"refused, the names are as they were: {target} was written to in this very moment; stop what writes"
                f" and run this again, or {_FORCE} goes back all the same"
            )

    return check


def _lost(marker: Marker, now: dict[str, Any]) -> str | None:
    """Summary of the rows written since the swap; None: there are none."""
    then = marker.written
    if then.get("since") != now["since"] or any(now[kind] < int(then.get(kind) or 0) for kind in _KINDS):
        return "the server's counters began anew since the swap, so what was written meanwhile is not known"
    more = {kind: now[kind] - int(then.get(kind) or 0) for kind in _KINDS}
    if not any(more.values()):
        if then.get("shape") in (None, now["shape"]):
            return None
        return (
            "since the swap definitions, sequences or large objects changed, or tables were emptied; that would only be"
            " in the database that is put aside"
        )
    changes = ", ".join(f"{number} rows {kind}" for kind, number in more.items() if number)
    return f"since the swap {changes}; they would only be in the database that is put aside"


_KINDS = ("inserted", "updated", "deleted")
