#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Write the report over all hosts of a run
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Gathers what the hosts of the play registered from M(day2.ops.checklist) and writes one report of it on the
    controller - C(report.json) for machines, C(report.html) for people, C(report.xml) (JUnit) for CI, and
    C(report.prom) (Prometheus text) for monitoring. All are made from the same results.
  - The files appear together in a directory named RV(run_id) within O(directory), or not at all; the link C(latest)
    beside it then names them.
  - Prints the checklist to the terminal, worst first.
  - A host that could not be reached is a critical finding; one whose checklist was refused or did not run is unknown.
extends_documentation_fragment: day2.ops.attributes.controller
options:
  title:
    description: The title of the report, such as V(Daily checklist).
    type: str
    required: true
  cadence:
    description: The cadence of the checklist, such as V(daily). Without O(views) it names their variable.
    type: str
  system:
    description: The name of the system. Without it, the hosts' variables C(day2_system).
    type: str
    default: ''
  directory:
    description: The directory on the controller in which each report gets a directory. Made if it does not exist.
    type: path
    required: true
  run_id:
    description:
      - The name of the run - letters, digits and C(._-). A name that O(directory) has already is refused.
      - Without it, one is made from the time and a random part.
    type: str
  part:
    description:
      - The name of this part of a run that is sliced; all parts have one O(run_id). The directory is then named
        C(<run_id>.<part>), and M(day2.ops.report_merge) makes one report of all parts.
    type: str
  variable:
    description: The name of the variable in which the hosts registered the result of M(day2.ops.checklist).
    type: str
    default: day2_checklist
  hosts:
    description: The hosts of the run. Without it, all hosts of the play, also those that cannot be reached.
    type: list
    elements: str
  fail_on:
    description:
      - The findings that set RV(failing) - critical and unknown ones with V(critical), warnings too with V(warning).
      - A host whose checklist was refused is failing with V(never) too - nobody looked at it.
    type: str
    choices: [never, critical, warning]
    default: critical
  acknowledged:
    description:
      - The variable that holds a host's acknowledged findings - a list of mappings with C(id) and C(host) (names or
        shell patterns; without C(host) every host), C(owner), C(reason) and C(until) (a day, which counts to its end in
        UTC, or a time with its zone).
      - An acknowledged finding is shown as such, does not make the run fail, and alarms again after C(until).
    type: str
    default: day2_acknowledged
  views:
    description:
      - The variable that holds a host's views over earlier runs - a list of mappings with C(id), C(title), C(days)
        (7), C(checks) (ids or shell patterns), C(show) (V(values) or V(findings)) and C(ref). Every variable that
        begins with its name and an underscore adds to it.
      - Without it, C(day2_<cadence>_views).
    type: str
  history:
    description:
      - Where the results of each run are kept - the path of an SQLite file (a relative one lies in O(directory)), or
        the address of a PostgreSQL database, C(postgresql://user@host/database). Keep its password in C(~/.pgpass).
      - Thresholds that have to be met for a while (C(sustained)) and O(views) read it. Without it, such a threshold
        counts at once.
      - A history that cannot be used does not end the run. The report says so in a note.
    type: raw
  history_days:
    description: Days for which results are kept in O(history). Older ones are deleted.
    type: int
    default: 400
  validate_only:
    description: Only looks whether arguments, acknowledgements and views are well-formed. Writes and prints nothing.
    type: bool
    default: false
attributes:
  check_mode:
    description: Prints the checklist, writes no file, and adds nothing to the history.
    support: full
notes:
  - Use it with C(run_once). It needs no connection to any host.
  - The schema of C(report.json) is C(docs/report-schema.json) in the collection.
seealso:
  - module: day2.ops.checklist
"""

EXAMPLES = r"""
- name: Run the checks
  hosts: all
  gather_facts: false
  ignore_unreachable: true
  tasks:
    - name: Look at the root file system
      day2.ops.checklist:
        checks:
          - {id: root-disk, title: Root file system, probe: disk, path: /, critical: "> 90%"}
      register: day2_checklist

    - name: Write the report
      day2.ops.report:
        title: Disks
        directory: ./day2-reports
      run_once: true
      register: day2_report

    - name: Fail when something is critical or unknown
      ansible.builtin.fail:
        msg: "{{ day2_report.verdict }}"
      when: day2_report.failing
      run_once: true
"""

RETURN = r"""
run_id:
  description: The run's name.
  returned: always
  type: str
  sample: 20260131T031500Z-4f2a9c
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
  sample: {html: /srv/day2-reports/20260131T031500Z-4f2a9c/report.html}
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
  sample: 1 critical on 1 of 3 hosts; see /srv/day2-reports/20260131T031500Z-4f2a9c/report.html
"""
