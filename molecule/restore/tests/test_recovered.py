# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A system that was broken and recovered from one run, asked past the collection."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import testinfra

_LAB = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".lab" / "molecule-restore"
_REPORTS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports"


@pytest.fixture(scope="module")
def engine() -> Any:
    return testinfra.get_host("ssh://options-engine-1", ssh_config=str(_LAB / "ssh_config"))


def query(engine: Any, database: str, sql: str) -> str:
    said: str = engine.check_output("runuser -u postgres -- psql -XAtqc %s %s", sql, database)
    return said


def results(run: str) -> dict[str, dict[str, Any]]:
    (host,) = json.loads((_REPORTS / run / "report.json").read_text())["hosts"]
    return {row["id"]: row for row in host["results"]}


def test_rows_are_back(engine: Any) -> None:
    before = engine.check_output("cat /root/quotes.before")
    assert int(before) > 0
    assert query(engine, "options_engine", "SELECT count(*) FROM quotes") == before


def test_the_broken_database_is_kept(engine: Any) -> None:
    old = query(engine, "postgres", "SELECT datname FROM pg_database WHERE datname ~ '^options_engine_old_'")
    assert old and "\n" not in old
    assert query(engine, old, "SELECT count(*) FROM quotes") == "0"


def test_configuration_is_back_with_its_owners(engine: Any) -> None:
    assert engine.run("sha256sum --check --quiet /root/configuration.before").rc == 0
    assert engine.file("/etc/options_engine/pgpass").mode == 0o600
    kept = engine.check_output("ls -d /etc/.options_engine*").split("\n")
    assert any(engine.run(f"grep -rqx broken {path}").rc == 0 for path in kept)


def test_it_was_reverted_in_between(engine: Any) -> None:
    before = engine.check_output("cat /root/quotes.before")
    assert engine.check_output("cat /root/quotes.recovered") == before
    assert engine.check_output("cat /root/quotes.reverted") == "0"
    assert engine.check_output("cat /root/configuration.reverted") == "broken"
    undone = query(engine, "postgres", "SELECT datname FROM pg_database WHERE datname ~ '^options_engine_undone_'")
    assert query(engine, undone, "SELECT count(*) FROM quotes") == before


def test_the_service_runs_on_it(engine: Any) -> None:
    assert engine.service("options-engine").is_running
    ask = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8080/health').read().decode())"
    assert json.loads(engine.check_output("python3 -c %s", ask))["status"] == "healthy"


def test_the_report_of_the_recovery() -> None:
    for run in ("recovery", "recovery_again"):
        _recovered(results(run))


def _recovered(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["restore-options_engine"]["status"] == "ok" and rows["restore-options_engine"]["ref"] == ["OE-R02"]
    assert rows["health"]["status"] == "ok" and "steps" not in rows


def test_the_drill_has_proven_the_set(engine: Any) -> None:
    (line,) = [row for name, row in results("drill").items() if name.startswith("drill-")]
    assert line["status"] == "ok" and "RTO" in line["message"] and "RPO" in line["message"]
    state = json.loads(engine.check_output("cat /var/backups/options_engine-sets/postgresql/*/state.json"))
    assert state["proven"]["by"] == "drill" and state["proven_at"]
