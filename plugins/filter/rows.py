# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rows
short_description: The rows of a report that modules returned
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Modules that back up and restore return what they did as a row of the report (C(step)), or as several (C(steps)).
    This takes the rows out of what tasks registered, for C(<role>_step_outcome).
  - A result that was skipped, or that failed without a row, has none.
positional: ref
options:
  _input:
    description: What a task registered, of a loop too, or a list of such results.
    type: raw
    required: true
  ref:
    description: Ids in the operations manual, a text or a list. They replace those of the rows.
    type: raw
    default: []
  more:
    description: A text that follows each message, after a semicolon.
    type: str
    default: ''
  unmade:
    description: A text that follows the message where the module made no set (C(made) is false), after a semicolon.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Back up
  day2.ops.pg_backup:
    databases: [shop]
    repository: /var/backups/shop-sets
  register: __shop_backup_made

- name: Report the outcome
  ansible.builtin.set_fact:
    shop_backup_step_outcome: "{{ __shop_backup_made | day2.ops.rows(ref='SH-D04') }}"
"""

RETURN = r"""
_value:
  description: The rows.
  type: list
  elements: dict
"""

from typing import Any, Callable

from ansible_collections.day2.ops.plugins.plugin_utils.plain import DEPRECATED, plain
from ansible_collections.day2.ops.plugins.plugin_utils.steps.record import rows_of


def rows(results: object, ref: object = (), more: str = "", unmade: str = "") -> list[dict[str, Any]]:
    """Of one result, or of several."""
    return rows_of(plain(results, DEPRECATED), plain(ref), str(more), str(unmade))


class FilterModule:
    """What Jinja knows as day2.ops.rows."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"rows": rows}
