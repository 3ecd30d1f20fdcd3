#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_repmgr
short_description: Pause repmgrd, so that it promotes nobody
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Pauses the repmgrd of a member on the member's own host, as C(repmgr service pause) does it at each node, and looks
    whether it is paused. It stays so when repmgrd or the server starts anew.
  - After a failover repmgrd knows nothing of the new primary. It is unpaused when that and its standbys are registered
    again (C(repmgr primary register --force), C(repmgr standby register --force)); before that it would replace it.
extends_documentation_fragment:
  - day2.ops.failover
  - day2.ops.attributes
options:
  state:
    description: Whether it is paused or goes on.
    type: str
    choices: [paused, unpaused]
    default: paused
  data:
    description: The data directory of the member.
    type: path
    required: true
attributes:
  check_mode:
    description: Says whether it would be paused.
    support: full
  idempotent:
    description: One that is paused stays so.
    support: full
seealso:
  - module: day2.ops.dr_failover
"""

EXAMPLES = r"""
- name: Keep repmgrd from promoting a standby
  day2.ops.dr_repmgr:
    data: /var/lib/postgresql/15/main
  become: true
"""

RETURN = r"""
msg:
  description: Whether it is paused.
  returned: always
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import guard, repmgr
from ansible_collections.day2.ops.plugins.module_utils.failover.local import GUARD_WAIT, member_at


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **guard.OPTIONS,
            "state": {"type": "str", "choices": ["paused", "unpaused"], "default": "paused"},
            "data": {"type": "path", "required": True},
        },
        required_together=guard.TOGETHER,
        supports_check_mode=True,
    )
    params = module.params
    try:
        with guard.acting(params["system"], params["epoch"], params["run"], GUARD_WAIT, module.check_mode):
            changed = repmgr.pause(member_at(params["data"]), params["state"] == "paused", module.check_mode)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=changed, msg=f"repmgrd of {params['data']} is {params['state']}")


if __name__ == "__main__":
    main()
