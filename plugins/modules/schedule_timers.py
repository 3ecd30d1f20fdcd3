#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: schedule_timers
short_description: Playbooks as systemd timers of a control node
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Makes a service and a timer of systemd of each job of a system, C(day2-<system>-<job>), verified by systemd before
    they are put in place, enabled and started. Units of jobs that are not in the list any more are removed.
  - Only units that it wrote for the same O(system) are changed or removed.
  - A job that is running is never started a second time. Jobs that exclude each other wait for each other.
options:
  jobs:
    description:
      - The jobs. Their fields are C(name), C(at), C(playbook), C(duration) (1h), C(timeout) (twice the duration),
        C(hosts), C(extra_vars), C(backup) (false), C(exclusive) (true) and C(resource) (system).
      - A job that is listed twice, the same each time, counts once.
    type: list
    elements: raw
    required: true
  system:
    description: The system's name.
    type: str
    required: true
  inventory:
    description: The inventory on the control node.
    type: path
    required: true
  user:
    description: The user that runs the playbooks.
    type: str
    required: true
  directory:
    description:
      - The directory in which they run. Locks are in it too. It belongs to O(user), so that C(/var/lib/day2), which is
        root's, and what belongs to somebody else is refused.
    type: path
    required: true
  ansible_playbook:
    description: The program C(ansible-playbook) on the control node.
    type: path
    default: /usr/bin/ansible-playbook
  environment_file:
    description: A file of environment variables on the control node, such as C(ANSIBLE_VAULT_PASSWORD_FILE).
    type: path
attributes:
  check_mode:
    description: Reads, verifies and compares the units, and changes nothing.
    support: full
  diff_mode:
    description: Shows each unit that is written or removed.
    support: full
  idempotent:
    description: A second run changes nothing.
    support: full
  platform:
    description: Runs on a control node with systemd 247 or later, as root.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.checklist
"""

EXAMPLES = r"""
- name: The playbooks of the shop at their times
  become: true
  day2.ops.schedule_timers:
    system: shop
    inventory: /etc/day2/shop
    user: ansible
    directory: /var/lib/day2-schedule/shop
    jobs:
      - {name: backup, at: "02:00 daily UTC", playbook: day2.ops.backup, backup: true}
      - {name: daily, at: "Mon-Fri 07:30 Europe/Berlin", playbook: day2.ops.daily, duration: 10m}
      - {name: monthly, at: "first Sunday 04:00", playbook: day2.ops.monthly}
"""

RETURN = r"""
timers:
  description: The timers of the jobs, by the name of the job.
  returned: success
  type: dict
  sample: {backup: day2-shop-backup.timer}
written:
  description: Units that were written, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [day2-shop-backup.service, day2-shop-backup.timer]
removed:
  description: Units that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: []
armed:
  description: Timers that were enabled and started, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [day2-shop-backup.timer]
collisions:
  description: Jobs that are to run at the same time, in words. Each is a warning too.
  returned: success
  type: list
  elements: str
  sample: []
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.schedule import systemd, units, words
from ansible_collections.day2.ops.plugins.module_utils.schedule.jobs import parse_jobs, parse_name
from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import collisions


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "jobs": {"type": "list", "elements": "raw", "required": True},
            "system": {"type": "str", "required": True},
            "inventory": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "ansible_playbook": {"type": "path", "default": "/usr/bin/ansible-playbook"},
            "environment_file": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        node = units.Node(
            system=parse_name(params["system"]),
            inventory=params["inventory"],
            user=params["user"],
            directory=params["directory"],
            program=params["ansible_playbook"],
            environment_file=params["environment_file"] or "",
        )
        jobs = parse_jobs(params["jobs"])
        if jobs:
            systemd.check_node(node)
        wanted = units.render(jobs, node)
        plan = units.plan(wanted, systemd.read_present(), node.system)
        systemd.verify(wanted)
        timers = {job.name: units.unit_name(node.system, job.name, "timer") for job in jobs}
        arm = systemd.unarmed(list(timers.values()))
        changed = bool(plan.write or plan.remove or arm)
        if changed and not module.check_mode:
            systemd.apply(plan, list(timers.values()))
    except ArgumentError as exc:
        module.fail_json(msg=f"system: {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    said = [words.collision(found) for found in collisions(jobs, time.time())]
    for sentence in said:
        module.warn(sentence)
    module.exit_json(
        changed=changed,
        timers=timers,
        written=sorted(plan.write),
        removed=list(plan.remove),
        armed=arm,
        collisions=said,
        diff=units.diff(plan),
    )


if __name__ == "__main__":
    main()
