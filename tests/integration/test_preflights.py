# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables that cannot be meant are refused by the names of the role's variables, before the role does anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lab_host import ansible

NAMED = {"day2_database": {"name": "shop"}, "day2_system": "shop", "recovery_confirm": "shop"}
DRILL = {**NAMED, "restore_drill_repository": "/nowhere"}
RECOVERY = {**NAMED, "recovery_repository": "/nowhere"}
BACKUP = {**NAMED, "postgres_backup_repository": "/nowhere", "postgres_backup_install": False}
# Role, entry point, variables, and what is said; each role would go on to what a host without a server has not.
CASES: list[tuple[str, str, dict[str, Any], str]] = [
    ("restore_drill", "main", {**DRILL, "restore_drill_rto": "abc"}, "restore_drill_rto: 'abc' is not a quantity"),
    ("restore_drill", "main", {**DRILL, "restore_drill_rpo": "-1h"}, "restore_drill_rpo: '-1h' is less than nothing"),
    ("restore_drill", "main", {**DRILL, "restore_drill_time_budget": "1 GB"},
     "restore_drill_time_budget: '1 GB' is not a duration, such as 30s or 24h"),
    ("restore_drill", "main", {**DRILL, "restore_drill_disk_budget": "1h"},
     "restore_drill_disk_budget: 'h' (duration) does not convert to 'B' (bytes)"),
    ("restore_drill", "main", NAMED, "restore_drill_repository is empty: set it"),
    ("restore_drill", "main", {**DRILL, "day2_database": {}},
     "day2_database of site has no 'name': set it, or restore_drill_database"),
    ("recovery", "main", {**RECOVERY, "recovery_keep_old": "soon"}, "recovery_keep_old: 'soon' is not a quantity"),
    ("recovery", "main", {**RECOVERY, "recovery_keep_old": 7},
     "recovery_keep_old: '7' has no unit: write for instance 7d"),
    ("recovery", "main", NAMED, "recovery_repository is empty: set it"),
    ("recovery", "main", {**RECOVERY, "day2_database": {"host": "db1"}},
     "day2_database of site has no 'name': set it, or recovery_database"),
    ("postgres_backup", "main", {**BACKUP, "postgres_backup_max_age": "1 day ago"},
     "postgres_backup_max_age: '1 day ago' is not a duration, such as 30s or 24h"),
    ("postgres_backup", "main", {**BACKUP, "postgres_backup_lock_wait": "x", "postgres_backup_lock_timeout": "y"},
     "postgres_backup_lock_wait: 'x' is not a quantity; postgres_backup_lock_timeout: 'y' is not a quantity"),
    ("postgres_backup", "main", NAMED, "postgres_backup_repository is empty: set it"),
    ("postgres_backup", "main", {**BACKUP, "postgres_backup_copy_to": {"url": "s3://sets/shop", "acess_key": "x"}},
     "postgres_backup_copy_to has no option 'acess_key'; did you mean 'access_key'?"),
    ("restore_drill", "main", {**DRILL, "restore_drill_repository": {"region": "x"}},
     "restore_drill_repository has no 'url', such as /var/backups/shop or s3://bucket/prefix or"
     " sftp://user@host/directory"),
    ("recovery", "main", {**RECOVERY, "recovery_repository": "s4://bucket/x"},
     "recovery_repository is 's4://bucket/x', which is no absolute path and no address such as /var/backups/shop or"
     " s3://bucket/prefix or sftp://user@host/directory"),
    ("postgres_backup", "main", {**BACKUP, "day2_database": {}},
     "day2_database of site has no 'name': set it, or postgres_backup_databases"),
    ("maintenance_steps", "database", {"day2_database": {}},
     "day2_database of site has no 'name': set it, or maintenance_steps_database"),
    ("maintenance_steps", "sessions", {**NAMED, "maintenance_steps_sessions_timeout": "a while"},
     "maintenance_steps_sessions_timeout: 'a while' is not a quantity"),
    ("maintenance_steps", "processes", {"maintenance_steps_processes_timeout": "abc"},
     "maintenance_steps_processes_timeout: 'abc' is not a quantity; maintenance_steps_processes_unit is empty: set it"),
    ("maintenance_steps", "certificates", {"maintenance_steps_certificates_soon": "21 apples"},
     "maintenance_steps_certificates_soon: '21 apples' is not a duration, such as 30s or 24h"),
    ("maintenance_steps", "logs", {"maintenance_steps_logs_age": "abc"},
     "maintenance_steps_logs_age: 'abc' is not a quantity"),
    ("maintenance_steps", "logs", {"maintenance_steps_logs_age": 30},
     "maintenance_steps_logs_age: '30' has no unit: write for instance 30d"),
    ("maintenance_window", "preflight", {**NAMED, "maintenance_window_duration": 2},
     "maintenance_window_duration: '2' has no unit: write for instance 2d"),
    ("maintenance_window", "preflight", {**NAMED, "maintenance_window_reserve": "abc"},
     "maintenance_window_reserve: 'abc' is not a quantity"),
    ("notify", "preflight", {"notify_spool_age": "abc"}, "notify_spool_age: 'abc' is not a quantity"),
]  # fmt: skip
# The same without any day2_database.
UNDEFINED = [
    (role, point, {name: value for name, value in variables.items() if name != "day2_database"}, said)
    for role, point, variables, said in CASES
    if variables.get("day2_database") == {}
]


def refused(folder: Path, cases: list[tuple[str, str, dict[str, Any], str]]) -> list[list[str]]:
    """Of each case the task that failed, and what it said."""
    tasks: list[dict[str, Any]] = []
    for role, point, variables, _said in cases:
        call = {"name": f"day2.ops.{role}", "tasks_from": point, "apply": {"become": False}}
        said = "{{ said | default([]) + [[ansible_failed_task.name, ansible_failed_result.msg]] }}"
        tasks.append({
            "block": [{"ansible.builtin.include_role": call, "vars": variables},
                      {"ansible.builtin.fail": {"msg": "nothing was refused"}}],
            "rescue": [{"ansible.builtin.set_fact": {"said": said}}],
        })  # fmt: skip
    tasks.append({"ansible.builtin.copy": {"content": "{{ said | to_json }}", "dest": str(folder / "said.json")}})
    (folder / "play.json").write_text(json.dumps([{"hosts": "site", "gather_facts": False, "tasks": tasks}]))
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": {"site": variables}}}))
    done = ansible(["ansible-playbook", str(folder / "play.json"), "-i", str(folder / "hosts.json")])
    assert done.returncode == 0, done.stdout + done.stderr
    return [list(pair) for pair in json.loads((folder / "said.json").read_text())]


def test_each_role_names_its_variable(tmp_path: Path) -> None:
    cases = [*CASES, *UNDEFINED]
    assert len(UNDEFINED) > 2
    found = refused(tmp_path, cases)
    for (role, point, variables, wanted), (task, said) in zip(cases, found, strict=True):
        assert said == wanted and task.startswith("Refuse "), (role, point, variables, task, said)
