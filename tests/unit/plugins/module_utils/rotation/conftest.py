# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A place of logs without a host, and a key to which pieces are encrypted."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from rotated_logs import make_identity, make_place, public_key


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "logs"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identity(tmp_path_factory.mktemp("age") / "key")


@pytest.fixture(scope="session")
def recipient(identity: Path) -> str:
    return public_key(identity)
