# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Leases on maintenance mode, and what follows from them. Pure: times come in as readings of the clocks.

A lease counts by the time since boot, which nobody can set. After a reboot it counts by the wall clock, but it never
has more left than when it was granted: a clock that was set back makes no lease longer than that.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

# Seconds. What would last longer is a mistake in a unit, or no maintenance.
LONGEST = 31 * 86400.0

# What a wish for a lease may meet: whatever there is, none of the owner's, or one that the owner holds.
ANY, NEW, HELD = "any", "new", "held"


class LeaseError(Day2Error):
    """A request that cannot be meant; the message names the field or the owner."""


@dataclass(frozen=True)
class Reading:
    """The clocks at one moment: POSIX seconds, seconds since boot (suspended ones too), and which boot that is."""

    wall: float
    uptime: float
    boot: str


@dataclass(frozen=True)
class Lease:
    """One owner's claim. `length` are the seconds from `anchor`, the reading at which it was granted or read last."""

    owner: str
    reason: str
    targets: tuple[str, ...]
    since: float
    until: float
    length: float
    uptime: float
    boot: str
    approved_by: str | None = None

    def left(self, now: Reading) -> float:
        """Seconds until it ends; 0 or less: it has."""
        if now.boot == self.boot:
            # In this order: at the reading of its grant nothing is lost to rounding.
            return self.length - (now.uptime - self.uptime)
        return min(self.until - now.wall, self.length)

    def anchored(self, now: Reading) -> Lease:
        """The same, counted from now: after a reboot."""
        left = self.left(now)
        return replace(self, length=left, uptime=now.uptime, boot=now.boot, until=now.wall + left)


class Phase(str, Enum):
    """How far a target is. What is neither entered nor gone was interrupted, and leaving it puts it right."""

    ENTERING = "entering"
    ENTERED = "entered"
    LEAVING = "leaving"


@dataclass
class Entered:
    """A target that is not as usual. `record` has all that is needed to leave it, `error` why that did not work."""

    phase: Phase
    record: dict[str, Any]
    error: str | None = None


@dataclass
class State:
    """Maintenance of one service."""

    service: str
    leases: dict[str, Lease] = field(default_factory=dict)
    targets: dict[str, Entered] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not self.leases and not self.targets

    def wanted(self) -> set[str]:
        """Targets that a lease asks for."""
        return {name for lease in self.leases.values() for name in lease.targets}

    def to_enter(self) -> set[str]:
        return self.wanted() - {name for name, entered in self.targets.items() if entered.phase is Phase.ENTERED}

    def to_leave(self) -> set[str]:
        return set(self.targets) - self.wanted()

    def until(self, name: str, now: Reading) -> float:
        """When the last lease ends that asks for a target, as POSIX seconds."""
        return now.wall + max((lease.left(now) for lease in self.leases.values() if name in lease.targets), default=0.0)


@dataclass(frozen=True)
class Wish:
    """What an owner asks for. `duration` is seconds."""

    owner: str
    reason: str = ""
    duration: float | None = None
    targets: Sequence[str] = ()
    approved_by: str | None = None
    claim: str = ANY


def check(wish: Wish) -> None:
    """Refuse what cannot be a lease."""
    if not wish.owner.strip():
        raise LeaseError("'owner' is empty: a lease belongs to somebody")
    if not wish.reason.strip():
        raise LeaseError("'reason' is missing: people will ask why")
    if not wish.owner.isprintable():
        raise LeaseError(f"'owner' is {wish.owner!r}: one line of text")
    if wish.duration is None:
        raise LeaseError("'duration' is missing: every lease ends, such as after 2h")
    _check_duration(wish.duration)


def _check_duration(duration: float) -> None:
    if not 0 < duration <= LONGEST:
        raise LeaseError(
            f"'duration' is {duration:g} s; it has to be more than nothing, and at most {format_duration(LONGEST)}"
        )


def granted(state: State, wish: Wish, now: Reading) -> State:
    """With the owner's lease. One that it has already keeps its end: a second run changes nothing.

    A procedure claims a new one, so that of two runs at the same time one is refused, and later goes on with the one
    that it holds, which may have ended. It may want no target: a host that only takes steps, a look at the service.
    """
    check(wish)
    targets = tuple(dict.fromkeys(wish.targets))
    held = state.leases.get(wish.owner)
    if held is not None and wish.claim == NEW:
        raise LeaseError(
            f"{wish.owner} holds {state.service} already ({format_duration(held.left(now))} left; {held.reason}):"
            " another run is at it, or has died"
        )
    if held is None and wish.claim == HELD:
        raise LeaseError(f"{wish.owner} holds no lease on {state.service} any more: it ended, or somebody ended it")
    if held is None and not targets and wish.claim == ANY:
        raise LeaseError("'targets' is empty: nothing would be in maintenance")
    if held is not None:
        lease = replace(held, targets=targets, reason=wish.reason, approved_by=wish.approved_by or held.approved_by)
    else:
        length = wish.duration or 0.0
        lease = Lease(wish.owner, wish.reason, targets, now.wall, now.wall + length, length, now.uptime, now.boot,
                      wish.approved_by)  # fmt: skip
    return replace(state, leases={**state.leases, wish.owner: lease})


def extended(state: State, owner: str, duration: float | None, now: Reading) -> State:
    """The owner's lease ends `duration` seconds from now, if that is later than it would."""
    if duration is None:
        raise LeaseError("'duration' is missing: how long from now on?")
    _check_duration(duration)
    held = state.leases.get(owner)
    if held is None:
        holders = ", ".join(sorted(state.leases)) or "nobody"
        raise LeaseError(f"{owner} holds no lease on {state.service} (it may have ended); it is held by {holders}")
    if held.left(now) >= duration:
        return state
    lease = replace(held, length=duration, uptime=now.uptime, boot=now.boot, until=now.wall + duration)
    return replace(state, leases={**state.leases, owner: lease})


def released(state: State, owner: str | None) -> State:
    """Without the owner's lease, or (None) without any."""
    leases = {} if owner is None else {name: lease for name, lease in state.leases.items() if name != owner}
    return replace(state, leases=leases)


def ticked(state: State, now: Reading) -> State:
    """Without the leases that have ended; those of an earlier boot are counted from now."""
    leases = {
        name: lease if lease.boot == now.boot else lease.anchored(now)
        for name, lease in state.leases.items()
        if lease.left(now) > 0
    }
    return replace(state, leases=leases)
