# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of the checklist: the report over all hosts of the run. Documented in modules/report.py."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.history import views
from ansible_collections.day2.ops.plugins.plugin_utils.history.dialects import is_server
from ansible_collections.day2.ops.plugins.plugin_utils.history.remember import Memory
from ansible_collections.day2.ops.plugins.plugin_utils.report import acknowledge, hostvars, write
from ansible_collections.day2.ops.plugins.plugin_utils.report.deliver import check_name, deliver
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, Steps, build
from ansible_collections.day2.ops.plugins.plugin_utils.report.version import collection_version

# Set by roles for each step that was taken, and by the playbook where one failed, where there is none, and where there
# should be one.
_STEP_FACTS = ("day2_step_results", "day2_step_failed", "day2_step_none", "day2_step_missing")
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "title": {"type": "str", "required": True},
    "cadence": {"type": "str"},
    "system": {"type": "str", "default": ""},
    "directory": {"type": "path", "required": True},
    "run_id": {"type": "str"},
    "part": {"type": "str"},
    "variable": {"type": "str", "default": "day2_checklist"},
    "hosts": {"type": "list", "elements": "str"},
    "fail_on": {"type": "str", "default": "critical", "choices": ["never", "critical", "warning"]},
    "acknowledged": {"type": "str", "default": "day2_acknowledged"},
    "views": {"type": "str"},
    "history": {"type": "raw"},
    "history_days": {"type": "int", "default": 400},
    "validate_only": {"type": "bool", "default": False},
}


def _ansible_began() -> datetime | None:
    """When ansible-playbook itself was started; it is this worker's parent."""
    try:
        return datetime.fromtimestamp(os.stat(f"/proc/{os.getppid()}").st_mtime, timezone.utc)
    except OSError:
        return None


@dataclass(frozen=True)
class _Inputs:
    hosts: hostvars.Hosts
    acknowledged: dict[str, list[acknowledge.Acknowledgement]]
    views: dict[str, list[views.View]]


def _history(wanted: object, directory: Path) -> str | None:
    """A DSN, or a file: a relative one lies beside the reports. None: there is no history."""
    if wanted is None or wanted is False or str(wanted).strip().lower() in ("", "false", "no"):
        return None
    place = os.path.expanduser(str(wanted))
    return place if is_server(place) else os.path.join(directory, place)


class ActionModule(ActionBase):  # type: ignore[misc]
    """Reads what the hosts registered, writes the report, prints the checklist."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        directory = Path(os.path.abspath(arguments["directory"]))
        if arguments["validate_only"]:
            self._validate(arguments, task_vars or {}, directory)
            return {**result, "changed": False}
        report = self._build(arguments, task_vars or {}, directory)
        try:
            return {**result, **deliver(report, directory, self._task.check_mode)}
        except write.ReportError as error:
            raise AnsibleActionFail(str(error)) from None

    def _validate(self, arguments: dict[str, Any], task_vars: dict[str, Any], directory: Path) -> None:
        """What would be refused after all checks were answered is refused before."""
        inputs = self._inputs(arguments, task_vars)
        run = Run(run_id=arguments["run_id"] or "", title="", part=arguments["part"])
        try:
            inputs.hosts.check_shared("notify_channels")
            if arguments["run_id"] and not self._task.check_mode:
                write.check_free(directory, run)
        except Day2Error as error:
            raise AnsibleActionFail(str(error)) from None

    def _inputs(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> _Inputs:
        """What the arguments and the hosts' variables say; whatever is malformed is refused here."""
        names = task_vars["ansible_play_hosts_all"] if arguments["hosts"] is None else arguments["hosts"]
        hosts = hostvars.Hosts(task_vars["hostvars"], list(dict.fromkeys(names)))
        cadence = arguments["cadence"]
        of_views = arguments["views"] or (f"day2_{cadence}_views" if cadence else None)
        try:
            check_name("run_id", arguments["run_id"])
            check_name("part", arguments["part"])
            if arguments["history_days"] < 1:
                raise AnsibleActionFail(f"history_days is {arguments['history_days']}; a history of a day is the least")
            place = _history(arguments["history"], Path("/"))
            if place is not None and ("password=" in place or ("://" in place and not is_server(place))):
                raise AnsibleActionFail(
                    "history is neither a file nor the address of a PostgreSQL database, such as"
                    " postgresql://user@host/database with its password in ~/.pgpass"
                )
            return _Inputs(
                hosts,
                hosts.read(arguments["acknowledged"], acknowledge.parse),
                hosts.read_joined(of_views, views.parse) if of_views else {},
            )
        except Day2Error as error:
            raise AnsibleActionFail(str(error)) from None

    def _build(self, arguments: dict[str, Any], task_vars: dict[str, Any], directory: Path) -> Report:
        now = datetime.now(timezone.utc)
        inputs = self._inputs(arguments, task_vars)
        run = Run(
            run_id=arguments["run_id"] or write.new_run_id(now),
            part=arguments["part"],
            title=arguments["title"],
            system=arguments["system"] or inputs.hosts.systems(),
            cadence=arguments["cadence"] or None,
            fail_on=arguments["fail_on"],
            versions={"collection": collection_version(), "ansible": ansible_version},
            began=_ansible_began(),
        )
        memory = Memory(
            place=_history(arguments["history"], directory),
            run=run,
            now=now.timestamp(),
            views=inputs.views,
            keep_days=arguments["history_days"],
            writes=not self._task.check_mode,
        )
        taken, *reasons = (dict(inputs.hosts.registered(name)) for name in _STEP_FACTS)
        steps = {
            host: Steps(taken[host] or (), *(str(facts[host]) if facts[host] else None for facts in reasons))
            for host in taken
            if taken[host] or any(facts[host] for facts in reasons)
        }
        return build(run, inputs.hosts.registered(arguments["variable"]), now, inputs.acknowledged, memory, steps)
