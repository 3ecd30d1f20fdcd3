# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries out one order of a failover on this host. Documented in modules/dr_order.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.plugin_utils.failover.orders import resolve
from ansible_collections.day2.ops.plugins.plugin_utils.plain import DEPRECATED, plain
from ansible_collections.day2.ops.plugins.plugin_utils.steps.record import reason

# What an order may name: each is guarded by its epoch on the host.
_NAMES = ("dr_fence", "pg_promote", "pg_follow", "dr_traffic", "dr_patroni", "dr_repmgr", "pg_rejoin")
MODULES = tuple(f"day2.ops.{name}" for name in _NAMES)
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "order": {"type": "dict", "required": True},
    "plan": {"type": "dict", "default": {}},
    "result": {"type": "dict"},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs the module that the order names, and answers what came of it, whatever it was."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(None, task_vars)
        _validation, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        order = plain(arguments["order"])
        if arguments["result"] is not None:
            return {**result, "changed": False, **_answer(order, plain(arguments["result"], DEPRECATED))}
        module = order.get("module")
        if module not in MODULES:
            raise AnsibleActionFail(f"an order is of one of {', '.join(MODULES)}, not of {module!r}")
        try:
            # What is registered has the order, and of the plan only which entry it means.
            given = resolve(plain(arguments["plan"]), order)
        except (KeyError, IndexError, TypeError, ValueError):
            raise AnsibleActionFail(f"'plan' has no entry {order.get('entry')!r}, which the order names") from None
        try:
            done = self._execute_module(module_name=module, module_args=given, task_vars=task_vars or {})
        except AnsibleConnectionFailure as error:
            done = {"unreachable": True, "msg": str(error)}
        return {**result, "changed": bool(done.get("changed")), **_answer(order, plain(done, DEPRECATED))}


def _answer(order: Mapping[str, Any], done: Mapping[str, Any]) -> dict[str, Any]:
    unreachable = bool(done.get("unreachable"))
    ok = not unreachable and not done.get("failed")
    said = done if ok or done.get("msg") else {**done, "msg": reason(done)[0]}
    text = str(said.get("msg") or ("done" if ok else "it failed and did not say why"))
    answer = {
        "id": order.get("id"),
        "host": order["host"],
        "module": order["module"],
        "ok": ok,
        "unreachable": unreachable,
        "result": said,
    }
    if order.get("about") is not None:
        answer["about"] = order["about"]
    return {"answer": answer, "msg": text}
