# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validates the variables of a host on the controller. Documented in modules/inventory_lint.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.plugin_utils.connections import VARIABLE
from ansible_collections.day2.ops.plugins.plugin_utils.joined import join, names_of
from ansible_collections.day2.ops.plugins.plugin_utils.lint.extra_variables import of_collection
from ansible_collections.day2.ops.plugins.plugin_utils.lint.inventory import Failover, look
from ansible_collections.day2.ops.plugins.plugin_utils.lint.names import CADENCES, STEPS
from ansible_collections.day2.ops.plugins.plugin_utils.plain import plain
from ansible_collections.day2.ops.plugins.plugin_utils.roles import role_problems

_ARGUMENTS: dict[str, dict[str, Any]] = {
    "cadences": {
        "type": "list",
        "elements": "str",
        "default": [
            "daily",
            "weekly",
            "monthly",
            "quarterly",
            "backup",
            "drill",
            "recovery",
            "maintenance",
            "dr",
            "failover",
            "rejoin",
        ],
    },
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Reads the host's lists as the checklists would, and reports all problems in them."""

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
            {name: self._joined(f"day2_{name}_steps", variables) for name in self._step_lists(cadences)},
            lambda steps: role_problems(steps, self._loader),
            self._value("day2_windows", variables),
            of_collection(Path(__file__).resolve().parents[2]),
            self._value(VARIABLE, variables),
            self._failover(variables),
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

    def _failover(self, variables: dict[str, Any]) -> Failover | None:
        plan = self._value("day2_dr_plan", variables)
        if plan is None:
            return None
        known, system = variables["hostvars"], str(self._value("day2_system", variables) or "")
        others = [host for host in variables["ansible_play_hosts_all"] if _told(known[host], "day2_system") == system]
        hosts = {host: _told(known[host], "ansible_host") or host for host in others}
        return Failover(plain(plan), hosts, system)

    @staticmethod
    def _step_lists(cadences: list[str]) -> list[str]:
        """Emergencies are maintenance too."""
        emergencies = [name for name in STEPS if name not in CADENCES]
        return [*cadences, *(emergencies if "maintenance" in cadences else [])]

    def _joined(self, name: str, variables: dict[str, Any]) -> list[Any]:
        """Every `name` and `name_<anything>`, as the playbooks join them."""
        return join(self._value(variable, variables) for variable in names_of(variables, name))

    def _value(self, name: str, variables: dict[str, Any]) -> Any:
        if name not in variables:
            return None
        try:
            return self._templar.template(variables[name])
        except AnsibleError as error:
            raise AnsibleActionFail(f"{name} cannot be read: {error}") from error


def _told(variables: Any, name: str) -> str:
    """A variable of another host; nothing where it cannot be known before that host is there."""
    try:
        return str(variables.get(name) or "")
    except AnsibleError:
        return ""
