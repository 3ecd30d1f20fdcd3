#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_procedure
short_description: Decide whether maintenance may begin, go on and end
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - What role P(day2.ops.maintenance_window#role) asks before each of its parts. It runs on the controller and changes
    nothing.
  - Scheduled maintenance needs an open window (a plan, in check mode, the next one), emergency maintenance a reason
    and somebody who may approve it. All that keeps it from beginning is told at once.
extends_documentation_fragment: day2.ops.attributes.controller
options:
  state:
    description:
      - V(admitted) says how long it may last, or fails with what is wrong.
      - V(fitting) says whether there is time for O(step).
      - V(decided) says whether the service comes back.
      - V(told) says how it ended, for those who wait for it.
    type: str
    choices: [admitted, fitting, decided, told]
    required: true
  system:
    description: The name of the system.
    type: str
    default: ''
  emergency:
    description: The kind of the emergency, V(security), V(database) or V(application). Without it, it is scheduled.
    type: str
  reason:
    description: Why. An emergency needs it.
    type: str
    default: ''
  approved_by:
    description: Who approved the emergency, one of O(approvers).
    type: str
    default: ''
  approvers:
    description: Who may approve.
    type: list
    elements: str
    default: []
  windows:
    description: The windows of the system, as in C(docs/windows.md) of the collection.
    type: list
    elements: dict
    default: []
  duration:
    description: How long at most. Scheduled maintenance ends with its window in any case.
    type: str
  reserve:
    description: What of it is kept for verification.
    type: str
    default: 15m
  steps:
    description: The steps to be taken - mappings of C(id), C(title), C(role), C(entry_point), C(duration), C(ref).
    type: list
    elements: raw
    default: []
  step:
    description: One of them.
    type: dict
  seconds_left:
    description: How long the lease holds.
    type: float
  seconds:
    description: How long it took.
    type: float
  decision:
    description: What V(decided) returned. Without it, nobody could decide.
    type: dict
    default: {}
  reports:
    description: >-
      What became of each host - mappings of C(rows) (lines of the report), C(failed) (why), C(stuck) (nobody knows
      whether it left the mode), C(ended) (its lease ended before anybody found it well) and
      C(held_by) (who else keeps it there).
    type: dict
  service:
    description: The name of what is in maintenance.
    type: str
  owner:
    description: Who holds the lease.
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
deadline:
  description: When it ends, as POSIX seconds.
  returned: state is admitted
  type: float
  sample: 1767492000.0
until:
  description: The same in UTC.
  returned: state is admitted
  type: str
  sample: '2026-01-04T06:00:00Z'
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
  description: Why, or why not.
  returned: state is decided
  type: str
todo:
  description: What somebody has to do where it does not.
  returned: state is decided
  type: str
title:
  description: How it ended, in one line.
  returned: state is told
  type: str
  sample: 'Maintenance is over: Scheduled maintenance (weekly)'
text:
  description: The rest of it.
  returned: state is told
  type: str
severity:
  description: V(info), V(warning) or V(critical).
  returned: state is told
  type: str
"""
