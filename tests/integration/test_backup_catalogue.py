# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases with objects that a query of the catalogue trips over and pg_dump does not: each has to give a set."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab.waiting import wait_for

DATABASE, REPOSITORY = "kinds", "/var/lib/postgresql/day2-kinds"
LOGIN = {"host": "127.0.0.1", "user": "reader", "password": "fictional-reader"}
OBJECTS = """
CREATE TABLE plain AS SELECT n FROM generate_series(1, 30) n;
CREATE MATERIALIZED VIEW unpopulated AS SELECT 1 AS one WITH NO DATA;
CREATE MATERIALIZED VIEW above_it AS SELECT * FROM unpopulated WITH NO DATA;
CREATE MATERIALIZED VIEW populated AS SELECT count(*) FROM plain;
CREATE EXTENSION postgres_fdw;
CREATE SERVER down FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', connect_timeout '2');
CREATE USER MAPPING FOR PUBLIC SERVER down OPTIONS (user 'x', password_required 'false');
CREATE FOREIGN TABLE elsewhere (n int) SERVER down;
CREATE TABLE parent (n int);
INSERT INTO parent VALUES (1), (2);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child VALUES (3);
CREATE FOREIGN TABLE foreign_child () INHERITS (parent) SERVER down;
CREATE TABLE parts (n int) PARTITION BY RANGE (n);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE FOREIGN TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20) SERVER down;
INSERT INTO parts VALUES (1);
CREATE VIEW fails AS SELECT 1 / (n - n) AS x FROM plain;
CREATE FUNCTION raises() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE VIEW raising AS SELECT raises();
CREATE TABLE no_columns ();
CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS n;
CREATE TABLE corrupt_index AS SELECT n FROM generate_series(1, 30) n;
CREATE INDEX not_valid ON corrupt_index (n);
CREATE TABLE "per%cent ""s" AS SELECT 1 AS n;
CREATE SCHEMA closed;
CREATE TABLE closed.inside AS SELECT 1 AS n;
REVOKE ALL ON SCHEMA closed FROM PUBLIC;
CREATE MATERIALIZED VIEW closed.secret AS SELECT 2 AS n;
"""
ROWS = {
    "plain": 30, "unpopulated": None, "above_it": None, "populated": 1, "parent": 2, "child": 1, "parts_1": 1,
    "no_columns": 0, "fleeting": 1, "corrupt_index": 30, 'per%cent "s': 1, "inside": 1, "secret": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def server(lab_host: Any) -> Iterator[Any]:
    lab_host.sql("CREATE ROLE reader LOGIN PASSWORD 'fictional-reader' IN ROLE pg_read_all_data", "postgres")
    lab_host.sql(f"CREATE DATABASE {DATABASE}", "postgres")
    script(lab_host, OBJECTS)
    lab_host.sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'not_valid'::regclass", DATABASE)
    try:
        yield lab_host
    finally:
        for name in (DATABASE, "restored_kinds"):
            lab_host.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        lab_host.sql("DROP ROLE reader", "postgres")
        lab_host.run("rm", "-rf", REPOSITORY)


def script(host: Any, text: str) -> None:
    host.run("runuser", "-u", "postgres", "--", "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", DATABASE, text=text)


def backup(server: Any, **arguments: Any) -> Any:
    call = {"databases": [DATABASE], "repository": REPOSITORY, **arguments}
    return server.task("day2.ops.pg_backup", call, become_user="postgres")


def manifest(host: Any, outcome: Any) -> Any:
    return json.loads(host.run("cat", f"{REPOSITORY}/postgresql/{outcome['set']['id']}/manifest.json"))


@contextmanager
def other_database(host: Any, name: str, change: str) -> Iterator[None]:
    host.sql(f"CREATE DATABASE {name}", "postgres")
    host.sql(change, "postgres")
    try:
        yield
    finally:
        host.sql(
            f"UPDATE pg_database SET datconnlimit = -1, datistemplate = false WHERE datname = '{name}'", "postgres"
        )
        host.sql(f"DROP DATABASE {name} WITH (FORCE)", "postgres")


def test_all_kinds_of_objects_with_the_least_rights(server: Any) -> None:
    """pg_read_all_data and nothing else, and a database beside it that is not for this role."""
    session: subprocess.Popen[str] = server.start(
        "runuser", "-u", "postgres", "--", "psql", "-Xqd", DATABASE,
        "-c", "BEGIN; CREATE TEMP TABLE mine AS SELECT 1; CREATE TEMP VIEW of_it AS SELECT * FROM mine; COMMIT",
        "-c", "SELECT pg_sleep(600)",
    )  # fmt: skip
    try:
        with other_database(server, "other", "REVOKE ALL ON DATABASE other FROM PUBLIC"):
            outcome = backup(server, **LOGIN)
    finally:
        server.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep'", "postgres"
        )
        session.wait()
    assert outcome.get("made") and outcome["set"]["verified"] == "read", outcome
    (database,) = manifest(server, outcome)["databases"]
    assert {entry["table"]: entry["rows"] for entry in database["rows"]} == ROWS
    assert database["size"] > 0


def test_a_set_of_them_restores_by_postgresqls_own_programs(server: Any) -> None:
    outcome = backup(server)
    assert outcome["made"]
    server.sql("CREATE DATABASE restored_kinds TEMPLATE template0", "postgres")
    archive = f"{REPOSITORY}/postgresql/{outcome['set']['id']}/db001/main.dump.zst"
    server.run(
        "runuser", "-u", "postgres", "--", "sh", "-euc", f"zstd -dcq {archive} | pg_restore -e -d restored_kinds"
    )
    for table, rows in ROWS.items():
        schema = "closed" if table in ("inside", "secret") else "public"
        name = f'{schema}."{table.replace(chr(34), chr(34) * 2)}"'
        if rows is None:
            assert (
                server.sql(f"SELECT relispopulated FROM pg_class WHERE oid = '{name}'::regclass", "restored_kinds")
                == "f"
            )
        else:
            assert server.sql(f"SELECT count(*) FROM ONLY {name}", "restored_kinds") == str(rows), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'odd'", "is invalid: a DROP DATABASE"),
        ("UPDATE pg_database SET datallowconn = false WHERE datname = 'odd'", "allows no connections"),
    ],
)
def test_a_database_that_nobody_can_read_is_left_out_or_named(server: Any, change: str, words: str) -> None:
    with other_database(server, "odd", change):
        everything = backup(server, databases=["all"], count_rows=False)
        asked = backup(server, databases=["odd"])
        server.sql("UPDATE pg_database SET datallowconn = true WHERE datname = 'odd'", "postgres")
    assert everything["made"] and "odd" not in everything["set"]["databases"], everything
    assert DATABASE in everything["set"]["databases"]
    assert asked["failed"] and words in asked["msg"]


def test_a_table_that_the_role_may_not_read_is_named(server: Any) -> None:
    server.sql("REVOKE pg_read_all_data FROM reader", "postgres")
    try:
        outcome = backup(server, **LOGIN)
    finally:
        server.sql("GRANT pg_read_all_data TO reader", "postgres")
    assert outcome["failed"] and "permission denied for" in outcome["msg"], outcome


def test_a_failed_pg_dump_ends_the_count_of_rows(server: Any) -> None:
    """Counting waits for an index that is being rebuilt; the run is over as soon as pg_dump is."""
    folder = "/opt/failing"
    real = 'exec /usr/lib/postgresql/15/bin/$(basename $0) "$@"'
    fail = 'case "$*" in *--snapshot*) sleep 2; echo "pg_dump: error: no more" >&2; exit 3;; esac'
    server.run("sh", "-c", f"mkdir -p {folder}")
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        server.run("sh", "-c", f"cat > {folder}/{name}; chmod 755 {folder}/{name}", text=f"#!/bin/sh\n{fail}\n{real}\n")
    rebuild = "BEGIN; REINDEX INDEX not_valid; SELECT pg_sleep(100)"
    holder = server.start("runuser", "-u", "postgres", "--", "psql", "-Xqd", DATABASE, "-c", rebuild)
    held = "FROM pg_stat_activity WHERE query ~ 'pg_sleep.100' AND pid <> pg_backend_pid()"
    try:
        wait_for(lambda: server.sql(f"SELECT count(*) {held}", "postgres"), lambda seen: seen == "1", 60, "a rebuild")
        outcome = backup(server, bin_dir=folder, lock_timeout="90s", timeout="80s")
        still = server.sql(f"SELECT count(*) {held}", "postgres")
    finally:
        server.sql(f"SELECT pg_terminate_backend(pid) {held}", "postgres")
        holder.wait()
        server.run("rm", "-rf", folder)
    assert outcome["failed"] and "pg_dump failed (exit status 3: pg_dump: error: no more)" in outcome["msg"], outcome
    assert still == "1", "the lock that the count waited for was still held"
