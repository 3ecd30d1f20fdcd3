# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services the status names, and which ones the timer hands to units of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance import arguments, mode, timers
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import NEW, LeaseError, State, Wish, granted
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import NotInstalled, Platform
from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import reading
from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import status
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import FileStore
from ansible_collections.day2.ops.plugins.module_utils.maintenance.timers import SystemdTimer
from ansible_collections.day2.ops.plugins.module_utils.process.programs import Finished
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust


@pytest.fixture
def here(tmp_path: Path) -> Platform:
    """Two services: the lease of `over` has ended, that of `held` has not."""
    store, now = FileStore(str(tmp_path / "states"), Trust(os.geteuid(), str(tmp_path))), reading()
    for service, left in (("over", -1.0), ("held", 3600.0)):
        state = granted(State(service), Wish("window", "testing", 60.0, ("web",)), now)
        lease = replace(state.leases["window"], length=left, until=now.wall + left)
        store.save(replace(state, leases={"window": lease}), now)
    return Platform(store, reading, SystemdTimer())


def test_a_stranger_hides_no_service(here: Platform) -> None:
    folder = Path(here.store.folder("held") + "~")
    folder.mkdir()
    (folder / "state.json").write_text("anything")
    assert here.store.services() == ["held", "over"]
    found = {about["service"]: about for about in status(here.store, here.clock())}
    assert sorted(found) == ["held", "held~", "over"] and not found["held"]["faults"]
    (fault,) = found["held~"]["faults"]
    assert str(folder) in fault and not found["held~"]["enabled"]


def test_only_what_is_due_is_handed_over(here: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Sequence[str]] = []

    def systemctl(argv: Sequence[str], cap: int = 0) -> Finished:
        begun.append(argv)
        return Finished(0, b"", b"", 0.0)

    monkeypatch.setattr(timers, "run", systemctl)
    assert mode.tick(here, mode.hand_over) == []
    # The timer is left armed: something is remembered.
    assert begun == [["systemctl", "start", "--no-block", "--", "day2-maintenance@over.service"]]


def test_one_that_cannot_be_handed_over_is_named(here: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "run", lambda _argv: Finished(5, b"", b"Unit not found.", 0.0))
    (wrong,) = mode.tick(here, mode.hand_over)
    assert "over" in wrong and "Unit not found." in wrong and "day2.ops.maintenance_setup installs it" in wrong


LOADED = b"LoadState=loaded\nActiveState=active\n"
MISSING = b"LoadState=not-found\nActiveState=inactive\n"


def shows(*units: bytes) -> Callable[..., Finished]:
    return lambda _argv: Finished(0, b"\n".join(units), b"", 0.0)


@pytest.mark.parametrize("units", [(MISSING, LOADED), (LOADED, MISSING), (MISSING, MISSING), ()])
def test_a_plan_refuses_a_host_that_was_not_set_up(
    here: Platform, monkeypatch: pytest.MonkeyPatch, units: tuple[bytes, ...]
) -> None:
    """As the run would, which has to find the timer that ends the mode."""
    monkeypatch.setattr(timers, "run", shows(*units))
    wish = Wish("window", "testing", 60.0, claim=NEW)
    with pytest.raises(NotInstalled, match=r"ansible-playbook day2\.ops\.maintenance_setup installs it"):
        mode.enable(here, "new", wish, {}, check_mode=True)
    monkeypatch.setattr(timers, "run", shows(LOADED, LOADED))
    assert mode.enable(here, "new", wish, {}, check_mode=True)["changed"]
    assert "new" not in here.store.services()


def test_a_plan_counts_from_when_the_mode_begins(here: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timers, "run", shows(LOADED, LOADED))
    # In half a century, so that no clock of a test machine has passed it.
    begins, wish = 3_250_800_000.0, Wish("window", "testing", 7200.0, claim=NEW)
    planned = mode.enable(here, "new", wish, {}, check_mode=True, begins=begins)
    (lease,) = planned["leases"]
    assert planned["msg"].startswith("new would be in maintenance: window until 2073-01-05T02:00:00Z (2 h left; ")
    assert (lease["since"], lease["until"], lease["left"]) == ("2073-01-05T00:00:00Z", "2073-01-05T02:00:00Z", 7200.0)
    # What is past is not planned: it would begin at once.
    (lease,) = mode.enable(here, "new", wish, {}, check_mode=True, begins=0.0)["leases"]
    assert lease["since"] > "2026"


def test_only_a_plan_begins_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "is_root", lambda: True)
    monkeypatch.setattr(timers, "run", shows(LOADED, LOADED))
    params: dict[str, Any] = {
        "root": str(tmp_path / "states"), "service": "shop", "state": "enabled", "owner": "w", "reason": "r",
        "duration": "2h", "begins": 3_250_800_000.0, "targets": [], "approved_by": None, "claim": NEW, "web": {},
        "units": [], "units_timeout": "90s", "units_stable": "3s", "alerts": {},
    }  # fmt: skip
    trust = Trust(os.geteuid(), str(tmp_path))
    monkeypatch.setattr(arguments, "this_host", lambda root: Platform(FileStore(root, trust), reading, SystemdTimer()))
    assert arguments.run(params, check_mode=True)["leases"][0]["until"] == "2073-01-05T02:00:00Z"
    with pytest.raises(LeaseError, match="'begins' is for a plan"):
        arguments.run(params, check_mode=False)
