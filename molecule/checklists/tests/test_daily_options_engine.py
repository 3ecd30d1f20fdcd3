# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of the daily checklist, and the host asked independently of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

LATEST = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports" / "daily"


@pytest.fixture(scope="module")
def host(engine: Any) -> Any:
    return engine


@pytest.fixture(scope="module")
def report(reports: Any) -> dict[str, Any]:
    content: dict[str, Any] = reports.document["daily"]
    return content


@pytest.fixture(scope="module")
def results(reports: Any) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = reports.results("daily", "options-engine-1")
    return found


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
    version = host.check_output("runuser -u postgres -- psql -XAtqc 'SHOW server_version'").split()[0]
    assert f"PostgreSQL {version}," in results["database-login"]["message"]
    assert host.socket("tcp://127.0.0.1:5432").is_listening


def errors_since(host: Any, moment: str) -> int:
    """The lines of the log that begin with a time of the day before `moment`, or later, counted by grep."""
    day_before = host.check_output("date -d %s +'%%F %%T,%%3N'", f"{moment} 24 hours ago")
    program = "awk -v since=%s '/^20/ && $1 \" \" $2 >= since' /var/log/options_engine/app.log | grep -acw ERROR"
    return int(host.check_output(program, day_before))


def test_log_counts_are_those_of_grep(host: Any, report: dict[str, Any], results: dict[str, dict[str, Any]]) -> None:
    everything = int(host.check_output("grep -acw ERROR /var/log/options_engine/app.log"))
    # The window moves while the report is made: a line may leave it between the two ends.
    most, least = errors_since(host, report["started"]), errors_since(host, report["finished"])
    assert 0 < least <= results["errors-24h"]["value"] <= most < everything
    assert results["recent-errors"]["value"] == 20
    last = host.check_output("tail -n 1 /var/log/options_engine/error.log")
    assert results["recent-errors"]["evidence"][-1].split() == last.split()


def test_the_manual_is_answered(results: dict[str, dict[str, Any]]) -> None:
    refs = {ref for result in results.values() for ref in result["ref"]}
    assert refs >= {f"OE-D{number:02d}" for number in (1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14)}
    assert refs >= {"OE-A01", "OE-A02", "OE-A03"}


def test_no_file_has_a_password(host: Any) -> None:
    lines = host.check_output("cat /root/.pgpass /etc/options_engine/pgpass").splitlines()
    passwords = {line.rsplit(":", 1)[1] for line in lines}
    assert passwords and all(len(password) > 20 for password in passwords)
    files = [path for path in LATEST.iterdir() if path.is_file()]
    assert len(files) >= 4
    for path in files:
        assert not [password for password in passwords if password in path.read_text()], path.name
