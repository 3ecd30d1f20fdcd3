# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: reason
short_description: Why a task failed, in one line for people
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - What a task returned says why it failed in different places - C(msg), the items of a loop, the last line that a
    command wrote to its standard error. This finds it.
  - A result that is censored (C(no_log)) stays so.
options:
  _input:
    description: What a task returned, such as C(ansible_failed_result) within a rescue.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Migrate, and say why that failed
  block:
    - name: Migrate
      ansible.builtin.command:
        argv: [/opt/shop/bin/migrate, upgrade, head]
      changed_when: true
  rescue:
    - name: Say why
      ansible.builtin.fail:
        # Migrate: exit status 3: column "total" of relation "orders" does not exist
        msg: "{{ ansible_failed_task.name }}: {{ ansible_failed_result | day2.ops.reason }}"
"""

RETURN = r"""
_value:
  description: One sentence.
  type: str
"""

from typing import Any, Callable, Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.day2.ops.plugins.plugin_utils.steps.record import reason


def in_words(result: object) -> str:
    """Of what a task returned."""
    if not isinstance(result, Mapping):
        raise AnsibleFilterError(f"reason is of what a task returned, a mapping; this is {type(result).__name__}")
    return reason(result)[0]


class FilterModule:
    """What Jinja knows as day2.ops.reason."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"reason": in_words}
