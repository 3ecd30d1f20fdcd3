# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of day2.ops.checklist: secrets leave `checks` before anything is logged or shown."""

from __future__ import annotations

import json
from typing import Any, Mapping

import yaml
from ansible import constants
from ansible.plugins.action import ActionBase
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import has_secret
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import COMMON, Argument
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.plugin_utils import payload
from ansible_collections.day2.ops.plugins.plugin_utils.connections import fill_checks, of_task
from ansible_collections.day2.ops.plugins.plugin_utils.plain import plain

# Ansible loads this file before it forks a process for each host: what is imported by then is not imported there.
for _probe in registry.PROBES:
    registry.load(_probe)


def part_secrets(checks: Any) -> tuple[Any, dict[int, dict[str, Any]]]:
    """The checks without their secret fields, and those fields by the place of their check."""
    if not isinstance(checks, list):
        return checks, {}
    shown: list[Any] = []
    secrets: dict[int, dict[str, Any]] = {}
    for place, check in enumerate(checks):
        if not isinstance(check, dict):
            # It will be refused; a text may be anything, a secret too.
            shown.append("(not shown)" if isinstance(check, str) else [] if isinstance(check, list) else check)
            continue
        known = _known_fields(check)
        hidden = {
            name: value for name, value in check.items() if value is not None and _is_secret(known.get(name), value)
        }
        if hidden:
            secrets[place] = hidden
        shown.append({name: value for name, value in check.items() if name not in hidden})
    return shown, secrets


def _known_fields(check: dict[Any, Any]) -> Mapping[str, Argument]:
    """The fields of a check, by its probe."""
    probe = check.get("probe")
    if not isinstance(probe, str) or probe not in registry.PROBES:
        return COMMON
    return {**COMMON, **registry.load(probe).SPEC.arguments}


def _is_secret(declared: Argument | None, value: Any) -> bool:
    """Whether a field is kept apart. One that is not declared may be a misspelt password, which is refused unseen."""
    if declared is None:
        return True
    known = declared.entries
    if declared.kind == "check" and isinstance(value, dict):
        known = _known_fields(value)
    if known is not None and isinstance(value, dict):
        return any(_is_secret(known.get(name), entry) for name, entry in value.items())
    return declared.secret or declared.may_hold or _holds_secret(value)


def _holds_secret(value: Any) -> bool:
    if isinstance(value, str):
        return has_secret(value)
    if isinstance(value, dict):
        # By the name of an entry too: `password: x`.
        return any(_holds_secret(entry) or has_secret(f"{name}={entry}") for name, entry in value.items())
    if isinstance(value, (list, tuple)):
        # The parts of a command line are looked at together: a secret is often the word after its option.
        return any(_holds_secret(entry) for entry in value) or has_secret(" ".join(map(str, value)))
    return False


def as_list(checks: Any) -> Any:
    """Checks that came as text (`-a "checks=[...]"`), read. What is no list then is refused without being shown."""
    if not isinstance(checks, str):
        return checks
    try:
        read = plain(yaml.safe_load(checks))
    except yaml.YAMLError:
        read = None
    return read if isinstance(read, list) else [None]


class ActionModule(ActionBase):  # type: ignore[misc]
    """Run the module with its secrets apart."""

    module = "checklist"

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        self._hide_from_errors()
        # The secrets of a connection leave the checks with those of their own.
        try:
            checks = fill_checks(as_list(plain(arguments.get("checks"))), of_task(task_vars or {}, self._templar))
        except CheckError as error:
            return {"failed": True, "msg": str(error)}
        arguments["checks"], secrets = part_secrets(checks)
        if arguments["checks"] is None:
            del arguments["checks"]
        if secrets:
            arguments["secrets"] = json.dumps(secrets)
        named = set().union(*map(registry.needed, checks)) if isinstance(checks, list) else set()
        name = payload.place(self._shared_loader_obj.module_loader, self.module, named, constants.DEFAULT_LOCAL_TMP)
        outcome: dict[str, Any] = self._execute_module(module_name=name, module_args=arguments, task_vars=task_vars)
        return outcome

    def _hide_from_errors(self) -> None:
        """Ansible quotes the data of an ad hoc task beside an error; a task of a file it quotes by its lines."""
        data = self._task.get_ds()
        if isinstance(data, dict) and isinstance(data.get("args"), dict):
            data["args"] = dict.fromkeys(data["args"], "(not shown)")
