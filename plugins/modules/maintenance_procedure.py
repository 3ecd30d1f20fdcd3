#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_procedure
short_description: Decide whether a maintenance may begin, continue and end
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - What role P(day2.ops.maintenance_window#role) asks before each of its parts. It runs on the controller and changes
    nothing.
  - Scheduled maintenance needs an open window (a plan, in check mode, the next one), emergency maintenance a reason
    and somebody who may approve it. All reasons for a refusal are returned at once.
extends_documentation_fragment: day2.ops.attributes.controller
options:
  state:
    description:
      - V(admitted) says how long it may last, or fails with what is wrong.
      - V(fitting) says whether there is time for O(step).
      - V(decided) says whether the service comes back.
      - V(summarized) returns the announcement of how it ended. In check mode it describes the plan.
    type: str
    choices: [admitted, fitting, decided, summarized]
    required: true
  system:
    description: The name of the system.
    type: str
    default: ''
  emergency:
    description: The kind of the emergency, V(security), V(database) or V(application). Without it, it is scheduled.
    type: str
  reason:
    description: The reason for the maintenance. An emergency needs one.
    type: str
    default: ''
  approved_by:
    description: Who approved the emergency, one of O(approvers).
    type: str
    default: ''
  approvers:
    description: The names of those who may approve an emergency.
    type: list
    elements: str
    default: []
  windows:
    description: The windows of the system, as in C(docs/windows.md) of the collection.
    type: list
    elements: dict
    default: []
  duration:
    description: How long the maintenance may last, such as V(2h). A scheduled one ends with its window in any case.
    type: str
  reserve:
    description: How much of the maintenance is reserved for verification, such as V(15m).
    type: str
    default: 15m
  steps:
    description: The steps - mappings of C(id), C(title), C(role), C(entry_point), C(duration) and C(ref).
    type: list
    elements: raw
    default: []
  step:
    description: The step that O(state=fitting) asks about, one of O(steps).
    type: dict
  seconds_left:
    description: The seconds for which the lease is still valid.
    type: float
  seconds:
    description: The seconds that the maintenance took.
    type: float
  decision:
    description: The result of O(state=decided). Without it, there was no decision.
    type: dict
    default: {}
  reports:
    description: >-
      What became of each host - mappings of C(rows) (lines of the report), C(failed) (why), C(stuck) (nobody knows
      whether it left the mode), C(ended) (its lease ended before anybody found it well) and
      C(held_by) (who else keeps it there).
    type: dict
  service:
    description: The name of the service that is in maintenance.
    type: str
  owner:
    description: The owner of the lease.
    type: str
  outcomes:
    description: >-
      How far each host came - mappings of C(entered), C(touched) (a step began), C(healthy), C(ended) (its lease
      did, before the maintenance), C(failed) (why) and C(findings).
    type: dict
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
"""

EXAMPLES = r"""
- name: Ask whether it may begin
  day2.ops.maintenance_procedure:
    state: admitted
    system: "{{ day2_system }}"
    windows: "{{ day2_windows }}"
    steps: "{{ day2_maintenance_steps }}"
  register: admission

- name: Ask whether there is time for a step
  day2.ops.maintenance_procedure:
    state: fitting
    step: {id: packages, role: day2.ops.maintenance_steps, entry_point: packages, duration: 20m}
    seconds_left: 3600
"""

RETURN = r"""
begins:
  description: When it begins, as POSIX seconds. That is now, or for a plan before the window opens, when it opens.
  returned: state is admitted
  type: float
  sample: 1767484800.0
deadline:
  description: When it ends, as POSIX seconds.
  returned: state is admitted
  type: float
  sample: 1767492000.0
lease_until:
  description: When leases for it end, as POSIX seconds, early enough for hosts to have ended the mode at the deadline.
  returned: state is admitted
  type: float
  sample: 1767491990.0
until:
  description: The deadline in UTC.
  returned: state is admitted
  type: str
  sample: '2026-01-04T06:00:00Z'
seconds:
  description: The seconds from its begin to its deadline.
  returned: state is admitted
  type: float
  sample: 7200.0
period:
  description: When it takes place, in words. The begin is named where it is later than now.
  returned: state is admitted
  type: str
  sample: from 2026-01-04T04:00:00Z until 2026-01-04T06:00:00Z
owner:
  description: Who is to hold the lease.
  returned: state is admitted
  type: str
  sample: maintenance
reason:
  description: The lease's reason.
  returned: state is admitted
  type: str
  sample: Scheduled maintenance (monthly)
plan:
  description: The maintenance in words.
  returned: state is admitted
  type: list
  elements: str
fits:
  description: Whether there is time.
  returned: state is fitting
  type: bool
back:
  description: Whether the service comes back.
  returned: state is decided
  type: bool
why:
  description: The reason for the decision.
  returned: state is decided
  type: str
todo:
  description: What an operator has to do where the service does not come back.
  returned: state is decided
  type: str
title:
  description: How the maintenance ended, in one line.
  returned: state is summarized
  type: str
  sample: 'Maintenance is over: Scheduled maintenance (weekly)'
text:
  description: The details of the announcement.
  returned: state is summarized
  type: str
severity:
  description: V(info), V(warning) or V(critical).
  returned: state is summarized
  type: str
"""
