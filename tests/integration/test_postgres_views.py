# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What probe postgres shows of a database; psql is asked what is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

PG: dict[str, Any] = {"probe": "postgres", "database": "views", "run_as": "postgres"}
SCHEMA = """
CREATE TABLE "Mixed Case" (id int PRIMARY KEY, v text);
CREATE INDEX "Never Used" ON "Mixed Case" (v);
CREATE UNIQUE INDEX unique_unused ON "Mixed Case" (v, id);
INSERT INTO "Mixed Case" SELECT n, 'v' || n FROM generate_series(1, 20000) n;
CREATE TABLE events (at date NOT NULL, what text) PARTITION BY RANGE (at);
CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2020-01-01') TO ('2025-01-01');
CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2030-01-01');
CREATE INDEX events_at ON events (at);
INSERT INTO events SELECT date '2020-01-02' + n % 3500, repeat('x', 200) FROM generate_series(1, 30000) n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def database(lab_host: Any) -> Iterator[None]:
    lab_host.sql("CREATE DATABASE views")
    lab_host.sql(SCHEMA, "views")
    # Now, lest autovacuum changes sizes between a measurement and the question about it.
    lab_host.sql("VACUUM ANALYZE", "views")
    for _time in range(3):
        lab_host.sql('SELECT count(*) FROM "Mixed Case"', "views")
    # One partition is read by the index: that index is in use.
    lab_host.sql("SET enable_seqscan = off; SELECT count(*) FROM events WHERE at = '2020-01-02'", "views")
    yield
    lab_host.sql("DROP DATABASE views WITH (FORCE)")


@pytest.fixture(scope="module")
def seen(lab_host: Any, database: None) -> dict[str, dict[str, Any]]:
    names = ("sequential_scans", "unused_indexes", "invalid_indexes", "table_sizes", "slow_statements")
    names += ("deadlocks", "temp_bytes", "xid_age", "checkpoints")
    results: dict[str, dict[str, Any]] = lab_host.checks(*({"id": name, "metric": name, **PG} for name in names))
    return results


def test_sequential_scans(seen: dict[str, dict[str, Any]]) -> None:
    result = seen["sequential_scans"]
    assert result["status"] == "ok" and result["value"] >= 60000
    assert '"Mixed Case" was read most' in result["message"]
    assert result["evidence"][0].startswith("table ") and result["evidence"][1].startswith('"Mixed Case"')


def test_unused_indexes_are_those_nothing_needs(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    result = seen["unused_indexes"]
    assert result["value"] == 1, result
    assert result["evidence"][1].endswith('"Never Used"')
    assert lab_host.sql("SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'Never Used'", "views") == "0"


def test_table_sizes_sum_partitions(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    result = seen["table_sizes"]
    query = "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('events')"
    assert result["value"] == int(lab_host.sql(query, "views"))
    assert result["evidence"][1].endswith("events") and " 2 " in result["evidence"][1]
    assert any(line.endswith('"Mixed Case"') for line in result["evidence"])


def test_what_is_not_installed_says_what_to_do(seen: dict[str, dict[str, Any]]) -> None:
    result = seen["slow_statements"]
    assert result["status"] == "unknown"
    assert "not available" in result["message"] and "shared_preload_libraries" in result["message"]


def test_figures(lab_host: Any, seen: dict[str, dict[str, Any]]) -> None:
    assert seen["deadlocks"]["value"] == 0
    assert seen["temp_bytes"]["unit"] == "B"
    age = int(lab_host.sql("SELECT max(greatest(age(datfrozenxid), mxid_age(datminmxid))) FROM pg_database"))
    assert abs(seen["xid_age"]["value"] - age) < 1000
    assert "wraparound" in seen["xid_age"]["message"]
    assert seen["invalid_indexes"]["value"] == 0


def test_failed_concurrent_index_is_found(lab_host: Any, database: None) -> None:
    lab_host.sql("CREATE TABLE doubles AS SELECT 1 AS x FROM generate_series(1, 2)", "views")
    lab_host.run(
        "runuser",
        "-u",
        "postgres",
        "--",
        "psql",
        "-Xqd",
        "views",
        "-c",
        "CREATE UNIQUE INDEX CONCURRENTLY broken ON doubles (x)",
        check=False,
    )
    result = lab_host.checks({"id": "x", **PG, "metric": "invalid_indexes", "critical": "> 0"})["x"]
    assert result["status"] == "critical" and result["value"] == 1
    assert "broken on doubles" in result["evidence"][0]


def test_deadlocks_and_temporary_files_are_counted(lab_host: Any, database: None) -> None:
    lab_host.sql("SET work_mem = '64kB'; SELECT v FROM \"Mixed Case\" ORDER BY md5(v) OFFSET 1000000", "views")
    lab_host.sql("SELECT pg_stat_force_next_flush()", "views")
    result = lab_host.checks({"id": "x", **PG, "metric": "temp_bytes"})["x"]
    said = int(lab_host.sql("SELECT temp_bytes FROM pg_stat_database WHERE datname = 'views'"))
    assert result["value"] == said > 0


def test_forty_checks_use_one_connection(lab_host: Any, database: None) -> None:
    count = "SELECT sessions FROM pg_stat_database WHERE datname = 'views'"
    before = int(lab_host.sql(count))
    results = lab_host.checks(*({"id": f"c{number}", **PG, "metric": "table_sizes"} for number in range(40)))
    assert {result["status"] for result in results.values()} == {"ok"} and len(results) == 40
    assert int(lab_host.sql(count)) - before == 1
