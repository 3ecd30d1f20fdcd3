# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules on a host with systemd, which plays the control node: what its timers say and what its services run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.schedule.expression import parse
from lab_host import ROOT

UNITS = "/etc/systemd/system"
PLACE = "/srv/schedule-test"
DIRECTORY = "/var/lib/day2-schedule"
# Maintenance mode has units of its own.
OURS = "-name 'day2-*' ! -name 'day2-maintenance*'"
BACKUP: dict[str, Any] = {
    "name": "backup", "at": "02:00 daily UTC", "playbook": "day2.ops.backup", "hosts": "db:!x", "backup": True,
    "extra_vars": {"text": 'a "b" ${HOME} %n \\ é'},
}  # fmt: skip
LOOK: dict[str, Any] = {"name": "look", "at": "monthly 1 03:00", "playbook": "day2.ops.daily", "exclusive": False}
SETTINGS = {
    "schedule_inventory": f"{PLACE}/inventory",
    "schedule_user": "postgres",
    "schedule_ansible_playbook": f"{PLACE}/program",
    "schedule_environment_file": f"{PLACE}/environment",
}
# Says what it was given, who runs it and where; and once goes on until it is stopped, where it is told to.
PROGRAM = f"""#!/bin/sh
printf '%s\\n' "$@" > {PLACE}/out/words
echo "$(id -un) $(pwd) $ANSIBLE_VAULT_PASSWORD_FILE" > {PLACE}/out/about
test ! -e {PLACE}/out/wait || {{ rm {PLACE}/out/wait; exec sleep infinity; }}
"""


@pytest.fixture(autouse=True)
def node(lab_host: Any) -> Iterator[None]:
    lab_host.run("mkdir", "-p", f"{PLACE}/inventory", f"{PLACE}/out")
    lab_host.run("chmod", "777", f"{PLACE}/out")
    lab_host.run("sh", "-c", f"cat > {PLACE}/program; chmod 755 {PLACE}/program", text=PROGRAM)
    lab_host.run("sh", "-c", f"cat > {PLACE}/environment", text="ANSIBLE_VAULT_PASSWORD_FILE=/etc/vault\n")
    yield
    if ours(lab_host):
        schedule(lab_host, [])
    lab_host.run(
        "sh", "-c", f"rm -rf {PLACE} /var/lib/day2 {DIRECTORY}; find {UNITS} {OURS} -delete; systemctl daemon-reload"
    )


def schedule(lab_host: Any, jobs: list[Any], *options: str, code: int = 0, **variables: Any) -> str:
    settings = {**SETTINGS, "schedule_node": lab_host.name, "schedule_jobs": jobs, **variables}
    given = {name: value for name, value in settings.items() if value is not None}
    done = lab_host.playbook("day2.ops.schedule", "-l", lab_host.name, *options, **given)
    assert done.returncode == code, done.stdout + done.stderr
    return str(done.stdout + done.stderr)


def ours(lab_host: Any) -> list[str]:
    return sorted(lab_host.run("sh", "-c", f"cd {UNITS}; find . {OURS} -printf '%P\\n'").split())


def show(lab_host: Any, unit: str, name: str) -> str:
    return str(lab_host.run("env", "TZ=UTC", "systemctl", "show", "--value", f"--property={name}", unit))


def test_a_timer_is_armed_and_its_service_runs_the_playbook(lab_host: Any) -> None:
    schedule(lab_host, [BACKUP, LOOK])
    unit = "day2-options_engine-backup"
    now = datetime.now(timezone.utc)
    due = now.replace(hour=2, minute=0, second=0) + timedelta(days=now.hour >= 2)
    assert show(lab_host, f"{unit}.timer", "NextElapseUSecRealtime") == due.strftime("%a %Y-%m-%d %H:%M:%S UTC")
    assert show(lab_host, f"{unit}.timer", "Triggers") == f"{unit}.service"
    assert lab_host.run("systemctl", "is-enabled", f"{unit}.timer") == "enabled"
    lab_host.run("systemctl", "start", f"{unit}.service")
    *words, variables = lab_host.run("cat", f"{PLACE}/out/words").split("\n")
    assert words == ["day2.ops.backup", "-i", f"{PLACE}/inventory", "-l", "db:!x", "-e"]
    assert json.loads(variables) == BACKUP["extra_vars"]
    assert lab_host.run("cat", f"{PLACE}/out/about") == f"postgres {DIRECTORY}/options_engine /etc/vault"
    lab_host.run("systemctl", "start", "day2-options_engine-look.service")
    assert lab_host.run("cat", f"{PLACE}/out/words").split("\n") == ["day2.ops.daily", "-i", f"{PLACE}/inventory"]


def test_a_second_run_changes_nothing_and_what_was_disarmed_is_armed(lab_host: Any) -> None:
    assert "changed=2" in schedule(lab_host, [BACKUP])
    assert "changed=0" in schedule(lab_host, [BACKUP])
    lab_host.run("systemctl", "disable", "--now", "day2-options_engine-backup.timer")
    assert "changed=1" in schedule(lab_host, [BACKUP])
    assert show(lab_host, "day2-options_engine-backup.timer", "ActiveState") == "active"
    assert lab_host.run("systemctl", "is-enabled", "day2-options_engine-backup.timer") == "enabled"


def test_check_mode_tells_and_does_nothing(lab_host: Any) -> None:
    said = schedule(lab_host, [BACKUP], "--check", "--diff")
    assert "changed=2" in said and "+OnCalendar=*-*-* 02:00:00 UTC" in said
    assert ours(lab_host) == [] and lab_host.run("sh", "-c", f"test -e {DIRECTORY}; echo $?") == "1"
    schedule(lab_host, [BACKUP])
    before = ours(lab_host), lab_host.run("sh", "-c", f"cat {UNITS}/day2-*")
    said = schedule(lab_host, [{**BACKUP, "at": "03:00 daily"}, LOOK], "--check", "--diff")
    assert "-OnCalendar=*-*-* 02:00:00 UTC" in said and "+OnCalendar=*-*-01 03:00:00 UTC" in said
    assert "-Type=oneshot" in schedule(lab_host, [], "--check", "--diff")
    assert (ours(lab_host), lab_host.run("sh", "-c", f"cat {UNITS}/day2-*")) == before


def test_jobs_that_are_gone_lose_their_timers_and_those_of_others_stay(lab_host: Any) -> None:
    foreign = "[Unit]\nDescription=mine\n[Timer]\nOnCalendar=*-*-* 05:00:00 UTC\nUnit=systemd-tmpfiles-clean.service\n"
    lab_host.run("sh", "-c", f"cat > {UNITS}/day2-options_engine-mine.timer", text=foreign)
    lab_host.run("systemctl", "start", "day2-options_engine-mine.timer")
    schedule(lab_host, [BACKUP, LOOK])
    schedule(lab_host, [{**BACKUP, "name": "other"}], day2_system="options")
    assert len(ours(lab_host)) == 3 * 2 + 1 + 3, "two units of each job, a link of each timer, and mine"
    assert "changed=1" in schedule(lab_host, [LOOK])
    left = ours(lab_host)
    assert [name for name in left if "/" not in name] == [
        "day2-options-other.service", "day2-options-other.timer", "day2-options_engine-look.service",
        "day2-options_engine-look.timer", "day2-options_engine-mine.timer",
    ]  # fmt: skip
    assert len(left) == 5 + 2
    assert show(lab_host, "day2-options_engine-backup.timer", "LoadState") == "not-found"
    assert show(lab_host, "day2-options_engine-mine.timer", "ActiveState") == "active"
    assert lab_host.run("cat", f"{UNITS}/day2-options_engine-mine.timer") == foreign.strip()
    said = schedule(lab_host, [{**LOOK, "name": "mine"}], code=2)
    assert "day2-options_engine-mine.timer is there already" in said
    assert lab_host.run("cat", f"{UNITS}/day2-options_engine-mine.timer") == foreign.strip()
    schedule(lab_host, [], day2_system="options")
    lab_host.run("systemctl", "stop", "day2-options_engine-mine.timer")


def test_systems_and_hosts_of_one_inventory(lab_host: Any, tmp_path: Path) -> None:
    """A system's jobs are those of all its hosts, whatever the play is limited to; each system has its own timers."""

    def run(*limit: str, code: int = 0, **jobs: Any) -> str:
        systems = {"web-1": "shop", "web-2": "shop", "till-1": "till"}
        hosts: dict[str, dict[str, Any]] = {
            host: {"day2_system": system, **({"schedule_jobs": jobs[system]} if system in jobs else {})}
            for host, system in systems.items()
        }
        hosts["web-2"]["schedule_jobs"] = [BACKUP, {**LOOK, "name": "of-web-2", **jobs.get("web", {})}]
        # A task that is delegated sees the variables of its own host in the addresses of the other.
        register = json.loads((lab_host.lab.folder / "lab.json").read_text())
        hosts[lab_host.name] = {"ansible_host": register["hosts"][lab_host.name]["alias"]}
        path = tmp_path / "hosts.json"
        path.write_text(json.dumps({"all": {"hosts": hosts}}))
        lab = str(ROOT / "inventories" / "lab")
        variables = dict(SETTINGS, schedule_node=lab_host.name)
        done = lab_host.playbook("day2.ops.schedule", "-i", lab, "-i", str(path), "-l", *limit, **variables)
        assert done.returncode == code, done.stdout + done.stderr
        return str(done.stdout + done.stderr)

    def timers() -> list[str]:
        return [name.split(".")[0] for name in ours(lab_host) if "/" not in name and name.endswith(".timer")]

    run("web-1,till-1", shop=[BACKUP, LOOK], till=[LOOK])
    assert timers() == ["day2-shop-backup", "day2-shop-look", "day2-shop-of-web-2", "day2-till-look"]
    run("web-1,web-2", shop=[BACKUP], till=[])
    assert timers() == ["day2-shop-backup", "day2-shop-of-web-2", "day2-till-look"]
    run("web-1,web-2")
    assert timers() == ["day2-shop-backup", "day2-shop-of-web-2", "day2-till-look"], "web-1 has no list"
    run("web-2")
    said = run("web-1", code=2, shop=[BACKUP, LOOK], web={"name": "look", "at": "04:00 daily"})
    assert "job 'look', field 'name': two different jobs have it" in re.sub(r"\s+", " ", said)
    assert timers() == ["day2-shop-backup", "day2-shop-of-web-2", "day2-till-look"]
    for system in ("shop", "till"):
        schedule(lab_host, [], day2_system=system)
    assert ours(lab_host) == []


def test_a_new_time_is_not_made_up_for(lab_host: Any) -> None:
    """By a time that is new, nothing was missed, whatever systemd remembers of a timer of that name."""
    timer, service = (f"day2-options_engine-backup.{suffix}" for suffix in ("timer", "service"))
    stamp = f"/var/lib/systemd/timers/stamp-{timer}"
    now = datetime.now(timezone.utc)
    past, future = (now + timedelta(minutes=minutes) for minutes in (-10, 120))

    def last_run(at: datetime) -> str:
        schedule(lab_host, [{**BACKUP, "at": f"{at:%H:%M} daily"}])
        following = at.replace(second=0) + timedelta(days=at < now)
        assert show(lab_host, timer, "NextElapseUSecRealtime") == following.strftime("%a %Y-%m-%d %H:%M:%S UTC")
        return show(lab_host, service, "ExecMainStartTimestamp")

    # Of a job of that name that was there once.
    lab_host.run("touch", "-d", "2 days ago", stamp)
    assert last_run(future) == ""
    # What an hour is to the test, a night is to a backup: the last run was before the time that is new.
    lab_host.run("touch", "-d", "1 hour ago", stamp)
    lab_host.run("systemctl", "restart", timer)
    assert last_run(past) == ""
    schedule(lab_host, [])
    assert lab_host.run("sh", "-c", f"test -e {stamp}; echo $?") == "1"


def test_jobs_that_exclude_each_other_do(lab_host: Any) -> None:
    short = {"duration": "1h", "timeout": "1h"}
    schedule(lab_host, [{**BACKUP, **short}, {**LOOK, **short, "name": "fix", "exclusive": True}, LOOK])
    wait = f"{PLACE}/out/wait"
    lab_host.run("touch", wait)
    lab_host.run("systemctl", "start", "--no-block", "day2-options_engine-backup.service")
    try:
        # The program runs, so its lock is held.
        lab_host.run("timeout", "30", "sh", "-c", f"while test -e {wait}; do sleep 0.1; done")
        lab_host.run("systemctl", "start", "day2-options_engine-look.service")
        lab_host.run("systemctl", "start", "day2-options_engine-fix.service", check=False)
        assert show(lab_host, "day2-options_engine-fix.service", "ExecMainStatus") == "75"
        assert show(lab_host, "day2-options_engine-backup.service", "ActiveState") == "activating"
    finally:
        lab_host.run("systemctl", "stop", "day2-options_engine-backup.service")
    lab_host.run("systemctl", "start", "day2-options_engine-fix.service")
    assert show(lab_host, "day2-options_engine-fix.service", "Result") == "success"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"at": "every 7 min"}, "job 'backup', field 'at': 'every 7 min': 7 does not divide an hour evenly"),
        ({"at": None}, "job 'backup', field 'at': is missing"),
        ({"when": "02:00"}, "job 'backup', field 'when': is no field of a job"),
        ({"extra_vars": {"api_token": "t0p-s3cret-w0rd"}}, "job 'backup', field 'extra_vars': holds what looks like"),
    ],
)
def test_a_malformed_job_is_refused_by_name(lab_host: Any, change: dict[str, Any], words: str) -> None:
    schedule(lab_host, [LOOK])
    before = ours(lab_host)
    said = schedule(lab_host, [LOOK, {**BACKUP, **change}], code=2, in_full=True)
    assert words in re.sub(r"\s+", " ", said) and "t0p-s3cret" not in said
    assert ours(lab_host) == before


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"schedule_ansible_playbook": "/nowhere"}, "/nowhere is no program on the control node"),
        ({"schedule_user": "nobody-here"}, "there is no user 'nobody-here' on the control node: set schedule_user"),
        ({"schedule_inventory": "/nowhere"}, "/nowhere does not exist on the control node (schedule_inventory)"),
        # Without a setting it is the run's own, which only the controller has.
        ({"schedule_inventory": None}, f"{ROOT}/inventories/lab does not exist on the control node"),
        ({"schedule_environment_file": "/nowhere"}, "(schedule_environment_file)"),
        ({"schedule_inventory": "inventory"}, "schedule_inventory is not an absolute path"),
        ({"day2_system": ""}, "has no day2_system"),
        ({"day2_hosts": "nosuch"}, "no host of the inventory fits day2_hosts"),
    ],
)
def test_a_node_that_cannot_run_jobs_is_refused(lab_host: Any, variables: dict[str, Any], words: str) -> None:
    failed = 4 if "day2_hosts" in variables else 2
    assert words in re.sub(r"\s+", " ", schedule(lab_host, [BACKUP], code=failed, **variables))
    assert ours(lab_host) == [] and lab_host.run("sh", "-c", f"test -e {DIRECTORY}; echo $?") == "1"


def test_systemd_has_to_take_the_units(lab_host: Any) -> None:
    call = {"jobs": [BACKUP], "system": "x", "inventory": f"{PLACE}/inventory", "user": "postgres"}
    call |= {"ansible_playbook": f"{PLACE}/program"}
    outcome = lab_host.task("day2.ops.schedule_timers", {**call, "directory": "/var/../../\u0001"})
    assert outcome["failed"] and "systemd refuses the units" in outcome["msg"], outcome
    assert ours(lab_host) == []


def test_collisions_are_warned_of(lab_host: Any) -> None:
    said = schedule(lab_host, [BACKUP, {**BACKUP, "name": "again", "at": "Sundays 02:30"}])
    assert "job again is due while backup runs: first Sun" in re.sub(r"\s+", " ", said)


def test_probes(lab_host: Any) -> None:
    schedule(lab_host, [BACKUP])
    again = {**BACKUP, "name": "again", "at": "Sundays 02:30"}
    loss = {"probe": "schedule", "metric": "worst_loss"}
    results = lab_host.checks(
        {"id": "fine", "probe": "schedule", "jobs": [BACKUP, LOOK]},
        {"id": "collide", "probe": "schedule", "jobs": [BACKUP, again]},
        {"id": "stern", "probe": "schedule", "jobs": [BACKUP, again], "critical": "> 0"},
        {"id": "loss", **loss, "jobs": [BACKUP], "critical": "> 26h"},
        {"id": "rpo", **loss, "jobs": [BACKUP], "critical": "> 1h", "unit": "h"},
        {"id": "wal", **loss, "jobs": [BACKUP], "critical": "> 1h", "archive_timeout": "15m"},
        {"id": "nothing", **loss, "jobs": [LOOK]},
        {"id": "armed", "probe": "backup", "metric": "next_run", "timer": "day2-options_engine-backup"},
        {"id": "too-late", "probe": "backup", "metric": "next_run", "timer": "day2-options_engine-backup.timer",
         "critical": "> 1s"},
        {"id": "not-armed", "probe": "backup", "metric": "next_run", "timer": "day2-options_engine-nosuch"},
    )  # fmt: skip
    assert {name: row["status"] for name, row in results.items()} == {
        "fine": "ok", "collide": "warning", "stern": "critical", "loss": "ok", "rpo": "critical", "wal": "ok",
        "nothing": "critical", "armed": "ok", "too-late": "critical", "not-armed": "critical",
    }  # fmt: skip
    assert results["collide"]["value"] == 1
    assert "job again is due while backup runs" in results["collide"]["message"]
    assert (results["loss"]["value"], results["rpo"]["value"], results["wal"]["value"]) == (25 * 3600, 25, 900)
    assert "archiving WAL" in results["rpo"]["message"] and "archiving WAL" not in results["loss"]["message"]
    due = datetime.strptime(
        show(lab_host, "day2-options_engine-backup.timer", "NextElapseUSecRealtime"), "%a %Y-%m-%d %H:%M:%S UTC"
    ).replace(tzinfo=timezone.utc)
    started = datetime.fromisoformat(results["armed"]["started"].replace("Z", "+00:00"))
    assert abs((due - started).total_seconds() - results["armed"]["value"]) < 60


def test_malformed_checks_name_the_job(lab_host: Any) -> None:
    bad = {"id": "x", "title": "x", "probe": "schedule", "jobs": [{**BACKUP, "at": "02:00"}]}
    said = lab_host.module([bad])["msg"]
    assert "check 'x', field 'jobs': job 'backup', field 'at': '02:00': says no day" in said
    alone = {"id": "x", "title": "x", "probe": "backup", "timer": "y"}
    assert "field 'timer': and metric 'next_run' go together" in lab_host.module([alone])["msg"]


# Before, in and after the nights in which clocks change, and over the end of a year.
BASES = ["2026-03-28 20:20", "2026-10-24 20:20", "2026-10-25 02:10", "2026-12-30 12:00", "2027-02-26 00:00"]
SCHEDULES = [
    "02:00 daily", "02:30 daily Europe/Berlin", "hourly Europe/Berlin", "every 30 min Europe/Berlin",
    "hourly 01-03 Europe/Berlin", "every 6 h America/New_York", "Sundays 02:00 Europe/Berlin", "Mon,Wed-Fri 18:30",
    "hourly 09-17 Mon-Fri Asia/Kathmandu", "first Sunday 02:00", "last Sun 02:30 Europe/Berlin", "last day 23:59",
    "monthly 28 03:00 Australia/Lord_Howe", "00:00 daily Asia/Beirut",
    "quarterly last day 02:00", "quarterly first Sunday 01:30", "weekends every 12 h",
]  # fmt: skip


@pytest.mark.parametrize("text", SCHEDULES)
def test_starts_are_those_of_systemd(lab_host: Any, text: str) -> None:
    schedule = parse(text)
    for base in BASES:
        said = lab_host.run(
            "env", "TZ=UTC", "systemd-analyze", "calendar", "--iterations=12", f"--base-time={base}:00 UTC",
            schedule.on_calendar,
        )  # fmt: skip
        found = re.findall(r"(?:Next elapse|Iter\. #\d+): \w+ (\S+ \S+) UTC", said)
        assert len(found) == 12, said
        begin = datetime.strptime(base, "%Y-%m-%d %H:%M").replace(tzinfo=timezone.utc).timestamp()
        starts = schedule.occurrences(begin + 1, begin + 1300 * 86400)
        shown = (datetime.fromtimestamp(each, timezone.utc) for each, _place in zip(starts, range(12)))
        assert [f"{each:%Y-%m-%d %H:%M:%S}" for each in shown] == found, (text, base)
