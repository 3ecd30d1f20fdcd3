#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_vacuum
short_description: Vacuum and reindex a PostgreSQL database
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Vacuums, analyzes and reindexes in the form that locks no table for long, or with O(full) in the one that does.
  - Indexes are rebuilt one by one (C(REINDEX INDEX CONCURRENTLY)). An index that cannot be rebuilt because another
    transaction, such as a dump, lasts longer than O(lock_timeout) does not end the pass. The module waits for that
    transaction as long again, drops the invalid copies (C(_ccnew), C(_ccold)) and tries once more. RV(outcome) names
    the indexes that are left, and an invalid copy that is left is dropped by the next pass.
  - The login reaches C(vacuumdb) and C(reindexdb) in their environment. No password stands in a command line.
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
    description: Whether the indexes of the database are rebuilt.
    type: bool
    default: true
  jobs:
    description: Connections of VACUUM at the same time.
    type: int
    default: 1
  lock_timeout:
    description: How long a statement waits for a lock, as a value of PostgreSQL's C(lock_timeout) such as V(5min).
    type: str
    default: 5min
  truncate:
    description:
      - Whether VACUUM gives the empty pages at the end of a table back to the file system. It takes an ACCESS EXCLUSIVE
        lock for that, which standbys replay, and which cancels the queries on the table there.
      - V(auto) does it where the server has no standby, neither a connected one nor one that has a replication slot.
    type: str
    choices: [auto, always, never]
    default: auto
    version_added: 0.1.0
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
    The outcome of a step - status, message and evidence - as C(<role>_step_outcome) has it.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import LOGIN, login
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.upkeep.vacuum import Work
from ansible_collections.day2.ops.plugins.module_utils.upkeep.vacuum_run import maintain

_WORK = ("database", "full", "reindex", "jobs", "lock_timeout", "truncate")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LOGIN,
            "database": {"type": "str", "required": True},
            "full": {"type": "bool", "default": False},
            "reindex": {"type": "bool", "default": True},
            "jobs": {"type": "int", "default": 1},
            "lock_timeout": {"type": "str", "default": "5min"},
            "truncate": {"type": "str", "default": "auto", "choices": ["auto", "always", "never"]},
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
