# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks at the variables of a host on the controller. Documented in modules/inventory_lint.py."""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.plugin_utils.lint.inventory import CADENCES, STEPS, look
from ansible_collections.day2.ops.plugins.plugin_utils.roles import role_problems

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "cadences": {
        "type": "list",
        "elements": "str",
        "default": ["daily", "weekly", "monthly", "quarterly", "backup", "drill", "recovery", "maintenance"],
    },
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Reads the host's lists as the checklists would, and says all that is wrong with them."""

    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        variables = task_vars or {}
        cadences = arguments["cadences"]
        found = look(
            {cadence: self._joined(f"day2_{cadence}_checks", variables) for cadence in cadences},
            {cadence: self._joined(f"day2_{cadence}_views", variables) for cadence in cadences},
            self._value("day2_acknowledged", variables),
            self._value("notify_channels", variables),
            variables,
            {each: self._joined(f"day2_{each}_steps", variables) for each in self._step_lists(cadences)},
            lambda steps: role_problems(steps, self._loader),
        )
        result.update(changed=False, checks=found.checks, views=found.views, steps=found.steps, problems=found.problems)
        if found.problems:
            count = "1 problem" if len(found.problems) == 1 else f"{len(found.problems)} problems"
            lines = "".join(f"\n- {problem}" for problem in found.problems)
            result.update(failed=True, msg=f"{count} in the checklists of this host:{lines}")
        else:
            counts = f"{found.checks} checks, {found.views} views and {found.steps} steps"
            result["msg"] = f"{counts} are well-formed and agree with each other"
        return result

    @staticmethod
    def _step_lists(cadences: list[str]) -> list[str]:
        """Emergencies are maintenance too."""
        emergencies = [each for each in STEPS if each not in CADENCES]
        return [*cadences, *(emergencies if "maintenance" in cadences else [])]

    def _joined(self, name: str, variables: dict[str, Any]) -> list[Any]:
        """Every `name` and `name_<anything>`, as the playbooks join them."""
        pattern = re.compile(rf"{re.escape(name)}(_.+)?")
        entries: list[Any] = []
        for each in sorted(variable for variable in variables if pattern.fullmatch(variable)):
            value = self._value(each, variables)
            # One entry may stand without a list, as the playbooks take it.
            entries += value if isinstance(value, (list, tuple)) else [value] if value else []
        return entries

    def _value(self, name: str, variables: dict[str, Any]) -> Any:
        if name not in variables:
            return None
        try:
            return self._templar.template(variables[name])
        except AnsibleError as error:
            raise AnsibleActionFail(f"{name} cannot be read: {error}") from error
