# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks as a person runs them: exit status, report, hosts that are not there."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from lab_host import ansible
from site_of_hosts import DISK, FULL, TIGHT, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_daily_checklist_of_the_lab_host(lab_host: Any, tmp_path: Path) -> None:
    done = lab_host.playbook("day2.ops.daily", day2_report_dir=str(tmp_path))
    assert done.returncode == 2, done.stdout + done.stderr
    report = json.loads((tmp_path / "latest" / "report.json").read_text())
    results = {result["id"]: result for result in report["hosts"][0]["results"]}
    assert results["unit-options-report"]["status"] == "critical"
    assert lab_host.run("systemctl", "is-active", "options-report", check=False) == "failed"
    assert {name for name, result in results.items() if result["status"] not in ("ok", "warning")} == {
        "unit-options-report"
    }
    refs = {ref for result in results.values() for ref in result["ref"]}
    assert refs >= {f"OE-D{n:02d}" for n in (1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 14)} | {"OE-A01", "OE-A02", "OE-A03"}
    assert "options-report.service is failed" in done.stdout and "report.html" in done.stdout
    password = lab_host.run("sh", "-c", "cut -d: -f5 /root/.pgpass | head -n 1")
    assert len(password) > 8
    for name in ("json", "html", "xml", "prom"):
        assert password not in (tmp_path / "latest" / f"report.{name}").read_text()


@pytest.mark.parametrize(
    ("checks", "fail_on", "status"),
    [
        ([DISK], "warning", 0), ([TIGHT], "critical", 0), ([TIGHT], "warning", 2), ([FULL], "critical", 2),
        ([FULL], "never", 0), ([{**DISK, "path": "/nowhere"}], "critical", 2), ([], "critical", 2),
        ([DISK], "bogus", 2),
    ],
)  # fmt: skip
def test_the_exit_status(site: Site, checks: list[dict[str, Any]], fail_on: str, status: int) -> None:
    site.host("a", day2_daily_checks=checks)
    assert site.run(day2_fail_on=fail_on) == status, site.output


def test_settings_are_refused_before_anything_runs(site: Site) -> None:
    site.host("a", day2_daily_checks=[DISK])
    site.run(day2_fail_on="bogus", in_full=True)
    assert (
        "fail_on must be one of" in site.output and "TASK [Run the checks]" not in site.output and site.report is None
    )


KNOWN = {"id": "full", "host": "a", "owner": "A. Owner", "reason": "more disks come", "until": "2199-12-31"}


def test_an_acknowledged_finding_does_not_fail_the_run(site: Site) -> None:
    for name in ("a", "b"):
        site.host(name, day2_daily_checks=[FULL], day2_acknowledged=[KNOWN])
    assert site.run() == 2
    assert site.results("a")["full"]["acknowledged"]["owner"] == "A. Owner"
    assert "acknowledged" not in site.results("b")["full"] and site.report["acknowledged"] == 1
    assert site.run("-l", "a") == 0
    assert "acknowledged by A. Owner until 2199-12-31: more disks come" in site.output


def test_an_acknowledged_host_may_be_gone(site: Site) -> None:
    site.gone("b")
    site.hosts["b"]["day2_acknowledged"] = [
        {**KNOWN, "id": "reachable", "host": "b", "reason": "{{ why }}", "until": "2199-12-31"}
    ]
    site.hosts["b"]["why"] = "moved"
    assert site.run() == 0
    assert site.results("b")["reachable"]["acknowledged"]["reason"] == "moved"


def test_a_malformed_acknowledgement_is_refused_before_anything_runs(site: Site) -> None:
    site.host("a", day2_daily_checks=[DISK], day2_acknowledged=[{**KNOWN, "until": "someday"}])
    assert site.run() == 2
    assert "entry 1 ('full'): 'until' is 'someday'" in site.output and site.report is None


def test_a_host_that_is_not_there_ends_nothing(site: Site) -> None:
    site.host("a", day2_daily_checks=[DISK])
    site.gone("b")
    assert site.run() == 2, site.output
    assert site.results("b")["reachable"]["status"] == "critical" and site.results("a")["disk"]["status"] == "ok"
    assert site.run(day2_fail_on="never") == 0, site.output


def test_a_run_without_any_reachable_host_is_reported(site: Site) -> None:
    site.gone("a")
    site.gone("b")
    assert site.run() == 2, site.output
    assert site.report["summary"]["critical"] == 2
    assert site.run("--limit", "b", day2_fail_on="never") == 0, site.output
    assert [host["host"] for host in site.report["hosts"]] == ["b"]


def test_a_malformed_check_fails_the_run_and_the_others_are_reported(site: Site) -> None:
    site.host("a", day2_daily_checks=[DISK])
    site.host("b", day2_daily_checks=[{**DISK, "warning": "80"}])
    assert site.run(day2_fail_on="never") == 2
    assert "check 'disk', field 'warning'" in site.output
    assert site.results("a")["disk"]["status"] == "ok" and site.results("b")["checklist"]["status"] == "unknown"


def test_lists_of_groups_and_hosts_join(site: Site) -> None:
    more = [{**DISK, "id": "host"}]
    site.host("a", day2_daily_checks=[DISK], day2_daily_checks_host=more, day2_weekly_checks=[FULL])
    assert site.run() == 0, site.output
    assert set(site.results("a")) == {"disk", "host"}
    assert site.run(playbook="day2.ops.weekly") == 2
    assert set(site.results("a")) == {"full"} and site.report["cadence"] == "weekly"


@pytest.mark.parametrize("cadence", ["monthly", "quarterly"])
def test_the_other_cadences(site: Site, cadence: str) -> None:
    site.host("a", **{f"day2_{cadence}_checks": [DISK]})
    assert site.run(playbook=f"day2.ops.{cadence}") == 0, site.output
    assert set(site.results("a")) == {"disk"}


def test_check_mode_writes_no_report(site: Site) -> None:
    site.host("a", day2_daily_checks=[FULL])
    assert site.run("--check") == 2
    assert site.report is None and "full" not in os.listdir(site.folder) and "CRITICAL" in site.output


def test_steps_are_taken_only_when_asked_for(site: Site) -> None:
    tasks = site.folder / "roles" / "mark" / "tasks"
    tasks.mkdir(parents=True)
    mark = site.folder / "mark"
    (tasks / "touch.yml").write_text(json.dumps([{"ansible.builtin.file": {"path": str(mark), "state": "touch"}}]))
    step = {"id": "mark", "role": str(tasks.parent), "entry_point": "touch"}
    site.host("a", day2_daily_checks=[DISK], day2_daily_steps=[step])
    assert site.run() == 0 and not mark.exists(), site.output
    assert site.run(day2_steps=True) == 0 and mark.exists(), site.output


def test_this_machine_without_root_and_without_configuration(open_path: Path) -> None:
    home = open_path / "home"
    home.mkdir()
    home.chmod(0o777)
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "ansible-playbook", "day2.ops.daily"]
    options = ["-i", "inventories/localhost", "-e", f"day2_report_dir={home}/reports", "-e", "day2_fail_on=critical"]
    done = ansible(
        [*command, *options], HOME=str(home), ANSIBLE_HOME=str(home / "a"), ANSIBLE_REMOTE_TEMP=str(home / "t")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((home / "reports" / "latest" / "report.json").read_text())
    assert {result["id"] for result in report["hosts"][0]["results"]} >= {"cpu", "memory", "root-disk"}
    assert (home / "reports").stat().st_uid == 65534


def test_a_pattern_that_no_host_fits_is_no_good_run(site: Site) -> None:
    site.host("a", day2_daily_checks=[DISK])
    assert site.run(day2_hosts="nope") != 0
    assert "no host of the inventory fits day2_hosts (nope)" in site.output
    assert site.run(day2_hosts="a*") == 0


def test_a_step_that_fails_is_in_the_report(site: Site) -> None:
    role = site.folder / "roles" / "broken" / "tasks"
    role.mkdir(parents=True)
    (role / "main.yml").write_text(
        json.dumps([{"name": "Mend it", "ansible.builtin.fail": {"msg": "it is too broken"}}])
    )
    steps = [{"id": "mend", "role": str(role.parent)}]
    site.host("a", day2_daily_checks=[DISK])
    site.host("b", day2_daily_checks=[DISK], day2_daily_steps=steps, day2_steps=True)
    assert site.run() == 2, site.output
    assert site.results("b")["mend"]["message"] == "Mend it: it is too broken" and "mend" not in site.results("a")


@pytest.mark.parametrize(
    ("playbook", "cadence", "unset"),
    [
        ("day2.ops.backup", "backup", {}),
        ("day2.ops.backup", "backup", {"postgres_backup_repository": "", "postgres_backup_physical": {}}),
        ("day2.ops.restore_drill", "drill", {"postgres_backup_repository": ""}),
    ],
)
def test_checks_of_sets_that_nothing_makes_are_a_finding(
    site: Site, playbook: str, cadence: str, unset: dict[str, Any]
) -> None:
    """Old sets, and those that others make, may keep the checks green."""
    site.host("a", **{f"day2_{cadence}_checks": [DISK]}, **unset)
    assert site.run(playbook=playbook) == 2, site.output
    rows = site.results("a")
    assert rows["disk"]["status"] == "ok" and rows["steps"]["status"] == "critical", rows
    assert "postgres_backup_repository is" in rows["steps"]["message"]


def test_a_cluster_is_backed_up_without_a_repository_of_sets(site: Site) -> None:
    """The role runs, and refuses what it is not told: the default is a database, which needs a repository."""
    site.host("a", day2_backup_checks=[DISK], postgres_backup_physical={"stanza": "main"})
    assert site.run(playbook="day2.ops.backup") == 2, site.output
    assert "postgres_backup_repository is empty: set it" in site.results("a")["steps"]["message"]


def test_a_run_id_that_is_taken_is_refused_before_anything_runs(site: Site) -> None:
    site.host("a", day2_daily_checks=[DISK])
    assert site.run(day2_run_id="night") == 0
    assert site.run(keep=True, day2_run_id="night") == 2
    assert "there is a report of run night" in site.output and "(4/4)" not in site.output


def test_parts_of_a_sliced_run_are_joined(site: Site) -> None:
    for name in ("a", "b"):
        site.host(name, day2_daily_checks=[DISK if name == "a" else FULL])
    assert site.run("-l", "a", day2_run_id="night", day2_run_part="1") == 0
    assert site.run("-l", "b", keep=True, day2_run_id="night", day2_run_part="2") == 2
    assert site.run(keep=True, playbook="day2.ops.report_merge", day2_run_id="night") == 2, site.output
    assert site.latest().name == "night" and site.report["joined"]
    assert {host["host"]: host["status"] for host in site.report["hosts"]} == {"a": "ok", "b": "critical"}
    assert site.run(keep=True, playbook="day2.ops.report_merge", day2_run_id="night", day2_fail_on="never") == 0
    assert site.run(keep=True, playbook="day2.ops.report_merge", day2_run_id="night", day2_merge_form="x") == 4
    assert "did you mean 'day2_merge_from'?" in site.output
    assert site.run(keep=True, playbook="day2.ops.report_merge", day2_run_id="dusk") == 2
    assert "there is no report of run dusk" in site.output


def test_the_lint_asks_no_host(site: Site) -> None:
    site.gone("b")
    site.hosts["b"]["share"] = "90%"
    site.hosts["b"]["day2_weekly_checks_more"] = [{**DISK, "id": "root", "critical": "> {{ share }}"}]
    assert site.run(playbook="day2.ops.inventory_lint") == 0, site.output
    site.hosts["b"]["day2_daily_checks"] = [TIGHT]
    assert site.run(playbook="day2.ops.inventory_lint") == 2, site.output
    assert "daily check 'tight' and weekly check 'root' read the same value" in site.output


@pytest.mark.parametrize(
    "inventory", ["options_engine", "snowflake_analytics", "entasis", "stock_analysis", "eafix", "localhost"]
)
def test_our_inventories_have_no_mistakes(inventory: str) -> None:
    done = ansible(["ansible-playbook", "day2.ops.inventory_lint", "-i", f"inventories/{inventory}", "-v"])
    assert done.returncode == 0 and "agree with each other" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("inventory", ["entasis", "stock_analysis", "eafix"])
def test_every_expression_of_our_inventories_is_promql(inventory: str, tmp_path: Path) -> None:
    found, play = tmp_path / "found.json", tmp_path / "play.json"
    checks = "query('ansible.builtin.varnames', '^day2_(daily|weekly|monthly|quarterly)_checks') | map('extract', vars)"
    content = "{{ " + checks + " | flatten(levels=1) | to_json }}"
    copy = {"content": content, "dest": str(found), "mode": "0600"}
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    tasks = [{"ansible.builtin.copy": copy}]
    play.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks, "vars": variables}]))
    done = ansible(["ansible-playbook", str(play), "-i", f"inventories/{inventory}"])
    assert done.returncode == 0, done.stdout + done.stderr
    queries = [check["query"] for check in json.loads(found.read_text()) if check["probe"] == "prometheus"]
    rules = [{"record": f"r{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "all", "rules": rules}]}))
    command = ["promtool", "check", "rules", str(tmp_path / "rules.json")]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert told.returncode == 0 and f"{len(rules)} rules found" in told.stdout, told.stdout + told.stderr
