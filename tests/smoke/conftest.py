# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One lab host for the smoke tests, and the versions of ansible-core that are there to run them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).resolve().parents[2]
for _place in (_ROOT / ".collections", _ROOT / "tests" / "support"):
    if str(_place) not in sys.path:
        sys.path.insert(0, str(_place))

from lab_host import LabHost, host_of_session  # noqa: E402
from worker_groups import ByGroup  # noqa: E402


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByGroup:
    """The playbooks build on each other: those of one ansible-core go to one worker, with a host of its own."""

    def group(nodeid: str) -> str:
        found = re.search(r"test_a_plan_\w+\[([a-z]+)[-\]]", nodeid)
        return found[1] if found else "refused"

    return ByGroup(config, log, group)


@pytest.fixture(scope="session")
def lab_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabHost]:
    with host_of_session("smoke", tmp_path_factory.mktemp("calls")) as host:
        yield host
