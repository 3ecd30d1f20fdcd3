# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of the checklist: the report over all hosts of the run. Documented in modules/report.py."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.color import stringc
from ansible.utils.display import Display
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.plugin_utils.history import views
from ansible_collections.day2.ops.plugins.plugin_utils.history.remember import Memory
from ansible_collections.day2.ops.plugins.plugin_utils.history.store import is_server
from ansible_collections.day2.ops.plugins.plugin_utils.report import acknowledge, hostvars, terminal, write
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, build, verdict
from ansible_collections.day2.ops.plugins.plugin_utils.report.version import collection_version

display = Display()

# Read at import, which happens before ansible forks: a worker's standard output is no terminal.
_TERMINAL_WIDTH = shutil.get_terminal_size().columns if os.isatty(1) else None

_RUN_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "title": {"type": "str", "required": True},
    "cadence": {"type": "str"},
    "system": {"type": "str", "default": ""},
    "directory": {"type": "path", "required": True},
    "run_id": {"type": "str"},
    "variable": {"type": "str", "default": "day2_checklist"},
    "hosts": {"type": "list", "elements": "str"},
    "fail_on": {"type": "str", "default": "critical", "choices": ["never", "critical", "warning"]},
    "acknowledged": {"type": "str", "default": "day2_acknowledged"},
    "views": {"type": "str"},
    "history": {"type": "raw"},
    "history_days": {"type": "int", "default": 400},
    "validate_only": {"type": "bool", "default": False},
}


def paint(text: str, status: Status) -> str:
    """In the user's own colours (`ansible-config`, section colors), or none."""
    colours = {
        Status.CRITICAL: C.COLOR_ERROR,
        Status.UNKNOWN: C.COLOR_WARN,
        Status.WARNING: C.COLOR_CHANGED,
        Status.OK: C.COLOR_OK,
        Status.SKIPPED: C.COLOR_SKIP,
    }
    return str(stringc(text, colours[status]))


def _ansible_began() -> datetime | None:
    """When ansible-playbook itself was started; it is this worker's parent."""
    try:
        return datetime.fromtimestamp(os.stat(f"/proc/{os.getppid()}").st_mtime, timezone.utc)
    except OSError:
        return None


@dataclass(frozen=True)
class _Inputs:
    run_id: str | None
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
        if arguments["validate_only"]:
            self._inputs(arguments, task_vars or {})
            return {**result, "changed": False}
        directory = Path(os.path.abspath(arguments["directory"]))
        report = self._build(arguments, task_vars or {}, directory)
        places = write.paths(directory, report.run.run_id)
        if self._task.check_mode:
            place = "not written in check mode"
            sentence = f"{verdict(report)}; {place}"
        else:
            try:
                write.write(report, directory)
            except write.ReportError as error:
                self._show(report, "not written")
                raise AnsibleActionFail(str(error)) from error
            place = places["html"]
            sentence = f"{verdict(report)}; see {place}"
        self._show(report, place)
        result.update(
            changed=not self._task.check_mode,
            run_id=report.run.run_id,
            status=report.status.value,
            summary=report.summary,
            paths=places,
            refused=report.refused,
            failing=report.failing,
            verdict=sentence,
        )
        return result

    def _inputs(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> _Inputs:
        """What the arguments and the hosts' variables say; whatever is malformed is refused here."""
        run_id = arguments["run_id"]
        if run_id is not None and (not _RUN_ID.fullmatch(run_id) or run_id == write.LATEST):
            raise AnsibleActionFail(
                f"run_id '{run_id}' cannot name a directory: letters, digits and '._-', "
                f"beginning with a letter or a digit, and not '{write.LATEST}'"
            )
        names = task_vars["ansible_play_hosts_all"] if arguments["hosts"] is None else arguments["hosts"]
        hosts = hostvars.Hosts(task_vars["hostvars"], list(dict.fromkeys(names)))
        cadence = arguments["cadence"]
        of_views = arguments["views"] or (f"day2_{cadence}_views" if cadence else None)
        try:
            return _Inputs(
                run_id,
                hosts,
                hosts.read(arguments["acknowledged"], acknowledge.parse),
                hosts.read_joined(of_views, views.parse) if of_views else {},
            )
        except hostvars.VariableError as error:
            raise AnsibleActionFail(str(error)) from error

    def _build(self, arguments: dict[str, Any], task_vars: dict[str, Any], directory: Path) -> Report:
        now = datetime.now(timezone.utc)
        inputs = self._inputs(arguments, task_vars)
        run = Run(
            run_id=inputs.run_id or write.new_run_id(now),
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
        return build(run, inputs.hosts.registered(arguments["variable"]), now, inputs.acknowledged, memory)

    def _show(self, report: Report, place: str) -> None:
        text = terminal.render(report, place, _TERMINAL_WIDTH)
        painted = terminal.render(report, place, _TERMINAL_WIDTH, paint)
        if painted == text:
            display.display("\n" + text)
            return
        display.display("\n" + painted, screen_only=True)
        if C.DEFAULT_LOG_PATH:
            display.display("\n" + text, log_only=True)
