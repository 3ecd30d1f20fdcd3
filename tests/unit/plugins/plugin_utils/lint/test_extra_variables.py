# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Extra variables that nobody reads: which are refused, which are warned of, which are somebody else's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.lint.extra_variables import (
    SETTINGS,
    Site,
    judge,
    misspelt_settings,
    of_collection,
)
from ansible_collections.day2.ops.plugins.plugin_utils.lint.names import is_list

ROOT = Path(__file__).resolve().parents[5]
KNOWN = of_collection(ROOT)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("day2_host", "day2_hosts"), ("day2_hots", "day2_hosts"), ("day2_confrim", "day2_confirm"),
        ("day2_failon", "day2_fail_on"), ("day2_dayly_checks", "day2_daily_checks"),
        ("day2_daily_check", "day2_daily_checks"), ("day2_maintenance_setps", "day2_maintenance_steps"),
        ("day2_emergency_aplication_steps", "day2_emergency_application_steps"), ("day2_window", "day2_windows"),
        ("day2_step", "day2_steps"), ("day2_report", "day2_report_dir"),
        ("postgres_backup_databses", "postgres_backup_databases"), ("recovery_forc", "recovery_force"),
        ("maintenance_window_durations", "maintenance_window_duration"), ("notify_chanels", "notify_channels"),
        ("recovery_sorce", "recovery_source"), ("postgres_backup_maxage", "postgres_backup_max_age"),
        ("day2_reports_dir", "day2_report_dir"), ("day2_run_ids", "day2_run_id"), ("day2_sytem", "day2_system"),
    ],
)  # fmt: skip
def test_a_misspelt_name_of_the_collection_is_refused(name: str, meant: str) -> None:
    verdict = judge([name], KNOWN, lambda _name: False)
    (refusal,) = verdict.refused
    assert verdict.warned == [] and refusal.startswith(f"extra variable '{name}' (-e) is ")
    assert refusal.endswith(f"; did you mean '{meant}'?")
    # A site that has it somewhere, or has what nobody can read, is not refused.
    assert judge([name], KNOWN, lambda _name: True).warned == []
    unsure = judge([name], KNOWN, lambda _name: None)
    assert unsure.refused == [] and meant in unsure.warned[0]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("backup_databses", "postgres_backup_databases"), ("backup_databases", "postgres_backup_databases"),
        ("window_reason", "maintenance_window_reason"), ("approve_by", "approved_by"), ("day2_something", None),
    ],
)  # fmt: skip
def test_what_may_be_somebody_elses_is_warned_of(name: str, meant: str | None) -> None:
    verdict = judge([name], KNOWN, lambda _name: False)
    (warning,) = verdict.warned
    assert verdict.refused == [] and warning.startswith(f"extra variable '{name}' (-e) is read by no playbook")
    assert ("did you mean" in warning) == (meant is not None) and (meant or "") in warning


@pytest.mark.parametrize(
    "name",
    [
        *SETTINGS, "day2_daily_checks_mine", "day2_weekly_steps", "day2_emergency_security_steps_shop", "day2_cadence",
        "postgres_backup_max_age", "recovery_run_id", "maintenance_window_emergency", "approved_by", "schedule_jobs",
        "ansible_user", "shop_version", "awx_job_id", "tower_user_name", "databases", "host", "hosts", "env",
        "notify_slack_token_of_the_shop", "runtime_version_of_java", "schedule_of_the_shop",
    ],
)  # fmt: skip
def test_what_is_meant_and_what_is_foreign_pass(name: str) -> None:
    verdict = judge([name], KNOWN, lambda _name: False)
    assert (verdict.refused, verdict.warned) == ([], [])


def test_every_setting_of_the_inventorys_page_is_known() -> None:
    documented = set(re.findall(r"`((?:day2|notify)_[a-z0-9_]+)`", (ROOT / "docs" / "inventory.md").read_text()))
    unknown = {name for name in documented if not is_list(name)} - {*KNOWN.settings, "day2_steps"}
    assert len(documented) > 20 and unknown == set()


def test_every_default_of_a_role_is_known() -> None:
    assert {"postgres_backup_databases", "recovery_state", "maintenance_window_accept"} <= set(KNOWN.settings)
    assert "recovery_" in KNOWN.prefixes and "maintenance_window_" in KNOWN.prefixes


@pytest.mark.parametrize(
    ("place", "text", "expected"),
    [
        ("inventory.yml", "all: {vars: {day2_host: db1}}", True),
        ("inventory.yml", "all: {vars: {day2_hosts: db1}}", False),
        ("group_vars/all.yml", "x: '{{ day2_host }}'", True),
        ("group_vars/all/vars.yml", "x: '{{ day2_host | default(1) }}'", True),
        ("host_vars/db1.yaml", "day2_host: 1", True),
        ("roles/mine/tasks/main.yml", "- debug: {var: day2_host}", True),
        ("roles/mine/templates/a.conf.j2", "host={{ day2_host }}", True),
        ("site.yml", "- hosts: '{{ day2_host }}'", True),
        ("group_vars/all.yml", "x: '{{ my_day2_host }}'", False),
        ("group_vars/all.yml", "$ANSIBLE_VAULT;1.1;AES256\n3030", None),
        ("inventory.yml", "#!/usr/bin/python3\nprint('{}')", None),
        ("elsewhere/a.yml", "day2_host: 1", False),
        ("imported.yml", "- hosts: '{{ day2_host }}'", True),
        ("our/roles/app/tasks/main.yml", "- debug: {var: day2_host}", True),
    ],
)
def test_the_site_is_searched(tmp_path: Path, place: str, text: str, expected: bool | None) -> None:
    (tmp_path / "inventory.yml").write_text("all: {}")
    path = tmp_path / place
    path.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "site.yml").write_text("- import_playbook: imported.yml")
    path.write_text(text)
    inventories, roles = [str(tmp_path / "inventory.yml"), "db1,"], [str(tmp_path / "our" / "roles")]
    site = Site({"day2_host": "db1"}, inventories, [str(tmp_path / "site.yml")], roles)
    assert site.mentions("day2_host") is expected


def test_a_directory_of_inventories_is_searched(tmp_path: Path) -> None:
    (tmp_path / "lab" / "group_vars").mkdir(parents=True)
    (tmp_path / "lab" / "group_vars" / "all.yml").write_text("x: '{{ day2_host }}'")
    assert Site({}, [str(tmp_path / "lab")], []).mentions("day2_host") is True
    assert Site({}, [str(tmp_path / "nothing")], ["day2.ops.daily"]).mentions("day2_host") is False


def test_one_extra_variable_may_use_another() -> None:
    extra = {"day2_host": "db1", "day2_hosts": "{{ day2_host }}"}
    assert Site(extra, [], ["day2.ops.daily"]).mentions("day2_host") is True


def test_what_another_collections_playbook_reads_is_not_known() -> None:
    assert Site({"day2_host": "db1"}, [], ["my.site.nightly"]).mentions("day2_host") is None


@pytest.mark.parametrize(
    ("variables", "meant"),
    [
        ({"restore_drill_rot": "30m", "vars": {"restore_drill_rot": "30m"}}, "restore_drill_rto"),
        ({"postgres_backup_repositry": "/b"}, "postgres_backup_repository"),
        ({"day2_window": []}, "day2_windows"),
        # Somebody's own, which another one reads, or which stands beside the setting.
        ({"recovery_identities": "/k", "recovery_identity": "{{ recovery_identities }}"}, None),
        ({"recovery_sources": "a", "shop_sources": "{{ recovery_sources }}"}, None),
        ({"recovery_sources": "a", "recovery_source": "b"}, None),
        ({"day2_windows": [], "schedule_of_the_shop": 1, "shop_repositry": "x", "day2_dayly_checks": []}, None),
    ],
)  # fmt: skip
def test_settings_of_an_inventory(variables: dict[str, object], meant: str | None) -> None:
    problems = misspelt_settings(variables, KNOWN)
    assert [problem.rpartition("did you mean ")[2] for problem in problems] == ([f"'{meant}'?"] if meant else [])
