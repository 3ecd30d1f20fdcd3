# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered of a service: all of it for root, leases and faults for everybody."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import (
    Entered,
    Phase,
    Reading,
    State,
    Wish,
    granted,
)
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import Damaged
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import FileStore
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust, Untrusted

NOW = Reading(1000.0, 10.0, "boot")


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(str(tmp_path / "states"), Trust(os.geteuid(), str(tmp_path)))


def state(error: str | None = None) -> State:
    found = granted(State("shop"), Wish("window", "testing", 60.0, ("web",)), NOW)
    found.targets["web"] = Entered(Phase.ENTERED, {"probe": "http://user:hunter2@host/"}, error)
    return found


def test_what_leaving_needs_is_roots_alone(store: FileStore) -> None:
    store.save(state("web: it failed"), NOW)
    folder = Path(store.folder("shop"))
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {"state.json": 0o600, "state.before.json": 0o600, "status.json": 0o644}
    assert "hunter2" in (folder / "state.json").read_text() and "hunter2" not in (folder / "status.json").read_text()
    public = store.load_public("shop")
    assert public.leases == state().leases and public.targets["web"].error == "web: it failed"
    assert store.load("shop").targets["web"].record == {"probe": "http://user:hunter2@host/"}


def test_everybody_sees_the_newest_state(store: FileStore) -> None:
    store.save(state(), NOW)
    assert store.is_published(state()) and not store.is_published(state("web: it failed"))
    store.publish(state("web: it failed"), NOW)
    assert store.is_published(state("web: it failed"))
    Path(store.folder("shop"), "status.json").write_text("{")
    assert not store.is_published(state())


def test_nothing_is_left_of_a_service_that_is_back(store: FileStore) -> None:
    store.save(state(), NOW)
    store.save(State("shop"), NOW)
    assert list(Path(store.folder("shop")).iterdir()) == [] and store.services() == []


@pytest.mark.parametrize("place", ["", "shop", "shop/state.json"])
def test_a_state_that_others_could_have_written_is_not_read(store: FileStore, place: str) -> None:
    """Nor is the older file beside it believed: whoever could write one could take away the other."""
    store.save(state(), NOW)
    Path(store.root, place).chmod(0o777)
    with pytest.raises(Untrusted, match="chmod go-w"):
        store.load("shop")
    if not place:
        with pytest.raises(Untrusted):
            store.services()


def test_a_folder_that_is_a_link_is_not_read(store: FileStore, tmp_path: Path) -> None:
    store.save(state(), NOW)
    Path(store.folder("shop")).rename(tmp_path / "elsewhere")
    Path(store.folder("shop")).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Untrusted, match="symbolic link"):
        store.load("shop")


def test_a_damaged_file_gives_way_to_the_other(store: FileStore) -> None:
    store.save(state(), NOW)
    Path(store.folder("shop"), "state.json").write_text("{")
    assert store.load("shop") == state()
    Path(store.folder("shop"), "state.before.json").write_text("")
    with pytest.raises(Damaged, match="day2ctl maintenance disable shop --force"):
        store.load("shop")
