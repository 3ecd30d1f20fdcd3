# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup lets go of its locks whatever else hangs or fails, and holds those of one database at a time."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab.waiting import wait_for
from moving import DATABASE, OBJECTS, PATIENCE, REPOSITORY, SHIMS, Moving, moving_database

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "hanging_dump.py"
LIMIT = 3
SESSIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'day2.ops backup%'"
LOCKED = """
SELECT string_agg(DISTINCT d.datname, ',')
  FROM pg_locks l JOIN pg_database d ON d.oid = l.database JOIN pg_stat_activity a USING (pid)
 WHERE a.application_name LIKE 'day2.ops backup%' AND l.mode = 'AccessShareLock' AND d.datname <> 'postgres'"""
OTHER = "moving_other"
# The server ends a change that waits longer: the limit, and time to give way on a busy machine.
BOUND = f"SET lock_timeout = '{LIMIT + 5}s';"


@pytest.fixture(scope="module")
def database(lab_host: Any) -> Iterator[Moving]:
    with moving_database(lab_host) as moving:
        try:
            yield moving
        finally:
            moving.sql(f"DROP DATABASE IF EXISTS {OTHER} WITH (FORCE)", "postgres")


@pytest.fixture(autouse=True)
def fresh(database: Moving) -> None:
    database.host.run("rm", "-rf", REPOSITORY)
    for name in (DATABASE, OTHER):
        database.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
    database.sql(f"CREATE DATABASE {DATABASE}", "postgres")
    database.script(OBJECTS)


@contextmanager
def dumped(database: Moving, name: str = DATABASE) -> Iterator[subprocess.Popen[str]]:
    """A dump of this database into a repository that hangs."""
    host = database.host
    assert host.direct, "unpacks the modules"
    signals, script = f"{SHIMS}/signals", f"{SHIMS}/hanging.py"
    database.shell(f"rm -rf {signals}; mkdir -p {signals} {REPOSITORY}; cat > {script}", SCRIPT.read_text())
    words = ["env", "PYTHONPATH=/opt/day2-direct", "python3", script, name, REPOSITORY, signals, str(LIMIT)]
    process = host.start("runuser", "-u", "postgres", "--", *words)
    try:
        yield process
    finally:
        database.shell(f"touch {SHIMS}/signals/free")
        process.wait(PATIENCE)


def hangs(database: Moving) -> None:
    wait_for(lambda: database.shell(f"ls {SHIMS}/signals"), lambda seen: "hangs" in seen, PATIENCE, "the hang")


def no_sessions(database: Moving) -> None:
    wait_for(lambda: database.sql(SESSIONS), lambda seen: seen == "0", PATIENCE, "no sessions of the backup")


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1"])
def test_nobody_waits_for_a_repository_that_hangs(database: Moving, encoding: str) -> None:
    """Statements of a database in LATIN1 are no valid text where the watch reads them."""
    database.sql(f"CREATE DATABASE {OTHER} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'", "postgres")
    large = "AS SELECT n AS größe, repeat(md5(n::text), 20) AS text FROM generate_series(1, 8000) n"
    words = ["env", "PGCLIENTENCODING=UTF8", "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", OTHER]
    tables = f"CREATE TABLE sizes {large}; CREATE TABLE größe {large};"
    database.host.run("runuser", "-u", "postgres", "--", *words, text=tables)
    with dumped(database, OTHER) as process:
        hangs(database)
        database.sql(f"{BOUND} ALTER TABLE sizes ADD COLUMN note text", OTHER)
        no_sessions(database)
        database.shell(f"touch {SHIMS}/signals/free")
        made = json.loads(process.communicate(timeout=PATIENCE)[0])
    assert "is being backed up, and others wait behind it" in made["warnings"][0], made
    assert {entry["table"]: entry["rows"] for entry in made["rows"]} == {"größe": 8000, "sizes": 8000}


def test_a_backup_that_nobody_watches_fails(database: Moving) -> None:
    with database.stopped_at("before-data") as outcome:
        database.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'day2.ops backup%' AND datname = 'postgres'", "postgres"
        )  # fmt: skip
        no_sessions(database)
        made = outcome.result(PATIENCE)
    assert made["failed"] and "the locks of the backup cannot be watched" in made["msg"], made


def test_tables_of_one_database_are_locked_at_a_time(database: Moving) -> None:
    database.sql(f"CREATE DATABASE {OTHER}", "postgres")
    database.sql("CREATE TABLE t AS SELECT 1 AS n", OTHER)
    for first, second in ((DATABASE, OTHER), (OTHER, DATABASE)):
        with database.stopped_at("before-main", databases=[first, second]) as outcome:
            assert database.sql(LOCKED, "postgres") == first
            database.go_on()
            made = outcome.result(PATIENCE)
        manifest = json.loads(database.shell(f"cat {REPOSITORY}/postgresql/{made['set']['id']}/manifest.json"))
        times = [entry["time"] for entry in manifest["databases"]]
        assert [entry["name"] for entry in manifest["databases"]] == [first, second]
        assert times == sorted(times) and manifest["started"] == times[0]
        assert [entry["path"] for entry in manifest["files"]].count("globals.sql.zst") == 1


@contextmanager
def rebuilding(database: Moving, statement: str) -> Iterator[None]:
    """Rebuilds, and keeps its locks until the end of the context."""
    session = database.start(f"BEGIN; {statement}; SELECT pg_sleep(600)")
    rebuilt = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    wait_for(lambda: database.sql(f"SELECT count(*) {rebuilt}"), lambda seen: seen == "1", PATIENCE, "the rebuilding")
    try:
        yield
    finally:
        database.sql(f"SELECT pg_terminate_backend(pid) {rebuilt}")
        session.wait(PATIENCE)


def test_an_index_that_is_rebuilt_longer_than_the_limit_is_waited_for(database: Moving) -> None:
    database.sql("CREATE INDEX big_id ON big (id)")
    late = f"SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart < now() - '{2 * LIMIT}s'::interval"
    with ThreadPoolExecutor(1) as pool:
        with rebuilding(database, "REINDEX INDEX big_id"):
            outcome = pool.submit(database.backup, bin_dir=None, lock_timeout=f"{LIMIT}s")
            wait_for(lambda: int(database.sql(late)), lambda seen: seen > 0, PATIENCE, "somebody waits for the index")
        made = outcome.result(PATIENCE)
    assert made["made"] and "given up" not in " ".join(made.get("warnings", [])), made
    assert database.recorded(made)["big"] == 8000


def test_a_backup_that_was_killed_leaves_no_sessions(database: Moving) -> None:
    """Its count of rows waits at the server, which does not read from the client meanwhile."""
    database.sql("CREATE INDEX big_id ON big (id)")
    with rebuilding(database, "REINDEX INDEX big_id"), dumped(database):
        hangs(database)
        database.waiting(1)
        database.shell(f"kill -9 $(cat {SHIMS}/signals/pid)")
        no_sessions(database)
