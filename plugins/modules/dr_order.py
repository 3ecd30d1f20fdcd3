#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_order
short_description: Carry out an order of a failover
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Runs on a host the module that M(day2.ops.dr_failover) has ordered, one of M(day2.ops.dr_fence),
    M(day2.ops.pg_promote), M(day2.ops.pg_follow), M(day2.ops.pg_rejoin) and M(day2.ops.dr_traffic). It is for playbooks
    C(day2.ops.dr_failover) and C(day2.ops.dr_rejoin) themselves.
  - It never fails. A module that fails, or a host that does not answer any more, is an answer, which
    M(day2.ops.dr_failover) judges.
extends_documentation_fragment: day2.ops.attributes
options:
  order:
    description: The order, one of those that phase V(next) returned for this host.
    type: dict
    required: true
  plan:
    description:
      - The plan of the failover, as the inventory has it.
      - An order names the entry of it whose options are added here, so that no registered result has the keys in them.
    type: dict
    default: {}
  result:
    description:
      - What a task returned that has carried out the order already, such as a role. Then nothing is run.
    type: dict
attributes:
  action:
    description: The module that it runs acts on the host.
    support: partial
    details: The order is read on the controller.
  check_mode:
    description: The module that it runs changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Carry out the orders of this host
  day2.ops.dr_order:
    order: "{{ item }}"
    plan: "{{ day2_dr_plan }}"
  loop: "{{ dr_next.orders[inventory_hostname] | default([]) }}"
  become: true
  register: dr_done
"""

RETURN = r"""
answer:
  description: The answer - C(host), C(module), C(ok), C(unreachable) and C(result).
  returned: success
  type: dict
msg:
  description: What the module said.
  returned: success
  type: str
"""
