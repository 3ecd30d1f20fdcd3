#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_lint
short_description: Look for mistakes in the checklists of an inventory
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Reads the variables of a host that its checklists would use, without asking the host, and fails with all problems
    in them - malformed checks, views, steps, windows and channels of notifications, steps whose role does not exist,
    acknowledgements of checks that do not exist, variables that are named almost like a list of checks or a setting of
    a role, one id that two different checks have, and all that is wrong with the plan of a failover (C(day2_dr_plan)).
  - Names checks that read the same value and contradict each other - one value is a warning in one of them and
    critical in the other.
extends_documentation_fragment: day2.ops.attributes.controller
options:
  cadences:
    description:
      - The cadences whose checks (C(day2_<cadence>_checks)), views (C(day2_<cadence>_views)) and steps
        (C(day2_<cadence>_steps)) are looked at.
      - With V(maintenance) the steps of emergencies (C(day2_emergency_<type>_steps)) are looked at too.
    type: list
    elements: str
    default: [daily, weekly, monthly, quarterly, backup, drill, recovery, maintenance, dr, failover]
attributes:
  check_mode:
    description: The module changes nothing, in check mode or otherwise.
    support: full
seealso:
  - module: day2.ops.checklist
"""

EXAMPLES = r"""
- name: Look at the inventory before it is merged
  hosts: all
  gather_facts: false
  tasks:
    - name: Look for mistakes in the checklists
      day2.ops.inventory_lint:
"""

RETURN = r"""
checks:
  description: How many checks were looked at.
  returned: always
  type: int
  sample: 41
views:
  description: How many views were looked at.
  returned: always
  type: int
  sample: 3
steps:
  description: How many steps were looked at.
  returned: always
  type: int
  sample: 4
problems:
  description: All that is wrong, a sentence each.
  returned: always
  type: list
  elements: str
  sample:
    - "daily check 'memory' and weekly check 'ram' read the same value and contradict each other:
       95 % is warning in the one and critical in the other"
"""
