# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores of a real PostgreSQL: beside the live database, proven, swapped, reverted, refused and interrupted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore.names import BEGUN
from lab.waiting import wait_for
from restored_shop import REPOSITORY, Shop, restored_shop
from shop import NASTY, quoted


@pytest.fixture
def shop(lab_host: Any) -> Iterator[Shop]:
    with restored_shop(lab_host) as opened:
        yield opened


def test_into_a_new_database(shop: Shop) -> None:
    owner = quoted('strange "owner')
    shop.host.sql(
        f"ALTER DATABASE {quoted(NASTY)} OWNER TO {owner};COMMENT ON DATABASE {quoted(NASTY)} IS 'it''s'",
        "postgres",
    )
    before, properties = shop.fingerprint(), shop.properties()
    shop.backup(split_above="1kB")
    planned = shop.restore(target="copy of it", check_mode=True)
    assert planned["changed"] and "copy of it" in planned["msg"] and "copy of it" not in shop.databases()
    done = shop.restore(target="copy of it")
    assert done["changed"] and done["old"] is None, done
    assert shop.fingerprint("copy of it") == before
    assert shop.properties("copy of it") == properties
    again = shop.restore(target="copy of it")
    assert again["failed"] and "already" in again["msg"]
    assert shop.databases() & {"copy of it", "copy of it_restoring"} == {"copy of it"}


def test_replaced_and_reverted(shop: Shop) -> None:
    name = quoted(NASTY)
    shop.host.sql(
        f"CREATE ROLE reader; ALTER DATABASE {name} CONNECTION LIMIT 42; GRANT CREATE ON DATABASE {name} TO reader;"
        f"ALTER DATABASE {name} SET search_path TO '$user', \"Sch ema\", public; COMMENT ON DATABASE {name} IS 'mine';"
        f"ALTER DATABASE {name} SET work_mem TO '5MB'; ALTER ROLE reader IN DATABASE {name} SET statement_timeout TO 7;"
        f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC",
        "postgres",
    )
    good, properties = shop.fingerprint(), shop.properties()
    shop.backup(split_above="1kB")
    shop.host.sql("DELETE FROM parts", NASTY)
    damaged = shop.fingerprint()
    assert damaged != good
    # The database's own search_path finds the second.
    expect = [
        {"query": "SELECT count(*) = 5000 FROM parts", "result": "t"},
        {"query": 'SELECT count(*) FROM "Ta.ble"', "result": "3000"},
    ]
    done = shop.restore(mode="replace", expect=expect)
    assert done["changed"], done
    assert shop.fingerprint() == good and shop.properties() == properties
    assert shop.fingerprint(done["old"]) == damaged
    back = shop.restore(state="reverted")
    assert back["changed"], back
    assert shop.fingerprint() == damaged and shop.properties() == properties
    assert shop.fingerprint(back["old"]) == good
    again = shop.restore(state="reverted")
    assert not again["changed"] and not again.get("failed"), again


def test_a_revert_names_what_would_be_lost(shop: Shop) -> None:
    shop.backup()
    shop.restore(mode="replace")
    shop.host.sql("INSERT INTO empty VALUES (1), (2)", NASTY)
    refused = shop.restore(state="reverted")
    assert refused["failed"] and "2 rows inserted" in refused["msg"]
    assert shop.host.sql("SELECT count(*) FROM empty", NASTY) == "2"
    forced = shop.restore(state="reverted", force=True)
    assert forced["changed"] and "2 rows inserted" in forced["lost"]
    assert shop.host.sql("SELECT count(*) FROM empty", forced["old"]) == "2"


def test_nothing_to_revert(shop: Shop) -> None:
    shop.backup()
    refused = shop.restore(state="reverted")
    assert refused["failed"] and "nothing to go back to" in refused["msg"]


def test_a_wrong_answer_replaces_nothing(shop: Shop) -> None:
    shop.backup()
    shop.host.sql("INSERT INTO empty VALUES (1)", NASTY)
    names = shop.databases()
    for expect in ({"query": "SELECT count(*) FROM parts", "result": "4999"}, {"query": "SELECT nosuch", "result": ""}):
        done = shop.restore(mode="replace", expect=[{**expect, "title": "parts are there"}])
        assert done["failed"] and "parts are there" in done["msg"], done
        assert shop.host.sql("SELECT count(*) FROM empty", NASTY) == "1" and shop.databases() == names


def test_a_plan_says_whether_the_set_is_whole(shop: Shop) -> None:
    made = shop.backup(split_above="1kB")
    plan = shop.restore(mode="replace", check_mode=True)
    assert "have the digests that were written" in plan["steps"][0], plan
    path = f"{REPOSITORY}/postgresql/{made['set']['id']}/db001/data0001.dump.zst"
    shop.host.run("sh", "-c", f"printf 'X' | dd of={path} bs=1 seek=30 conv=notrunc status=none")
    plan = shop.restore(mode="replace", check_mode=True)
    assert plan["failed"] and "nothing was touched" in plan["msg"] and "data0001.dump.zst" in plan["msg"], plan


def test_damage_is_found_before_the_swap(shop: Shop) -> None:
    made = shop.backup(split_above="1kB")
    folder = f"{REPOSITORY}/postgresql/{made['set']['id']}"
    names = shop.databases()
    for path in ("db001/main.dump.zst", "db001/data0001.dump.zst"):
        shop.host.run("cp", "-p", f"{folder}/{path}", "/tmp/whole")
        shop.host.run("cp", "-p", f"{folder}/state.json", "/tmp/state")
        shop.host.run("sh", "-c", f"printf 'X' | dd of={folder}/{path} bs=1 seek=300 conv=notrunc status=none")
        done = shop.restore(mode="replace")
        assert done["failed"] and "nothing was replaced" in done["msg"], done
        assert shop.databases() == names
        # The set is known to be damaged from now on, and refused.
        assert "other bytes than were written" in shop.restore(mode="replace")["msg"]
        assert "other bytes" in shop.host.run("cat", f"{folder}/state.json")
        shop.host.run("cp", "-p", "/tmp/state", f"{folder}/state.json")
        shop.host.run("cp", "-p", "/tmp/whole", f"{folder}/{path}")
    assert shop.restore(mode="replace")["changed"]


def test_rows_are_compared_with_the_manifest(shop: Shop) -> None:
    shop.backup()

    def one_more(fields: dict[str, Any]) -> None:
        (table,) = [table for table in fields["databases"][0]["rows"] if table["rows"] == 3000]
        table["rows"] = 3001

    shop.rewrite_manifest(one_more)
    done = shop.restore(mode="replace")
    assert done["failed"] and "has 3000 rows, and 3001 were backed up" in done["msg"]


def test_refusals_come_before_anything(shop: Shop) -> None:
    shop.backup()
    missing = shop.restore(mode="replace", target="copy")
    assert missing["failed"] and "no database 'copy' to replace" in missing["msg"]
    nosuch = shop.restore(database="nosuch")
    assert nosuch["failed"] and 'it has we"ird' in nosuch["msg"]
    shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} RENAME TO copy_away", "postgres")
    shop.host.sql('DROP OWNED BY "strange ""owner"', "copy_away")
    shop.host.sql('DROP ROLE "strange ""owner"', "postgres")
    roles = shop.restore()
    assert roles["failed"] and 'roles are missing: strange "owner' in roles["msg"]
    made = shop.restore(allow=["create_roles"])
    assert made["changed"] and made["roles_made"] == ['strange "owner'], made
    role = shop.host.sql("SELECT rolconnlimit, rolpassword IS NOT NULL FROM pg_authid WHERE rolname ~ 'strange'")
    assert role == "7|t"


def test_another_clusters_set_is_refused(shop: Shop) -> None:
    shop.backup()
    shop.rewrite_manifest(lambda fields: fields["server"].update(system_identifier="1"))
    refused = shop.restore(mode="replace")
    assert refused["failed"] and "another cluster" in refused["msg"] and "right host" in refused["msg"]
    assert shop.restore(mode="replace", allow=["other_cluster"])["changed"]


def test_sessions_that_come_back_do_not_stop_the_swap(shop: Shop) -> None:
    shop.backup()
    loop = 'while :; do psql -XAtq -d "$0" -c "SELECT 1" >/dev/null 2>&1; done'
    clients = [shop.host.start("timeout", "120", "runuser", "-u", "postgres", "--", "sh", "-c", loop, NASTY)
               for _number in range(3)]  # fmt: skip
    try:
        done = shop.restore(mode="replace")
    finally:
        for client in clients:
            client.terminate()
            client.wait()
    assert done["changed"], done
    assert done["old"] in shop.databases()


def test_an_interrupted_restore_is_cleared(shop: Shop) -> None:
    shop.backup()
    good = shop.fingerprint()
    beside = quoted(NASTY + "_restoring")
    # As a run leaves it that is killed before its comment.
    shop.host.sql(f"CREATE DATABASE {beside} CONNECTION LIMIT {BEGUN}", "postgres")
    done = shop.restore(mode="replace")
    assert done["changed"] and done["cleared"] == [NASTY + "_restoring"], done
    assert shop.fingerprint() == good


@pytest.mark.parametrize(
    ("limit", "statement"),
    [
        (-1, "SELECT 1"),
        (BEGUN, "CREATE TABLE mine (a int)"),
        (BEGUN, f"ALTER DATABASE {quoted(NASTY + '_restoring')} SET work_mem TO '5MB'"),
    ],
)
def test_a_database_in_the_way_that_is_somebodys(shop: Shop, limit: int, statement: str) -> None:
    shop.backup(verify="none")
    beside = quoted(NASTY + "_restoring")
    shop.host.sql(f"CREATE DATABASE {beside} CONNECTION LIMIT {limit}", "postgres")
    shop.host.sql(statement, NASTY + "_restoring")
    theirs = shop.host.sql("SELECT oid FROM pg_database WHERE datname ~ '_restoring$'", "postgres")
    refused = shop.restore(mode="replace")
    assert refused["failed"], refused
    assert shop.host.sql("SELECT oid FROM pg_database WHERE datname ~ '_restoring$'", "postgres") == theirs


def test_old_ones_go_after_their_time(shop: Shop) -> None:
    shop.backup()
    first = shop.restore(mode="replace")
    age = (
        "SELECT extract(epoch FROM clock_timestamp()) - (substring(shobj_description(oid, 'pg_database') FROM '{.*}')"
        f"::json ->> 'at')::float FROM pg_database WHERE datname = '{first['old']}'"
    )
    wait_for(lambda: float(shop.host.sql(age, "postgres")), lambda said: said > 1, 30, "the old one is older than kept")
    second = shop.restore(mode="replace", keep_old="1s")
    assert second["dropped"] == [first["old"]], second
    assert second["old"] in shop.databases() and first["old"] not in shop.databases()


@pytest.mark.parametrize(
    "change",
    [
        "TRUNCATE parts", "ALTER TABLE empty ADD COLUMN more int", "CREATE TABLE another (a int)",
        "SELECT nextval('tickets')", "SELECT lo_from_bytea(0, 'x')", "CREATE VIEW recent AS SELECT 1 AS a",
    ],
)  # fmt: skip
def test_a_revert_sees_what_is_no_row(shop: Shop, change: str) -> None:
    shop.backup(verify="none")
    shop.restore(mode="replace")
    shop.host.sql(change, NASTY)
    refused = shop.restore(state="reverted")
    assert refused["failed"] and "since the swap" in refused["msg"], refused


def test_the_order_of_reverts_is_no_clocks(shop: Shop) -> None:
    """The last one that was put aside is the one that comes back, though its time is the older one."""
    shop.backup(verify="none")
    first = shop.restore(mode="replace")
    shop.host.sql("INSERT INTO empty VALUES (7)", NASTY)
    second = shop.restore(mode="replace")
    query = f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{second['old']}'"
    text = shop.host.sql(query, "postgres")
    marker = json.loads(text.partition(" ")[2])
    marker["at"] -= 7200
    earlier = second["old"].rpartition("_")[0] + time.strftime("_%Y%m%dT%H%M%SZ", time.gmtime(marker["at"]))
    shop.host.sql(f"ALTER DATABASE {quoted(second['old'])} RENAME TO {quoted(earlier)}", "postgres")
    comment = "day2.ops " + json.dumps(marker)
    shop.host.sql(f"COMMENT ON DATABASE {quoted(earlier)} IS $m${comment}$m$", "postgres")
    assert shop.restore(state="reverted")["changed"]
    assert shop.host.sql("SELECT a FROM empty", NASTY) == "7"
    assert first["old"] in shop.databases()


def test_a_database_that_took_the_name_since_is_not_put_aside(shop: Shop) -> None:
    shop.backup(verify="none")
    shop.restore(mode="replace")
    shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} RENAME TO copy_away", "postgres")
    shop.host.sql(f"CREATE DATABASE {quoted(NASTY)}", "postgres")
    refused = shop.restore(state="reverted")
    assert refused["failed"] and "is not the database that took the place" in refused["msg"]


def test_either_takes_a_place_or_makes_one(shop: Shop) -> None:
    shop.backup(verify="none")
    good = shop.fingerprint()
    shop.host.sql(f"DROP DATABASE {quoted(NASTY)} WITH (FORCE)", "postgres")
    made = shop.restore(mode="either")
    assert made["changed"] and made["old"] is None and shop.fingerprint() == good, made
    replaced = shop.restore(mode="either")
    assert replaced["old"] in shop.databases() and shop.fingerprint() == good
