# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""REINDEX CONCURRENTLY beside a dump that does not end, and VACUUM on a server that has a standby."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from lab.waiting import wait_for
from lab_host import LabHost

DATABASE = "day2_reindex"
TABLES = """
CREATE TABLE orders AS SELECT g AS id, md5(g::text) AS word FROM generate_series(1, 60000) g;
CREATE INDEX orders_id ON orders (id); CREATE INDEX "Orders Word" ON orders (word);
CREATE TABLE small (id int PRIMARY KEY);
CREATE TABLE hollow WITH (autovacuum_enabled = false) AS SELECT g AS id FROM generate_series(1, 60000) g
"""
END = "/run/day2-dump-end"
# A reader that takes nothing: pg_dump waits for it, with its snapshot and its locks.
DUMP = f"runuser -u postgres -- pg_dump --no-password {DATABASE} | while test ! -e {END}; do sleep 0.2; done"
NODES = "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace"
INVALID = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"


@pytest.fixture
def host(lab_host: LabHost) -> Iterator[LabHost]:
    lab_host.sql(f"CREATE DATABASE {DATABASE}", "postgres")
    try:
        lab_host.sql(TABLES, DATABASE)
        yield lab_host
    finally:
        lab_host.sql(f"DROP DATABASE {DATABASE} WITH (FORCE)", "postgres")


@contextmanager
def dumping(host: LabHost) -> Iterator[None]:
    """A dump of the database that is under way, and ends only with this."""
    host.run("rm", "-f", END)
    dump = host.start("sh", "-c", DUMP)
    found = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{DATABASE}' AND application_name = 'pg_dump'"
    locked = "SELECT count(*) FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'AccessShareLock'"
    try:
        wait_for(lambda: host.sql(locked, DATABASE), lambda said: said != "0", 60, "the dump has its locks")
        yield
    finally:
        ending = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{DATABASE}'"
        host.sql(f"{ending} AND application_name = 'pg_dump'", "postgres")
        wait_for(lambda: host.sql(found, "postgres"), lambda said: said == "0", 30, "the dump has ended")
        host.run("touch", END)
        dump.wait(30)


def vacuum(host: LabHost, **arguments: Any) -> dict[str, Any]:
    done = host.task("day2.ops.pg_vacuum", {"database": DATABASE, **arguments}, become_user="postgres")
    assert not done.get("failed"), done
    outcome: dict[str, Any] = done["outcome"]
    return outcome


def nodes(host: LabHost) -> dict[str, str]:
    return dict(line.split("|") for line in host.sql(NODES, DATABASE).split("\n"))


def test_a_dump_that_lasts_longer_ends_no_pass(host: LabHost) -> None:
    before = nodes(host)
    with dumping(host):
        # As a pass of before did: it left a copy behind.
        command = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", DATABASE, "-c", "SET lock_timeout = '1s'"]
        host.run(*command, "-c", "REINDEX INDEX CONCURRENTLY orders_id", check=False)
        assert host.sql(INVALID, DATABASE) == "1"
        outcome = vacuum(host, lock_timeout="2s")
        assert outcome["status"] == "warning" and "indexes not reindexed" in outcome["message"], outcome
        left = [line for line in outcome["evidence"] if "not reindexed, pg_dump (process " in line]
        # With that of the table's TOAST.
        assert {line.split(":")[0] for line in left} > {
            "public.orders_id",
            'public."Orders Word"',
            "public.small_pkey",
        }
        # VACUUM was not kept from its work, the indexes serve reads, and one copy at most lies about.
        assert host.sql("SELECT count(*) FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL", DATABASE) == "3"
        assert {name: node for name, node in nodes(host).items() if "_cc" not in name} == before
        assert "invalid index: public.orders_id_ccnew" in outcome["evidence"]
    outcome = vacuum(host, lock_timeout="2s")
    assert outcome["status"] == "ok", outcome
    assert any("REINDEX left: public.orders_id_ccnew" in line for line in outcome["evidence"])
    after = nodes(host)
    assert set(after) == set(before) and not set(after.values()) & set(before.values())
    assert host.sql(INVALID, DATABASE) == "0"


def test_somebody_elses_invalid_index_is_named_and_stays(host: LabHost) -> None:
    host.sql("INSERT INTO orders VALUES (1, 'x')", DATABASE)
    command = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", DATABASE, "-c"]
    host.run(*command, "CREATE UNIQUE INDEX CONCURRENTLY orders_once ON orders (id)", check=False)
    outcome = vacuum(host)
    assert outcome["status"] == "warning", outcome
    assert any(line.startswith("public.orders_once: not reindexed, ") for line in outcome["evidence"]), outcome
    assert "invalid index: public.orders_once" in outcome["evidence"]
    assert "orders_once" in nodes(host) and not any("_cc" in name for name in nodes(host))


def test_tables_are_not_truncated_beside_a_standby(host: LabHost) -> None:
    size = "SELECT pg_relation_size('hollow')"
    host.sql("SELECT pg_create_physical_replication_slot('day2_standby')", "postgres")
    try:
        host.sql("DELETE FROM hollow", DATABASE)
        before = host.sql(size, DATABASE)
        outcome = vacuum(host, reindex=False)
        assert any("1 standby would cancel queries" in line for line in outcome["evidence"]), outcome
        assert host.sql(size, DATABASE) == before != "0"
        vacuum(host, reindex=False, truncate="always")
        assert host.sql(size, DATABASE) == "0"
    finally:
        host.sql("SELECT pg_drop_replication_slot('day2_standby')", "postgres")
    host.sql("INSERT INTO hollow SELECT g FROM generate_series(1, 60000) g; DELETE FROM hollow", DATABASE)
    outcome = vacuum(host, reindex=False)
    assert not any("standby" in line for line in outcome["evidence"]) and host.sql(size, DATABASE) == "0"
