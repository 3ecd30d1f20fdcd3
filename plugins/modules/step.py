#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: step
short_description: Validate steps, and record their outcome
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Records what the playbooks do around a step, which is an entry point of a role that changes something. It runs on
    the controller and changes nothing.
  - A row is a line of the report, as M(day2.ops.report) reads it from C(day2_step_results).
extends_documentation_fragment: day2.ops.attributes.controller
options:
  state:
    description:
      - V(checked) fails with all that is wrong with O(steps), roles and entry points that are not there included.
      - V(begun) adds a row to O(results) that says that O(step) did not end.
      - V(ended) adds the rows of a step that ended well, V(failed) those of one that failed.
    type: str
    choices: [checked, begun, ended, failed]
    required: true
  steps:
    description: >-
      Steps - mappings of C(id), C(title), C(role), C(entry_point) (V(main)), C(duration) (what it needs) and C(ref).
    type: list
    elements: raw
  step:
    description: The step, one of O(steps).
    type: dict
  results:
    description: The rows of earlier steps.
    type: list
    elements: raw
    default: []
  began:
    description: When it began, as V(begun) returned it. For V(ended), without it, the step took no time.
    type: float
  outcome:
    description:
      - The outcome that the role returned, as a mapping of C(status) (V(ok) without it), C(message), C(evidence),
        C(value) and C(unit). In check mode V(ok) becomes V(skipped).
      - A list has several lines. One with an C(id) is a row of its own, as modules return it in C(step); it is taken
        over with the step's C(ref) added to its own.
    type: raw
  task:
    description: The name of the task that failed.
    type: str
    default: ''
  result:
    description: What that task returned.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
seealso:
  - module: day2.ops.report
"""

EXAMPLES = r"""
- name: Refuse malformed steps before anything begins
  day2.ops.step:
    state: checked
    steps: "{{ day2_weekly_steps }}"

- name: Begin
  day2.ops.step:
    state: begun
    step: {id: packages, title: Packages, role: day2.ops.maintenance_steps, entry_point: packages}
    results: "{{ day2_step_results | default([]) }}"
  register: begun
"""

RETURN = r"""
results:
  description: O(results) with the rows of this step.
  returned: state is not checked
  type: list
  elements: dict
earlier:
  description: O(results) as it was given.
  returned: state is begun
  type: list
  elements: dict
began:
  description: When it began, as POSIX seconds.
  returned: state is begun
  type: float
  sample: 1767492000.0
role:
  description: What the variables of the step's role begin with.
  returned: state is begun
  type: str
  sample: maintenance_steps
"""
