# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which set a restore takes. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.contents import ANYTHING, Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import CLOCK_TOLERANCE
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import SET_ID
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

LATEST = "latest"
_SHOWN = 5
# RFC 3339, with the seconds and the zone left out at will. Not a day alone: its beginning and its end both suggest
# themselves, and a set lies between them.
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d)(:\d\d)?(?:\.(\d+))?(?: ?(Z|z|[+-]\d\d:\d\d))?")


class NoSuchSet(Day2Error):
    """No set is what was asked for; the message says what there is."""


def choose(
    sets: Sequence[BackupSet],
    source: str = LATEST,
    run_id: str | None = None,
    broken: Mapping[str, str] | None = None,
    damaged_too: bool = False,
    contents: Contents = ANYTHING,
    now: float | None = None,
) -> BackupSet:
    """`source` is latest, an id, or a time: the newest good set, that set, or the newest good one at or before it.

    `sets` are newest first. `run_id` leaves only sets of that run. `broken` are sets whose manifest cannot be taken,
    with the reason. A damaged set is passed over, and refused by its id unless it may be `damaged_too`. Of sets of
    different databases or paths those count that have the `contents`, if there are any. A time after `now` is refused:
    it is probably meant in another zone.
    """
    wanted = [backup_set for backup_set in sets if run_id is None or backup_set.manifest.run_id == run_id]
    if run_id is not None and not wanted:
        raise NoSuchSet(f"there is no set of run {run_id}; {_runs(sets)}")
    if SET_ID.fullmatch(source):
        return _by_id(wanted, source, broken or {}, damaged_too)
    moment = None if source == LATEST else parse_time(source)
    if moment is not None and now is not None and moment > now + CLOCK_TOLERANCE:
        raise NoSuchSet(
            f"{source} is to come, it is {rfc3339_ms(now)} now (a time without a zone is UTC); `latest` is the newest"
            " set"
        )
    good = [backup_set for backup_set in wanted if backup_set.state.damaged is None]
    good = [backup_set for backup_set in good if backup_set.manifest.contents.has(contents)] or good
    for backup_set in good:
        if moment is None or backup_set.manifest.time <= moment:
            return backup_set
    if not good:
        raise NoSuchSet(_nothing(wanted, broken or {}))
    oldest, newest = good[-1].manifest, good[0].manifest
    spoilt = [
        backup_set
        for backup_set in wanted
        if backup_set.state.damaged is not None and backup_set.manifest.time <= (moment or 0.0)
    ]
    raise NoSuchSet(
        f"no good set is as old as {source}: there are sets from {rfc3339_ms(oldest.time)} ({oldest.id})"
        f" to {rfc3339_ms(newest.time)} ({newest.id})"
        + "".join(f"; {backup_set.manifest.id} is damaged: {backup_set.state.damaged}" for backup_set in spoilt[:1])
    )


def passed_over(sets: Sequence[BackupSet], chosen: BackupSet, broken: Mapping[str, str]) -> dict[str, str]:
    """Newer sets that cannot be restored, with the reason: whoever asked for the latest one should know."""
    names = {
        backup_set.manifest.id: backup_set.state.damaged
        for backup_set in sets
        if backup_set.state.damaged is not None and backup_set.manifest.time > chosen.manifest.time
    }
    return {**names, **{name: why for name, why in broken.items() if name > chosen.manifest.id}}


def parse_time(text: str) -> float:
    """POSIX seconds of a time such as 2026-01-31 02:00 (UTC) or one of RFC 3339."""
    match = _TIME.fullmatch(text.strip())
    day, minute, second, fraction, zone = match.groups() if match else ("", "", None, None, None)
    shift = "+00:00" if zone in (None, "Z", "z") else zone
    try:
        moment = datetime.strptime(f"{day} {minute}{second or ':00'}{shift}", "%Y-%m-%d %H:%M:%S%z")
    except ValueError:
        raise NoSuchSet(
            f"{text!r} is neither latest, nor the id of a set, nor a time such as 2026-01-31 02:00 (UTC)"
        ) from None
    return moment.timestamp() + float(f"0.{fraction or 0}")


def _by_id(sets: Sequence[BackupSet], name: str, broken: Mapping[str, str], damaged_too: bool) -> BackupSet:
    for backup_set in sets:
        if backup_set.manifest.id == name:
            if backup_set.state.damaged is not None and not damaged_too:
                raise NoSuchSet(f"{name} is damaged: {backup_set.state.damaged}")
            return backup_set
    if name in broken:
        raise NoSuchSet(f"{name} cannot be restored: {broken[name]}")
    newest = ", ".join(backup_set.manifest.id for backup_set in sets[:_SHOWN])
    raise NoSuchSet(f"there is no set {name}; " + (f"the newest are {newest}" if newest else "there is none at all"))


def _nothing(sets: Sequence[BackupSet], broken: Mapping[str, str]) -> str:
    reasons = [f"{backup_set.manifest.id} is damaged: {backup_set.state.damaged}" for backup_set in sets]
    reasons += [f"{name}: {why}" for name, why in sorted(broken.items(), reverse=True)]
    return "there is no good set" + (f" ({'; '.join(reasons[:_SHOWN])})" if reasons else ", nor any other")


def _runs(sets: Sequence[BackupSet]) -> str:
    names = list(dict.fromkeys(backup_set.manifest.run_id for backup_set in sets if backup_set.manifest.run_id))
    return f"the newest runs are {', '.join(names[:_SHOWN])}" if names else "no set belongs to a run"
