# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits until a recovery has reached its target: a predicate, a limit, and the last state in the error."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Callable

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.target import Aim, Target
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import Cluster
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import format_lsn, parse_lsn
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms

_POLL = 0.2
# Seconds that a starting server has to write its postmaster.pid.
_START = 30.0
# Commit times are in whole microseconds.
_MICROSECOND = 1e-6
_STATE = """
SELECT pg_is_in_recovery(), coalesce(pg_last_wal_replay_lsn()::text, ''),
       coalesce(extract(epoch FROM pg_last_xact_replay_timestamp())::text, ''),
       CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END,
       (SELECT timeline_id FROM pg_control_checkpoint())"""


class RecoveryError(Day2Error):
    """A recovery that ended early, took too long, or missed its target."""


@dataclass(frozen=True)
class State:
    """State of a recovery. `time` is the last replayed commit, POSIX seconds."""

    in_recovery: bool
    lsn: int | None
    time: float | None
    paused: bool
    timeline: int

    def describe(self) -> dict[str, Any]:
        return {
            "in_recovery": self.in_recovery,
            "paused": self.paused,
            "lsn": format_lsn(self.lsn) if self.lsn is not None else None,
            "time": rfc3339_ms(self.time) if self.time is not None else None,
            "timeline": self.timeline,
        }

    def __str__(self) -> str:
        what = "paused" if self.paused else "recovering" if self.in_recovery else "open"
        lsn = format_lsn(self.lsn) if self.lsn is not None else "nowhere yet"
        return f"{what} at {lsn}" + (f", last commit of {rfc3339_ms(self.time)}" if self.time is not None else "")


def state_of(cluster: Cluster) -> State:
    row = cluster.query(_STATE)
    if len(row) != 5:
        raise ServerError(f"an answer of {len(row)} columns")
    return State(
        in_recovery=row[0] == "t",
        lsn=parse_lsn(row[1]) if row[1] else None,
        time=float(row[2]) if row[2] else None,
        paused=row[3] == "t",
        timeline=int(row[4]),
    )


def wait(
    cluster: Cluster,
    pause: bool,
    limit: float,
    log: str | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> State:
    """Wait until the server is open, or paused at its target. RecoveryError with its last messages otherwise."""
    begun = clock()
    seen, alive = "it has not answered yet", False
    while True:
        if cluster.running() is not None:
            alive = True
            try:
                state = state_of(cluster)
            except ServerError as exc:
                seen = str(exc)
            else:
                if (state.paused and state.in_recovery) if pause else not state.in_recovery:
                    return state
                seen = str(state)
        elif alive or clock() - begun > _START:
            raise RecoveryError(f"the server ended during the recovery ({seen}): {cluster.last_words(log)}")
        waited = clock() - begun
        if waited >= limit:
            raise RecoveryError(f"the target was not reached within {format_duration(limit)}; the last state: {seen}")
        time.sleep(min(_POLL, limit - waited))


def check(state: State, target: Target, found_lsn: int | None) -> None:
    """RecoveryError if the recovered state differs from the target."""
    wanted = target.lsn if target.aim is Aim.LSN else found_lsn
    if wanted is not None and (state.lsn is None or state.lsn < wanted):
        raise RecoveryError(f"the recovery stopped before {target}: it is {state}")
    if target.time is not None and state.time is not None and state.time > target.time + _MICROSECOND:
        raise RecoveryError(f"the recovery went beyond {target}: it is {state}")
