#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_updates
short_description: Look at the updates of packages that wait, and at what became of them
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Tells what is installed, which updates wait (and which of them are of a security suite), which packages are held,
    and whether a reboot is due. It installs nothing - M(ansible.builtin.apt) and M(ansible.builtin.dnf) do - and does
    not refresh the lists.
  - Called again with O(before), it tells what has changed since.
extends_documentation_fragment: day2.ops.attributes
options:
  only:
    description: Which updates are meant.
    type: str
    choices: [all, security]
    default: all
  before:
    description: RV(installed) of an earlier call.
    type: dict
  planned:
    description: RV(updates) of an earlier call.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Only looks, in check mode and otherwise.
    support: full
"""

EXAMPLES = r"""
- name: Look at the security updates that wait
  day2.ops.package_updates:
    only: security
  register: waiting
"""

RETURN = r"""
outcome:
  description: >-
    The outcome of a step - status, message and evidence - as C(<role>_step_outcome) has it.
  returned: success
  type: dict
updates:
  description: The updates that are meant, as a package manager takes them.
  returned: success
  type: list
  elements: str
  sample: [openssl=3.0.15-1]
installed:
  description: The version of each installed package.
  returned: success
  type: dict
held:
  description: Packages that are never upgraded.
  returned: success
  type: list
  elements: str
reboot:
  description: Whether a reboot is due.
  returned: success
  type: bool
manager:
  description: V(apt) or V(dnf).
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.upkeep import packages


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "only": {"type": "str", "choices": ["all", "security"], "default": "all"},
            "before": {"type": "dict"},
            "planned": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    security = params["only"] == "security"
    try:
        found = packages.survey()
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    if params["before"] is None:
        outcome = packages.plan(found, security)
    else:
        outcome = packages.outcome(params["before"], params["planned"], found, security)
    module.exit_json(
        changed=False,
        msg=outcome["message"],
        outcome=outcome,
        updates=packages.specs(found, security),
        installed=dict(found.installed),
        held=list(found.held),
        reboot=found.reboot is not None,
        manager=found.manager,
    )


if __name__ == "__main__":
    main()
