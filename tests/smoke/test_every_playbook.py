# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every playbook on one lab host: first `--check`, which changes nothing, then a real run; by each ansible-core."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from chat import Chat
from cores import Core, cores
from lab.waiting import wait_for
from lab_host import ROOT, LabHost
from maintained import ANY_TIME
from pytest_httpserver import HTTPServer

LIMIT = ("-l", LabHost.name)
SYSTEM = "options_engine"
RECOVERY = {"day2_confirm": SYSTEM, "recovery_source": "latest"}
# A day with less than its notice left, so that it is announced.
SOON = {**ANY_TIME, "name": "soon", "notice": "25h"}
# Deprecated now, gone in a later ansible-core.
_OLD = re.compile(r"\[DEPRECATION WARNING\][^\n]*")
# What a run may not change, by the host's own tools: files with their times, units, databases with their rows.
# Code that the tests' hosts keep compiled (kept_code.py) is no change of a run.
_LOOK = r"""
find /etc /opt /usr/local /srv /var/backups /var/lib/day2 /var/www /run/day2 /root -xdev ! -path '*/.ansible*' \
    ! -path '*/day2_test_code*' ! -path /root ! -name '.*lock' ! -path /var/lib/day2/logs/status.json \
    \( -type d -printf '%p %m %u\n' -o -printf '%p %y %m %u %s %T@ %l\n' \) 2>/dev/null | sort
systemctl list-unit-files --no-legend --no-pager | sort
systemctl is-active nginx options-engine postgresql redis-server day2-maintenance.timer
runuser -u postgres -- psql -XAtqc "SELECT datname, oid FROM pg_database ORDER BY 1"
runuser -u postgres -- psql -XAtqc "SELECT oid::regclass, relfilenode, reltuples FROM pg_class WHERE relkind = 'r'
    AND relnamespace = 'public'::regnamespace ORDER BY 1" options_engine
redis-cli DBSIZE
"""


@dataclass(frozen=True)
class Smoke:
    """How a playbook is run. `rows`: ids that its report has after the real run; `says`: words of its plan."""

    name: str
    variables: dict[str, Any] = field(default_factory=dict)
    options: tuple[str, ...] = LIMIT
    rows: tuple[str, ...] = ()
    says: str = ""


SMOKES = [
    Smoke("inventory_lint"),
    Smoke("baseline", {"day2_monthly_checks_smoke": [
        {"id": "accounts-since", "title": "Accounts", "probe": "baseline", "subject": "accounts"}]}),
    Smoke("maintenance_setup"),
    Smoke("backup", rows=("backup-postgresql", "set-age"), says="would"),
    Smoke("restore_drill", rows=("proven",), says="would"),
    Smoke("maintenance", {"day2_windows": [ANY_TIME]}, says="would",
          rows=("maintenance-preflight", "maintenance-on", "rebuild", "logs", "cache", "maintenance-verified",
                "maintenance-off", "health")),
    Smoke("emergency_maintenance", {
        "maintenance_window_emergency": "application", "maintenance_window_reason": "it hangs",
        "approved_by": "A. Person", "day2_approvers": ["A. Person"], "maintenance_window_backup": False},
        rows=("maintenance-on", "end-processes", "maintenance-off"), says="would"),
    Smoke("maintenance_announce", {"day2_windows": [SOON]}, says="soon"),
    Smoke("schedule", {"schedule_node": LabHost.name, "schedule_inventory": "/etc", "schedule_user": "root",
                       "schedule_ansible_playbook": "/bin/true"}),
    Smoke("daily", rows=("cpu", "health")),
    Smoke("monthly", rows=("table-sizes",)),
    Smoke("quarterly"),
    Smoke("checklist", {"day2_cadence": "daily"}, rows=("cpu",)),
    Smoke("maintenance_procedure", {"day2_windows": [ANY_TIME], "maintenance_window_backup": False}, says="would",
          rows=("maintenance-on", "maintenance-off")),
    Smoke("report_merge", {"day2_run_id": "slices"}, ()),
    Smoke("restore", RECOVERY, says="would"),
    Smoke("recover", {**RECOVERY, "recovery_scope": "full"}, says="would"),
    Smoke("pitr", {"postgres_pitr_retention": {"full": 2}, "postgres_pitr_restart": True}),
    # The last ones: a timer tends logs while the others look at the host. Its step rotates them.
    Smoke("logs"),
    Smoke("weekly", {"day2_steps": True}, rows=("database", "rotate")),
]  # fmt: skip


# What is known before anything is changed; with the words that say it.
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("backup", {"postgres_backup_databases": ["no_such_database"]}, "no_such_database"),
    ("backup", {"day2_hosts": "nobody"}, "no host of the inventory fits day2_hosts (nobody)"),
    ("backup", {"day2_host": LabHost.name}, "did you mean 'day2_hosts'?"),
    ("restore", {"recovery_source": "20010101T000000Z"}, "20010101T000000Z"),
    ("recover", {"recovery_scope": "full", "recovery_services": ["no-such-unit"]}, "no-such-unit"),
    ("restore_drill", {"restore_drill_rto": "soon"}, "soon"),
    ("maintenance", {"day2_windows": []}, "has no windows of maintenance"),
    ("emergency_maintenance", {"maintenance_window_emergency": "application"}, "nobody can approve"),
    ("pitr", {"postgres_pitr_retention": {"full": 2, "days": 30}}, "two answers to one question"),
    ("pitr", {"postgres_pitr_retention": {"full": 2}, "postgres_pitr_s3": {"bucket": "b"}}, "needs bucket, endpoint"),
    ("schedule", {"schedule_node": LabHost.name, "schedule_inventory": "relative"}, "is not an absolute path"),
    ("logs", {"log_management_logs": [{"name": "x", "paths": ["/var/log/x/*"]}]}, "would match its own pieces"),
    ("daily", {"day2_fail_on": "sometimes"}, "sometimes"),
    ("dr_assess", {}, "day2_dr_plan of options_engine is {}"),
    ("dr_failover", {"day2_dr_plan": {"database": "x"}}, "plan, field 'members': is missing"),
    (
        "baseline",
        {"day2_monthly_checks_wrong": [{"id": "x", "title": "X", "probe": "baseline", "subject": "acounts"}]},
        "acounts",
    ),
]


def test_every_playbook_has_a_smoke() -> None:
    names = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    assert names == {smoke.name for smoke in SMOKES} | {"dr_assess", "dr_failover", "dr_rejoin"}  # test_failover.py


@pytest.fixture(scope="module")
def backed_up(lab_host: LabHost, tmp_path_factory: pytest.TempPathFactory) -> LabHost:
    """The host with a set in its repository: what is refused there is not refused for want of one."""
    code, output = play(cores()[0], lab_host, tmp_path_factory.mktemp("backup"), Smoke("backup"))
    assert code == 0, output
    return lab_host


@pytest.mark.parametrize(
    ("name", "variables", "words"), REFUSED, ids=lambda value: value if isinstance(value, str) else ""
)
@pytest.mark.parametrize("mode", [("--check",), ()], ids=["plan", "run"])
def test_what_is_refused_changes_nothing(
    name: str, variables: dict[str, Any], words: str, mode: tuple[str, ...], backed_up: LabHost, tmp_path: Path
) -> None:
    before = backed_up.run("sh", "-c", _LOOK)
    given = {"day2_fail_on": "critical", "day2_confirm": SYSTEM, **variables}
    code, output = play(cores()[0], backed_up, tmp_path, Smoke(name, given), *mode)
    assert code != 0 and words in output, output
    assert differences(before, backed_up.run("sh", "-c", _LOOK)) == []


def differences(before: str, after: str) -> list[str]:
    """Lines of the one look that the other has not: a whole look is too long for a message."""
    found = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def play(core: Core, host: LabHost, folder: Path, smoke: Smoke, *options: str, **more: Any) -> tuple[int, str]:
    settings = {
        "day2_lab_dir": str(host.lab.folder), "day2_report_dir": str(folder), "day2_fail_on": "never",
        "maintenance_window_wait": "30s", "postgres_backup_install": False, **smoke.variables, **more,
    }  # fmt: skip
    inventory = ["-i", str(ROOT / "inventories" / "lab"), *smoke.options]
    done = core.run([f"day2.ops.{smoke.name}", *inventory, "-e", json.dumps(settings), *options])
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module", params=cores(), ids=lambda core: core.name)
def core(request: pytest.FixtureRequest) -> Core:
    made: Core = request.param
    return made


@pytest.mark.parametrize("smoke", SMOKES, ids=lambda smoke: smoke.name)
def test_a_plan_that_changes_nothing_and_a_run(
    core: Core, smoke: Smoke, lab_host: LabHost, tmp_path: Path, httpserver: HTTPServer
) -> None:
    chat = Chat(httpserver)
    channels = [{"name": "chat", "kind": "slack", "url": chat.server.url_for("/chat")}]
    more = {"notify_channels": channels, "notify_retries": 0}
    if smoke.name == "report_merge":
        for part in ("1", "2"):
            slice_of = Smoke("daily", {"day2_run_id": "slices", "day2_run_part": part})
            code, output = play(core, lab_host, tmp_path, slice_of, **more)
            assert code == 0, output
    # After a maintenance the host's timer disables itself within seconds.
    timer = ("systemctl", "is-active", "day2-maintenance.timer")
    wait_for(lambda: lab_host.run(*timer, check=False), lambda said: said != "active", 60, "the timer is at rest")
    before = lab_host.run("sh", "-c", _LOOK)
    # A plan that is fine has no findings, whatever the host looks like now.
    fail_on = "critical" if smoke.says == "would" else "never"
    code, output = play(core, lab_host, tmp_path, smoke, "--check", "--diff", **more, day2_fail_on=fail_on)
    assert code == 0 and smoke.says in output, output
    assert differences(before, lab_host.run("sh", "-c", _LOOK)) == []
    assert chat.got() == []
    assert not _OLD.findall(output), _OLD.findall(output)
    code, output = play(core, lab_host, tmp_path, smoke, **more)
    assert code == 0, output
    assert not _OLD.findall(output), _OLD.findall(output)
    if smoke.rows:
        report = json.loads((tmp_path / "latest" / "report.json").read_text())
        assert set(smoke.rows) <= {row["id"] for host in report["hosts"] for row in host["results"]}, output
