# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file between runs: damaged, locked, in a place that cannot be written."""

from __future__ import annotations

import multiprocessing
from datetime import datetime, timezone
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.notify import store as stores
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import State
from ansible_collections.day2.ops.plugins.plugin_utils.notify.store import Store, StoreError

NOW = datetime(2026, 11, 21, 3, 15, tzinfo=timezone.utc)


def _add(directory: str, times: int) -> None:
    store = Store(Path(directory), "shop")
    for _time in range(times):
        with store.locked():
            state, _note = store.load(NOW)
            state.serial += 1
            store.save(state)


def test_two_runs_at_once_lose_nothing(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    runs = [fork.Process(target=_add, args=(str(tmp_path / "deep" / "er"), 50)) for _each in range(4)]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert Store(tmp_path / "deep" / "er", "shop").load(NOW)[0].serial == 200


@pytest.mark.parametrize("content", ["", "{", '{"version": 9}', "[" * 100_000, "\udcff"])
def test_a_damaged_file_is_moved_aside_and_said(tmp_path: Path, content: str) -> None:
    store = Store(tmp_path, "shop")
    store.path.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert store.load(NOW, look_only=True)[0] == State() and store.path.exists()
    state, note = store.load(NOW)
    assert state == State() and note is not None and "shop.damaged-20261121T031500Z" in note
    assert not store.path.exists() and (tmp_path / "shop.damaged-20261121T031500Z").exists()
    store.save(State(serial=3))
    assert store.load(NOW) == (State(serial=3), None) and store.path.stat().st_mode & 0o777 == 0o600


def test_a_place_that_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError), Store(tmp_path / "file", "shop").locked():
        pass


def test_a_lock_that_is_never_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "_PATIENCE_SECONDS", 0.1)
    store = Store(tmp_path, "shop")
    with store.locked(), pytest.raises(StoreError, match="another run holds"), Store(tmp_path, "shop").locked():
        pass
    with store.locked():
        pass


def test_systems_have_their_own_files(tmp_path: Path) -> None:
    names = ["shop", "", "a/b", "a b", "../x", "shop."]
    paths = {Store(tmp_path, name).path for name in names}
    assert len(paths) == len(names) and {path.parent for path in paths} == {tmp_path}
