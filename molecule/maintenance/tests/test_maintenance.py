# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A system that was maintained, as somebody saw it who watched from outside, and what is left of it."""

from __future__ import annotations

import json
import os
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
import testinfra

_LAB = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".lab" / "molecule-maintenance"
_REPORTS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports"


@pytest.fixture(scope="module")
def engine() -> Any:
    return testinfra.get_host("ssh://options-engine-1", ssh_config=str(_LAB / "ssh_config"))


@pytest.fixture(scope="module")
def seen(engine: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in engine.check_output("cat /root/watched.jsonl").split("\n")]


def results(run: str) -> dict[str, dict[str, Any]]:
    (host,) = json.loads((_REPORTS / run / "report.json").read_text())["hosts"]
    return {row["id"]: row for row in host["results"]}


def test_users_saw_the_page_three_times_and_nothing_worse(seen: list[dict[str, Any]]) -> None:
    assert [status for status, _group in groupby(each["web"] for each in seen)] == [200, 503, 200, 503, 200, 503, 200]


def test_the_unit_ran_whenever_users_were_served(seen: list[dict[str, Any]]) -> None:
    # Both are asked one after the other, so that a change falls in between now and then.
    served = [each["unit"] for each in seen if each["web"] == 200]
    assert served.count("active") >= len(served) - 3
    stopped = [unit for unit, _group in groupby(each["unit"] == "active" for each in seen)]
    assert stopped == [True, False, True, False, True, False, True]


def test_nobody_was_alarmed_within_and_everybody_is_after(seen: list[dict[str, Any]]) -> None:
    assert all(each["silences"] == 1 for each in seen if each["unit"] != "active")
    assert seen[0]["silences"] == seen[-1]["silences"] == 0


def test_the_window_has_its_evidence(engine: Any) -> None:
    rows = results("window")
    assert {rows[name]["status"] for name in ("maintenance-on", "maintenance-verified", "maintenance-off")} == {"ok"}
    assert "any-time" in rows["maintenance-on"]["message"]
    # Four before each of the two maintenances: the database, the configuration, the application, the logs.
    manifests = engine.check_output("find /var/backups/options_engine-sets -name manifest.json")
    assert len(manifests.split("\n")) == 8


def test_the_steps_were_taken(engine: Any) -> None:
    rows = results("window")
    assert all(rows[name]["status"] in ("ok", "warning") for name in ("database", "cache", "restart"))
    assert engine.check_output("redis-cli --raw keys '*:?'") == "session:c"
    vacuumed = "SELECT count(*) > 0 FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL"
    assert engine.check_output("runuser -u postgres -- psql -XAtqc %s options_engine", vacuumed) == "t"
    assert results("emergency")["sessions"]["status"] == "ok"


def test_an_emergency_names_who_approved_it() -> None:
    evidence = results("emergency")["maintenance-on"]["evidence"]
    assert "approved by M. Anager" in evidence


def test_everything_is_as_it_was(engine: Any) -> None:
    assert engine.service("options-engine").is_running
    assert engine.service("options-engine").is_enabled
    assert not engine.file("/var/lib/day2/maintenance/options_engine/state.json").exists
    assert engine.check_output("day2ctl maintenance status") == "nothing is in maintenance on this host"
    assert engine.service("day2-maintenance.timer").is_running is False
