#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: baseline
short_description: Record the state that later checks compare a host with
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Records the baselines of all checks of probe C(baseline) in a list of checks on the host - accounts, sudo rights,
    firewall rules, modes of files, figures. M(day2.ops.checklist) compares with them.
  - Other checks in the list are ignored, so that a whole checklist can be given.
options:
  checks:
    description: A list of checks as for M(day2.ops.checklist). Those of probe C(baseline) are recorded.
    type: list
    elements: raw
    required: true
  only:
    description: Ids of the checks whose baseline is recorded. Without it, all of O(checks).
    type: list
    elements: str
  secrets:
    description: Filled by the action plugin of the same name. Not for playbooks.
    type: str
attributes:
  check_mode:
    description: Says what would be recorded, and records nothing.
    support: full
  diff_mode:
    description: Shows the lines that differ from what was recorded before.
    support: full
  idempotent:
    description: A second run records nothing new, unless the host changed. Figures are recorded anew each time.
    support: partial
    details: Measured figures differ from one run to the next.
seealso:
  - module: day2.ops.checklist
"""

EXAMPLES = r"""
- name: Record what this host looks like now
  become: true
  day2.ops.baseline:
    checks:
      - {id: accounts-since, title: Accounts changed, probe: baseline, subject: accounts}
      - {id: rules-since, title: Firewall rules changed, probe: baseline, subject: firewall}
      - id: latency-since
        title: Response time against its baseline
        probe: baseline
        subject: figure
        of: {probe: http, url: "http://localhost:8080/metrics", query: avg_response_time, unit: s}
        warning: "> 50%"
"""

RETURN = r"""
recorded:
  description: Ids of the checks whose baseline was recorded, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [accounts-since, rules-since]
unchanged:
  description: Ids of the checks whose baseline is what it was.
  returned: success
  type: list
  elements: str
  sample: []
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.baseline import record
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.baseline import record_all
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec, with_secrets


def _baselines(checks: list[object]) -> list[object]:
    """Those of probe baseline, once each: the checklists of two cadences may share some."""
    found: list[object] = []
    for check in checks:
        if isinstance(check, dict) and check.get("probe") == "baseline" and check not in found:
            found.append(check)
    return found


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "checks": {"type": "list", "elements": "raw", "required": True},
            "only": {"type": "list", "elements": "str"},
            "secrets": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    secrets = {int(place): fields for place, fields in json.loads(module.params["secrets"] or "{}").items()}
    only = module.params["only"]
    try:
        checks = parse_checks(
            _baselines(with_secrets(module.params["checks"], secrets)), find_spec, registry.PROBES, 10
        )
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    wanted = [check for check in checks if only is None or check.id in only]
    missing = sorted(set(only or ()) - {check.id for check in wanted})
    if missing:
        module.fail_json(msg=f"'only' names no check of probe 'baseline': {', '.join(missing)}")
    recorded, unchanged, before, after, problems = [], [], [], [], []
    for check, old, new, problem in record_all(wanted, time.time()):
        if new is None:
            problems.append(f"check '{check.id}': {problem}")
        elif old is not None and (old.subject, old.lines, old.value) == (new.subject, new.lines, new.value):
            unchanged.append(check.id)
        else:
            recorded.append((check, new))
            before += [f"{check.id}: {line}" for line in (old.lines or [str(old.value)] if old else [])]
            after += [f"{check.id}: {line}" for line in new.lines or [str(new.value)]]
    if problems:
        module.fail_json(msg="nothing was recorded: " + "; ".join(problems))
    try:
        for check, new in recorded:
            if not module.check_mode:
                record.write(record.place(check.args["directory"], check.id), new)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(
        changed=bool(recorded),
        recorded=[check.id for check, _new in recorded],
        unchanged=unchanged,
        diff={"before": "\n".join([*before, ""]), "after": "\n".join([*after, ""])},
    )


if __name__ == "__main__":
    main()
