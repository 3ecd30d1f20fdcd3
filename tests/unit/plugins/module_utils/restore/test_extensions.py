# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which extensions a server can create anew in a restored database, and what to do about the others."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore.comparisons import names_wanted
from ansible_collections.day2.ops.plugins.module_utils.restore.extensions import (
    Extension,
    Extensions,
    conditions,
    faults,
    preloaded,
)

# As pg_cron--1.0.sql begins.
CRON = r"""
/* pg_cron--1.0.sql */
-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_cron" to load this file. \quit
DO $$
BEGIN
   IF current_database() <> current_setting('cron.database_name') AND current_database() <> 'contrib_regression' THEN
      RAISE EXCEPTION 'can only create extension in database %',
                      current_setting('cron.database_name')
      USING DETAIL = 'Jobs must be scheduled from the database configured in cron.database_name';
   END IF;
END;
$$;
CREATE SCHEMA cron;
"""
# As postgis has it: a function that is only created.
FUNCTION = """CREATE FUNCTION add_path() RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET a TO b'; RAISE EXCEPTION 'x'; END $$;
"""
ONLY_X = "DO 'BEGIN IF current_database() != ''x'' THEN RAISE ''no''; END IF; END';"
NOTICE = "DO $$ BEGIN RAISE NOTICE 'in %', current_database(); END $$;"


def seen(name: str, preload: str = "", settings: dict[str, str] | None = None, **fields: Any) -> Extensions:
    return Extensions({name: Extension(name, "1.0", **fields)}, preloaded(preload), settings or {})


@pytest.mark.parametrize(
    ("name", "there", "words"),
    [
        ("pg_cron", Extensions(), ("not installed on this server: pg_cron",)),
        ("pg_cron", seen("pg_cron"), ("pg_cron", "shared_preload_libraries", "restart")),
        ("pg_cron", seen("pg_cron", "pg_cron", {"cron.database_name": "shop"}, conditions=conditions(CRON)),
         ("one database", "cron.database_name is shop", "shop_restoring", "DROP EXTENSION", "method: physical")),
        ("mine", seen("mine", conditions=conditions(ONLY_X)), ("one database", "shop_restoring")),
        ("mine", seen("mine", conditions=["IF current_setting('shared_preload_libraries') !~ 'mine' THEN RAISE 'x'"]),
         ("its library mine is not in shared_preload_libraries",)),
        ("mine", seen("mine", installable=False), ("no script that makes its version 1.0", "whole package")),
        ("mine", seen("mine", library="mine", library_missing=True), ("its library mine is not installed",)),
        ("mine", seen("mine", requires=["cube"]), ("version 1.0 here needs cube", "the set does not have")),
        ("timescaledb", seen("timescaledb", "timescaledb"), ("timescaledb_pre_restore", "method: physical")),
        ("citus", seen("citus", "citus"), ("other servers", "method: physical")),
        ("pgaudit", seen("pgaudit", "pg_stat_statements"), ("pgaudit is not in shared_preload_libraries",)),
    ],
)  # fmt: skip
def test_what_cannot_be_created(name: str, there: Extensions, words: tuple[str, ...]) -> None:
    (fault,) = faults([name], there, "shop_restoring")
    assert [word for word in words if word not in fault] == [], fault
    certain = ("not installed", "no script", "the set does not have")
    allowed = faults([name], there, "shop_restoring", allowed=True)
    assert allowed == ([fault] if any(word in fault for word in certain) else [])
    assert ("allow: [extensions]" in fault) is (allowed == [])


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("pg_trgm", seen("pg_trgm")),
        ("pg_stat_statements", seen("pg_stat_statements")),
        ("pgaudit", seen("pgaudit", "pg_stat_statements, '$libdir/pgaudit.so'")),
        ("postgis", seen("postgis", conditions=conditions(FUNCTION + NOTICE))),
        ("mine", seen("mine", conditions=["IF current_database() NOT IN ('shop_restoring', 'x') THEN RAISE 'no'"])),
        ("pg_cron", seen("pg_cron", "pg_cron", {"cron.database_name": "shop_restoring"}, conditions=conditions(CRON))),
    ],
)
def test_what_can(name: str, there: Extensions) -> None:
    assert faults([name], there, "shop_restoring") == []


def test_one_that_needs_another_of_the_set() -> None:
    both = {name: Extension(name, "1.0", requires=requires) for name, requires in (("earthdistance", ["cube"]),
                                                                                   ("cube", []))}  # fmt: skip
    assert faults(both, Extensions(both), "shop_restoring") == []


def test_conditions_of_a_script() -> None:
    assert len(conditions(CRON)) == 1 and "cron.database_name" in conditions(CRON)[0]
    assert conditions(FUNCTION) == [] and conditions(NOTICE) == [] and conditions("DO $$ never ends") == []


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ("IF current_database() <> 'x' THEN RAISE 'no'", {"x"}),
        ("IF pg_catalog.current_database() != 'x'::name THEN RAISE 'no'", {"x"}),
        ("IF 'x' <> current_database() THEN RAISE 'no'", {"x"}),
        ("IF current_database()::text IS DISTINCT FROM 'it''s' THEN RAISE 'no'", {"it's"}),
        ("IF NOT current_database() = 'x' THEN RAISE 'no'", {"x"}),
        ("IF NOT (current_database() IN ('x', 'y')) THEN RAISE 'no'", {"x", "y"}),
        ("IF current_database() NOT IN ('x', current_setting('a.b')) THEN RAISE 'no'", {"x", "shop"}),
        ("IF (current_database()) <> CURRENT_SETTING('a.b', true) THEN RAISE 'no'", {"shop"}),
        ("IF current_database() <> current_setting('a.b') AND current_database() <> 'x' THEN RAISE 'no'",
         {"shop", "x"}),
        ("IF current_setting('a.b') <> current_database() THEN RAISE 'no'", {"shop"}),
        ("IF current_database() <> current_setting('a.unknown') THEN RAISE 'no'", set()),
        # The database's row of the catalogue, for something else.
        ("IF (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) <> 'UTF8'"
         " THEN RAISE 'only in UTF8'", None),
        ("IF EXISTS (SELECT FROM pg_database WHERE datname = current_database() AND encoding <> 6) THEN RAISE 'x'",
         None),
        ("IF 'UTF8' <> (SELECT e FROM enc WHERE current_database() = datname) THEN RAISE 'x'", None),
        ("SELECT datcollate INTO c FROM pg_database WHERE datname = current_database(); IF c <> 'C' THEN RAISE 'x'",
         None),
        ("IF encoding_of(current_database()) <> 'UTF8' THEN RAISE 'x'", None),
        ("IF 'db ' || current_database() <> 'x' THEN RAISE 'x'", None),
        # Which database it must not be.
        ("IF current_database() = 'postgres' THEN RAISE 'not here'", None),
        ("IF current_database() IN ('postgres', 'template1') THEN RAISE 'not here'", None),
        ("IF not_really THEN RAISE 'in % not', current_database(); END IF; IF a <> 'x' THEN RAISE 'x'", None),
        ("IF current_database() <> 'never ends", None),
        ("RAISE 'x'", None),
    ],
)  # fmt: skip
def test_which_database_a_script_wants(condition: str, names: set[str] | None) -> None:
    assert names_wanted(condition, {"a.b": "shop"}) == names
    refused = faults(["mine"], seen("mine", settings={"a.b": "shop"}, conditions=[condition]), "shop_restoring")
    assert bool(refused) is (names is not None)
