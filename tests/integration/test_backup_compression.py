# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Large tables of a real PostgreSQL, each compressed its own way: what is stored restores to the same rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from shop import LONG, NASTY, REPOSITORY, Shop, opened_shop, quoted

# Names that have to be quoted in statements of several kinds. Each table is a little larger than what is sampled.
KEYS = "It's " + LONG[:20]
TABLES = f"""
CREATE TABLE {quoted(KEYS)} AS SELECT n AS id, (random() * 7000000)::int AS customer,
  (random() * 700)::numeric(9,4) AS price, timestamptz '2026-01-01' + n * interval '1 second' AS at
  FROM generate_series(1, 340000) n;
CREATE TABLE prose AS SELECT n AS id, concat_ws(' ', {", ".join(["md5((random() * 3000)::int::text)"] * 12)}) AS words
  FROM generate_series(1, 45000) n;
"""


@pytest.fixture(scope="module")
def shop(lab_host: Any) -> Iterator[Shop]:
    with opened_shop(lab_host) as made:
        lab_host.sql(TABLES, NASTY)
        yield made


@pytest.fixture(autouse=True)
def fresh(shop: Shop) -> None:
    shop.host.run("rm", "-rf", REPOSITORY)


def stored(shop: Shop, outcome: Any) -> dict[str, dict[str, Any]]:
    manifest = json.loads(shop.shell(f"cat {shop.folder_of(outcome)}/manifest.json"))
    return {each["table"] or each["role"]: each for each in manifest["files"]}


def test_each_table_its_own_way_and_the_same_rows_again(shop: Shop) -> None:
    before = shop.fingerprint()
    outcome = shop.backup(split_above="1MB")
    assert outcome["set"]["verified"] == "read", outcome
    assert shop.restore(shop.folder_of(outcome)) == before
    files = stored(shop, outcome)
    keys, prose = files[f'"public".{quoted(KEYS)}'], files['"public"."prose"']
    assert keys["compression"].startswith("rows in blocks, zstd --zstd="), keys
    assert not prose["compression"].startswith("rows in blocks")
    assert files["main"]["compression"] == files["globals"]["compression"] == "zstd -3"
    usual = stored(shop, shop.backup(split_above="1MB", compression_level=3))
    for each in (keys, prose):
        assert each["bytes"] <= usual[each["table"]]["bytes"] * 1.02
    assert keys["bytes"] < usual[keys["table"]]["bytes"] * 0.9
    assert {each["compression"] for each in usual.values()} == {"zstd -3"}


def test_what_nobody_can_sample_is_compressed_as_usual(shop: Shop) -> None:
    """The client is there, and does not work: a backup does not depend on it."""
    folder = shop.shell("dirname $(ls /usr/lib/postgresql/*/bin/pg_dump)")
    shop.host.run("sh", "-c", f"mkdir -p /opt/no-psql; ln -sf {folder}/pg_* /opt/no-psql/")
    shop.host.run("sh", "-c", "cat > /opt/no-psql/psql; chmod 755 /opt/no-psql/psql",
                  text="#!/bin/sh\n[ $1 != --version ] || exec echo 'psql (PostgreSQL) 15.0'\nexit 2\n")  # fmt: skip
    outcome = shop.backup(split_above="1MB", bin_dir="/opt/no-psql")
    assert outcome["set"]["verified"] == "read", outcome
    assert {each["compression"] for each in stored(shop, outcome).values()} == {"zstd -3"}
