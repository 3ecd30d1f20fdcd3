# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What maintenance mode needs from where it runs: to remember, to know the time, and to be called when nobody is there.

On a host with systemd these are files, the time since boot, and a timer. Elsewhere they are something else, and the
mode, its leases and its engine stay as they are.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Callable, Protocol, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Reading, State

Clock = Callable[[], Reading]


class NotInstalled(Day2Error):
    """The platform has nothing that would end a lease; the message says what installs it."""


class StoreError(Day2Error):
    """A state that cannot be read or written; the message says where and what helps."""


class Damaged(StoreError):
    """What is remembered of a service is not what was written."""


class States(Protocol):
    """The states of all services, read."""

    def services(self) -> list[str]:
        """Of which something is remembered, readable or not."""

    def strangers(self) -> list[str]:
        """What looks like a state and can be no service's."""

    def load(self, service: str) -> State:
        """An empty state where nothing is remembered. Damaged, Untrusted, or NeedsRoot: what everybody sees is less."""

    def load_public(self, service: str) -> State:
        """What everybody may know: leases, phases and faults."""


class Store(States, Protocol):
    """The states of all services, whole after any kill. Whoever changes one holds its lock."""

    def folder(self, service: str) -> str:
        """Where a service is remembered; StoreError for a name that no service can have."""

    def flag(self, service: str, name: str) -> str:
        """What says, by being there, that a target is in maintenance."""

    def lock(self, service: str, wait: float, holder: str) -> AbstractContextManager[None]:
        """Locked after `wait` seconds; `holder` says who has it, for those who wait."""

    def alone(self, wait: float, holder: str) -> AbstractContextManager[None]:
        """For what all services share, the waker."""

    def at_work(self) -> bool:
        """Whether somebody holds the lock of a service."""

    def is_published(self, state: State) -> bool:
        """Whether everybody sees this state."""

    def save(self, state: State, now: Reading) -> None:
        """Remember it, and let everybody see it; an empty one is forgotten."""

    def tidy(self) -> None:
        """Remove what killed processes have left."""

    def set_aside(self, service: str) -> list[str]:
        """Keep what cannot be read under other names; returns those."""


class Waker(Protocol):
    """What calls `mode.tick` until no lease is left, also after a restart of the platform."""

    # What a person looks at, and how it is started, in a sentence.
    name: str
    start: str

    def look(self) -> Sequence[str]:
        """NotInstalled where it is missing."""

    def arm(self) -> None:
        """From now on it calls. NotInstalled where it cannot."""

    def is_armed(self) -> bool:
        """Whether it calls."""

    def disarm(self) -> None:
        """Nothing is left to end."""

    def attend(self, service: str) -> None:
        """Have one service attended to apart, and wait for nothing. NotInstalled where that cannot be."""


@dataclass(frozen=True)
class Platform:
    """Where maintenance mode runs."""

    store: Store
    clock: Clock
    waker: Waker
