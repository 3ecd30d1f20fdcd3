#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report_merge
short_description: Join the reports of a run's parts
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - A run over many hosts may be sliced, such as by AWX over several execution environments. Each part writes its own
    report with the same O(run_id); this module makes one report of them, in all four formats.
  - Of a host in several parts the last one counts, and a note in the report says so.
  - Joining again, when one more part has come, replaces the joined report.
extends_documentation_fragment: day2.ops.attributes.controller
options:
  run_id:
    description: The name of the run whose parts are joined, as in M(day2.ops.report).
    type: str
    required: true
  sources:
    description: The parts to join - directories of reports, such as O(directory), or C(report.json) files.
    type: list
    elements: path
    required: true
  directory:
    description: The directory in which the joined report gets a directory named O(run_id). May be one of O(sources).
    type: path
    required: true
  fail_on:
    description:
      - The findings that set RV(failing) - critical and unknown ones with V(critical), warnings too with V(warning).
    type: str
    choices: [never, critical, warning]
    default: critical
attributes:
  check_mode:
    description: Prints the checklist and writes no file.
    support: full
seealso:
  - module: day2.ops.report
"""

EXAMPLES = r"""
- name: Join what the slices of a workflow job found
  day2.ops.report_merge:
    run_id: "nightly-{{ awx_workflow_job_id }}"
    sources: [/srv/day2-reports]
    directory: /srv/day2-reports
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
run_id:
  description: The run's name.
  returned: always
  type: str
  sample: nightly-4711
parts:
  description: The reports that were joined, oldest first.
  returned: always
  type: list
  elements: str
  sample: [/srv/day2-reports/nightly-4711.1/report.json]
status:
  description: The worst status of all hosts.
  returned: always
  type: str
  sample: critical
summary:
  description: How many results of all hosts have each status, zeros included.
  returned: always
  type: dict
  sample: {ok: 38, warning: 1, critical: 1, unknown: 0, skipped: 2}
paths:
  description: Where the files are, by C(json), C(html), C(junit) and C(prometheus). In check mode, where they would be.
  returned: always
  type: dict
  sample: {html: /srv/day2-reports/nightly-4711/report.html}
refused:
  description: Why the checklist of a host did not run, by the host's name.
  returned: always
  type: dict
  sample: {}
failing:
  description: Whether the run is as bad as O(fail_on) says, or a host was refused.
  returned: always
  type: bool
  sample: true
verdict:
  description: The run in one sentence.
  returned: always
  type: str
  sample: 1 critical on 1 of 3 hosts; see /srv/day2-reports/nightly-4711/report.html
"""
