#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_vacuum
short_description: Vacuum and reindex a PostgreSQL database
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Runs C(vacuumdb) and C(reindexdb) in the form that locks no table for long, or with O(full) in the one that does.
  - The login goes by the environment of those two programs alone. No password stands in a command line.
  - O(full) is refused where the largest table with its indexes does not fit beside itself on its file system.
extends_documentation_fragment:
  - day2.ops.postgres
  - day2.ops.attributes
options:
  database:
    description: The database.
    type: str
    required: true
  full:
    description:
      - VACUUM FULL, which locks each table while it is written anew, with its indexes. Only the indexes of system
        catalogs are built again after it.
    type: bool
    default: false
  reindex:
    description: Whether indexes are built anew.
    type: bool
    default: true
  jobs:
    description: Connections of VACUUM at the same time.
    type: int
    default: 1
  lock_timeout:
    description: How long to wait for a lock, in PostgreSQL's words.
    type: str
    default: 5min
attributes:
  check_mode:
    description: Tells what would be done, and refuses what would not fit.
    support: full
"""

EXAMPLES = r"""
- name: Vacuum the shop's database while it is used
  day2.ops.pg_vacuum:
    database: shop
  become: true
  become_user: postgres
"""

RETURN = r"""
outcome:
  description: >-
    What a step tells of it - status, message and evidence - as C(day2_step_outcome) has it.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import LOGIN, login
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.upkeep.vacuum import Work
from ansible_collections.day2.ops.plugins.module_utils.upkeep.vacuum_run import maintain

_WORK = ("database", "full", "reindex", "jobs", "lock_timeout")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LOGIN,
            "database": {"type": "str", "required": True},
            "full": {"type": "bool", "default": False},
            "reindex": {"type": "bool", "default": True},
            "jobs": {"type": "int", "default": 1},
            "lock_timeout": {"type": "str", "default": "5min"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if params["jobs"] < 1:
        module.fail_json(msg=f"'jobs' is {params['jobs']}; one connection is the least")
    work = Work(**{name: params[name] for name in _WORK})
    try:
        outcome = maintain(login(params), work, module.check_mode)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=True, msg=outcome["message"], outcome=outcome)


if __name__ == "__main__":
    main()
