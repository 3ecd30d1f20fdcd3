# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that change while a backup reads them: no application waits beyond the lock limit, and a set is its snapshot.

Each test stops the backup at a stage, changes tables, lets it go on and restores what it made by PostgreSQL's own
programs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from moving import DATABASE, OBJECTS, REPOSITORY, STAGES, Moving, moving_database


@pytest.fixture(scope="module")
def database(lab_host: Any) -> Iterator[Moving]:
    with moving_database(lab_host) as moving:
        yield moving


@pytest.fixture(autouse=True)
def fresh(database: Moving) -> None:
    database.host.run("rm", "-rf", REPOSITORY)
    database.sql(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", "postgres")
    database.sql(f"CREATE DATABASE {DATABASE}", "postgres")
    database.script(OBJECTS)


FIFTY = "CREATE TABLE t AS SELECT n FROM generate_series(1, 50) n"
# Each is what the application or an administrator does to tables of its own: name, before, during.
CHANGES = {
    "add_column": (FIFTY, "ALTER TABLE t ADD COLUMN note text"),
    "drop_column": ("CREATE TABLE t AS SELECT n, n AS m FROM generate_series(1, 50) n", "ALTER TABLE t DROP COLUMN m"),
    "rewrite": (FIFTY, "ALTER TABLE t ALTER n TYPE bigint"),
    "rename": (FIFTY, "ALTER TABLE t RENAME TO t_renamed"),
    "truncate": (
        FIFTY,
        "BEGIN; TRUNCATE t; INSERT INTO t SELECT n FROM generate_series(1, 60) n; COMMIT",
    ),
    "drop": (FIFTY, "DROP TABLE t"),
    "swap": (
        f"{FIFTY}; CREATE TABLE t_new AS SELECT 1 AS n",
        "BEGIN; ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t; COMMIT",
    ),
    "vacuum_full": (f"{FIFTY}; DELETE FROM t WHERE n < 9", "VACUUM FULL t"),
    "cluster": (f"{FIFTY}; CREATE INDEX t_i ON t (n)", "CLUSTER t USING t_i"),
    "reindex_table": (f"{FIFTY}; CREATE INDEX t_i ON t (n)", "REINDEX TABLE t"),
    "reindex_index": (f"{FIFTY}; CREATE INDEX t_i ON t (n)", "REINDEX INDEX t_i"),
    "refresh": ("CREATE MATERIALIZED VIEW t AS SELECT count(*) FROM accounts", "REFRESH MATERIALIZED VIEW t"),
    "attach": (
        "CREATE TABLE t (n int) PARTITION BY RANGE (n); CREATE TABLE t_1 AS SELECT n FROM generate_series(1, 50) n",
        "ALTER TABLE t ATTACH PARTITION t_1 FOR VALUES FROM (0) TO (100)",
    ),
    "detach": (
        "CREATE TABLE t (n int) PARTITION BY RANGE (n); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "ALTER TABLE t DETACH PARTITION t_1",
    ),
    "detach_concurrently": (
        "CREATE TABLE t (n int) PARTITION BY RANGE (n); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (100)",
        "ALTER TABLE t DETACH PARTITION t_1 CONCURRENTLY",
    ),
    "create": ("SELECT 1", FIFTY),
    "index_concurrently": ("CREATE TABLE t AS SELECT 1 AS n", "CREATE INDEX CONCURRENTLY t_i ON t (n)"),
    "replace_view": (
        "CREATE VIEW t AS SELECT id FROM accounts",
        "CREATE OR REPLACE VIEW t AS SELECT id, amount FROM accounts",
    ),
    "drop_view": ("CREATE VIEW t AS SELECT id FROM accounts", "DROP VIEW t"),
    "drop_function": ("CREATE FUNCTION t(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION t"),
    "unlogged": ("CREATE UNLOGGED TABLE t AS SELECT n FROM generate_series(1, 50) n", "ALTER TABLE t SET LOGGED"),
}  # fmt: skip


WORDS = ("t", "t_i", "t_1", "t_new", "t_old", "t_renamed")
# These wait for the end of the snapshot and not for a table: that has no limit, and nobody waits behind them.
UNLIMITED = ("detach_concurrently", "index_concurrently")
LOCK_TIMEOUT = 5
# No change waits longer for a lock than the limit of the backup and what it takes to give way on a machine that is
# busy; its own server ends it otherwise.
BOUND = f"SET lock_timeout = '{LOCK_TIMEOUT + 5}s';"
# Tables of changes that are there before and after them, for a reader who comes behind the change.
READ = (
    "add_column", "drop_column", "rewrite", "truncate", "swap", "vacuum_full", "cluster", "reindex_table", "unlogged",
)  # fmt: skip


def of(change: str, statement: str) -> str:
    """The statement about this change's own objects: they are called by it instead of `t`."""
    parts = statement.replace("(", " ( ").split(" ")
    return " ".join(f"x_{change}{word[1:]}" if word.rstrip(";") in WORDS else word for word in parts)


def bound(change: str) -> str:
    return "" if change in UNLIMITED else BOUND


@pytest.mark.parametrize("stage", STAGES)
def test_every_change_at_every_stage_under_load(database: Moving, stage: str) -> None:
    database.script("".join(f"{of(name, before)};\n" for name, (before, _during) in CHANGES.items()))
    known = [database.state()]
    reads = [f"SELECT count(*) FROM x_{name}" for name in READ]
    with (
        database.stopped_at(stage, lock_timeout=f"{LOCK_TIMEOUT}s") as outcome,
        database.load(*reads, lock_timeout=f"{LOCK_TIMEOUT + 5}s") as errors,
    ):
        sessions = {name: database.start(bound(name), of(name, during)) for name, (_before, during) in CHANGES.items()}
        try:
            ended = {name: session.wait(120) for name, session in sessions.items()}
        finally:
            for session in sessions.values():
                session.terminate()
                session.wait()
        database.go_on()
        made = outcome.result(240)
    assert set(ended.values()) == {0}, ended
    assert errors == [], "the application worked on"
    known.append(database.state())
    assert made["made"] and made["set"]["verified"] == "read", made
    assert "given up and begun anew" in " ".join(made["warnings"]), "somebody waited, and the dump gave way"
    restored = database.restored(made)
    assert restored["sum"] == 40_000, "all tables are of one moment"
    for name in CHANGES:
        own = {of(name, word) for word in WORDS}
        present = [own & state["tables"].keys() for state in known]
        assert own & restored["tables"].keys() in present, (name, "all tables of before, or all of after")
    assert restored["tables"].keys() - {of(name, word) for name in CHANGES for word in WORDS} == {
        "accounts", "savings", "big"
    }  # fmt: skip
    for kind in ("tables", "columns"):
        for table, value in restored[kind].items():
            assert value in [state[kind].get(table) for state in known], (kind, table)
    recorded = database.recorded(made)
    assert {name: recorded[name] for name in restored["tables"]} == {
        name: int(rows) for name, rows in restored["tables"].items()
    }


def test_a_change_behind_the_count_of_rows_is_no_deadlock(database: Moving) -> None:
    """ALTER waits for the session that holds the snapshot, a later pg_dump behind ALTER, the module for pg_dump."""
    with database.stopped_at("before-data") as outcome, database.load() as errors:
        change = database.start("ALTER TABLE big ADD COLUMN note text")
        database.waiting(1)
        database.go_on()
        made = outcome.result(120)
        assert change.wait(60) == 0
    assert errors == []
    assert made["made"] and "ALTER TABLE big ADD COLUMN note text" in " ".join(made["warnings"]), made
    assert database.restored(made)["columns"]["big"] == "id,text,note"


@pytest.mark.parametrize("stage", ["before-main", "after-data"])
def test_a_table_that_is_truncated_and_filled_again_is_stored_as_one_or_the_other(database: Moving, stage: str) -> None:
    """Before its dump it would be empty in the set, after it a good set would be called damaged."""
    database.sql("CREATE TABLE z_stage AS SELECT n FROM generate_series(1, 5000) n")
    with database.stopped_at(stage) as outcome:
        change = database.start(
            "BEGIN; TRUNCATE z_stage; INSERT INTO z_stage SELECT n FROM generate_series(1, 6000) n; COMMIT"
        )
        database.waiting(1)
        database.go_on()
        made = outcome.result(120)
        assert change.wait(60) == 0
    rows = database.recorded(made)["z_stage"]
    assert rows in (5000, 6000) and database.restored(made)["tables"]["z_stage"] == str(rows), made


def test_a_table_that_cannot_be_locked_is_named_with_its_holder(database: Moving) -> None:
    holder = database.start("BEGIN; LOCK TABLE accounts; SELECT pg_sleep(600), 's3cret'")
    try:
        made = database.backup(bin_dir=None, lock_timeout="2s")
    finally:
        database.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE query ~ 'LOCK TABLE' AND pid <> pg_backend_pid()"
        )
        holder.wait()
    assert made["failed"] and '"public"."accounts" is locked by process' in made["msg"], made
    assert "LOCK TABLE accounts" in made["msg"] and "s3cret" not in made["msg"] and "`lock_timeout`" in made["msg"]
    assert database.shell(f"find {REPOSITORY} -name '*.zst'") == ""


@pytest.mark.parametrize(
    ("stage", "before", "during", "reason"),
    [
        ("before-main", "CREATE VIEW v AS SELECT id FROM accounts",
         "CREATE OR REPLACE VIEW v AS SELECT id, amount FROM accounts", "view or rule of public.v"),
        ("before-main", "CREATE VIEW v AS SELECT id FROM accounts", "DROP VIEW v", "public.v"),
        ("before-main", "CREATE SEQUENCE s START 500", "ALTER SEQUENCE s RESTART WITH 1", "sequence public.s"),
        ("before-main", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f", "function f"),
        ("before-main", "CREATE SCHEMA old; CREATE TABLE old.t ()", "ALTER SCHEMA old RENAME TO new", "schema old"),
        ("before-main", "CREATE TYPE mood AS ENUM ('a')", "ALTER TYPE mood RENAME TO temper", "type mood"),
        ("before-main", "CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "CREATE OR REPLACE FUNCTION f(a int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 1'", "function f"),
        ("before-main", "ALTER TABLE accounts ADD CONSTRAINT positive CHECK (amount > -100000) NOT VALID",
         "ALTER TABLE accounts VALIDATE CONSTRAINT positive", "constraint of public.accounts"),
        # Rows are written with the labels of that moment, long after the definitions.
        ("before-data", "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE moods AS SELECT 'a'::mood AS m",
         "ALTER TYPE mood RENAME VALUE 'a' TO 'b'", "values of type mood"),
        # What pg_dump has read already, and what is no change of a definition.
        ("before-data", "CREATE VIEW v AS SELECT id FROM accounts",
         "CREATE OR REPLACE VIEW v AS SELECT id, amount FROM accounts", None),
        ("before-main", "CREATE SEQUENCE s", "SELECT nextval('s')", None),
        ("before-main", "CREATE MATERIALIZED VIEW m AS SELECT 1 AS n", "REFRESH MATERIALIZED VIEW m", None),
        ("before-main",
         "CREATE MATERIALIZED VIEW m AS SELECT string_agg(text, '') AS t FROM big; CREATE INDEX ON m ((1))",
         "REFRESH MATERIALIZED VIEW m", None),
        ("before-data", "CREATE TYPE mood AS ENUM ('a')", "ALTER TYPE mood ADD VALUE 'b'", None),
        ("before-main", "SELECT 1", "CREATE VIEW v AS SELECT id FROM accounts; CREATE TABLE new (n int)", None),
        ("before-main", "SELECT 1", "VACUUM; ANALYZE", None),
    ],
)  # fmt: skip
def test_definitions_that_change_while_they_are_read(
    database: Moving, stage: str, before: str, during: str, reason: str | None
) -> None:
    database.script(f"{before};")
    with database.stopped_at(stage, count_rows=False) as outcome:
        if stage == "before-data":
            database.compared()
        for statement in during.split("; "):
            assert database.start(statement).wait(60) == 0
        database.go_on()
        made = outcome.result(120)
    warnings = " ".join(made.get("warnings", []))
    assert made["made"] and (reason in warnings if reason else "given up" not in warnings), made
    assert database.restored(made)["sum"] == 40_000


def test_a_backup_that_always_has_to_give_way_fails_and_says_so(database: Moving) -> None:
    with database.stopped_at("before-data") as outcome:
        for _attempt in range(3):
            database.reached("before-data")
            database.shell("rm /opt/moving/at-before-data")
            assert database.start("ALTER TABLE accounts ALTER amount SET NOT NULL").wait(60) == 0
        made = outcome.result(60)
    assert made["failed"] and "the dump was given up 3 times" in made["msg"], made
    assert (
        made["msg"].count("ALTER TABLE accounts ALTER amount SET NOT NULL") == 3 and "nothing was pruned" in made["msg"]
    )
    assert database.shell(f"find {REPOSITORY} -name '*.zst*'") == ""
