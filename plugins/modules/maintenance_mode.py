#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance_mode
short_description: Maintenance mode of a service, as a transaction with an end
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Puts a service on a host into maintenance, all O(targets) or none, and back to what it was.
  - Whoever asks for it holds a lease. Several owners may; the mode ends when the last one lets go or its lease ends.
  - A lease always ends. The host's own timer (role P(day2.ops.runtime#role)) does that without a controller, also
    after a reboot; a host that is booted within the mode comes up in it.
  - C(day2ctl maintenance status) tells people at the host, and can end it.
options:
  service:
    description: The name of what is in maintenance. One host may have several.
    type: str
    required: true
  state:
    description:
      - V(enabled) grants the owner's lease; one that is held keeps its end, and its targets become those given here.
      - V(extended) moves the end of a lease that is held to O(duration) from now, if that is later.
      - V(disabled) gives up the owner's lease, with O(force=true) all.
      - V(status) only tells.
    type: str
    choices: [enabled, disabled, extended, status]
    default: enabled
  owner:
    description: Whose lease it is, such as V(weekly-window).
    type: str
    default: ansible
  reason:
    description: Why, for people who ask. Required to enable.
    type: str
  duration:
    description: When the lease ends, from now, such as V(2h), at most 31 days. Required to enable and to extend.
    type: str
  targets:
    description: What is put into maintenance.
    type: list
    elements: str
    default: [web, units, alerts]
  approved_by:
    description: Who approved it.
    type: str
  claim:
    description:
      - What O(state=enabled) may meet. V(new) refuses an owner who holds a lease already, so that of two runs at the
        same time one is refused; V(held) refuses one who holds none any more.
      - With both, O(targets) may be empty.
    type: str
    choices: [any, new, held]
    default: any
  force:
    description: Gives up the leases of all owners.
    type: bool
    default: false
  web:
    description: How nginx is switched. Role P(day2.ops.maintenance#role) installs its configuration.
    type: dict
    default: {}
    suboptions:
      snippet:
        description: The installed configuration, where it is another file than the role's.
        type: path
      probe:
        description: An address that has to answer 503 then; with another answer everything goes back.
        type: str
      ready:
        description:
          - An address, as the host sees it, that has to answer 200 before users are let in again, such as the health
            endpoint of an application that answers some time after its unit was started.
          - It is waited for at most 30 seconds. Then users are let in all the same, and the module fails.
        type: str
  units:
    description:
      - Names of units in the order in which they are stopped. They start in the other one, those that ran.
      - An entry may be a mapping of C(name), C(pause) and C(resume), two commands as lists of words, which are run
        instead of stopping and starting it.
    type: list
    elements: raw
    default: []
  units_timeout:
    description: How long a unit may take to stop or start.
    type: str
    default: 90s
  alerts:
    description: Whose alarms are silenced until the lease ends.
    type: dict
    default: {}
    suboptions:
      alertmanager:
        description: The address of Alertmanager.
        type: str
      matchers:
        description: What is silenced - mappings of C(name), C(value), and C(regex) and C(equal) where needed.
        type: list
        elements: dict
        default: []
      pagerduty:
        description: >-
          PagerDuty's maintenance window - C(services) (ids), C(from) (an address), C(token_file) (a file on the host)
          and C(url) where it is not PagerDuty's own.
        type: dict
  root:
    description: Where the state is.
    type: path
    default: /var/lib/day2/maintenance
attributes:
  check_mode:
    description: Names each step. Nothing is changed.
    support: full
  diff_mode:
    description: Shows the leases.
    support: full
  platform:
    description: Runs on a host with systemd, as root.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Two hours of maintenance
  day2.ops.maintenance_mode:
    service: options-engine
    owner: weekly-window
    reason: Weekly maintenance
    duration: 2h
    units: [options-engine]
    web: {probe: "https://localhost/"}
    alerts:
      alertmanager: http://alertmanager.example.com:9093
      matchers:
        - {name: service, value: options-engine}
  become: true

- name: Back to service
  day2.ops.maintenance_mode:
    service: options-engine
    owner: weekly-window
    state: disabled
  become: true
"""

RETURN = r"""
enabled:
  description: Whether somebody holds a lease.
  returned: always
  type: bool
  sample: true
leases:
  description: The leases, the one that ends last first.
  returned: always
  type: list
  elements: dict
  contains:
    owner: {description: Whose it is., type: str, sample: weekly-window}
    reason: {description: Why., type: str, sample: Weekly maintenance}
    targets: {description: What it asks for., type: list, elements: str, sample: [alerts, web, units]}
    since: {description: 'When it was granted, in UTC.', type: str, sample: '2026-02-01T02:00:00Z'}
    until: {description: 'When it ends, in UTC.', type: str, sample: '2026-02-01T04:00:00Z'}
    left: {description: Seconds until then., type: float, sample: 7200.0}
    approved_by: {description: 'Who approved it, or null.', type: str, sample: null}
targets:
  description: What is not as usual, and whether it is V(entered) or was interrupted (V(entering), V(leaving)).
  returned: always
  type: dict
  sample: {web: entered}
steps:
  description: What was done, in check mode what would be.
  returned: always
  type: list
  elements: str
  sample: [stop options-engine.service]
faults:
  description: Why targets could not be left. The host's timer goes on trying.
  returned: always
  type: list
  elements: str
"""

from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance import arguments


def main() -> None:
    module = AnsibleModule(argument_spec=arguments.SPEC, supports_check_mode=True)
    try:
        outcome = arguments.run(module.params, module.check_mode)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**outcome, diff=_diff(outcome))


def _diff(outcome: Mapping[str, Any]) -> dict[str, str]:
    return {"before": _lines(outcome["before"]), "after": _lines(outcome)}


def _lines(told: Mapping[str, Any]) -> str:
    return "".join(f"{each['owner']}: {', '.join(each['targets'])} ({each['reason']})\n" for each in told["leases"])


if __name__ == "__main__":
    main()
