# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half: one report of the reports of a run's parts. Documented in modules/report_merge.py."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.report import merge, write
from ansible_collections.day2.ops.plugins.plugin_utils.report.deliver import check_name, deliver

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "run_id": {"type": "str", "required": True},
    "sources": {"type": "list", "elements": "path", "required": True},
    "directory": {"type": "path", "required": True},
    "fail_on": {"type": "str", "default": "critical", "choices": ["never", "critical", "warning"]},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Finds the parts, joins them, writes and prints the report."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        directory = Path(os.path.abspath(arguments["directory"]))
        try:
            check_name("run_id", arguments["run_id"])
            parts = merge.find([Path(os.path.abspath(source)) for source in arguments["sources"]], arguments["run_id"])
            report = merge.merge(parts, arguments["fail_on"])
            before = Path(write.paths(directory, report.run)["json"])
            # A part that came late: what was joined without it is joined again.
            again = before.exists() and merge.read(before).joined
            result.update(deliver(report, directory, self._task.check_mode, again))
        except Day2Error as error:
            raise AnsibleActionFail(str(error)) from None
        return {**result, "parts": [str(part.path) for part in parts]}
