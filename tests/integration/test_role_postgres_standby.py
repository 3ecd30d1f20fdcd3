# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Role postgres_standby makes a real standby beside its primary; psql is asked whether it is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standby_group import PORTS, StandbyGroup, standby_group_on

SECRET = "f1ctional:role\\secret"
PASSFILE = "/var/lib/postgresql/dr-role.pgpass"
COMMON = {"postgres_standby_password": SECRET, "postgres_standby_role": "follower", "postgres_standby_install": False,
          "postgres_standby_passfile": PASSFILE}  # fmt: skip
PRIMARY = {**COMMON, "postgres_standby_port": PORTS["dra"], "postgres_standby_slot_keep": "64MB",
           "postgres_standby_standbys": [{"address": "127.0.0.1", "slot": "drb_1"}]}  # fmt: skip
STANDBY = {**COMMON, "postgres_standby_port": PORTS["drb"], "postgres_standby_slot": "drb_1",
           "postgres_standby_primary": {"host": "127.0.0.1", "port": PORTS["dra"]},
           "postgres_standby_slot_keep": "64MB", "postgres_standby_settings": {"wal_log_hints": "on"}}  # fmt: skip


REPOSITORY = "/var/lib/postgresql/dr-role-repo"
CONFIG = f"""[global]
repo1-path={REPOSITORY}
repo1-retention-full=2
log-path={REPOSITORY}
lock-path={REPOSITORY}
start-fast=y
[dr]
pg1-path=/var/lib/postgresql/15/dra
pg1-port={PORTS["dra"]}
"""
STANZA = f"""
mkdir -p /etc/pgbackrest {REPOSITORY}
cat > /etc/pgbackrest/pgbackrest.conf
chown postgres: {REPOSITORY}
"""


@pytest.fixture(scope="module")
def group(lab_host: Any) -> Iterator[StandbyGroup]:
    with standby_group_on(lab_host) as made:
        made.sql("dra", "INSERT INTO rows VALUES (42)")
        # As the server's package makes it: an empty cluster that runs, and has less than the primary.
        made.host.run("pg_createcluster", "15", "drb", "-p", str(PORTS["drb"]), "--start")
        made.sql("dra", "ALTER SYSTEM SET max_connections = 130")
        made.systemctl("restart", "dra")
        made.ready("dra")
        yield made
        lab_host.run("sh", "-c", f"rm -rf {PASSFILE} /var/lib/postgresql/15/drb.* /etc/pgbackrest {REPOSITORY}")


def play(group: StandbyGroup, tmp_path: Path, entry: str, *options: str, **variables: Any) -> Any:
    file = tmp_path / f"{entry}.json"
    task = {"ansible.builtin.include_role": {"name": "day2.ops.postgres_standby", "tasks_from": entry}}
    file.write_text(json.dumps([{"hosts": group.host.name, "gather_facts": False, "vars": variables, "tasks": [task]}]))
    return group.host.playbook(str(file), *options, in_full=True)


def changed(done: Any) -> int:
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.rpartition("changed=")[2].split()[0])


def test_a_primary_lets_its_standbys_in(group: StandbyGroup, tmp_path: Path) -> None:
    assert changed(play(group, tmp_path, "primary", "--check", **PRIMARY)) > 0
    assert group.sql("dra", "SELECT count(*) FROM pg_roles WHERE rolname = 'follower'") == "0"
    assert changed(play(group, tmp_path, "primary", **PRIMARY)) > 0
    assert group.sql("dra", "SELECT rolreplication FROM pg_roles WHERE rolname = 'follower'") == "t"
    slots = "SELECT slot_name, slot_type, restart_lsn IS NOT NULL FROM pg_replication_slots"
    assert group.sql("dra", slots) == "drb_1|physical|t"
    assert group.sql("dra", "SHOW max_slot_wal_keep_size") == "64MB"
    rule = "SELECT address, auth_method FROM pg_hba_file_rules WHERE 'follower' = ANY (user_name)"
    assert group.sql("dra", rule) == "127.0.0.1|scram-sha-256"
    again = play(group, tmp_path, "primary", "-vvv", **PRIMARY)
    assert changed(again) == 0 and SECRET not in again.stdout and "f1ctional:role" not in again.stdout


def test_another_cluster_is_not_replaced_unasked(group: StandbyGroup, tmp_path: Path) -> None:
    before = group.identifier("drb")
    done = play(group, tmp_path, "main", **STANDBY)
    assert done.returncode != 0 and "postgres_standby_replace" in done.stdout, done.stdout
    planned = play(group, tmp_path, "main", "--check", **STANDBY, postgres_standby_replace=True)
    assert planned.returncode == 0 and "would make a standby of" in planned.stdout, planned.stdout
    assert group.identifier("drb") == before


def test_a_standby_is_made_and_kept(group: StandbyGroup, tmp_path: Path) -> None:
    before = group.identifier("drb")
    done = play(group, tmp_path, "main", "-vvv", **STANDBY, postgres_standby_replace=True)
    assert changed(done) > 0
    assert "f1ctional:role" not in done.stdout + group.host.run("journalctl", "-o", "cat", "-n", "3000")
    group.streams("drb", "dra")
    group.caught_up("drb")
    assert group.sql("drb", "SELECT n FROM rows WHERE n = 42") == "42"
    assert group.sql("dra", "SELECT active FROM pg_replication_slots") == "t"
    assert group.sql("dra", "SELECT application_name FROM pg_stat_replication") == "drb_1"
    assert group.sql("drb", "SHOW wal_log_hints") == "on" and group.sql("drb", "SHOW max_connections") == "130"
    conninfo = group.sql("drb", "SHOW primary_conninfo")
    assert "f1ctional" not in conninfo and PASSFILE in conninfo
    assert group.host.run("stat", "-c", "%a %U", PASSFILE) == "600 postgres"
    kept = group.host.run("sh", "-c", "ls -d /var/lib/postgresql/15/drb.*").split()
    (old,) = kept
    control = group.host.run("/usr/lib/postgresql/15/bin/pg_controldata", "-D", old)
    assert f"{before}\n" in control
    again = play(group, tmp_path, "main", **STANDBY)
    assert changed(again) == 0, again.stdout
    assert group.host.run("sh", "-c", "find /tmp /var/tmp -name '*.pgpass'") == ""
    assert group.info("drb")["password_ok"] is True


def test_the_standby_of_another_is_left(group: StandbyGroup, tmp_path: Path) -> None:
    elsewhere = {**STANDBY, "postgres_standby_primary": {"host": "localhost", "port": PORTS["dra"]}}
    done = play(group, tmp_path, "main", **elsewhere)
    assert done.returncode != 0 and "module pg_follow" in done.stdout, done.stdout
    none = play(group, tmp_path, "main", **{**STANDBY, "postgres_standby_password": "wrong"})
    assert none.returncode != 0 and "authentication failed" in none.stdout, none.stdout


def test_a_standby_from_a_backup_is_ready_to_archive(group: StandbyGroup, tmp_path: Path) -> None:
    group.host.run("sh", "-euc", STANZA, text=CONFIG)
    group.sql("dra", "ALTER SYSTEM SET archive_mode = on")
    group.sql("dra", "ALTER SYSTEM SET archive_command = 'pgbackrest --stanza=dr archive-push %p'")
    group.systemctl("restart", "dra")
    group.ready("dra")
    backup = "pgbackrest --stanza=dr stanza-create; pgbackrest --stanza=dr --type=full backup"
    group.host.run("runuser", "-u", "postgres", "--", "sh", "-euc", backup)
    group.remove("drb")
    group.host.run("pg_createcluster", "15", "drb", "-p", str(PORTS["drb"]))
    stanza = {**STANDBY, "postgres_standby_stanza": "dr", "postgres_standby_source": "pgbackrest"}
    assert changed(play(group, tmp_path, "main", **stanza, postgres_standby_replace=True)) > 0
    group.streams("drb", "dra")
    group.caught_up("drb")
    assert group.sql("drb", "SELECT n FROM rows WHERE n = 42") == "42"
    member = group.info("drb")
    assert member["archiver"]["mode"] == "on" and member["repository_on_this_disk"] is True, member
    assert "archive-push" in group.sql("drb", "SHOW archive_command")
    assert "archive-get" in group.sql("drb", "SHOW restore_command")
    assert changed(play(group, tmp_path, "main", **stanza)) == 0
