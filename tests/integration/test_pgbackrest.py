# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Physical backups of a cluster of its own: made, told, recovered to a point, damaged, refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from lab.waiting import wait_for
from pitr_cluster import CONFIG, DATA, PLACE, SCRATCH, UNIT, Pitr


def test_full_differential_incremental(pitr: Pitr) -> None:
    refused = pitr.backup(type="incremental")
    assert refused["failed"] and "no full backup" in refused["msg"] and pitr.listed() == []
    made = [pitr.backup(type=kind, run_id=f"run-{kind}") for kind in ("auto", "auto", "differential", "full")]
    assert all(run["made"] and run["changed"] for run in made), made
    there = pitr.listed()
    assert [backup["type"] for backup in there] == ["full", "incr", "diff", "full"]
    assert [backup["label"] for backup in there] == [run["backup"]["label"] for run in made]
    assert there[1]["prior"] == there[0]["label"] and there[2]["annotation"] == {"run-id": "run-differential"}
    assert made[0]["verified"]["files"] > 900 and made[0]["throughput"] > 0
    assert [backup["label"] for backup in pitr.info()["backups"]] == [backup["label"] for backup in reversed(there)]


def test_a_backup_that_is_young_enough_is_not_made_again(pitr: Pitr) -> None:
    assert pitr.backup(max_age="1h", verify="none")["made"]
    again = pitr.backup(max_age="1h", verify="none")
    assert not again["changed"] and "no backup is due" in again["msg"]
    assert pitr.backup(type="differential", verify="none")["backup"]["type"] == "differential"
    assert not pitr.backup(type="full", max_age="1h")["made"]
    assert pitr.backup(type="full", max_age="0s", verify="none")["made"] and len(pitr.listed()) == 3


def test_a_full_one_that_is_due_is_not_made_up_for(pitr: Pitr) -> None:
    pitr.backup(type="full", verify="none")
    pitr.backup(type="incremental", verify="none")
    full, increment = (backup["timestamp"]["stop"] for backup in pitr.listed())
    # An age between those of the two.
    wait_for(time.time, lambda now: now > full + 1, 30, "the next second")
    assert increment >= full and pitr.backup(check_mode=True, type="full", max_age="1s")["made"]
    assert not pitr.backup(check_mode=True, type="auto", max_age="1h")["made"]


def test_backups_that_expire_are_reported_and_expire(pitr: Pitr) -> None:
    for kind in ("full", "incremental", "full"):
        pitr.backup(type=kind, verify="none")
    labels = [backup["label"] for backup in pitr.listed()]
    planned = pitr.backup(check_mode=True, type="full", max_age="1h", keep={"full": 1})
    assert sorted(planned["expired"]["backups"]) == sorted(labels[:2]) and planned["changed"]
    assert [backup["label"] for backup in planned["kept"]] == labels[2:] and "newest full" in str(planned["kept"])
    assert [backup["label"] for backup in pitr.listed()] == labels, "check mode changed something"
    done = pitr.backup(type="full", max_age="1h", keep={"full": 1})
    assert not done["made"] and done["changed"] and sorted(done["expired"]["backups"]) == sorted(labels[:2])
    assert [backup["label"] for backup in pitr.listed()] == labels[2:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"databases": ["x"], "copy_to": "/x"}, "'copy_to', 'databases': not with method physical"),
        ({"keep": {"daily": 3}}, "'daily' is no rule"), ({"keep": {"full": 0}}, "one is the least"),
        ({"keep": {"age": "30"}}, "has no unit"), ({"keep": {"full": 1, "age": "3d"}}, "give one"),
        ({"stanza": "nosuch"}, "cannot be used"), ({"pgbackrest_config": "/nowhere"}, "does not exist"),
        ({"pgbackrest_repo": 2}, "'2' is not valid for 'repo'"), ({"jobs": 0}, "'jobs' is 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(cluster: Pitr, change: dict[str, Any], words: str) -> None:
    outcome = cluster.backup(**change)
    assert outcome["failed"] and words in outcome["msg"], outcome


def test_to_a_time_an_lsn_a_name_a_transaction(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    first = pitr.mark("first")
    pitr.backup(verify="none")
    xid = pitr.sql("INSERT INTO moments VALUES ('second', clock_timestamp()) RETURNING pg_current_xact_id()::text")
    lsn = pitr.sql("SELECT pg_current_wal_insert_lsn()")
    pitr.mark("third")
    pitr.sql("SELECT pg_create_restore_point('before the mistake')")
    pitr.mark("mistake")
    pitr.archive()
    labels = [backup["label"] for backup in pitr.listed()]
    for target, words, label in (
        ({"time": first}, ["first"], labels[0]),
        ({"xid": int(xid)}, ["first", "second"], labels[1]),
        ({"lsn": lsn}, ["first", "second"], labels[1]),
        ({"name": "before the mistake"}, ["first", "second", "third"], labels[1]),
        ("immediate", ["first"], labels[1]),
        ("latest", ["first", "second", "third", "mistake", "end"], labels[1]),
    ):
        outcome = pitr.scratch(target)
        assert outcome.get("changed"), (target, outcome)
        # A record begins where the one before it ends: an LSN that was read may still take the next one along.
        assert pitr.in_scratch()[: len(words)] == words and len(pitr.in_scratch()) <= len(words) + ("lsn" in target), (
            target
        )
        assert outcome["plan"]["backup"]["label"] == label and not outcome["recovered"]["in_recovery"]
    assert pitr.words()[-1] == "end", "the live cluster was touched"


def test_it_stays_paused_and_is_isolated(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    moment = pitr.mark("first")
    pitr.archive()
    before = pitr.segments()
    outcome = pitr.scratch({"time": moment}, recovery_action="pause")
    place = f"-h {SCRATCH} -p 54329"
    assert outcome["recovered"]["paused"] and pitr.sql("SELECT pg_is_in_recovery()", place) == "t"
    assert pitr.in_scratch() == ["first"] and pitr.sql("SHOW listen_addresses", place) == ""
    assert pitr.sql("SHOW archive_mode", place) == "off" and pitr.segments() == before
    again = pitr.restore({"time": moment}, scratch_cluster=SCRATCH)
    assert again["failed"] and "is not empty" in again["msg"] and pitr.in_scratch() == ["first"]
    kept = pitr.call("pg_restore", "postgres", False, scratch_cluster=DATA, scratch_state="absent")
    assert kept["failed"] and "is no scratch cluster" in kept["msg"] and pitr.words()


def test_in_place_with_the_old_files_kept(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    moment = pitr.mark("good")
    pitr.sql("DELETE FROM moments")
    pitr.archive()
    refused = pitr.restore({"time": moment})
    assert refused["failed"] and "is running" in refused["msg"]
    planned = pitr.restore({"time": moment}, check_mode=True, force=True)
    assert planned["changed"] and planned["plan"]["reachable"] and pitr.words() == ["end"]
    before = int(pitr.sql("SELECT timeline_id FROM pg_control_checkpoint()"))
    outcome = pitr.restore({"time": moment}, force=True)
    assert outcome["changed"] and pitr.words() == ["good"] and outcome["unarchived"] is None, outcome
    assert pitr.shell(f"cat {outcome['kept']}/PG_VERSION") == "15" and outcome["recovered"]["timeline"] == before + 1
    # The new timeline is archived, backed up and recovered like the first.
    pitr.backup(verify="none")
    later = pitr.mark("later")
    pitr.archive()
    assert pitr.info()["reach"]["timeline"] == before + 1 and pitr.info()["reach"]["gaps"] == []
    assert pitr.scratch({"time": later})["changed"] and pitr.in_scratch() == ["good", "later"]
    assert pitr.scratch({"time": moment})["changed"] and pitr.in_scratch() == ["good"]
    assert pitr.restore({"time": moment}, check_mode=True, force=True)["plan"]["expected_seconds"] > 0


def test_in_place_by_delta(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    moment = pitr.mark("good")
    pitr.sql("DROP TABLE moments; CREATE TABLE moments (word text, at timestamptz)")
    pitr.archive()
    inode = pitr.shell(f"stat -c %i {DATA}/PG_VERSION")
    outcome = pitr.restore({"time": moment}, force=True, keep_data=False)
    assert outcome["changed"] and outcome["kept"] is None and pitr.words() == ["good"], outcome
    assert pitr.shell(f"stat -c %i {DATA}/PG_VERSION") == inode, "a file that was as it should be was copied again"


def test_a_restore_that_fails_puts_the_old_files_back(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    moment = pitr.mark("good")
    pitr.archive()
    pitr.shim('case "$*" in *" restore") echo "P00  ERROR: [082]: no more" ; exit 82;; esac')
    outcome = pitr.restore({"time": moment}, force=True)
    assert outcome["failed"] and "no more" in outcome["msg"] and "are back" in outcome["msg"], outcome
    assert pitr.words() == ["good", "end"] and pitr.host.run("sh", "-c", f"ls -d {DATA}* | wc -l") == "1"


def test_wal_that_is_in_no_archive_is_not_lost(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    moment = pitr.mark("good")
    pitr.archive()
    newest = pitr.segments()[-1][:24]
    with pitr.archiving_broken():
        marked = pitr.mark("only here")
        refused = pitr.restore({"time": moment}, force=True, keep_data=False)
        assert refused["failed"] and "are in no archive" in refused["msg"] and "would be lost" in refused["msg"], (
            refused
        )
        assert pitr.sql("SELECT count(*) FROM moments WHERE word = 'only here'") == "1"
        planned = pitr.restore({"time": moment}, force=True, check_mode=True)
        outcome = pitr.restore({"time": moment}, force=True)
    assert planned["plan"]["unarchived"]["commits"] >= 1 and "are in no archive" in planned["msg"], planned
    lost = outcome["unarchived"]
    assert lost["commits"] >= 1 and lost["last_archived"] == newest and lost["last_commit"] >= lost["first_commit"]
    assert lost["first_commit"] < marked.replace(" ", "T"), (lost, marked)
    assert lost["directory"] == f"{outcome['kept']}/pg_wal" and lost["directory"] in str(outcome["warnings"]), outcome
    assert set(lost["segments"]) <= set(pitr.shell(f"ls {lost['directory']}").split()) and pitr.words() == ["good"]
    # Nothing is told where everything got there.
    pitr.archive()
    later = pitr.mark("later")
    pitr.archive()
    whole = pitr.restore({"time": later}, force=True)
    assert whole["changed"] and whole["unarchived"] is None, whole


def test_a_copy_does_not_archive_among_the_originals_wal(pitr: Pitr) -> None:
    """On another host the directory is empty; that it is the same configuration there is the trap."""
    pitr.backup(verify="none")
    moment = pitr.mark("good")
    pitr.archive()
    target = {"time": moment}
    pitr.host.run("sh", "-euc", f"systemctl stop {UNIT}; mv {DATA} {PLACE}/original")
    before = pitr.archived()
    try:
        # The second one refreshes the copy.
        for again in ({}, {"force": True}):
            copy = pitr.restore(target, **again)
            assert copy.get("archives") is False and "archives nothing" in str(copy["warnings"]), copy
            assert pitr.sql("SHOW archive_mode") == "off" and pitr.words() == ["good"]
            pitr.mark("of the copy")
            pitr.sql("SELECT pg_switch_wal()")
            assert pitr.archived() == before
        original = pitr.restore(target, force=True, archiving="preserve")
        assert original.get("archives") is True and pitr.sql("SHOW archive_mode") == "on", original
        pitr.archive()
        assert len(pitr.archived()) > len(before)
    finally:
        back = f"systemctl stop {UNIT}; rm -rf {DATA}; mv {PLACE}/original {DATA}; systemctl start {UNIT}"
        pitr.host.run("sh", "-euc", back)


def test_a_drill_recovers_the_end_of_the_archive(pitr: Pitr) -> None:
    pitr.backup(verify="none")
    pitr.mark("first")
    pitr.archive()
    call = {
        "database": "postgres", "newest_row": "SELECT max(at) FROM moments", "rto": "1h", "rpo": "1h",
        "expect": [{"query": "SELECT count(*) FROM moments", "result": "2"}],
    }  # fmt: skip
    stanza = {"probe": "backup", "stanza": "pitr", "pgbackrest_config": CONFIG}
    checks = [{"id": metric, "metric": metric, **stanza} for metric in ("proven_age", "age", "count", "size")]
    asked = pitr.host.checks(*checks)
    assert asked["proven_age"]["status"] == "critical" and "ever proven" in asked["proven_age"]["message"], asked
    assert asked["count"]["value"] == 1 and 0 <= asked["age"]["value"] < 600 and asked["size"]["value"] > 1 << 20
    done = pitr.call("restore_drill", "postgres", False, **call)
    (drilled,) = done["drills"]
    assert done["changed"] and drilled["proven"] and 0 <= drilled["rpo"] < 600, done
    (backup,) = pitr.listed()
    assert drilled["id"] == backup["label"] and "day2-proven" in backup["annotation"]
    wrong = pitr.call("restore_drill", "postgres", False, **{**call, "expect": [{"query": "SELECT 1", "result": "2"}]})
    assert wrong["failed"] and "instead of '2'" in wrong["msg"]
    late = pitr.call("restore_drill", "postgres", False, **{**call, "rpo": "0.001s"})
    assert late["failed"] and "RPO" in late["msg"]
    assert pitr.info()["backups"][0]["proven_at"] and 0 <= pitr.host.checks(checks[0])["proven_age"]["value"] < 600
    named = pitr.call("restore_drill", "postgres", False, **{**call, "sets": 3})
    assert named["failed"] and "'sets': not with method physical" in named["msg"]
    assert pitr.call("restore_drill", "postgres", False, **{**call, "source": pitr.mark("later")})["drills"]
    assert pitr.host.run("sh", "-c", "ls -d /tmp/day2-pitr-drill* 2>/dev/null | wc -l") == "0"
    assert pitr.host.run("pgrep", "-fc", "day2-pitr-drill", check=False) == "0"


OUTWARD = """
CREATE EXTENSION postgres_fdw;
CREATE SERVER home FOREIGN DATA WRAPPER postgres_fdw
  OPTIONS (host '/var/run/postgresql', port '5499', dbname 'postgres');
CREATE USER MAPPING FOR postgres SERVER home OPTIONS (user 'postgres');
CREATE USER MAPPING FOR PUBLIC SERVER home;
CREATE FOREIGN TABLE far (word text, at timestamptz) SERVER home OPTIONS (table_name 'moments');
CREATE SUBSCRIPTION outward CONNECTION 'dbname=postgres port=5499' PUBLICATION nothing WITH (connect = false);
CREATE FUNCTION heard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''heard''; END';
CREATE EVENT TRIGGER hears ON ddl_command_end EXECUTE FUNCTION heard();
"""
AWAY = """
DROP EVENT TRIGGER hears;
ALTER SUBSCRIPTION outward SET (slot_name = NONE);
DROP SUBSCRIPTION outward;
DROP FUNCTION heard();
DROP EXTENSION postgres_fdw CASCADE;
"""


def test_a_drill_reaches_nothing_outside(pitr: Pitr) -> None:
    pitr.sql(OUTWARD)
    try:
        pitr.mark("first")
        pitr.backup(verify="none")
        pitr.archive()
        assert pitr.sql("SELECT count(*) FROM far") == "2", "from the live cluster it goes out"
        expect = [
            {"query": "SELECT count(*) FROM pg_user_mappings", "result": "0"},
            {"query": "SELECT concat(subenabled, subslotname) FROM pg_subscription", "result": "f"},
            {"query": "SELECT evtenabled FROM pg_event_trigger", "result": "D"},
            {"query": "SELECT count(*) FROM pg_stat_activity WHERE backend_type ~ 'logical'", "result": "0"},
        ]
        done = pitr.call("restore_drill", "postgres", False, database="postgres", expect=expect)
        assert done["changed"] and done["drills"][0]["proven"], done
        asked = [{"query": "SELECT count(*) FROM far", "result": "2"}]
        out = pitr.call("restore_drill", "postgres", False, database="postgres", expect=asked)
        assert out["failed"] and "has no handler" in out["msg"], out
        assert pitr.sql("SELECT count(*) FROM pg_user_mappings") == "2", "the live cluster was touched"
    finally:
        pitr.sql(AWAY)
