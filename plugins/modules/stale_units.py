#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stale_units
short_description: Find units whose processes use files that are gone
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - After an update, processes go on with the programs and libraries that they had loaded. This names the units whose
    restart ends that, by C(/proc). It restarts nothing.
  - Units that do not run, or that maintenance mode holds, are told and not among those to restart.
extends_documentation_fragment: day2.ops.attributes
options:
  never:
    description: >-
      Units, or shell patterns of them, that are left alone. They are reported, because they go on with the old files.
    type: list
    elements: str
    default: []
  also:
    description: Units that are restarted though their files are there. One that O(never) fits is refused.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Only looks, in check mode and otherwise.
    support: full
"""

EXAMPLES = r"""
- name: Find what has to be restarted
  day2.ops.stale_units:
    never: [ssh, sshd, dbus]
  become: true
  register: stale
"""

RETURN = r"""
outcome:
  description: >-
    The outcome of a step - status, message and evidence - as C(<role>_step_outcome) has it.
  returned: success
  type: dict
units:
  description: What is to be restarted.
  returned: success
  type: list
  elements: str
  sample: [nginx.service]
left:
  description: What is left alone, though it uses files that are gone.
  returned: success
  type: list
  elements: str
resting:
  description: What would be restarted, but does not run or is held by maintenance mode.
  returned: success
  type: list
  elements: str
others:
  description: Processes of people's sessions and of containers that do.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.upkeep import processes, stale


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "never": {"type": "list", "elements": "str", "default": []},
            "also": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        plan = stale.plan(processes.stale(), module.params["never"], module.params["also"])
        plan = stale.awake(plan, processes.states(plan.restart), processes.held())
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    outcome = stale.outcome(plan, module.check_mode)
    module.exit_json(
        changed=False,
        msg=outcome["message"],
        outcome=outcome,
        units=list(plan.restart),
        left=list(plan.left),
        resting=list(plan.resting),
        others=plan.others,
    )


if __name__ == "__main__":
    main()
