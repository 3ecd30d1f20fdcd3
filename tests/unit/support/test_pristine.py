# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fresh machine reaches the registries as this one does: pip's settings go there with the files that they name."""

from __future__ import annotations

import configparser
import os
from pathlib import Path

import pytest
from lab.pristine import PASSED, Settings


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def test_nothing_is_set() -> None:
    found = Settings()
    assert found.file == "" and found.environment == {} and found.places == set()


def test_files_and_indexes_are_passed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("ca.pem", "wheels", "index/simple"):
        (tmp_path / name).mkdir(parents=True)
    written = tmp_path / "pip.conf"
    written.write_text(
        f"[global]\ncert = {tmp_path}/ca.pem\nindex-url = https://user:word@index.example.com/simple\n"
        f"extra-index-url =\n    file://{tmp_path}/index/simple\n    https://other.example.com/simple\n"
        f"find-links = {tmp_path}/wheels {tmp_path}/not-there\ntimeout = 180\n"
    )
    monkeypatch.setenv("PIP_CONFIG_FILE", str(written))
    monkeypatch.setenv("PIP_NO_INDEX", "0")
    found = Settings()
    inside = configparser.ConfigParser(interpolation=None)
    inside.read_string(found.file)
    assert inside["global"]["cert"] == f"{PASSED}{tmp_path}/ca.pem"
    assert inside["global"]["index-url"] == "https://user:word@index.example.com/simple"
    assert inside["global"]["extra-index-url"].split() == [
        f"file://{PASSED}{tmp_path}/index/simple",
        "https://other.example.com/simple",
    ]
    assert inside["global"]["find-links"].split() == [f"{PASSED}{tmp_path}/wheels", f"{tmp_path}/not-there"]
    assert inside["global"]["timeout"] == "180" and found.environment["PIP_NO_INDEX"] == "0"
    # The index's pages link to files beside them.
    assert {f"{tmp_path}/ca.pem", f"{tmp_path}/wheels", f"{tmp_path}/index"} <= found.places
