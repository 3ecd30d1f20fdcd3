#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: notifications
short_description: Decide which channel gets which message after a run
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Compares the report of a run with what each channel got before, and returns the messages to be sent now -
    findings that are new or got worse or are resolved, and what earlier runs could not deliver. It sends nothing
    itself; role C(day2.ops.notify) does, and is what playbooks use.
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
    description: The channels that get messages, a list of mappings. Their fields are in C(docs/notify.md).
    type: raw
    required: true
  remind_after:
    description:
      - The time after which a channel is reminded of a finding that is still there, such as V(24h). Without it, never.
    type: str
    default: ''
  directory:
    description:
      - The directory on the controller in which the file of this module is kept. Made if it does not exist.
      - Required, except with O(state=checked).
    type: path
  system:
    description: The system's name. Without it, that of the report.
    type: str
    default: ''
  report:
    description: The path of the run's C(report.json). O(state=planned) needs it or an O(announcement).
    type: path
  announcement:
    description: A message to send with O(state=planned), instead of the findings of a O(report).
    type: dict
    suboptions:
      title:
        description: The subject of the message.
        type: str
        required: true
      text:
        description: The text of the message.
        type: str
        default: ''
      severity:
        description: The severity of the message. Channels that want this severity get it.
        type: str
        choices: [critical, unknown, warning, info]
        default: info
      action:
        description: Whether the message opens (V(trigger)) or closes (V(resolve)) an incident.
        type: str
        choices: [trigger, resolve]
        default: trigger
      dedup_key:
        description:
          - The key of the incident, the same in every run. With a key the message is sent once until it is resolved,
            without one in every run.
        type: str
        default: ''
  maintenance:
    description: Whether the system is in maintenance. New findings are then held back, resolved ones are sent.
    type: bool
    default: false
  subject_prefix:
    description: Text before the subject of every message.
    type: str
    default: ''
  footer:
    description: The last line of the text of every message.
    type: str
    default: ''
  report_url:
    description: Where people can read reports; the run's id and the file's name are appended. Without it, the path.
    type: str
    default: ''
  spool_age:
    description: How long an undelivered message is kept, such as V(3d).
    type: str
    default: 3d
  spool_attempts:
    description: The number of runs in which an undelivered message is sent again.
    type: int
    default: 20
  most_events:
    description: The most events sent to one PagerDuty channel in a run. The others wait for the next run.
    type: int
    default: 50
  message:
    description: With O(state=recorded), the message that was sent, one of RV(messages).
    type: dict
  outcome:
    description:
      - With O(state=recorded), what M(ansible.builtin.uri) or M(community.general.mail) returned. It says
        whether the message was delivered, and why not. Nothing of it is shown that could be secret.
    type: raw
  down:
    description: With O(state=recorded), the names of the channels that failed in this run so far.
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
- name: Show what would be sent about the last run
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
      description: The worst severity among its findings.
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
      description: What is sent, but the routing key. A list of alerts for Alertmanager, else a mapping.
      type: raw
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
