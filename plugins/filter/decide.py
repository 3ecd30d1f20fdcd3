# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: decide
short_description: What the roles of the collection decide from what their tasks registered
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - The roles and playbooks of the collection say in which order tasks run. What follows from their results - which
    units are started again, what is reverted, how a line of the report reads - is decided by this filter.
  - It is for the collection itself. Names and arguments of decisions may change with any release.
options:
  _input:
    description: The name of the decision.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Record the plan
  ansible.builtin.set_fact:
    __recovery_plan: "{{ 'recovery.plan' | day2.ops.decide(state='present', scope='full', services=['shop'],
      migrate=[], checks=[], files=__recovery_files, database=__recovery_database) }}"
"""

RETURN = r"""
_value:
  description: What was decided.
  type: raw
"""

from inspect import isfunction
from typing import Any, Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import (
    backup,
    certificates,
    failover,
    logs,
    preflight,
    processes,
    recovery,
    standby,
    upkeep,
    window,
)
from ansible_collections.day2.ops.plugins.plugin_utils.plain import DEPRECATED, plain

AREAS = {
    "backup": backup,
    "certificates": certificates,
    "failover": failover,
    "logs": logs,
    "preflight": preflight,
    "processes": processes,
    "recovery": recovery,
    "standby": standby,
    "upkeep": upkeep,
    "window": window,
}


def decide(name: str, /, **arguments: object) -> Any:
    """The answer of the function that `name` names: its file, a dot, and its own name."""
    area, _dot, function = str(name).partition(".")
    found = getattr(AREAS.get(area), function, None)
    if function.startswith("_") or not isfunction(found):
        raise AnsibleFilterError(f"day2.ops.decide knows no decision '{name}'")
    return found(**{key: plain(value, DEPRECATED) for key, value in arguments.items()})


class FilterModule:
    """What Jinja knows as day2.ops.decide."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"decide": decide}
