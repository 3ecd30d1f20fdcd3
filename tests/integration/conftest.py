# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab host for the whole session."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
for _place in (_ROOT / ".collections", _ROOT / "tests" / "support"):
    if str(_place) not in sys.path:
        sys.path.insert(0, str(_place))

from lab.environment import Lab  # noqa: E402
from lab_host import LabHost  # noqa: E402

# What takes longest begins first, so that no worker is left with much of it at the end.
_LONG = (
    "test_maintenance_faults", "test_maintenance_playbooks", "test_pg_restore_faults", "test_pgbackrest",
    "test_pg_restore", "test_maintenance_alerts", "test_pgbackrest_killed", "test_maintenance",
    "test_maintenance_steps", "test_maintenance_steps_held", "test_pgbackrest_faults",
    "test_pg_restore_refused", "test_pg_backup", "test_restore_drill", "test_schedule",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: _LONG.index(item.path.stem) if item.path.stem in _LONG else len(_LONG))


@pytest.fixture(scope="session")
def lab_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    # Two runs at the same time need two labs, and so do two workers of one.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    lab = Lab(os.environ.get("DAY2_TEST_LAB", "test") + (f"-{worker}" if worker else ""))
    lab.down()
    try:
        lab.up({LabHost.name: "options_engine"})
        yield LabHost(lab, tmp_path_factory.mktemp("calls"))
    finally:
        lab.down()
