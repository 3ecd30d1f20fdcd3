# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_standby_info tells of real servers; psql and the host are asked what is right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from standby_group import PORTS, StandbyGroup, standby_group_on


@pytest.fixture(scope="module")
def group(lab_host: Any) -> Iterator[StandbyGroup]:
    with standby_group_on(lab_host) as made:
        made.sql("dra", "SELECT pg_create_physical_replication_slot('drb')")
        made.clone("drb")
        made.set("drb", "primary_slot_name", "drb")
        yield made


def test_a_primary(group: StandbyGroup) -> None:
    group.caught_up("drb")
    outcome = group.host.task("day2.ops.pg_standby_info", {"port": PORTS["dra"]}, by_ansible=True)
    asked = "SELECT (pg_control_system()).system_identifier || ' ' || current_setting('server_version_num')"
    identifier, version = group.sql("dra", asked).split()
    assert (outcome["state"], outcome["role"], outcome["timeline"]) == ("running", "primary", 1), outcome
    assert (outcome["system_identifier"], outcome["version"]) == (identifier, int(version))
    assert outcome["data"] == group.data("dra") and outcome["unit"] == "postgresql@15-dra.service"
    assert outcome["unit_state"] == "active" and outcome["unit_masked"] is False
    assert outcome["checksums"] is True and outcome["archiver"]["mode"] == "off" and outcome["error"] is None
    assert outcome["archiver"]["failing"] is None
    (replica,) = outcome["replication"]
    assert (replica["application"], replica["state"], replica["sync_state"]) == ("drb", "streaming", "async")
    assert outcome["changed"] is False and outcome["lag"] is None and outcome["managed_by"] is None


def test_a_slot_says_what_it_retains(group: StandbyGroup) -> None:
    group.sql("dra", "SELECT pg_create_physical_replication_slot('idle', true)")
    group.sql("dra", "INSERT INTO rows SELECT generate_series(1, 30000)")
    slots = {slot["name"]: slot for slot in group.info("dra")["slots"]}
    kept = "SELECT pg_current_wal_flush_lsn() - restart_lsn FROM pg_replication_slots WHERE slot_name = 'idle'"
    assert 1_000_000 < slots["idle"]["retained_bytes"] <= int(group.sql("dra", kept)), slots
    assert slots["idle"]["active"] is False and slots["idle"]["type"] == "physical"
    assert slots["idle"]["wal_status"] == "reserved" and slots["idle"]["failover"] is None
    group.sql("dra", "SELECT pg_drop_replication_slot('idle')")


def test_an_idle_standby_is_not_behind(group: StandbyGroup) -> None:
    group.sql("dra", "INSERT INTO rows VALUES (1)")
    group.caught_up("drb")
    # The last commit is a while ago, and nobody has written since.
    old = "SELECT clock_timestamp() - pg_last_xact_replay_timestamp() > interval '1.5 seconds'"
    group.until(lambda: group.sql("drb", old), lambda said: said == "t", "the last commit is old")
    outcome = group.info("drb")
    assert (outcome["state"], outcome["role"], outcome["replayable"]) == ("running", "standby", True), outcome
    assert outcome["lag"] == {"bytes": 0, "seconds": 0.0}
    assert (outcome["upstream"]["host"], outcome["upstream"]["port"]) == ("127.0.0.1", PORTS["dra"])
    assert outcome["upstream"]["status"] == "streaming" and outcome["password_ok"] is True
    (replica,) = group.info("dra")["replication"]
    assert replica["bytes"] == 0 and replica["seconds"] == 0


def probed(group: StandbyGroup, name: str) -> dict[str, dict[str, Any]]:
    metrics = ("role", "timeline", "replication_lag", "replication_lag_bytes", "slot_retained", "archiver_failing",
               "synchronous_standbys", "replay_paused", "rewind_lacks", "password_expiry")  # fmt: skip
    where = {"probe": "postgres", "run_as": "postgres", "database": "postgres", "port": PORTS[name]}
    found: dict[str, dict[str, Any]] = group.host.checks(
        *({"id": metric, "metric": metric, **where} for metric in metrics)
    )
    return found


def test_probe_postgres_knows_replication(group: StandbyGroup) -> None:
    group.caught_up("drb")
    standby, primary = probed(group, "drb"), probed(group, "dra")
    assert (standby["role"]["value"], primary["role"]["value"]) == ("standby", "primary")
    assert standby["timeline"]["value"] == primary["timeline"]["value"] == 1
    assert standby["replication_lag"]["value"] == 0 and standby["replication_lag_bytes"]["value"] == 0
    assert primary["replication_lag_bytes"]["value"] == 0, primary["replication_lag_bytes"]
    assert primary["slot_retained"]["evidence"][0].startswith("drb: physical, active"), primary["slot_retained"]
    assert primary["archiver_failing"]["status"] == "unknown" and "archive_mode is off" in str(primary)
    assert (standby["replay_paused"]["value"], primary["replay_paused"]["status"]) == (0, "unknown")
    assert primary["synchronous_standbys"]["value"] == 0 and primary["synchronous_standbys"]["status"] == "ok"
    assert standby["rewind_lacks"]["value"] == 0, standby["rewind_lacks"]
    assert primary["password_expiry"]["value"] > 86400 * 3000, primary["password_expiry"]
    group.sql("dra", "CREATE ROLE leaving REPLICATION LOGIN VALID UNTIL 'yesterday'")
    gone = probed(group, "dra")["password_expiry"]
    group.sql("dra", "DROP ROLE leaving")
    assert gone["status"] == "critical" and "password of leaving has expired" in gone["message"], gone
    group.sql("drb", "SELECT pg_wal_replay_pause()")
    group.set("dra", "synchronous_standby_names", "elsewhere")
    try:
        assert probed(group, "drb")["replay_paused"]["value"] == 1
        waits = probed(group, "dra")["synchronous_standbys"]
        assert waits["status"] == "critical" and "of which nobody is connected" in waits["message"], waits
    finally:
        group.set("dra", "synchronous_standby_names", "")
        group.sql("drb", "SELECT pg_wal_replay_resume()")


def test_paused_and_delayed_replay(group: StandbyGroup) -> None:
    group.sql("drb", "SELECT pg_wal_replay_pause()")
    group.sql("dra", "INSERT INTO rows SELECT generate_series(1, 1000)")
    end = group.sql("dra", "SELECT pg_current_wal_flush_lsn()")
    received = f"SELECT pg_last_wal_receive_lsn() >= '{end}'"
    group.until(lambda: group.sql("drb", received), lambda said: said == "t", "all is received")
    outcome = group.info("drb")
    assert outcome["replay_paused"] is True and outcome["replayable"] is False
    assert outcome["lag"]["bytes"] > 0 and outcome["lag"]["seconds"] > 0
    assert outcome["received_lsn"] == group.sql("drb", "SELECT pg_last_wal_receive_lsn()")
    assert outcome["replayed_lsn"] == group.sql("drb", "SELECT pg_last_wal_replay_lsn()")
    group.sql("drb", "SELECT pg_wal_replay_resume()")
    group.set("drb", "recovery_min_apply_delay", "1h")
    outcome = group.info("drb")
    assert outcome["apply_delay"] == 3600.0 and outcome["replayable"] is False
    group.set("drb", "recovery_min_apply_delay", "")
    group.caught_up("drb")


def test_a_password_that_is_wrong_or_expired(group: StandbyGroup) -> None:
    group.sql("dra", "ALTER ROLE replicator VALID UNTIL '2020-01-01'")
    try:
        assert group.info("drb")["password_ok"] is False
    finally:
        group.sql("dra", "ALTER ROLE replicator VALID UNTIL 'infinity'")
    assert group.info("drb")["password_ok"] is True


def test_a_stopped_standby_and_one_that_is_none(group: StandbyGroup) -> None:
    group.systemctl("stop", "drb")
    outcome = group.info("drb")
    assert (outcome["state"], outcome["role"], outcome["timeline"]) == ("stopped", "standby", 1), outcome
    assert outcome["clean"] is True and outcome["lsn"] and outcome["unit_state"] == "inactive"
    assert group.call("pg_standby_info", port=5599)["state"] == "absent"
    group.systemctl("start", "drb")
    group.streams("drb", "dra")


def test_what_is_stopped_by_a_signal_hangs(group: StandbyGroup) -> None:
    group.signal("drb", "STOP")
    try:
        outcome = group.info("drb", timeout="6s")
        assert outcome["state"] == "hung" and "SIGSTOP" in outcome["error"], outcome
        assert outcome["role"] == "standby" and outcome["data"] == group.data("drb")
    finally:
        group.signal("drb", "CONT")
    group.streams("drb", "dra")


def test_files_that_hang_end_the_look_in_time(group: StandbyGroup) -> None:
    data = group.data("drb")
    # Whoever opens a pipe that nobody writes waits, as on a disk that is gone.
    group.systemctl("stop", "drb")
    group.host.run("sh", "-euc", f"mv {data}/PG_VERSION {data}/PG_VERSION.old; mkfifo {data}/PG_VERSION")
    try:
        outcome = group.info("drb", timeout="2s")
        assert outcome["state"] == "hung" and "did not answer within 2 s" in outcome["error"], outcome
    finally:
        group.host.run("mv", f"{data}/PG_VERSION.old", f"{data}/PG_VERSION")
        group.systemctl("start", "drb")
    group.streams("drb", "dra")


def test_another_decider_is_named(group: StandbyGroup) -> None:
    group.host.run("cp", "/usr/bin/sleep", "/run/repmgrd")
    beside = group.host.start("/run/repmgrd", "60")
    try:
        group.until(lambda: group.info("drb")["managed_by"], lambda said: said == "repmgrd", "repmgrd is seen")
    finally:
        group.host.run("sh", "-c", "kill $(pidof repmgrd); rm /run/repmgrd")
        beside.wait()
    assert group.info("drb")["managed_by"] is None


def test_a_primary_that_crashed_says_where_its_wal_ends(group: StandbyGroup) -> None:
    group.sql("dra", "INSERT INTO rows SELECT generate_series(1, 50)")
    end = group.sql("dra", "SELECT pg_current_wal_insert_lsn()")
    group.killed("dra")
    outcome = group.info("dra")
    assert outcome["role"] == "primary" and outcome["clean"] is False, outcome
    later = f"SELECT '{outcome['wal_end']}'::pg_lsn - '{end}'::pg_lsn"
    assert 0 <= int(group.sql("drb", later)) < 8192, (outcome["wal_end"], end)
    gone = group.info("drb")
    assert gone["password_ok"] is None and gone["lag"]["bytes"] is None, gone
    group.systemctl("start", "dra")
