# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people have reported of backups by way of others: a standby that cancels, a connection pooler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from foreign_site import REAL, REPOSITORY, SHIMS, SPACE, Site, foreign_site
from lab.waiting import wait_for

STANDBY = "/var/lib/postgresql/foreign-standby"


@pytest.fixture(scope="module")
def site(lab_host: Any) -> Iterator[Site]:
    with foreign_site(lab_host) as made:
        yield made


def test_a_connection_pooler_is_refused(site: Site) -> None:
    """Before anything is set in sessions that others use as well."""
    site.psql('CREATE DATABASE "foreign pooled"')
    assert site.call("pg_backup", databases=["foreign pooled"]).get("made")
    source = Path(__file__).parents[1].joinpath("support", "pooler.py").read_text()
    pooler = site.host.start(
        "runuser", "-u", "postgres", "--", "python3", "-c", source, "5996", "/var/run/postgresql/.s.PGSQL.5432"
    )
    try:
        assert pooler.stdout.readline() == "listening\n"
        place = {"host": "127.0.0.1", "port": 5996}
        drilled = site.call("restore_drill", database="foreign pooled", place="database", **place)
        said = [
            site.call("pg_backup", databases=["postgres"], **place)["msg"],
            site.call("pg_restore", database="foreign pooled", target="foreign other", **place)["msg"],
            drilled.get("msg", ""),
        ]
        assert [words for words in said if "at 127.0.0.1, port 5996 a connection pooler answers" not in words] == []
    finally:
        pooler.terminate()
        pooler.wait()


@pytest.fixture
def standby(site: Site) -> Iterator[dict[str, Any]]:
    """A login at a standby that waits for nobody who is in the way of its replay."""
    commands = (
        f"rm -rf {STANDBY}; pg_basebackup -D {STANDBY} -R -c fast -T {SPACE}={STANDBY}-space\n"
        f"printf 'port = 5497\\nmax_standby_streaming_delay = 300ms\\n' > {STANDBY}/postgresql.conf\n"
        f"touch {STANDBY}/pg_ident.conf; echo 'local all all peer' > {STANDBY}/pg_hba.conf\n"
        f"{REAL}/pg_ctl -D {STANDBY} -w -s -l {STANDBY}/log start"
    )
    site.host.run("runuser", "-u", "postgres", "--", "sh", "-euc", commands)
    try:
        yield {"port": 5497, "standby": True}
    finally:
        site.host.run(
            "runuser", "-u", "postgres", "--", f"{REAL}/pg_ctl", "-D", STANDBY, "-m", "immediate", "-s", "stop"
        )
        site.host.run("rm", "-rf", STANDBY, f"{STANDBY}-space")


def replayed(site: Site) -> None:
    asked = f"SELECT pg_last_wal_replay_lsn() >= '{site.psql('SELECT pg_current_wal_lsn()')}'"
    # A standby answers nobody whose transactions are serializable.
    options = r"PGOPTIONS=-c default_transaction_isolation=read\ committed"
    words = ["env", options, "psql", "-XAtqd", "dbname=postgres port=5497", "-c", asked]
    wait_for(
        lambda: site.host.run("runuser", "-u", "postgres", "--", *words), lambda seen: seen == "t", 60, "the replay"
    )


def test_a_standby_that_cancels_what_is_in_its_way(site: Site, standby: dict[str, Any]) -> None:
    site.psql('CREATE DATABASE "foreign far"')
    site.psql(
        "CREATE TABLE t AS SELECT n FROM generate_series(1, 2000) n; CREATE UNLOGGED TABLE u AS SELECT 1 AS n;"
        " CREATE MATERIALIZED VIEW m AS SELECT count(*) FROM t", "foreign far",
    )  # fmt: skip
    with site.login_settings("default_transaction_isolation = serializable"):
        replayed(site)
        outcome = site.call("pg_backup", databases=["foreign far"], **standby)
        assert outcome.get("made"), outcome
    manifest = json.loads(site.host.run("cat", f"{REPOSITORY}/postgresql/{outcome['set']['id']}/manifest.json"))
    assert manifest["server"]["standby"] and [row["rows"] for row in manifest["databases"][0]["rows"]] == [1, 2000]
    assert site.call("restore_drill", database="foreign far", place="database")["drills"][0]["proven"]
    # The primary changes the table while the standby has given away its snapshot: once, and then always.
    change = f"{REAL}/psql -Xqp 5432 -d 'foreign far' -c \"ALTER TABLE t ADD COLUMN x$$ int\""
    for allowed, words in (("1", "the dump was given up and begun anew"), ("9", "max_standby_streaming_delay")):
        site.host.run("sh", "-c", f"mkdir -p {SHIMS}; : > {SHIMS}/count; chmod 666 {SHIMS}/count")
        counted = f"echo x >> {SHIMS}/count; [ $(wc -l < {SHIMS}/count) -gt {allowed} ] || {{ {change}; sleep 1; }}"
        bin_dir = site.shims(f'case "$0 $*" in *pg_dump*--snapshot*) {counted};; esac')
        outcome = site.call("pg_backup", databases=["foreign far"], bin_dir=bin_dir, **standby)
        said = outcome["msg"] if outcome.get("failed") else " ".join(outcome.get("warnings", []))
        assert words in said and bool(outcome.get("failed")) == (allowed == "9"), outcome
        replayed(site)
