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
    ask("SET", "kept", "x", database=0)
    yield ask
    ask("DEL", "kept", database=0)
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
    # Nobody's database is emptied because a word was misspelt or left out.
    for login, said in (({"db": 7}, "db"), ({}, "names no database")):
        row = steps.take("cache", cache_login={"password": "s3cret-word", **login}, cache_prefixes=[],
                         cache_whole_database=True)  # fmt: skip
        assert row["status"] == "critical" and said in f"{row['message']} {row['evidence']}", row
    assert redis("DBSIZE") == "2" and redis("GET", "kept", database=0) == "x"
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
    row = databases.take("rebuild", database="day2_ours", rebuild_outside=True)
    assert row["status"] == "ok" and "VACUUM (FULL, ANALYZE) and REINDEX SYSTEM of" in row["message"], row
    assert " -> " in row["message"] and ask(node.format("t")) != table
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
    assert row["status"] == "warning" and "invalid index: public.broken" in row["evidence"]


# Looks at every command line until the file that ends it is there: how many held the word, how many were the program's.
WATCH = """
import os, sys, time
word, held, ours = sys.stdin.readline().strip().encode(), set(), set()
print("looking", flush=True)
end = time.monotonic() + 120
while not os.path.exists("/run/day2-watched") and time.monotonic() < end:
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                line = stream.read()
        except OSError:
            continue
        if word in line:
            held.add(line.decode())
        if b"vacuumdb" in line:
            ours.add(line.decode())
print(len(held), len(ours), *held)
"""


@pytest.mark.parametrize("entry_point", ["database", "rebuild"])
def test_no_command_line_shows_the_password(databases: Steps, entry_point: str) -> None:
    databases.host.sql("CREATE TABLE t AS SELECT 1 AS id", "day2_ours")
    databases.host.sql("CREATE ROLE day2_guest LOGIN SUPERUSER PASSWORD 'guest-word'")
    databases.sh("rm -f /run/day2-watched; cat > /root/day2-watch.py", text=WATCH)
    # Reading goes on, VACUUM in either form does not.
    lock = "BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(300)"
    locker = psql(databases, "day2_ours", lock)
    command = [*databases.host.inside, "python3", "/root/day2-watch.py"]
    watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert watcher.stdin is not None and watcher.stdout is not None
    try:
        watcher.stdin.write("guest-word\n")
        watcher.stdin.flush()
        assert watcher.stdout.readline().strip() == "looking"
        held = "SELECT count(*) FROM pg_locks WHERE mode = 'ShareUpdateExclusiveLock' AND relation = 't'::regclass"
        databases.until(lambda: str(databases.host.sql(held, "day2_ours")) == "1")
        login = {"host": "localhost", "user": "day2_guest", "password": "guest-word"}
        # The program waits for the lock, so that there is time to look at it.
        row = databases.take(entry_point, database="day2_ours", database_login=login, database_lock_timeout="2 s",
                             rebuild_outside=True)  # fmt: skip
        assert row["status"] == "critical" and "lock timeout" in row["message"], row
        databases.sh("touch /run/day2-watched")
        said, _complaint = watcher.communicate(timeout=60)
        passwords, programs, *_lines = said.split()
        assert passwords == "0" and int(programs) >= 1, said
    finally:
        databases.sh("touch /run/day2-watched")
        watcher.communicate(timeout=180)
        databases.sh("rm -f /run/day2-watched /root/day2-watch.py")
        databases.host.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'day2_ours'"
                           " AND pid <> pg_backend_pid()", "postgres")  # fmt: skip
        locker.wait(60)
        databases.host.sql("DROP ROLE day2_guest")


def test_what_does_not_fit_is_not_rebuilt(databases: Steps) -> None:
    def ask(query: str) -> str:
        return str(databases.host.sql(query, "day2_ours"))

    ask("CREATE TABLE t AS SELECT 1 AS id")
    data, file = ask("SHOW data_directory"), ask("SELECT pg_relation_filepath('t')")
    # A second segment: the server counts it, and looks into it only when the first one is full.
    databases.sh(f"truncate -s 8T {data}/{file}.1; chown postgres: {data}/{file}.1")
    for options in ([], ["--check"]):
        row = databases.take("rebuild", *options, database="day2_ours", rebuild_outside=True)
        assert row["status"] == "critical" and "t (8.0 TiB) with indexes anew" in row["message"], row
        assert "was not begun" in row["message"] and " free, and 8.0 TiB are needed" in row["message"]
    assert ask("SELECT pg_relation_filepath('t')") == file
    databases.sh(f"rm {data}/{file}.1")
    assert databases.take("rebuild", database="day2_ours", rebuild_outside=True)["status"] == "ok"
    assert ask("SELECT pg_relation_filepath('t')") != file


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
