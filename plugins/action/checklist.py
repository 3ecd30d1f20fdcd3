# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of day2.ops.checklist: secrets leave `checks` before anything is logged or shown."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import has_secret
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import COMMON
from ansible_collections.day2.ops.plugins.module_utils.probes import registry

# Fields that hold a secret whatever they look like.
SECRET_FIELDS = ("password", "headers", "token")


def part_secrets(checks: Any) -> tuple[Any, dict[int, dict[str, Any]]]:
    """The checks without their secret fields, and those fields by the place of their check."""
    if not isinstance(checks, list):
        return checks, {}
    shown: list[Any] = []
    secrets: dict[int, dict[str, Any]] = {}
    for place, check in enumerate(checks):
        if not isinstance(check, dict):
            shown.append(check)
            continue
        known = _known_fields(check.get("probe"))
        hidden = {
            name: value
            for name, value in check.items()
            if value is not None and (name not in known or _is_secret(name, value))
        }
        if hidden:
            secrets[place] = hidden
        shown.append({name: value for name, value in check.items() if name not in hidden})
    return shown, secrets


def _known_fields(probe: Any) -> set[str]:
    """The fields of a probe's checks. Another one may be a misspelt password: it will be refused, but not shown."""
    if not isinstance(probe, str) or probe not in registry.PROBES:
        return {*COMMON}
    return {*COMMON, *registry.load(probe).SPEC.arguments}


def _is_secret(name: Any, value: Any) -> bool:
    return name in SECRET_FIELDS or _holds_secret(value)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return has_secret(value)
    if isinstance(value, dict):
        return any(_is_secret(name, entry) for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        # The parts of a command line are looked at together: a secret is often the word after its option.
        return any(_holds_secret(entry) for entry in value) or has_secret(" ".join(map(str, value)))
    return False


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run the module with its secrets apart."""

    module = "day2.ops.checklist"

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["checks"], secrets = part_secrets(arguments.get("checks"))
        if arguments["checks"] is None:
            del arguments["checks"]
        if secrets:
            arguments["secrets"] = json.dumps(secrets)
        outcome: dict[str, Any] = self._execute_module(
            module_name=self.module, module_args=arguments, task_vars=task_vars
        )
        return outcome
