# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of the run, and the lab's hosts past Ansible."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import testinfra

REPORTS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports"
_SSH = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".lab" / "molecule-checklists" / "ssh_config"


class Reports:
    """What the run wrote, by cadence."""

    def __init__(self) -> None:
        self.document = {
            cadence: json.loads((REPORTS / cadence / "report.json").read_text())
            for cadence in ("daily", "weekly", "monthly", "quarterly")
        }

    def results(self, cadence: str, host: str) -> dict[str, dict[str, Any]]:
        (entry,) = [entry for entry in self.document[cadence]["hosts"] if entry["host"] == host]
        assert entry["reachable"] and entry["refused"] is None
        return {result["id"]: result for result in entry["results"]}


@pytest.fixture(scope="session")
def reports() -> Reports:
    return Reports()


@pytest.fixture(scope="session")
def engine() -> Any:
    return testinfra.get_host("ssh://options-engine-1", ssh_config=str(_SSH))


@pytest.fixture(scope="session")
def analytics() -> Any:
    return testinfra.get_host("ssh://analytics-1", ssh_config=str(_SSH))
