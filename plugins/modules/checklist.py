#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: checklist
short_description: Answer all checks of a host in one call
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Runs a list of read-only checks at the same time and returns a uniform result for each, with its value, a sentence
    an operator understands, evidence, and the ids of the operations manual that it answers.
  - A critical check is information, not a failure. The module fails only when a check is malformed, before any check
    runs, and names the check and the field.
  - Each check runs in a child process and is killed when its time is over; the other results stand.
  - Checks that read the same thing (one log, one database login, one URL) read it once.
extends_documentation_fragment: day2.ops.attributes
options:
  checks:
    description:
      - The checks. Each is a mapping of common fields and the arguments of its probe; the probes, their arguments and
        their metrics are listed in C(docs/probes.md) of the collection.
      - RV(ignore:id), RV(ignore:title) and RV(ignore:probe) are required. RV(ignore:id) is unique in the call.
      - C(warning) and C(critical) are a threshold or a list of them, any of which triggers. A threshold is a string of
        an operator (C(>), C(>=), C(<), C(<=), C(==), C(!=)) and a quantity - a number, percentage (C(80%)), bytes
        (C(10GB), C(2Gi)), duration (C(500ms), C(30d)), rate (C(100/s)) or a word (C(!= active)). Put it in quotes.
      - Without C(critical) a probe's built-in expectation is critical - a service that is not active, an HTTP status of
        400 or more, a port that does not connect, a failed login, a program that does not exit with 0. A threshold
        replaces the expectation of its own quantity only - one on what a program prints says nothing about how it
        exits.
      - C(metric) chooses a quantity of the probe, C(unit) the unit of the result.
      - C(timeout) overrides O(timeout), C(run_as) names the user that the check runs as (needs root), C(enabled)
        switches a check off, C(ref) lists ids of the operations manual.
      - Passwords, headers, command lines with their environment, and whatever else has the shape of a secret are kept
        out of the invocation and of logs. Secrets are masked in results. A password file or a service entry on the
        target is better still.
    type: list
    elements: raw
    required: true
  timeout:
    description: Seconds, or a duration such as V(2s), that a check may take unless it says otherwise itself.
    type: str
    default: "10"
  deadline:
    description:
      - Seconds, or a duration such as V(2m), that the whole call may take. Checks that have no result by then are
        V(unknown).
    type: str
    default: "60"
  workers:
    description: How many checks run at the same time.
    type: int
    default: 8
  wait:
    description:
      - How long to ask again, every second, while a result is V(critical) or V(unknown), such as V(2m) for a service
        that was just started. The last answers are returned.
    type: str
    default: "0"
  planned:
    description:
      - Whether the checks are only validated. Each is returned as V(skipped), and no probe runs. For a plan (check
        mode) of work whose outcome the checks would judge afterwards.
    type: bool
    default: false
    version_added: 0.1.0
  secrets:
    description:
      - Filled by the action plugin of the same name, which moves secrets here out of O(checks). Not for playbooks.
    type: str
attributes:
  check_mode:
    description: Changes nothing in either mode, and gives the same results in both.
    support: full
  platform:
    description: Hosts with Linux and Python 3.9 or later.
    support: full
    platforms: posix
notes:
  - A check that needs rights it does not have is V(skipped) and says C(needs root).
  - What cannot be determined is V(unknown), never V(ok).
  - Probe C(postgres) needs psycopg2 on the target, JMESPath queries need jmespath; without them those checks are
    V(unknown) and say what to install.
seealso:
  - module: day2.ops.report
"""

EXAMPLES = r"""
- name: Look at a host
  day2.ops.checklist:
    checks:
      - id: root-disk
        title: Root file system
        probe: disk
        path: /
        warning: "> 80%"
        critical: "> 90%"
        ref: [OE-A03]
      - id: api-p95
        title: API latency
        probe: http
        url: http://localhost:8080/metrics
        query: performance.p95_ms
        unit: ms
        warning: "> 500ms"
        critical: "> 1s"
      - id: request-rate
        title: Request rate
        probe: http
        url: http://localhost:8080/metrics
        query: requests_per_second
        unit: /s
        warning: ["< 100/s", "> 10000/s"]
      - id: logins
        title: Database accepts logins
        probe: postgres
        database: options_engine
        run_as: postgres
  register: day2_checklist

- name: Stop unless everything is fine
  ansible.builtin.assert:
    that: day2_checklist.status in ["ok", "warning"]
"""

RETURN = r"""
msg:
  description: The counts, and the worst results in words; what Ansible shows when C(failed_when) fails the task.
  returned: always
  type: str
  sample: "1 critical, 11 ok: Database login: no login: connection refused"
status:
  description: The worst status of all results - V(critical), V(unknown), V(warning), V(ok) or V(skipped), worst first.
  returned: success
  type: str
  sample: warning
summary:
  description: How many results have each status, zeros included.
  returned: success
  type: dict
  sample: {ok: 11, warning: 1, critical: 0, unknown: 0, skipped: 2}
maintenance:
  description:
    - The leases of maintenance mode on this host, the one that ends last first. The report shows what checks of such
      a host find as acknowledged.
  returned: when there are any
  type: list
  elements: dict
  contains:
    service: {description: What is in maintenance., type: str, sample: options_engine}
    owner: {description: Whose lease it is., type: str, sample: maintenance}
    reason: {description: Why., type: str, sample: Scheduled maintenance (monthly)}
    until: {description: 'When it ends, in UTC.', type: str, sample: '2026-02-01T04:00:00Z'}
duration:
  description: Seconds that the checks took on the host.
  returned: success
  type: float
  sample: 0.5211
results:
  description: One record a check, in the order of O(checks).
  returned: success
  type: list
  elements: dict
  contains:
    id: {description: The check's id., type: str, sample: root-disk}
    title: {description: The check's title., type: str, sample: Root file system}
    probe: {description: The probe that answered., type: str, sample: disk}
    status: {description: 'V(ok), V(warning), V(critical), V(unknown) or V(skipped).', type: str, sample: warning}
    value: {description: 'The value - a number, a word, or null when there is none.', type: raw, sample: 84.2}
    unit: {description: 'The unit of the value, or null.', type: str, sample: '%'}
    message: {description: A sentence for an operator., type: str, sample: '84.2 % of / used, warning above 80 %'}
    warning: {description: The check's C(warning) as given., type: raw, sample: '> 80%'}
    critical: {description: The check's C(critical) as given., type: raw, sample: '> 90%'}
    evidence: {description: 'At most 20 lines and 4 KiB, secrets masked.', type: list, elements: str}
    ref: {description: Ids of the operations manual., type: list, elements: str, sample: [OE-A03]}
    started: {description: 'When the check began, RFC 3339 in UTC.', type: str, sample: '2026-01-31T03:15:00.120Z'}
    duration: {description: Seconds that the check took., type: float, sample: 0.0004}
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import (
    in_one_sentence,
    run_checklist,
    run_until_well,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

# module_utils/maintenance/states.py has it too; most calls do not load that.
_LEASES = "/var/lib/day2/maintenance"


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "list", "elements": "raw", "required": True},
            "timeout": {"type": "str", "default": "10"},
            "deadline": {"type": "str", "default": "60"},
            "workers": {"type": "int", "default": 8},
            "wait": {"type": "str", "default": "0"},
            "planned": {"type": "bool", "default": False},
            "secrets": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    limits = {}
    for name in ("timeout", "deadline", "workers", "wait"):
        try:
            limits[name] = parse_duration(params[name])
        except QuantityError as exc:
            module.fail_json(msg=f"'{name}': {exc}")
        if limits[name] < 0 or (limits[name] == 0 and name != "wait"):
            module.fail_json(msg=f"'{name}' is {params[name]}; it must be more than 0")
    secrets = {int(place): fields for place, fields in json.loads(params["secrets"] or "{}").items()}
    try:
        outcome = run_until_well(
            lambda: run_checklist(
                params["checks"],
                timeout=limits["timeout"],
                deadline=limits["deadline"],
                workers=params["workers"],
                secrets=secrets,
                planned=params["planned"],
            ),
            limits["wait"],
        )
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    leases = _leases()
    module.exit_json(
        changed=False, msg=in_one_sentence(outcome), **outcome, **({"maintenance": leases} if leases else {})
    )


def _leases() -> list[dict[str, Any]]:
    """Who has this host in maintenance. A state that nobody can read is no excuse for anything."""
    if not os.path.isdir(_LEASES):
        return []
    # Most hosts are not in maintenance, and need not compile what knows about it.
    from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import StateFiles, reading
    from ansible_collections.day2.ops.plugins.module_utils.maintenance.status import knowing

    try:
        return knowing(StateFiles(_LEASES), reading())
    except (Day2Error, OSError):
        return []


if __name__ == "__main__":
    main()
