#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_failover
short_description: Decide whether a database fails over, and what is done next
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - What playbooks C(day2.ops.dr_assess) and C(day2.ops.dr_failover) ask between their tasks. It runs on the
    controller, asks no host, and changes nothing - hosts are asked by the tasks around it, and what they answered is
    handed in.
  - The order is always the same. The old primary is proven to be off before anybody is promoted; nothing is done before
    a majority of the plan's journal hosts has written down that it is about to be done.
  - A run that was killed anywhere is continued by the next one, from the journal and from what is observed.
extends_documentation_fragment: day2.ops.attributes.controller
options:
  state:
    description:
      - V(assessed) says whether a failover is needed and possible, and what it would lose.
      - V(failed_over) answers one O(phase) of a failover.
      - V(status) describes the journal, without a claim.
      - V(aborted) ends a failover that was begun, phase by phase as V(failed_over). Nothing is undone.
      - V(rejoined) answers the phases of playbook C(day2.ops.dr_rejoin), which makes standbys of members that a
        failover has left behind - V(admitted), V(claiming), V(claimed), V(next) and V(judged).
    type: str
    choices: [assessed, failed_over, status, aborted, rejoined]
    required: true
  phase:
    description:
      - V(admitted) reads the plan, or fails with all that is wrong with it.
      - V(claiming) says which epoch to claim, from the journals that were read.
      - V(claimed) says whether a majority took the claim, and from which entries the run goes on.
      - V(next) returns the next step with orders for hosts and the entries to write before them, or a refusal, or that
        nothing is left to do. In check mode, it returns the plan.
      - V(acknowledged) says whether a majority wrote the entries.
      - V(judged) says what the answers to the orders come to.
      - V(closed) says whether a majority has the last entries of a run, after which nothing follows.
    type: str
    choices: [admitted, claiming, claimed, next, acknowledged, judged, closed]
  plan:
    description: The plan (C(day2_dr_plan)), as in C(docs/failover.md) of the collection.
    type: dict
    required: true
  system:
    description: The name of the system.
    type: str
    required: true
  run:
    description: The run, by the name that V(admitted) returned.
    type: str
  epoch:
    description: The epoch that the run has claimed.
    type: int
  confirm:
    description: The name of the system, by which a person confirms that it may fail over.
    type: str
    default: ''
  approved_by:
    description: Who approves that a rule is broken, one of O(approvers).
    type: str
    default: ''
  approve:
    description:
      - Codes of the rules that O(approved_by) lets be broken. What is not named stays refused, and a refusal names what
        may be approved.
      - V(fence), nobody can prove that the old primary is off. V(one_point), only one vantage point finds it dead.
        V(unreached), nobody knows whether it is alive. V(rpo), more may be lost than the plan bears. V(unjudged), a
        standby that may be ahead cannot be judged. V(ahead), another standby has more. V(archive), the archive cannot
        say whether another one was promoted. V(majority), a minority of the journal hosts answers. V(lag), the member
        is beyond the manager's limit.
    type: list
    elements: str
    default: []
  approvers:
    description: The names of those who may approve.
    type: list
    elements: str
    default: []
  reason:
    description: Why a rule may be broken. It stays in the journal.
    type: str
    default: ''
  minority:
    description: Whether an approver has let a minority of the journal hosts be enough, as V(claimed) returned it.
    type: bool
    default: false
  entries:
    description: The entries of the journal.
    type: list
    elements: dict
    default: []
  members:
    description: The results of M(day2.ops.pg_standby_info) by host.
    type: dict
    default: {}
  liveness:
    description: The results of M(day2.ops.pg_liveness) by vantage point.
    type: dict
    default: {}
  liveness_of_controller:
    description: The result of M(day2.ops.pg_liveness) on the controller, where it is a vantage point.
    type: dict
    default: {}
  promised:
    description: What hosts have promised, as V(claimed) returned it.
    type: dict
    default: {}
  managers:
    description: >-
      Where the plan has a C(manager), what M(day2.ops.dr_order) answered of M(day2.ops.dr_patroni) by host.
    type: dict
    default: {}
  led:
    description: >-
      Where the plan has a C(manager), what M(day2.ops.dr_order) answered of M(day2.ops.dr_traffic) in check mode for
      each member, lists by host. A leader that applications are not led to was made by the manager, and is adopted.
    type: dict
    default: {}
  looked:
    description: >-
      The number of entries of the journal when vantage points looked last, where they looked again in this run.
    type: int
    default: -1
  journals:
    description: The results of M(day2.ops.dr_journal) by host.
    type: dict
    default: {}
  next:
    description: The result of phase V(next).
    type: dict
  acknowledged:
    description: The result of phase V(acknowledged) for its entries.
    type: dict
    default: {}
  answers:
    description: >-
      What M(day2.ops.dr_order) answered to the orders - mappings of C(host), C(module), C(ok), C(unreachable) and
      C(result).
    type: list
    elements: dict
    default: []
  seen:
    description: The primary when it was last seen at work, as V(claiming) returned it.
    type: dict
    default: {}
  began:
    description: When this run began, as V(admitted) returned it. Without it nothing that was seen earlier is believed.
    type: float
  member:
    description: >-
      For V(rejoined), the one member that becomes a standby. Without it those that are stopped and were primaries, or
      are fenced.
    type: str
    default: ''
  ref:
    description: The items of an operations manual that the rows answer.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
seealso:
  - module: day2.ops.dr_journal
  - module: day2.ops.dr_fence
  - module: day2.ops.pg_promote
  - module: day2.ops.pg_follow
  - module: day2.ops.dr_patroni
  - module: day2.ops.dr_repmgr
  - module: day2.ops.dr_traffic
"""

EXAMPLES = r"""
- name: Read the plan, or fail with all that is wrong with it
  day2.ops.dr_failover:
    state: failed_over
    phase: admitted
    system: "{{ day2_system }}"
    plan: "{{ day2_dr_plan }}"
  register: dr_admitted
  run_once: true

- name: Assess whether a failover is needed
  day2.ops.dr_failover:
    state: assessed
    system: "{{ day2_system }}"
    plan: "{{ day2_dr_plan }}"
    members: "{{ lookup('day2.ops.by_host', 'dr_member') }}"
    liveness: "{{ lookup('day2.ops.by_host', 'dr_liveness') }}"
  register: dr_assessed
  run_once: true
"""

RETURN = r"""
msg:
  description: The answer in words.
  returned: always
  type: str
  sample: Promote analytics-2
rows:
  description: Rows of the report by host.
  returned: O(state) is not V(status)
  type: dict
decision:
  description: Whether the system is V(healthy) or V(degraded), needs a V(failover), or why nobody can say (V(refuse)).
  returned: O(state) is V(assessed)
  type: str
  sample: failover
reasons:
  description: Why.
  returned: O(state) is V(assessed)
  type: list
  elements: str
primary:
  description: The primary that serves, or that has to be replaced.
  returned: O(state) is V(assessed), or the run has finished
  type: str
  sample: analytics-1
candidate:
  description: The standby that would be promoted.
  returned: O(state) is V(assessed)
  type: str
  sample: analytics-2
rpo:
  description: What a failover would lose. C(bytes) and C(seconds), and whether that is C(exact).
  returned: O(state) is V(assessed)
  type: dict
rto:
  description: The predicted seconds until applications are served, and from which runs.
  returned: O(state) is V(assessed)
  type: dict
plan:
  description: The plan as tasks need it.
  returned: O(phase) is V(admitted)
  type: dict
run:
  description: A name for this run.
  returned: O(phase) is V(admitted)
  type: str
  sample: 20260201T040000Z-7f3a21
began:
  description: When the run began, in seconds since 1970, by the clock of the controller.
  returned: O(phase) is V(admitted)
  type: float
observed:
  description: The primary at work, for M(day2.ops.dr_journal) to keep; empty where none was seen.
  returned: O(state) is V(assessed)
  type: dict
seen:
  description: The newest that journal hosts have of a primary at work; empty where there is none to believe.
  returned: O(phase) is V(claiming)
  type: dict
epoch:
  description: The epoch to claim, or the highest that a host knows.
  returned: O(phase) is V(claiming), or O(state) is V(status)
  type: int
  sample: 4
entries:
  description: The entries of the journal, those that have to be written now included.
  returned: O(phase) is V(claimed), V(next) or V(judged), or O(state) is V(status)
  type: list
  elements: dict
refused:
  description: Why the run stops here; empty where it goes on.
  returned: O(phase) is V(claiming), V(claimed) or V(acknowledged)
  type: str
action:
  description: What follows - V(orders), V(look), V(planned), V(refused) or V(finished).
  returned: O(phase) is V(next)
  type: str
  sample: orders
again:
  description: Whether another run has claimed the same epoch at a host, so that a higher one has to be claimed.
  returned: O(phase) is V(claimed)
  type: bool
ended:
  description: Why no step follows; empty where one does.
  returned: O(phase) is V(judged)
  type: str
then:
  description: Which task file of the playbook goes on.
  returned: O(phase) is V(next) or V(judged)
  type: str
  sample: act
next:
  description: The next step, as V(next) would return it, where hosts need not be observed before it; otherwise empty.
  returned: O(phase) is V(judged)
  type: dict
step:
  description: The step.
  returned: O(phase) is V(next) and there are orders
  type: dict
orders:
  description: By host, which modules it runs.
  returned: O(phase) is V(next) and there are orders
  type: dict
lines:
  description: The journal, a line an entry.
  returned: O(state) is V(status)
  type: list
  elements: str
"""
