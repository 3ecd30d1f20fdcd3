# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which services the status names, and which ones the timer hands to units of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import State, Wish, granted
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import Store, reading
from ansible_collections.day2.ops.plugins.module_utils.process.programs import Finished


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two services: the lease of `over` has ended, that of `held` has not."""
    store, now = Store(str(tmp_path / "states")), reading()
    for service, left in (("over", -1.0), ("held", 3600.0)):
        state = granted(State(service), Wish("window", "testing", 60.0, ("web",)), now)
        lease = replace(state.leases["window"], length=left, until=now.wall + left)
        store.save(replace(state, leases={"window": lease}), now)
    return store


def test_a_stranger_hides_no_service(store: Store) -> None:
    folder = Path(store.root, "held~")
    folder.mkdir()
    (folder / "state.json").write_text("anything")
    assert store.services() == ["held", "over"]
    found = {each["service"]: each for each in mode.status(store)}
    assert sorted(found) == ["held", "held~", "over"] and not found["held"]["faults"]
    (fault,) = found["held~"]["faults"]
    assert str(folder) in fault and not found["held~"]["enabled"]


def test_only_what_is_due_is_handed_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Sequence[str]] = []

    def systemctl(argv: Sequence[str], cap: int = 0) -> Finished:
        begun.append(argv)
        return Finished(0, b"", b"", 0.0)

    monkeypatch.setattr(mode, "run", systemctl)
    assert mode.tick(store, mode.hand_over) == []
    # The timer is left armed: something is remembered.
    assert begun == [["systemctl", "start", "--no-block", "--", "day2-maintenance@over.service"]]


def test_one_that_cannot_be_handed_over_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mode, "run", lambda _argv: Finished(5, b"", b"Unit not found.", 0.0))
    (wrong,) = mode.tick(store, mode.hand_over)
    assert "over" in wrong and "Unit not found." in wrong and "Role runtime installs it" in wrong
