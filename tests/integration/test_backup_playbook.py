# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbook backup on the lab's host: sets of one run id, the report over them, and what a failure looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = "/var/backups/options_engine-sets"
LIMIT = ("-l", "options-engine-1")


@pytest.fixture(autouse=True)
def fresh(lab_host: Any) -> None:
    lab_host.run("rm", "-rf", REPOSITORY)


def run(lab_host: Any, folder: Path, **variables: Any) -> tuple[Any, dict[str, dict[str, Any]]]:
    done = lab_host.playbook(
        "day2.ops.backup", *LIMIT, day2_report_dir=str(folder), postgres_backup_install=False, **variables
    )
    report = json.loads((folder / "latest" / "report.json").read_text())
    (host,) = report["hosts"]
    return done, {row["id"]: row for row in host["results"]}


def test_databases_and_files_of_one_run(lab_host: Any, tmp_path: Path) -> None:
    done, results = run(lab_host, tmp_path, day2_run_id="night-1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["status"] for row in results.values()} == {"ok"}
    for series in ("postgresql", "configuration", "application", "logs"):
        made = results[f"backup-{series}"]
        assert "verified: read" in made["message"] and "OE-R01" in made["ref"]
        manifest = json.loads(lab_host.run("sh", "-c", f"cat {REPOSITORY}/{series}/*/manifest.json"))
        assert manifest["run_id"] == "night-1" and manifest["series"] == series
    listing = lab_host.run("sh", "-c", f"zstd -dc {REPOSITORY}/configuration/*/archive001.tar.zst | tar -t")
    there = lab_host.run("sh", "-c", "find /etc/options_engine ! -type d | wc -l")
    assert sum(not line.endswith("/") for line in listing.split("\n")) == int(there)
    again, _results = run(lab_host, tmp_path, day2_run_id="night-2")
    assert "changed=0" not in again.stdout and again.returncode == 0
    assert lab_host.run("sh", "-c", f"ls {REPOSITORY}/postgresql | wc -l") == "1", "the newest set is young enough"


def test_a_backup_that_fails_is_a_finding(lab_host: Any, tmp_path: Path) -> None:
    done, results = run(lab_host, tmp_path, postgres_backup_databases=["nosuch"])
    assert done.returncode == 2
    assert results["steps"]["status"] == "critical" and "no database 'nosuch'" in results["steps"]["message"]
    assert results["set-age"]["status"] == "critical"
    assert lab_host.run("sh", "-c", f"ls -d {REPOSITORY}", check=False) == "", "an empty directory looks like sets"


def test_a_refused_backup_leaves_what_was_there_before(lab_host: Any, tmp_path: Path) -> None:
    lab_host.run("mkdir", "-m", "0755", REPOSITORY)
    done, _results = run(lab_host, tmp_path, postgres_backup_databases=["nosuch"])
    assert done.returncode == 2 and lab_host.run("stat", "-c", "%a", REPOSITORY) == "700"


def test_sets_that_were_made_are_reported_where_another_fails(lab_host: Any, tmp_path: Path) -> None:
    files = [{"series": "one", "paths": ["/etc/options_engine"], "ref": "X-1"}, {"series": "two", "paths": ["/nosuch"]},
             {"series": "three", "paths": ["/etc/options_engine"]}]  # fmt: skip
    done, results = run(lab_host, tmp_path, postgres_backup_databases=[], postgres_backup_files=files)
    assert done.returncode == 2
    assert results["backup-one"]["status"] == "ok" and results["backup-one"]["ref"] == ["X-1"]
    assert "/nosuch" in results["steps"]["message"] and "backup-two" not in results
    assert ("backup-three" in results) == (lab_host.run("sh", "-c", f"ls {REPOSITORY}/three", check=False) != "")


def test_check_mode_makes_nothing(lab_host: Any, tmp_path: Path) -> None:
    done = lab_host.playbook(
        "day2.ops.backup", "--check", *LIMIT, day2_report_dir=str(tmp_path), postgres_backup_install=False,
        day2_fail_on="never",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab_host.run("ls", REPOSITORY, check=False) == ""
