# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drop-ins that keep units from starting: those of an earlier release as well, and those that were left over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import drop_ins, units
from ansible_collections.day2.ops.plugins.module_utils.upkeep import processes

NAMES = ["zzz-day2-maintenance-shop.conf", "50-day2-maintenance-shop.conf"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(drop_ins, "_DROP_IN", str(tmp_path / "{unit}.d/{named}{service}.conf"))
    return tmp_path


def written(folder: Path, name: str, more: str = "", unit: str = "app.service") -> Path:
    path = folder / f"{unit}.d" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"[Unit]\nConditionPathExists=!{folder}/units.on\n{more}")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_one_of_any_release_holds_while_its_flag_is_there(folder: Path, name: str) -> None:
    written(folder, name)
    (folder / "units.on").touch()
    assert drop_ins.holders("app.service") == ["shop"] and processes.held() == ["app.service"]
    assert drop_ins.held_units("shop") == {"app.service": []} and not drop_ins.held_units("other")
    (folder / "units.on").unlink()
    assert drop_ins.holders("app.service") == [] and processes.held() == []
    assert drop_ins.held_units("shop") == {"app.service": []}, "it is still to be removed"


def test_the_newest_one_says_how_a_unit_is_resumed(folder: Path) -> None:
    for name, command in zip(NAMES, ("new", "old")):
        written(folder, name, f'[X-Day2]\nResume=["{command}"]\n')
    (folder / "units.on").touch()
    assert drop_ins.held_units("shop") == {"app.service": ["new"]} and drop_ins.holders("app.service") == ["shop"]


@pytest.mark.parametrize("text", ["", "[Unit]\nConditionPathExists=!\n", "\udcff"])
def test_one_that_was_damaged_holds_nothing(folder: Path, text: str) -> None:
    written(folder, NAMES[0]).write_bytes(text.encode("utf-8", "surrogateescape"))
    (folder / "units.on").touch()
    assert drop_ins.holders("app.service") == []


def test_leaving_removes_those_of_every_release_and_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "execute", lambda *_words: b"")
    monkeypatch.setattr(units.systemd, "show", lambda _names: [])
    for name in NAMES:
        written(folder, name)
    written(folder, NAMES[1], unit="forgotten.service")
    other = written(folder, "50-day2-maintenance-other.conf")
    entry: dict[str, Any] = {"name": "app.service", "pause": [], "resume": [], "ran": False}
    units.Units("shop", str(folder / "units.on")).leave(
        {"flag": str(folder / "units.on"), "units": [entry], "timeout": 5.0}
    )
    assert list(folder.rglob("*.conf")) == [other] and not (folder / "forgotten.service.d").exists()
