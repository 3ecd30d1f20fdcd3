# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lease from its grant to its end where nothing is a file, a boot or a timer: the mode needs the platform alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import NEW, LeaseError, Reading, State, Wish
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import NotInstalled, Platform
from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import status
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Target
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS


class Memory:
    """A store in this process. Nothing is shared with a file system, and saves are counted."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.public: dict[str, State] = {}
        self.held: list[str] = []
        self.saves = 0

    def folder(self, service: str) -> str:
        return f"memory:{service}"

    def flag(self, service: str, name: str) -> str:
        return f"memory:{service}/{name}"

    def services(self) -> list[str]:
        return sorted(self.states)

    def strangers(self) -> list[str]:
        return []

    @contextmanager
    def lock(self, service: str, wait: float, holder: str) -> Iterator[None]:
        assert service not in self.held, "a lock is taken once"
        self.held.append(service)
        try:
            yield
        finally:
            self.held.remove(service)

    @contextmanager
    def alone(self, wait: float, holder: str) -> Iterator[None]:
        yield

    def at_work(self) -> bool:
        return bool(self.held)

    def load(self, service: str) -> State:
        return deepcopy(self.states.get(service, State(service)))

    def load_public(self, service: str) -> State:
        return deepcopy(self.public[service])

    def is_published(self, state: State) -> bool:
        return self.public.get(state.service) == state

    def save(self, state: State, now: Reading) -> None:
        assert state.service in self.held, "who saves holds the lock"
        self.saves += 1
        for kept in (self.states, self.public):
            kept.pop(state.service, None)
            if not state.empty:
                kept[state.service] = deepcopy(state)

    def tidy(self) -> None:
        pass

    def set_aside(self, service: str) -> list[str]:
        return []


class Waker:
    """Called by the test in place of a clock of its own."""

    name, start = "the test", "run the test"

    def __init__(self, installed: bool = True) -> None:
        self.installed, self.armed, self.attended = installed, False, list[str]()

    def look(self) -> list[str]:
        if not self.installed:
            raise NotInstalled("nothing would end it")
        return []

    def arm(self) -> None:
        self.look()
        self.armed = True

    def is_armed(self) -> bool:
        return self.armed

    def disarm(self) -> None:
        self.armed = False

    def attend(self, service: str) -> None:
        self.attended.append(service)


class Switch(Target):
    """A target that is a variable."""

    remembers = True
    on: ClassVar[set[str]] = set()

    @classmethod
    def config(cls, params: Any) -> dict[str, Any]:
        return {}

    def survey(self, config: Any, until: float) -> dict[str, Any]:
        return {"flag": self._flag}

    def steps(self, record: Any) -> list[str]:
        return [f"switch {self._service} off"]

    def enter(self, record: Any) -> list[str]:
        self.on.add(record["flag"])
        return self.steps(record)

    def leave(self, record: Any) -> None:
        self.on.discard(record["flag"])

    def salvaged(self) -> list[str]:
        return []


class Here:
    """A platform whose clock the test moves."""

    def __init__(self, installed: bool = True) -> None:
        self.store, self.waker, self.now = Memory(), Waker(installed), Reading(1_000_000.0, 500.0, "one")

    @property
    def platform(self) -> Platform:
        return Platform(self.store, lambda: self.now, self.waker)

    def later(self, seconds: float, boot: str = "one") -> None:
        self.now = replace(self.now, wall=self.now.wall + seconds, uptime=self.now.uptime + seconds, boot=boot)


@pytest.fixture(autouse=True)
def switch(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    for name in ("web", "units"):
        monkeypatch.setitem(TARGETS, name, Switch)
    monkeypatch.setattr(Switch, "on", set())
    return Switch.on


def enable(here: Here, owner: str = "me", *targets: str, **wish: Any) -> dict[str, Any]:
    asked = Wish(owner, "testing", **{"duration": 600.0, "targets": targets or ("web",), **wish})
    return mode.enable(here.platform, "shop", asked, {})


def test_a_lease_from_its_grant_to_its_end(switch: set[str]) -> None:
    here = Here()
    done = enable(here)
    assert done["changed"] and switch == {"memory:shop/web"} and here.waker.armed
    here.later(599)
    assert mode.tick(here.platform) == [] and switch and here.waker.armed
    assert status(here.platform.store, here.platform.clock())[0]["leases"][0]["left"] == 1.0
    here.later(1)
    assert mode.tick(here.platform) == [] and not switch and not here.waker.armed and here.store.states == {}


def test_of_two_owners_the_last_one_ends_it(switch: set[str]) -> None:
    here = Here()
    enable(here, "first", duration=600.0)
    enable(here, "second", "web", "units", duration=300.0)
    here.later(300)
    mode.tick(here.platform)
    assert switch == {"memory:shop/web"} and here.waker.armed
    done = mode.disable(here.platform, "shop", "first", {})
    assert done["changed"] and not switch and not here.store.states


def test_a_claim_on_what_somebody_holds_is_refused() -> None:
    here = Here()
    enable(here, claim=NEW)
    saves = here.store.saves
    with pytest.raises(LeaseError, match="me holds shop already"):
        enable(here, claim=NEW)
    assert here.store.saves == saves and not here.store.held


def test_the_second_time_changes_nothing() -> None:
    here = Here()
    enable(here)
    saves = here.store.saves
    here.later(10)
    again = enable(here)
    assert not again["changed"] and again["leases"][0]["left"] == 590.0 and here.store.saves == saves


def test_where_nothing_would_end_it_nothing_is_entered(switch: set[str]) -> None:
    here = Here(installed=False)
    with pytest.raises(NotInstalled):
        enable(here)
    assert not switch and here.store.states == {}


def test_a_lease_goes_on_after_a_restart_and_never_longer(switch: set[str]) -> None:
    here = Here()
    enable(here)
    # It was off for 100 s, and its clock went back by an hour meanwhile.
    here.now = Reading(here.now.wall + 100 - 3600, 5.0, "two")
    mode.tick(here.platform)
    assert status(here.platform.store, here.platform.clock())[0]["leases"][0]["left"] == 600.0 and switch
    here.later(600, "two")
    mode.tick(here.platform)
    assert not switch


def test_an_extension_counts_from_now() -> None:
    here = Here()
    enable(here)
    here.later(500)
    assert mode.extend(here.platform, "shop", "me", 300.0, {})["leases"][0]["left"] == 300.0
    assert not mode.extend(here.platform, "shop", "me", 10.0, {})["changed"]


def test_only_what_is_due_is_attended_to_apart() -> None:
    here = Here()
    enable(here)
    assert mode.tick(here.platform, mode.hand_over) == [] and here.waker.attended == []
    here.later(700)
    assert mode.tick(here.platform, mode.hand_over) == [] and here.waker.attended == ["shop"]
