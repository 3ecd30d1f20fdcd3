# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of the checklist: the report over all hosts of the run. Documented in modules/report.py."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
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
from ansible_collections.day2.ops.plugins.plugin_utils.report import terminal, write
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import (
    Acknowledgement,
    AcknowledgementError,
    parse,
)
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


def registered(hostvars: Any, hosts: list[str], variable: str) -> Iterator[tuple[str, object]]:
    """What each host registered, not templated: 50,000 results have nothing to template and take minutes."""
    for host in hosts:
        values = hostvars.raw_get(host)
        yield host, values.get(variable) if isinstance(values, Mapping) else None


def systems(hostvars: Any, hosts: list[str]) -> str:
    """The systems that the hosts belong to, in the order in which they come."""
    named = (values.get("day2_system") for host in hosts if isinstance(values := hostvars.raw_get(host), Mapping))
    return ", ".join(dict.fromkeys(str(name) for name in named if name))


def _ansible_began() -> datetime | None:
    """When ansible-playbook itself was started; it is this worker's parent."""
    try:
        return datetime.fromtimestamp(os.stat(f"/proc/{os.getppid()}").st_mtime, timezone.utc)
    except OSError:
        return None


def acknowledgements(hostvars: Any, hosts: list[str], variable: str) -> dict[str, list[Acknowledgement]]:
    """Each host's entries. Hosts of one group share theirs, which are read once."""
    known: dict[str, list[Acknowledgement]] = {}
    found: dict[str, list[Acknowledgement]] = {}
    for host in hosts:
        values = hostvars.raw_get(host)
        raw = values.get(variable) if isinstance(values, Mapping) else None
        if not raw:
            continue
        text = str(raw)
        if "{{" in text:
            raw = hostvars[host][variable]
            text = str(raw)
        if text not in known:
            try:
                known[text] = parse(raw)
            except AcknowledgementError as error:
                raise AnsibleActionFail(str(error)) from error
        found[host] = known[text]
    return found


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
        report = self._build(arguments, task_vars or {})
        directory = Path(os.path.abspath(arguments["directory"]))
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

    def _inputs(
        self, arguments: dict[str, Any], task_vars: dict[str, Any]
    ) -> tuple[str | None, list[str], dict[str, list[Acknowledgement]]]:
        """Run id, hosts and what they acknowledge; whatever is malformed is refused here."""
        run_id = arguments["run_id"]
        if run_id is not None and (not _RUN_ID.fullmatch(run_id) or run_id == write.LATEST):
            raise AnsibleActionFail(
                f"run_id '{run_id}' cannot name a directory: letters, digits and '._-', "
                f"beginning with a letter or a digit, and not '{write.LATEST}'"
            )
        hosts = arguments["hosts"]
        if hosts is None:
            hosts = task_vars["ansible_play_hosts_all"]
        hosts = list(dict.fromkeys(hosts))
        return run_id, hosts, acknowledgements(task_vars["hostvars"], hosts, arguments["acknowledged"])

    def _build(self, arguments: dict[str, Any], task_vars: dict[str, Any]) -> Report:
        now = datetime.now(timezone.utc)
        run_id, hosts, acknowledged = self._inputs(arguments, task_vars)
        run = Run(
            run_id=run_id or write.new_run_id(now),
            title=arguments["title"],
            system=arguments["system"] or systems(task_vars["hostvars"], hosts),
            cadence=arguments["cadence"] or None,
            fail_on=arguments["fail_on"],
            versions={"collection": collection_version(), "ansible": ansible_version},
            began=_ansible_began(),
        )
        values = registered(task_vars["hostvars"], hosts, arguments["variable"])
        return build(run, values, now, acknowledged)

    def _show(self, report: Report, place: str) -> None:
        text = terminal.render(report, place, _TERMINAL_WIDTH)
        painted = terminal.render(report, place, _TERMINAL_WIDTH, paint)
        if painted == text:
            display.display("\n" + text)
            return
        display.display("\n" + painted, screen_only=True)
        if C.DEFAULT_LOG_PATH:
            display.display("\n" + text, log_only=True)
