# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps on Redis and PostgreSQL of a lab host, and those of a checklist, asked past the role."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from steps_on_host import Row, Steps


@pytest.fixture
def steps(lab_host: Any) -> Steps:
    return Steps(lab_host)


@pytest.fixture
def redis(steps: Steps) -> Iterator[Callable[..., str]]:
    def ask(*words: str, database: int = 7) -> str:
        return str(steps.host.run("env", "REDISCLI_AUTH=s3cret-word", "redis-cli", "--no-auth-warning", "-n",
                                  str(database), *words))  # fmt: skip

    steps.host.run("redis-cli", "CONFIG", "SET", "requirepass", "s3cret-word")
    ask("FLUSHDB")
    ask("FLUSHDB", database=8)
    keys = [word for number in range(1200) for word in (f"shop[1]:{number}", "x")]
    ask("MSET", *keys, "shop1:other", "y", "session:1", "z")
    ask("SET", "shop[1]:elsewhere", "x", database=8)
    yield ask
    ask("FLUSHDB")
    ask("FLUSHDB", database=8)
    ask("CONFIG", "SET", "requirepass", "")


def test_only_the_named_keys_leave_the_cache(steps: Steps, redis: Callable[..., str]) -> None:
    about = {"cache_login": {"database": 7, "password": "s3cret-word"}, "cache_prefixes": ["shop[1]:"]}
    planned = steps.take("cache", "--check", **about)
    assert planned["status"] == "skipped" and planned["message"].startswith("would remove 1200 of 1202 keys")
    assert redis("DBSIZE") == "1202"
    row = steps.take("cache", **about)
    assert row["status"] == "ok" and row["message"].startswith("removed 1200 of 1202 keys of database 7"), row
    assert sorted(redis("KEYS", "*").split("\n")) == ["session:1", "shop1:other"] and redis("DBSIZE", database=8) == "1"
    assert steps.take("cache", **about)["message"].startswith("removed 0") and "changed=0" in steps.said
    assert "s3cret-word" not in steps.said
    row = steps.take("cache", cache_login={"database": 7, "password": "wrong"}, cache_prefixes=["shop"])
    assert row["status"] == "critical" and "WRONGPASS" in row["message"]
    for nothing in ({}, {"cache_prefixes": [""]}, {"cache_prefixes": ["a"], "cache_whole_database": True}):
        assert steps.take("cache", **{**about, "cache_prefixes": [], **nothing})["status"] == "critical"
    assert redis("DBSIZE") == "2"
    row = steps.take("cache", cache_login=about["cache_login"], cache_prefixes=[], cache_whole_database=True)
    assert row["status"] == "ok", row
    assert redis("DBSIZE") == "0" and redis("DBSIZE", database=8) == "1"


@pytest.fixture
def databases(steps: Steps) -> Iterator[Steps]:
    sql = steps.host.sql
    for name in ("day2_ours", "day2_theirs"):
        sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        sql(f"CREATE DATABASE {name}", "postgres")
    yield steps
    for name in ("day2_ours", "day2_theirs"):
        sql(f"DROP DATABASE {name} WITH (FORCE)", "postgres")


def psql(steps: Steps, database: str, query: str) -> subprocess.Popen[str]:
    client: subprocess.Popen[str] = steps.host.start("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", database,
                                                     "-c", query)  # fmt: skip
    return client


def test_sessions_of_one_database_end(databases: Steps) -> None:
    def inside(name: str) -> str:
        return str(databases.host.sql(
            f"SELECT coalesce(string_agg(pid::text, ' ' ORDER BY pid), '') FROM pg_stat_activity"
            f" WHERE datname = '{name}'", "postgres"))  # fmt: skip

    about = {"database": "day2_ours", "sessions_timeout": "20s"}
    clients = [psql(databases, name, "SELECT pg_sleep(600)") for name in ("day2_ours", "day2_ours", "day2_theirs")]
    # It comes back whenever it is ended.
    again = "echo $$; while sleep 0.05; do psql -XAtq -d day2_ours -c 'SELECT pg_sleep(1)' > /dev/null 2>&1; done"
    clients.append(databases.host.start("runuser", "-u", "postgres", "--", "sh", "-c", again))
    pid = clients[-1].stdout.readline().strip()
    try:
        databases.until(lambda: len(inside("day2_ours").split()) == 3 and bool(inside("day2_theirs")))
        before, theirs = set(inside("day2_ours").split()), inside("day2_theirs")
        planned = databases.take("sessions", "--check", **about)
        assert planned["status"] == "skipped" and planned["message"].startswith("would end")
        assert len(before & set(inside("day2_ours").split())) >= 2 and inside("day2_theirs") == theirs
        row = databases.take("sessions", **about)
        assert row["status"] == "ok" and row["message"].endswith("sessions of day2_ours") and row["value"] >= 2, row
        assert any("of postgres (psql) from this host" in line for line in row["evidence"])
        assert not before & set(inside("day2_ours").split()) and inside("day2_theirs") == theirs
        # Logins are as they were: nothing has to be allowed again.
        assert databases.host.sql("SELECT current_database()", "day2_ours") == "day2_ours"
        names = databases.host.sql(
            "SELECT datname, datallowconn FROM pg_database WHERE datname LIKE 'day2%' ORDER BY 1"
        )
        assert names == "day2_ours|t\nday2_theirs|t"
    finally:
        databases.host.run("kill", pid)
        databases.host.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'day2_%'"
                           " AND pid <> pg_backend_pid()", "postgres")  # fmt: skip
        for client in clients:
            client.wait(60)
    databases.until(lambda: not inside("day2_ours"))
    assert databases.take("sessions", **about)["message"] == "nobody was in day2_ours" and "changed=0" in databases.said
    missing = databases.take("sessions", database="nosuch")
    assert missing["status"] == "critical" and "there is no database 'nosuch'" in missing["message"]


def test_a_database_is_vacuumed_and_reindexed(databases: Steps) -> None:
    def ask(query: str) -> str:
        return str(databases.host.sql(query, "day2_ours"))

    ask("CREATE TABLE t AS SELECT g AS id, md5(g::text) AS x FROM generate_series(1, 20000) g;"
        " DELETE FROM t WHERE id > 50; CREATE INDEX t_id ON t (id)")  # fmt: skip
    node = "SELECT relfilenode FROM pg_class WHERE relname = '{}'"
    index, table = ask(node.format("t_id")), ask(node.format("t"))
    planned = databases.take("database", "--check", database="day2_ours")
    assert planned["status"] == "skipped" and planned["message"].startswith(
        "would do VACUUM (ANALYZE) and REINDEX CONC"
    )
    assert ask(node.format("t_id")) == index
    row = databases.take("database", database="day2_ours")
    assert row["status"] == "ok" and row["message"].startswith("did VACUUM (ANALYZE) and REINDEX CONCURRENTLY of"), row
    assert ask(node.format("t_id")) != index and ask(node.format("t")) == table
    databases.until(lambda: ask("SELECT vacuum_count > 0 AND analyze_count > 0 FROM pg_stat_user_tables") == "t")
    row = databases.take("rebuild", database="day2_ours")
    assert (
        row["status"] == "ok" and "VACUUM (FULL, ANALYZE) and REINDEX of" in row["message"] and " -> " in row["message"]
    )
    assert ask(node.format("t")) != table
    # Somebody who may not do it is told so, though the programs' exit status is 0.
    ask("CREATE ROLE day2_guest LOGIN SUPERUSER PASSWORD 'guest-word'; ALTER ROLE day2_guest NOSUPERUSER")
    try:
        login = {"host": "localhost", "user": "day2_guest", "password": "guest-word"}
        row = databases.take("database", database="day2_ours", database_login=login, database_reindex=False)
        assert row["status"] == "warning" and any("skipping" in line for line in row["evidence"]), row
        assert "guest-word" not in databases.said
    finally:
        ask("DROP ROLE day2_guest")
    ask("INSERT INTO t SELECT 1, 'a' FROM generate_series(1, 2)")
    databases.host.run("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "day2_ours", "-c",
                       "CREATE UNIQUE INDEX CONCURRENTLY broken ON t (id)", check=False)  # fmt: skip
    row = databases.take("database", database="day2_ours", database_reindex=False)
    assert row["status"] == "warning" and "invalid index: broken" in row["evidence"]


def test_the_weekly_checklist_takes_its_steps_when_asked_to(steps: Steps, tmp_path: Path) -> None:
    def weekly(**variables: Any) -> dict[str, Row]:
        done = steps.host.playbook("day2.ops.weekly", "-l", steps.host.name, day2_report_dir=str(tmp_path),
                                   day2_fail_on="never", **variables)  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        (host,) = json.loads((tmp_path / "latest" / "report.json").read_text())["hosts"]
        return {row["id"]: row for row in host["results"]}

    node = "SELECT sum(relfilenode::bigint) FROM pg_class WHERE relkind = 'i' AND oid >= 16384"
    before = steps.host.sql(node)
    assert "database" not in weekly() and steps.host.sql(node) == before
    rows = weekly(day2_steps=True)
    assert rows["database"]["status"] == "ok" and rows["database"]["ref"] == ["OE-W02"], rows["database"]
    assert rows["database"]["duration"] > 0 and "failed-logins" in rows
    assert steps.host.sql(node) != before
