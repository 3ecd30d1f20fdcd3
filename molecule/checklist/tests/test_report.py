# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of the daily checklist, and the host asked independently of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

LATEST = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports" / "latest"


@pytest.fixture(scope="module")
def results() -> dict[str, dict[str, Any]]:
    (entry,) = json.loads((LATEST / "report.json").read_text())["hosts"]
    assert entry["host"] == "options-engine-1" and entry["reachable"]
    return {result["id"]: result for result in entry["results"]}


@pytest.mark.parametrize("name", ["report.html", "report.xml", "report.prom"])
def test_every_file_is_there(name: str) -> None:
    assert (LATEST / name).stat().st_size > 0


@pytest.mark.parametrize("unit", ["options-engine", "postgresql", "redis", "options-report"])
def test_units(host: Any, results: dict[str, dict[str, Any]], unit: str) -> None:
    result = results[f"unit-{unit}"]
    assert (result["status"] == "ok") is host.service(unit).is_running
    assert result["status"] == ("critical" if unit == "options-report" else "ok")


def test_the_database_answers(host: Any, results: dict[str, dict[str, Any]]) -> None:
    query = "runuser -u postgres -- psql -XAtqc 'SELECT 1' options_engine"
    assert host.check_output(query) == "1"
    assert results["database-login"]["status"] == "ok"
    assert host.socket("tcp://127.0.0.1:5432").is_listening


def test_log_counts_are_not_made_up(host: Any, results: dict[str, dict[str, Any]]) -> None:
    everything = int(host.check_output("grep -acw ERROR /var/log/options_engine/app.log"))
    assert 0 < results["errors-24h"]["value"] < everything
    assert results["recent-errors"]["value"] == 20
    last = host.check_output("tail -n 1 /var/log/options_engine/error.log")
    assert results["recent-errors"]["evidence"][-1].split() == last.split()


def test_the_manual_is_answered(results: dict[str, dict[str, Any]]) -> None:
    refs = {ref for result in results.values() for ref in result["ref"]}
    assert refs >= {f"OE-D{number:02d}" for number in (1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14)}
    assert refs >= {"OE-A01", "OE-A02", "OE-A03"}
