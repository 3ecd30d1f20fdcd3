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

# These look at the host as it was made, before others reboot it, pause its units or drop its statistics.
_FIRST = (
    "test_probes", "test_system_probes", "test_redis_probe", "test_log_probe", "test_security_probes", "test_baseline",
    "test_host_faults", "test_playbooks", "test_postgres_views", "test_history", "test_notify", "test_backup_playbook",
)  # fmt: skip
# After them what takes longest, so that no worker is left with much of it at the end.
_LONG = (
    "test_maintenance_faults", "test_maintenance_playbooks", "test_pg_restore_faults", "test_pgbackrest",
    "test_pg_restore", "test_maintenance_alerts", "test_pgbackrest_killed", "test_maintenance",
    "test_maintenance_steps", "test_maintenance_steps_held", "test_pgbackrest_faults",
    "test_pg_restore_refused", "test_pg_backup", "test_restore_drill", "test_schedule",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate([*_FIRST, *_LONG])}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


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
