# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores under faults: killed, damaged, without space, disturbed. The live database stays, or is replaced whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kill_host import kill_restores
from lab.waiting import wait_for
from restored_shop import REPOSITORY, Shop, restored_shop
from shop import NASTY, quoted

# Every kind of victim is drawn once before any is drawn again, each with the next run or a revert after it.
KILLS = 8
# 63 bytes, which is as long as a name may be.
LONG = "copy " + "ü" * 29


@pytest.fixture
def shop(lab_host: Any) -> Iterator[Shop]:
    with restored_shop(lab_host) as opened:
        yield opened


@contextmanager
def nearly_full(host: Any, left: int) -> Iterator[None]:
    """So many bytes are free in /dev/shm, which is a small file system of its own."""
    free = int(host.run("sh", "-c", "df --output=avail -B1 /dev/shm | tail -n 1"))
    host.run("sh", "-c", f"head -c {free - left} /dev/zero > /dev/shm/filler; chmod 1777 /dev/shm")
    try:
        yield
    finally:
        host.run("rm", "-f", "/dev/shm/filler")


def refused_as_before(shop: Shop, done: Any, *words: str) -> None:
    """It failed with these words, the live database answers with its own row, and nothing stands beside it."""
    assert done.get("failed"), done
    assert [word for word in words if word not in done["msg"]] == [], done["msg"]
    assert shop.host.sql("SELECT sum(a) FROM empty", NASTY) == "77"
    assert shop.set_aside() == set()


def test_kills_lose_nothing(lab_host: Any) -> None:
    found = kill_restores(lab_host, 20260131, KILLS)
    assert found["faults"] == [], found
    assert found["kills"] == KILLS and found["answers"]["live"] > 0, found


@pytest.mark.parametrize("harm", ["truncate -s -100", "rm", "cp /etc/hostname"])
def test_a_damaged_file_is_found_before_the_swap(shop: Shop, harm: str) -> None:
    made = shop.backup(split_above="1kB")
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    folder = f"{REPOSITORY}/postgresql/{made['set']['id']}"
    for name in ("db001/main.dump.zst", "db001/data0001.dump.zst"):
        shop.host.run("cp", "-p", f"{folder}/{name}", "/tmp/whole")
        shop.host.run("cp", "-p", f"{folder}/state.json", "/tmp/state")
        shop.host.run(*harm.split(), f"{folder}/{name}")
        refused_as_before(shop, shop.restore(mode="replace"), "is damaged", name)
        assert name in shop.host.run("cat", f"{folder}/state.json"), "what the restore saw stays with the set"
        shop.host.run("cp", "-p", "/tmp/state", f"{folder}/state.json")
        shop.host.run("cp", "-p", "/tmp/whole", f"{folder}/{name}")
    assert shop.restore(mode="replace")["changed"]


def test_a_wrong_key_replaces_nothing(shop: Shop) -> None:
    shop.host.run(
        "sh", "-euc", "for k in right wrong; do rm -f /tmp/$k; age-keygen -o /tmp/$k; chmod 644 /tmp/$k; done"
    )
    recipient = shop.host.run("age-keygen", "-y", "/tmp/right")
    shop.backup(encrypt_to=[recipient], identity="/tmp/right")
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    refused_as_before(shop, shop.restore(mode="replace", identity="/tmp/wrong"), "age failed", "nothing was touched")
    refused_as_before(shop, shop.restore(mode="replace"), "encrypted and no identity is given")
    refused_as_before(shop, shop.restore(mode="replace", identity="/tmp/none"), "/tmp/none cannot be read")
    plan = shop.restore(mode="replace", identity="/tmp/wrong", check_mode=True)
    refused_as_before(shop, plan, "age failed", "nothing was touched")
    assert shop.restore(mode="replace", identity="/tmp/right")["changed"]


def test_too_little_disk_is_refused(shop: Shop) -> None:
    shop.backup()
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    with nearly_full(shop.host, 20_000):
        refused_as_before(shop, shop.restore(mode="replace", scratch="/dev/shm"), "the scratch directory has", "needed")
    refused_as_before(shop, shop.restore(mode="replace", scratch="/nonexistent"), "nothing was touched", "/nonexistent")
    shop.rewrite_manifest(lambda fields: fields["databases"][0].update(size=10**15))
    refused_as_before(shop, shop.restore(mode="replace"), "nothing was touched", "the server's data and")


def test_the_scratch_disk_fills_up_meanwhile(shop: Shop) -> None:
    made = shop.backup()
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    stored = f"{REPOSITORY}/postgresql/{made['set']['id']}/db001/main.dump.zst"
    size = int(shop.host.run("stat", "-c", "%s", stored))
    # As if the set were smaller than it is: what somebody else needs meanwhile is not known before.
    shop.rewrite_manifest(lambda fields: fields["databases"][0].update(size=1))
    with nearly_full(shop.host, size + 30_000):
        done = shop.restore(mode="replace", scratch="/dev/shm")
        refused_as_before(shop, done, "/dev/shm: No space left on device", "nothing was replaced")
    assert shop.restore(mode="replace", scratch="/dev/shm")["changed"]


def test_the_servers_disk_fills_up_meanwhile(shop: Shop) -> None:
    shop.host.run("install", "-d", "-o", "postgres", "/dev/shm/small")
    shop.host.sql("CREATE TABLESPACE small LOCATION '/dev/shm/small'", "postgres")
    try:
        shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} SET TABLESPACE small", "postgres")
        shop.host.sql("INSERT INTO empty SELECT 1 FROM generate_series(1, 300000)", NASTY)
        shop.backup()
        shop.host.sql("TRUNCATE empty; INSERT INTO empty VALUES (77)", NASTY)
        # Only then the file is gone.
        shop.host.sql("CHECKPOINT", NASTY)
        empty = int(shop.host.sql("SELECT pg_database_size('template0')", "postgres"))
        with nearly_full(shop.host, empty + 1_500_000):
            refused_as_before(shop, shop.restore(mode="replace"), "nothing was touched", "tablespace small has")
            # As if the set were smaller than it is: what somebody else needs meanwhile is not known before.
            shop.rewrite_manifest(lambda fields: fields["databases"][0].update(size=1))
            refused_as_before(shop, shop.restore(mode="replace"), "Check free disk space", "nothing was replaced")
        assert shop.restore(mode="replace")["changed"]
    finally:
        for name in [NASTY, *shop.set_aside()]:
            shop.host.sql(f"DROP DATABASE {quoted(name)} WITH (FORCE)", "postgres")
        shop.host.sql("DROP TABLESPACE small", "postgres")


def test_another_restore_is_refused_and_rights_given_meanwhile_stay(shop: Shop) -> None:
    shop.backup()
    with shop.restoring(mode="replace") as first:
        second = shop.restore(mode="replace")
        assert second["failed"] and "another restore of" in second["msg"] and "server process" in second["msg"]
        revert = shop.restore(state="reverted")
        assert revert["failed"] and "another restore of" in revert["msg"]
        # Advisory locks are of one database: whoever logs in elsewhere sees it all the same.
        elsewhere = shop.restore(mode="replace", maintenance_database="options_engine")
        assert elsewhere["failed"] and "another restore of" in elsewhere["msg"], elsewhere
        shop.host.sql(f"CREATE ROLE reader; GRANT CREATE ON DATABASE {quoted(NASTY)} TO reader", "postgres")
    assert first["changed"], first
    assert shop.host.sql("SELECT has_database_privilege('reader', current_database(), 'CREATE')", NASTY) == "t"
    shop.host.sql(f"DROP DATABASE {quoted(first['old'])} WITH (FORCE)", "postgres")


def test_a_live_database_that_goes_meanwhile(shop: Shop) -> None:
    shop.backup()
    with shop.restoring(mode="replace") as outcome:
        shop.host.sql(f"DROP DATABASE {quoted(NASTY)} WITH (FORCE)", "postgres")
    assert outcome["failed"] and "is gone: somebody dropped or renamed it" in outcome["msg"], outcome
    assert shop.set_aside() == set()
    assert shop.restore(mode="new")["changed"]


def test_a_session_that_does_not_end(shop: Shop) -> None:
    shop.backup()
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    session = shop.host.start("runuser", "-u", "postgres", "--", "psql", "-d", NASTY, "-c", "SELECT pg_sleep(600)")
    asked = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'"
    process = wait_for(lambda: shop.host.sql(asked, "postgres"), bool, 20, "the session")
    shop.host.run("kill", "-STOP", process)
    try:
        done = shop.restore(mode="replace", swap_timeout="3s")
        assert done["failed"] and "nothing was replaced" in done["msg"], done
        assert "not exchanged within 3 s" in done["msg"] and f"server process {process}" in done["msg"]
        # Nor could the server drop what was restored: it waits for all of its processes.
        assert shop.set_aside() == {f"{NASTY}_restoring"}
    finally:
        shop.host.run("kill", "-CONT", process)
        session.terminate()
        session.wait(30)
    assert shop.host.sql("SELECT sum(a) FROM empty", NASTY) == "77"
    done = shop.restore(mode="replace")
    assert done["changed"] and done["cleared"] == [f"{NASTY}_restoring"], done


def test_a_name_as_long_as_names_may_be(shop: Shop) -> None:
    shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} RENAME TO {quoted(LONG)}", "postgres")
    shop.backup(databases=[LONG])
    shop.host.sql("INSERT INTO empty VALUES (77)", LONG)
    done = shop.restore(database=LONG, mode="replace")
    assert done["changed"] and len(done["old"].encode()) <= 63, done
    assert shop.host.sql("SELECT count(*) FROM empty", LONG) == "0"
    assert shop.host.sql("SELECT sum(a) FROM empty", done["old"]) == "77"
    assert shop.restore(database=LONG, state="reverted")["changed"]
    assert shop.host.sql("SELECT sum(a) FROM empty", LONG) == "77"


def test_rows_that_the_server_has_not_counted_yet(shop: Shop) -> None:
    shop.backup()
    shop.restore(mode="replace")
    # A row right after another statement is counted when its session has been idle for ten seconds, or ends.
    script = '(echo "SELECT 1;"; echo "INSERT INTO empty VALUES (77);"; sleep 60) | psql -Xq -d "$0"'
    session = shop.host.start("timeout", "60", "runuser", "-u", "postgres", "--", "sh", "-c", script, NASTY)
    try:
        wait_for(lambda: shop.host.sql("SELECT sum(a) FROM empty", NASTY), lambda seen: seen == "77", 20, "the row")
        refused = shop.restore(state="reverted")
        assert refused["failed"] and "force: true" in refused["msg"], refused
    finally:
        session.terminate()
        session.wait()
    assert shop.host.sql("SELECT sum(a) FROM empty", NASTY) == "77"
    assert shop.restore(state="reverted", force=True)["changed"]


def test_a_revert_without_a_live_database(shop: Shop) -> None:
    shop.backup()
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    shop.restore(mode="replace")
    shop.host.sql(f"DROP DATABASE {quoted(NASTY)} WITH (FORCE)", "postgres")
    back = shop.restore(state="reverted")
    assert back["changed"] and back["old"] is None, back
    assert shop.host.sql("SELECT sum(a) FROM empty", NASTY) == "77" and shop.set_aside() == set()


def test_a_revert_without_a_live_database_goes_back_once(shop: Shop) -> None:
    shop.backup(verify="none")
    first = shop.restore(mode="replace")["old"]
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    shop.restore(mode="replace")
    shop.host.sql(f"DROP DATABASE {quoted(NASTY)} WITH (FORCE)", "postgres")
    assert shop.restore(state="reverted")["changed"]
    for force in (False, True):
        again = shop.restore(state="reverted", force=force)
        assert not again["changed"] and "what it was before already" in again["msg"], again
        assert shop.host.sql("SELECT sum(a) FROM empty", NASTY) == "77" and first in shop.databases()
    # A restore since is one that can be undone, and again once.
    shop.restore(mode="replace")
    undone = shop.restore(state="reverted")
    assert undone["changed"] and shop.host.sql("SELECT sum(a) FROM empty", NASTY) == "77"
    shop.host.sql(f"DROP DATABASE {quoted(undone['old'])} WITH (FORCE)", "postgres")
    again = shop.restore(state="reverted")
    assert not again["changed"] and first in shop.databases(), again


def test_what_was_renamed_by_hand_is_never_dropped(shop: Shop) -> None:
    shop.host.sql(f"COMMENT ON DATABASE {quoted(NASTY)} IS 'mine'", "postgres")
    shop.backup()
    shop.host.sql("INSERT INTO empty VALUES (77)", NASTY)
    old = shop.restore(mode="replace")["old"]
    # Somebody goes back by hand, so the live one has the comment of one that was replaced.
    shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} RENAME TO copy_bad", "postgres")
    shop.host.sql(f"ALTER DATABASE {quoted(old)} RENAME TO {quoted(NASTY)}", "postgres")
    first = shop.restore(mode="replace", keep_old="0s")
    # The last one that was put aside stays, whatever the clock says.
    assert first["changed"] and first["dropped"] == [] and first["old"] in shop.databases(), first
    assert shop.properties()["comment"] == "mine" and "copy_bad" in shop.databases()
    # Somebody keeps one for a look.
    kept = shop.restore(mode="replace")["old"]
    shop.host.sql(f"ALTER DATABASE {quoted(kept)} RENAME TO copy_kept", "postgres")
    done = shop.restore(mode="replace", keep_old="0s")
    assert done["dropped"] == [first["old"]] and "copy_kept" in shop.databases(), done


def test_a_comment_of_ours_in_a_set_is_not_passed_on(shop: Shop) -> None:
    shop.backup()
    old = shop.restore(mode="replace")["old"]
    shop.backup(databases=[old])
    assert shop.restore(database=old, target="copy of it")["changed"]
    assert shop.properties("copy of it")["comment"] is None
    again = shop.restore(source="latest", mode="replace", database=old, target=NASTY, keep_old="0s")
    assert "copy of it" in shop.databases() and again["changed"], again


def test_a_leftover_whose_drop_was_cut_off(shop: Shop) -> None:
    shop.backup()
    with shop.restoring(mode="replace"):
        shop.host.run("sh", "-c", "kill -KILL $(pgrep -u postgres -x python3)")
    (left,) = shop.set_aside()
    assert left == f"{NASTY}_restoring"
    shop.host.sql("UPDATE pg_database SET datconnlimit = -2 WHERE datname ~ '_restoring$'", "postgres")
    done = shop.restore(mode="replace")
    assert done["changed"] and done["cleared"] == [left], done


def test_a_stale_materialised_view_is_no_fault(shop: Shop) -> None:
    shop.host.sql("DELETE FROM parts WHERE day >= '2026-03-01'", NASTY)
    shop.backup()
    done = shop.restore(mode="replace")
    assert done["changed"], done
    assert shop.host.sql("SELECT count(*) FROM sums", NASTY) == "2"
