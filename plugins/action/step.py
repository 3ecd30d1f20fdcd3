# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps on the controller: are they well-formed, and what became of one. Documented in modules/step.py."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.roles import role_problems
from ansible_collections.day2.ops.plugins.plugin_utils.steps import record
from ansible_collections.day2.ops.plugins.plugin_utils.steps.spec import Step, StepError, parse_steps

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "required": True, "choices": ["checked", "begun", "ended", "failed"]},
    "steps": {"type": "list", "elements": "raw"},
    "step": {"type": "dict"},
    "results": {"type": "list", "elements": "raw", "default": []},
    "began": {"type": "float"},
    "outcome": {"type": "raw"},
    "task": {"type": "str", "default": ""},
    "result": {"type": "dict", "default": {}},
}
_NEEDS = {"checked": ("steps",), "begun": ("step",), "ended": ("step",), "failed": ("step", "began")}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Works on the controller; asks no host."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        for name in _NEEDS[arguments["state"]]:
            if arguments[name] is None:
                raise AnsibleActionFail(f"'{name}' is needed for state {arguments['state']}")
        try:
            if arguments["state"] == "checked":
                return {**result, "changed": False, **self._checked(arguments["steps"])}
            (step,) = parse_steps([arguments["step"]])
            return {**result, "changed": False, **_recorded(step, arguments, bool(self._task.check_mode))}
        except Day2Error as error:
            raise AnsibleActionFail(str(error)) from None

    def _checked(self, raw: Sequence[object]) -> dict[str, Any]:
        steps = parse_steps(raw)
        problems = role_problems(steps, self._loader)
        if problems:
            raise StepError(problems)
        return {"msg": f"{len(steps)} steps are well-formed, and their roles are there"}


def _recorded(step: Step, arguments: Mapping[str, Any], planning: bool) -> dict[str, Any]:
    now, earlier = time.time(), list(arguments["results"])
    outcome, began = arguments["outcome"], arguments["began"]
    if began is None:
        began = now
    if arguments["state"] == "begun":
        rows = [record.begun(step, now)]
        return {
            "results": [*earlier, *rows],
            "earlier": earlier,
            "began": now,
            "role": step.short_role,
            "msg": step.title,
        }
    if arguments["state"] == "ended":
        rows = record.ended(step, outcome, began, now, planning)
    else:
        rows = record.failed(step, arguments["task"], arguments["result"], outcome, began, now)
    return {"results": [*earlier, *rows], "msg": f"{step.title}: {rows[-1]['message']}"}
