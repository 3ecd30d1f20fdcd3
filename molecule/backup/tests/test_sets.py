# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sets of two runs, looked at and restored with nothing but age, zstd, PostgreSQL's programs and boto3."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import boto3
import pytest
import testinfra

PLACE = "/var/backups/options_engine-sets"
KEY = "/var/lib/postgresql/backup.key"
SERIES = ("postgresql", "configuration", "application", "logs")
_LAB = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".lab" / "molecule-backup"
_REPORT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports" / "night" / "report.json"


@pytest.fixture(scope="module")
def engine() -> Any:
    return testinfra.get_host("ssh://options-engine-1", ssh_config=str(_LAB / "ssh_config"))


@pytest.fixture(scope="module")
def bucket() -> Any:
    endpoint = json.loads((_LAB / "s3.json").read_text())["endpoint"]
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
    return boto3.resource("s3", endpoint_url=endpoint, **keys).Bucket("backups")


def sets(engine: Any, series: str) -> list[str]:
    return sorted(engine.check_output(f"ls {PLACE}/{series}").split())


def manifest(engine: Any, series: str, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(engine.check_output(f"cat {PLACE}/{series}/{name}/manifest.json"))
    return content


def as_postgres(engine: Any, script: str) -> str:
    said: str = engine.check_output("runuser -u postgres -- bash -o pipefail -euc %s", script)
    return said


def query(engine: Any, database: str, sql: str) -> str:
    said: str = engine.check_output("runuser -u postgres -- psql -XAtqc %s %s", sql, database)
    return said


@pytest.mark.parametrize("series", SERIES)
def test_one_set_a_run(engine: Any, series: str) -> None:
    names = sets(engine, series)
    assert len(names) == 2, "one of the role, none of its second run, one of the playbook"
    assert manifest(engine, series, names[-1])["run_id"] == "night"


@pytest.mark.parametrize("series", SERIES)
def test_nobody_else_can_read_a_set(engine: Any, series: str) -> None:
    assert engine.check_output(f"find {PLACE}/{series} -type f ! -perm 0600 -o -type d ! -perm 0700") == ""
    for name in sets(engine, series):
        for entry in manifest(engine, series, name)["files"]:
            head = engine.check_output(f"head -c 21 {PLACE}/{series}/{name}/{entry['path']}")
            assert head == "age-encryption.org/v1"


@pytest.mark.parametrize("series", SERIES)
def test_the_bucket_has_the_same_bytes(engine: Any, bucket: Any, series: str) -> None:
    there = {entry.key: entry for entry in bucket.objects.filter(Prefix=f"options_engine/{series}/")}
    for name in sets(engine, series):
        for entry in manifest(engine, series, name)["files"]:
            copy = there[f"options_engine/{series}/{name}/{entry['path']}"].get()["Body"].read()
            assert hashlib.sha256(copy).hexdigest() == entry["sha256"]
        assert f"options_engine/{series}/{name}/manifest.json" in there


def test_the_set_restores_by_hand(engine: Any) -> None:
    name = sets(engine, "postgresql")[-1]
    folder = f"{PLACE}/postgresql/{name}"
    query(engine, "postgres", "CREATE DATABASE by_hand TEMPLATE template0")
    for entry in manifest(engine, "postgresql", name)["files"]:
        if entry["role"] != "globals":
            opened = f"age -d -i {KEY} {folder}/{entry['path']} | zstd -qdc | pg_restore -e -d by_hand"
            as_postgres(engine, opened)
    recorded = manifest(engine, "postgresql", name)["databases"][0]["rows"]
    assert recorded
    for table in recorded:
        place = f'"{table["schema"]}"."{table["table"]}"'
        assert int(query(engine, "by_hand", f"SELECT count(*) FROM {place}")) == table["rows"]


def test_roles_are_part_of_it(engine: Any) -> None:
    folder = f"{PLACE}/postgresql/{sets(engine, 'postgresql')[-1]}"
    text = as_postgres(engine, f"age -d -i {KEY} {folder}/globals.sql.zst.age | zstd -qdc")
    for role in query(engine, "postgres", r"SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_'").split():
        assert f"CREATE ROLE {role};" in text


def test_the_report_tells_what_was_made(engine: Any) -> None:
    (host,) = json.loads(_REPORT.read_text())["hosts"]
    rows = {row["id"]: row for row in host["results"]}
    newest = sets(engine, "postgresql")[-1]
    assert rows["backup-postgresql"]["status"] == "ok"
    assert newest in rows["backup-postgresql"]["message"] and "verified: read" in rows["backup-postgresql"]["message"]
    assert {f"backup-{series}" for series in SERIES} <= set(rows)
    assert rows["set-age"]["status"] == rows["set-verified"]["status"] == "ok"
