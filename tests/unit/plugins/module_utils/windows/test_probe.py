# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe schedule with windows, and what it says of the windows in the inventories."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import generate_map
import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import schedule
from ansible_collections.day2.ops.plugins.module_utils.windows import rule
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows

# A Saturday.
NOW = datetime(2026, 11, 21, tzinfo=timezone.utc).timestamp()
WINDOW: dict[str, Any] = {"name": "monthly", "rrule": "FREQ=MONTHLY;BYDAY=1SU", "start": "02:00", "duration": "4h"}
BACKUP: dict[str, Any] = {"name": "nightly", "at": "02:00 daily UTC", "playbook": "day2.ops.backup", "backup": True}


def ask(**arguments: Any) -> Observation:
    entry = {"id": "c", "title": "Collisions", "probe": "schedule", **arguments}
    (check,) = parse_checks([entry], lambda _name: schedule.SPEC, ["schedule"], 10)
    return schedule.judge_jobs(check, NOW)


def test_a_window_on_a_backup_is_a_warning() -> None:
    found = ask(jobs=[BACKUP], windows=[WINDOW])
    assert found.value == 1 and found.status is Status.WARNING
    assert "nightly" in found.text and "window monthly" in found.text
    assert "first Sun 2026-12-06 02:00 UTC, 12 times in the time looked at" in found.text
    fine = ask(jobs=[{**BACKUP, "at": "00:30 daily UTC"}], windows=[WINDOW])
    assert fine.value == 0 and fine.text == "none of 1 job and 1 window collides with another"


def test_windows_alone() -> None:
    weekly = {**WINDOW, "name": "weekly", "rrule": "FREQ=WEEKLY;BYDAY=SU", "start": "05:00"}
    found = ask(windows=[WINDOW, weekly])
    assert found.value == 1 and found.text.startswith(
        "window weekly begins while monthly is open: first Sun 2026-12-06"
    )
    assert ask(windows=[weekly]).text == "none of 1 window collides with another"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "field 'jobs': is missing"),
        ({"metric": "worst_loss", "windows": [WINDOW]}, "field 'jobs': is missing"),
        ({"metric": "worst_loss", "jobs": [BACKUP], "windows": [WINDOW]}, "field 'windows': is for the metric"),
        ({"windows": [{**WINDOW, "duration": "-1h"}]}, "field 'windows': window 'monthly', field 'duration': '-1h'"),
        ({"windows": "{{ x }}"}, "field 'windows'"),
    ],
)
def test_what_is_malformed_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(CheckError) as caught:
        ask(**arguments)
    assert said in str(caught.value)


def test_a_host_without_the_library_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rule, "rrulestr", None)
    with pytest.raises(Undetermined, match="install python3-dateutil"):
        ask(jobs=[BACKUP], windows=[WINDOW])
    assert ask(jobs=[BACKUP]).value == 0


def of_inventory(system: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in (generate_map.ROOT / "inventories" / system / "group_vars" / system).glob("*.yml"):
        found.update(generate_map._load(path) or {})
    return found


@pytest.mark.parametrize(
    ("system", "collide"),
    [
        ("options_engine", []),
        ("snowflake_analytics", []),
        ("entasis", []),
        # What their manuals have at the same time.
        ("stock_analysis", ["window monthly"]),
        ("eafix", ["window weekly", "window monthly"]),
    ],
)
def test_the_windows_of_a_system(system: str, collide: list[str]) -> None:
    held = of_inventory(system)
    windows = held["day2_windows"]
    assert len(parse_windows(windows)) == len(windows)
    checks = [
        check
        for name, value in held.items()
        if name.startswith("day2_monthly_checks")
        for check in value
        if "windows" in check
    ]
    assert len(checks) == (1 if windows else 0)
    for check in checks:
        jobs = held["schedule_jobs"] if check["jobs"] == "{{ schedule_jobs }}" else check["jobs"]
        assert check["windows"] == "{{ day2_windows }}"
        said = ask(jobs=jobs, windows=windows).evidence
        assert len(said) == len(collide) and all(name in text for name, text in zip(sorted(collide), sorted(said)))
