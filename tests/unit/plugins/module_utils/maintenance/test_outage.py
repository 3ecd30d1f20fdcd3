# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alertmanager fails while a mode is entered, prolonged or ended: who is refused, and who is only warned."""

from __future__ import annotations

import json
import os
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any, ClassVar

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.engine import EnterFailed, LeaveFailed
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import HELD, Wish
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import Platform
from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import reading
from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import status
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import FileStore
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import rest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.alertmanager import Alertmanager
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Target, TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS
from ansible_collections.day2.ops.plugins.module_utils.maintenance.timers import SystemdTimer
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339

ALERTS = {"alertmanager": "http://am:9093", "matchers": [{"name": "service", "value": "shop"}]}


class Server:
    """An Alertmanager: `down` are the methods that it does not answer, `refused` those that it answers with 503."""

    def __init__(self) -> None:
        self.silences: list[dict[str, Any]] = []
        self.down: set[str] = set()
        self.refused: set[str] = set()

    def __call__(self, url: str, method: str, data: bytes | None, headers: object, ca_path: object = None) -> Answer:
        if method in self.down:
            return Answer(url, error="connection refused")
        if method in self.refused:
            return Answer(url, 503, body=b"read only")
        if method == "POST":
            body = json.loads(data or b"")
            self.silences = [{**body, "id": "1", "status": {"state": "active"}}]
        if method == "DELETE":
            self.silences = []
        date = formatdate(time.time(), usegmt=True)
        return Answer(url, 200, body=json.dumps(self.silences).encode(), headers={"date": date})


class Units(Target):
    """Units that stop and start without systemd."""

    remembers = True
    running: ClassVar[bool] = True

    @classmethod
    def config(cls, params: object) -> dict[str, Any]:
        return {}

    def survey(self, config: object, until: float) -> dict[str, Any]:
        return {}

    def steps(self, record: object) -> list[str]:
        return ["stop shop.service"]

    def enter(self, record: object) -> list[str]:
        Units.running = False
        return self.steps(record)

    def leave(self, record: object) -> None:
        Units.running = True

    def salvaged(self) -> list[str]:
        return []


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    found = Server()
    monkeypatch.setattr(rest, "ask", found)
    monkeypatch.setattr(Alertmanager, "patience", 0.0)
    monkeypatch.setattr(SystemdTimer, "arm", lambda _timer: None)
    monkeypatch.setitem(TARGETS, "units", Units)
    monkeypatch.setattr(Units, "running", True)
    return found


@pytest.fixture
def here(tmp_path: Path) -> Platform:
    return Platform(FileStore(str(tmp_path / "states"), Trust(os.geteuid(), str(tmp_path))), reading, SystemdTimer())


def enable(here: Platform, *targets: str, owner: str = "w", optional: bool = False, **wish: Any) -> dict[str, Any]:
    asked = Wish(owner, "testing", **{"duration": 600.0, "targets": targets, **wish})
    return mode.enable(here, "shop", asked, {"alerts": {**ALERTS, "optional": optional}, "units": {}})


STOPPED, READ_ONLY = ({"GET", "POST", "DELETE"}, set[str]()), (set[str](), {"POST", "DELETE"})


def test_units_come_back_while_it_is_down(server: Server, here: Platform) -> None:
    enable(here, "alerts", "units")
    assert not Units.running
    server.down, server.refused = STOPPED
    # As role maintenance_window looks whether the service is healthy; the second time as a run that was repeated.
    for _run in range(2):
        done = enable(here, "alerts", claim=HELD)
        assert Units.running
    (fault,) = done["faults"]
    assert "connection refused" in fault and done["enabled"] and done["targets"]["alerts"] == "entered"
    server.down = set()
    assert mode.tick(here) == [] and status(here.store, here.clock())[0]["faults"] == [] and len(server.silences) == 1


def test_one_of_two_owners_leaves_while_it_is_down(server: Server, here: Platform) -> None:
    enable(here, "alerts", owner="first")
    enable(here, "units", owner="second")
    server.down, server.refused = STOPPED
    done = mode.disable(here, "shop", "second", {})
    assert Units.running and "connection refused" in done["faults"][0] and "units" not in done["targets"]


@pytest.mark.parametrize("outage", [STOPPED, READ_ONLY])
@pytest.mark.parametrize("targets", [("alerts",), ("alerts", "units")])
def test_who_wants_more_is_refused_while_it_is_down(
    server: Server, here: Platform, outage: tuple[set[str], set[str]], targets: tuple[str, ...]
) -> None:
    """Nobody is left to believe that a longer silence is there: a longer lease is refused, and units run on."""
    enable(here, "alerts", owner="first", duration=60.0)
    server.down, server.refused = outage
    with pytest.raises(EnterFailed, match=r"refused|503"):
        enable(here, *targets, duration=3600.0)
    assert Units.running and [lease["owner"] for lease in status(here.store, here.clock())[0]["leases"]] == ["first"]
    with pytest.raises(LeaveFailed, match="the lease is longer, but not everywhere"):
        mode.extend(here, "shop", "first", 3600.0, {})


def test_new_units_are_not_stopped_while_it_is_down(server: Server, here: Platform) -> None:
    enable(here, "alerts")
    server.down, server.refused = STOPPED
    with pytest.raises(EnterFailed, match="connection refused; everything is as it was before"):
        enable(here, "alerts", "units", claim=HELD)
    assert Units.running and list(here.store.load("shop").leases["w"].targets) == ["alerts"]


@pytest.mark.parametrize("outage", [STOPPED, READ_ONLY])
@pytest.mark.parametrize("is_held", [False, True])
def test_an_emergency_is_entered_all_the_same(
    server: Server, here: Platform, outage: tuple[set[str], set[str]], is_held: bool
) -> None:
    """Whether it answers nothing or only questions, and whether others are in maintenance before."""
    if is_held:
        enable(here, "alerts", owner="first", duration=60.0)
    server.down, server.refused = outage
    done = enable(here, "alerts", "units", owner="emergency", optional=True)
    (fault,) = done["faults"]
    assert not Units.running and ("refused" in fault or "503" in fault)
    server.down, server.refused = set(), set()
    assert mode.tick(here) == [] and len(server.silences) == 1 and status(here.store, here.clock())[0]["faults"] == []


@pytest.mark.parametrize("outage", [STOPPED, READ_ONLY])
def test_what_is_no_emergency_is_refused(server: Server, here: Platform, outage: tuple[set[str], set[str]]) -> None:
    server.down, server.refused = outage
    with pytest.raises((EnterFailed, TargetError), match=r"refused|503"):
        enable(here, "alerts", "units")
    assert Units.running and status(here.store, here.clock()) == []


def test_a_later_owner_after_a_leave_that_failed_is_silenced_to_the_end(server: Server, here: Platform) -> None:
    """What the first one left behind says nothing about how long the second one takes."""
    enable(here, "alerts", "units")
    server.down = {"GET", "POST", "DELETE"}
    with pytest.raises(LeaveFailed, match="refused"):
        mode.disable(here, "shop", "w", {})
    server.down = set()
    done = enable(here, "alerts", "units", owner="later", duration=7200.0)
    assert parse_rfc3339(server.silences[0]["endsAt"]) >= time.time() + 7195 and not done["faults"]
    assert not Units.running
    left = mode.disable(here, "shop", "later", {})
    assert not left["enabled"] and Units.running and server.silences == []


def test_what_an_emergency_went_without_is_asked_of_a_later_owner(server: Server, here: Platform) -> None:
    server.refused = {"POST", "DELETE"}
    enable(here, "alerts", "units", optional=True)
    server.down = {"GET"}
    with pytest.raises(LeaveFailed):
        mode.disable(here, "shop", "w", {})
    server.down = set()
    with pytest.raises(EnterFailed, match="read only"):
        enable(here, "alerts", "units", owner="later")
    assert Units.running
    server.refused = set()
    assert not enable(here, "alerts", "units", owner="later")["faults"] and server.silences
