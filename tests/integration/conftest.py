# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab host for the whole session."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]
for _place in (_ROOT / ".collections", _ROOT / "tests" / "support"):
    if str(_place) not in sys.path:
        sys.path.insert(0, str(_place))

from lab_host import LabHost, host_of_session  # noqa: E402
from pitr_cluster import Pitr, pitr_on  # noqa: E402
from repository_places import moto_server, new_place  # noqa: E402
from sftp_server import SftpServer, sftp_server  # noqa: E402
from worker_groups import ByGroup  # noqa: E402

# These look at the host as it was made, before others reboot it, pause its units or drop its statistics.
_FIRST = (
    "test_probes", "test_system_probes", "test_redis_probe", "test_log_probe", "test_security_probes", "test_baseline",
    "test_host_faults", "test_playbooks", "test_postgres_views", "test_history", "test_notify", "test_backup_playbook",
)  # fmt: skip
# After them what takes longest, so that no worker is left with much of it at the end.
_LONG = (
    "test_failover_faults",
    "test_maintenance_faults", "test_maintenance_playbooks", "test_maintenance_trust", "test_maintenance_units",
    "test_maintenance_zones", "test_maintenance", "test_pgbackrest_killed", "test_maintenance_reported",
    "test_schedule", "test_maintenance_steps_held", "test_maintenance_alerts", "test_recovery",
    "test_pg_restore_faults", "test_maintenance_steps", "test_failover_playbooks", "test_pgbackrest", "test_pg_restore",
    "test_pgbackrest_faults", "test_pg_restore_refused", "test_pg_backup", "test_restore_drill",
)  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before -m selects by these marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate([*_FIRST, *_LONG])}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        asks = "lab_host" in getattr(item, "fixturenames", ()) or item.get_closest_marker("lab") is not None
        item.add_marker("lab" if asks else "controller")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    """A worker takes a whole file, but for tests that take minutes each."""

    def group(nodeid: str) -> str:
        return nodeid if "::test_a_kill_before_each_step[" in nodeid else nodeid.split("::", 1)[0]

    return ByGroup(config, log, group)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """As tmp_path, and other users come as far: pytest closes its own to them, at every start of any pytest."""
    with tempfile.TemporaryDirectory(prefix="day2-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def lab_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    with host_of_session("test", tmp_path_factory.mktemp("calls")) as host:
        yield host


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """The address of an S3 on this machine."""
    with moto_server() as endpoint:
        yield endpoint


@pytest.fixture(params=["directory", "s3", "sftp"])
def repository_place(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Where a repository may be, of each kind; empty."""
    if request.param == "directory":
        return str(tmp_path / "repository")
    if request.param == "sftp":
        return request.getfixturevalue("sftp").place(f"place{time.monotonic_ns()}")
    return new_place(request.getfixturevalue("moto"))


@pytest.fixture(scope="module")
def sftp() -> Iterator[SftpServer]:
    with sftp_server() as server:
        yield server


@pytest.fixture(scope="module")
def cluster(lab_host: LabHost) -> Iterator[Pitr]:
    """A cluster with a stanza of pgBackRest, for the tests of a file."""
    with pitr_on(lab_host) as made:
        yield made


@pytest.fixture
def pitr(cluster: Pitr) -> Iterator[Pitr]:
    """That cluster without a backup."""
    cluster.empty()
    yield cluster
    cluster.tidy()
