# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real standbys are promoted and follow, in the order of a failover; psql is asked what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from standby_group import ARCHIVE, PASSWORD, PORTS, StandbyGroup, standby_group_on

SYSTEM = "dr-test"
RUN: dict[str, Any] = {"system": SYSTEM, "epoch": 10, "run": "20260201T040000Z-aa"}


@pytest.fixture(scope="module")
def group(lab_host: Any) -> Iterator[StandbyGroup]:
    """`drb` and `drc` follow `dra`, whose file of passwords no conninfo repeats but that of `drc`."""
    with standby_group_on(lab_host) as made:
        lab_host.run("rm", "-rf", "/var/lib/day2/dr")
        for name in ("drb", "drc"):
            made.clone(name)
        made.set("drb", "restore_command", f"cp {ARCHIVE}/%f %p")
        inline = f"host=127.0.0.1 port={PORTS['dra']} user=replicator password=''{PASSWORD}'' application_name=drc"
        made.sql("drc", f"ALTER SYSTEM SET primary_conninfo = '{inline}'")
        made.sql("drc", "SELECT pg_reload_conf()")
        yield made
        lab_host.run("rm", "-rf", "/var/lib/day2/dr")


def promote(group: StandbyGroup, name: str = "drb", check_mode: bool = False, **changes: Any) -> Any:
    identifier = group.identifier("drc")
    asked = {"data": group.data(name), "port": PORTS[name], "system_identifier": identifier, "expected_timeline": 1}
    return group.call("pg_promote", check_mode, **{**asked, **RUN, **changes})


def follow(group: StandbyGroup, name: str, primary: str, check_mode: bool = False, **changes: Any) -> Any:
    asked = {"data": group.data(name), "primary": {"host": "127.0.0.1", "port": PORTS[primary]}, **RUN}
    return group.call("pg_follow", check_mode, **{**asked, **changes})


def in_recovery(group: StandbyGroup, name: str = "drb") -> bool:
    return group.sql(name, "SELECT pg_is_in_recovery()") == "t"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"system_identifier": "7"}, "another cluster"),
        ({"expected_timeline": 2}, "on timeline 1, expected 2"),
        ({"port": 5432}, f"has port {PORTS['drb']}, expected 5432"),
        ({"name": "dra"}, "no standby, but a primary on timeline 1"),
        ({"data": "/var/lib/postgresql/15"}, "no data directory"),
    ],
)
def test_what_is_not_to_be_promoted(group: StandbyGroup, changes: dict[str, Any], words: str) -> None:
    for check_mode in (True, False):
        refused = promote(group, check_mode=check_mode, epoch=1, **changes)
        assert refused.get("failed") and words in refused["msg"], refused
    assert in_recovery(group)


def test_a_newer_timeline_in_the_archive_refuses(group: StandbyGroup) -> None:
    history = f"{ARCHIVE}/00000002.history"
    group.host.run("sh", "-c", f"printf '1\\t0/3000148\\tno recovery target specified\\n' > {history}")
    try:
        refused = promote(group, epoch=1)
        assert refused.get("failed") and "the archive has 00000002.history" in refused["msg"], refused
    finally:
        group.host.run("rm", history)
    group.set("drb", "restore_command", "no-such-program %f %p")
    refused = promote(group, epoch=1)
    assert refused.get("failed") and "restore_command cannot be run (status 127)" in refused["msg"], refused
    group.set("drb", "restore_command", f"cp {ARCHIVE}/%f %p")
    assert in_recovery(group)


def test_paused_replay_and_a_server_that_hangs_refuse(group: StandbyGroup) -> None:
    group.sql("drb", "SELECT pg_wal_replay_pause()")
    refused = promote(group, epoch=1)
    assert refused.get("failed") and "replay is paused" in refused["msg"] and "resume_replay" in refused["msg"], refused
    group.sql("drb", "SELECT pg_wal_replay_resume()")
    group.signal("drb", "STOP")
    try:
        refused = promote(group, epoch=1)
        assert refused.get("failed") and "does not answer" in refused["msg"], refused
    finally:
        group.signal("drb", "CONT")
    group.streams("drb", "dra")


def test_a_superseded_run_promotes_nothing(group: StandbyGroup) -> None:
    newer = {"system": SYSTEM, "epoch": 4, "run": "newer"}
    assert group.call("dr_journal", state="claimed", **newer)["accepted"]
    for asked in ({"epoch": 3}, {"epoch": 4}):
        for act in (promote(group, **asked), follow(group, "drc", "drb", **asked)):
            assert act.get("failed") and "newer" in act["msg"], act
    assert in_recovery(group)


def test_check_mode_says_from_where(group: StandbyGroup) -> None:
    planned = promote(group, check_mode=True)
    assert planned["changed"] and planned["timeline"] == 1 and "would be promoted" in planned["msg"], planned
    assert in_recovery(group)
    assert group.host.run("find", group.data("drb"), "-maxdepth", "1", "-name", "*day2*") == ""


def test_the_first_commit_waits_for_nobody(group: StandbyGroup) -> None:
    group.set("drb", "synchronous_standby_names", "elsewhere")
    group.sql("dra", "INSERT INTO rows VALUES (7)")
    for name in ("drb", "drc"):
        group.caught_up(name)
    group.killed("dra")
    arguments = {"data": group.data("drb"), "system_identifier": group.identifier("drb"), "expected_timeline": 1}
    done = group.host.task("day2.ops.pg_promote", {**arguments, **RUN}, by_ansible=True)
    assert done["changed"] and done["timeline"] == 2, done
    assert not in_recovery(group) and group.timeline("drb") == "00000002"
    assert group.sql("drb", "SHOW synchronous_standby_names") == ""
    assert done["previous_synchronous_standby_names"] == "elsewhere" and 0 < done["first_write_seconds"] < 60
    history = group.host.run("cat", f"{group.data('drb')}/pg_wal/00000002.history")
    assert history.split()[:2] == ["1", done["fork_lsn"]]
    waldump = ("/usr/lib/postgresql/15/bin/pg_waldump", "-p", f"{group.data('drb')}/pg_wal", "-t", "2")
    wal = group.host.run(*waldump, "-s", done["fork_lsn"], check=False)
    assert 'transactional, prefix "day2.ops"' in wal
    assert group.sql("drb", "SELECT n FROM rows ORDER BY n DESC LIMIT 1") == "7"
    assert group.info("drb")["promoted_by"] == RUN["run"]


def test_the_same_run_promotes_once_and_another_not_at_all(group: StandbyGroup) -> None:
    again = promote(group)
    assert again["changed"] is False and again["timeline"] == 2 and again["lsn"], again
    other = promote(group, epoch=11, run="other")
    assert other.get("failed") and f"promoted by run {RUN['run']}" in other["msg"], other
    assert group.timeline("drb") == "00000002"


def test_a_write_that_does_not_end_is_a_failure(group: StandbyGroup) -> None:
    group.set("drb", "synchronous_standby_names", "elsewhere")
    try:
        failed = promote(group, epoch=12, run=RUN["run"], timeout="2s")
    finally:
        group.set("drb", "synchronous_standby_names", "")
    assert failed.get("failed") and "synchronous_standby_names is 'elsewhere'" in failed["msg"], failed
    assert failed["timeline"] == 2


def test_a_sibling_follows_on_the_new_timeline(group: StandbyGroup) -> None:
    claim = {"epoch": 13, "expected_timeline": 2, "slot": "drc"}
    wrong = follow(group, "drc", "drb", **{**claim, "expected_timeline": 3})
    assert wrong.get("failed") and "is on timeline 2, expected 3" in wrong["msg"], wrong
    planned = follow(group, "drc", "drb", check_mode=True, **claim)
    assert planned["changed"] and group.sql("drb", "SELECT count(*) FROM pg_replication_slots") == "0", planned
    # What the test has set itself is in there.
    group.host.run("truncate", "-s", "0", "/var/log/postgresql/postgresql-15-drc.log")
    done = follow(group, "drc", "drb", **claim)
    assert done["changed"] and done["diverged"] is False and done["timeline"] == 2, done
    group.sql("drb", "INSERT INTO rows VALUES (8)")
    group.caught_up("drc", of="drb")
    assert group.sql("drc", "SELECT n FROM rows ORDER BY n DESC LIMIT 1") == "8"
    assert group.sql("drb", "SELECT slot_name, active FROM pg_replication_slots") == "drc|t"
    again = follow(group, "drc", "drb", **claim)
    assert again["changed"] is False, again
    member = group.info("drc")
    assert member["timeline"] == 2 and member["password_ok"] is True and member["promoted_by"] is None
    said = str(done) + str(again) + str(member) + group.host.run("journalctl", "-o", "cat", "-n", "2000")
    said += group.host.run("sh", "-c", "cat /var/log/postgresql/postgresql-15-dr*.log")
    assert PASSWORD not in said


def test_a_primary_is_not_made_to_follow(group: StandbyGroup) -> None:
    refused = follow(group, "drb", "drb", epoch=13)
    assert refused.get("failed") and "a primary on timeline 2" in refused["msg"], refused


def test_a_sibling_ahead_of_the_fork_is_named_and_left(group: StandbyGroup) -> None:
    group.clone("dra", of="drb")
    group.systemctl("stop", "dra")
    group.sql("drb", "INSERT INTO rows SELECT generate_series(100, 1000)")
    group.caught_up("drc", of="drb")
    group.killed("drb")
    group.systemctl("start", "dra")
    group.ready("dra")
    done = promote(group, "dra", epoch=14, run="third", expected_timeline=2, system_identifier=group.identifier("dra"))
    assert done.get("timeline") == 3, done
    before = group.sql("drc", "SHOW primary_conninfo")
    found = follow(group, "drc", "dra", epoch=14, run="third")
    assert group.info("drc")["timeline"] == 2
    ahead = f"SELECT pg_last_wal_replay_lsn() - '{done['fork_lsn']}'::pg_lsn"
    assert found["diverged"] is True and found["changed"] is False, found
    assert 0 < found["ahead_bytes"] <= int(group.sql("drc", ahead)) and "was not touched" in found["msg"]
    assert group.sql("drc", "SHOW primary_conninfo") == before
    assert group.sql("drc", "SELECT count(*) FROM rows WHERE n = 1000") == "1"
