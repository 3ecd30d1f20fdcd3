#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_sessions
short_description: End the sessions of one PostgreSQL database
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Ends every session of O(database) but its own, and those that come back meanwhile, until at one moment nobody is in
    it. Sessions of other databases go on.
  - New logins wait in that moment for a lock of a transaction, which is undone at once. Nothing has to be allowed
    again, also after a crash of this module.
  - Needs a superuser, or the owner of the database with C(CREATEDB) and C(pg_signal_backend).
extends_documentation_fragment:
  - day2.ops.postgres
  - day2.ops.attributes
options:
  database:
    description: The database.
    type: str
    required: true
  timeout:
    description: How long to try.
    type: str
    default: 30s
attributes:
  check_mode:
    description: Tells who is there.
    support: full
"""

EXAMPLES = r"""
- name: End the sessions of the shop's database
  day2.ops.pg_sessions:
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
sessions:
  description: Who was there.
  returned: success
  type: list
  elements: str
  sample: ['3 of shop (psql) from 10.0.0.7, 1 active']
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup.arguments import LOGIN, login
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.upkeep import sessions


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **LOGIN,
            "database": {"type": "str", "required": True},
            "timeout": {"type": "str", "default": "30s"},
        },
        supports_check_mode=True,
    )
    database = module.params["database"]
    try:
        reached = login(module.params)
        limit = parse_duration(module.params["timeout"])
        if module.check_mode:
            found = sessions.sessions(sessions.beside(reached, database), database)
        else:
            found = sessions.end(reached, database, limit)
    except QuantityError as exc:
        module.fail_json(msg=f"'timeout': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    outcome = sessions.outcome(found, database, module.check_mode)
    module.exit_json(
        changed=bool(found), msg=outcome["message"], outcome=outcome, sessions=[str(session) for session in found]
    )


if __name__ == "__main__":
    main()
