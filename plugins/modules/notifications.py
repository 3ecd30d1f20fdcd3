#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: notifications
short_description: Decide who is told what after a run
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Compares the report of a run with what each channel was told before, and returns the messages to be sent now -
    what is new or got worse, what is over, and what could not be delivered by earlier runs. It sends nothing itself;
    role C(day2.ops.notify) does, and is what playbooks use.
  - What each channel knows, and what it has not received yet, is kept in a file on the controller. A message is in it
    before it is sent and leaves it when it was delivered.
  - A damaged file is moved aside. One that cannot be read or written is reported, and the messages are returned all the
    same.
extends_documentation_fragment: day2.ops.attributes.controller
options:
  state:
    description:
      - V(checked) refuses malformed O(channels) and does nothing else.
      - V(planned) returns the messages to be sent.
      - V(recorded) stores whether one of them was delivered.
    type: str
    choices: [checked, planned, recorded]
    required: true
  channels:
    description: The receivers. Their fields are in the guide, C(docs/notify.md).
    type: raw
    required: true
  remind_after:
    description: After what time a channel is told again of what is still bad, such as V(24h). Empty is never.
    type: str
    default: ''
  directory:
    description: Where the file is, on the controller. Made if it does not exist. Needed but for V(checked).
    type: path
  system:
    description: The system's name. Without it, that of the report.
    type: str
    default: ''
  report:
    description: The C(report.json) of the run.
    type: path
  announcement:
    description: A message instead of a report.
    type: dict
    suboptions:
      title:
        description: What it is about.
        type: str
        required: true
      text:
        description: The rest of it.
        type: str
        default: ''
      severity:
        description: What chooses the channels.
        type: str
        choices: [critical, unknown, warning, info]
        default: info
      action:
        description: Whether it begins or ends.
        type: str
        choices: [trigger, resolve]
        default: trigger
      dedup_key:
        description: Its name, the same in every run. With one it is sent once until it is resolved, without one always.
        type: str
        default: ''
  maintenance:
    description: Nothing is told as new, and nothing becomes known. What is over is told all the same.
    type: bool
    default: false
  subject_prefix:
    description: What every subject begins with.
    type: str
    default: ''
  footer:
    description: The last line of every text.
    type: str
    default: ''
  report_url:
    description: Where people can read reports; the run's id and the file's name are appended. Without it, the path.
    type: str
    default: ''
  spool_age:
    description: How long an undelivered message is kept.
    type: str
    default: 3d
  spool_attempts:
    description: In how many runs an undelivered message is tried.
    type: int
    default: 20
  most_events:
    description: How many events go to one PagerDuty channel in a run. The others wait for the next one.
    type: int
    default: 50
  message:
    description: For V(recorded), one of RV(messages).
    type: dict
  outcome:
    description:
      - For V(recorded), what M(ansible.builtin.uri) or M(community.general.mail) returned. It says whether the message
        was delivered, and why not. Nothing of it is shown that could be secret.
    type: raw
  down:
    description: For V(recorded), the channels that failed in this run so far.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Returns the messages and stores nothing.
    support: full
notes:
  - Use it with C(run_once). It needs no connection to any host.
seealso:
  - module: day2.ops.report
"""

EXAMPLES = r"""
- name: What would be told about the last run
  day2.ops.notifications:
    state: planned
    report: ./day2-reports/latest/report.json
    directory: ./day2-reports/notify
    channels:
      - {name: ops-mail, kind: mail, to: [ops@example.com]}
  check_mode: true
  run_once: true
  register: plan
"""

RETURN = r"""
messages:
  description: What is to be sent now, in this order. They hold no secret.
  returned: when O(state=planned)
  type: list
  elements: dict
  contains:
    id:
      description: Its name in the file.
      type: str
    channel:
      description: The name of its channel.
      type: str
    kind:
      description: The kind of its channel.
      type: str
    action:
      description: V(trigger) or V(resolve).
      type: str
    severity:
      description: The worst of what it tells.
      type: str
    dedup_key:
      description: The same in every run for the same thing.
      type: str
    subject:
      description: One line.
      type: str
    text:
      description: The rest.
      type: str
    payload:
      description: What is sent, but the routing key.
      type: dict
system:
  description: The system whose file it is.
  returned: when O(state=planned) or O(state=recorded)
  type: str
  sample: options_engine
down:
  description: The channels that failed in this run so far.
  returned: when O(state=planned) or O(state=recorded)
  type: list
  elements: str
"""
