#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_info
short_description: The backup sets of a repository
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Lists the sets of a series, newest first, with their verdicts and with the class of the policy that keeps each.
  - Reads manifests and states only. Whether a set is whole was found by the run that verified it.
extends_documentation_fragment:
  - day2.ops.repository
options:
  copy_to:
    description: The second location of the same sets.
    type: str
  keep:
    description: The policy by which RV(sets[].kept_because) is told.
    type: dict
attributes:
  check_mode:
    description: Only looks, in check mode and otherwise.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: Runs on a host that reaches the repository.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.pg_backup
"""

EXAMPLES = r"""
- name: Which backups are there?
  day2.ops.pg_backup_info:
    repository: /var/backups/shop
  register: backups

- name: The newest one has to be good
  ansible.builtin.assert:
    that: backups.sets[0].verified == "read"
"""

RETURN = r"""
sets:
  description: The sets of both locations, newest first; one that is in both is there once.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: Its name., type: str, sample: 20260131T020000Z}
    time: {description: 'When its snapshot was taken, RFC 3339 in UTC.', type: str, sample: '2026-01-31T02:00:00.120Z'}
    age: {description: Seconds since then., type: float, sample: 3600.5}
    size: {description: Bytes of its files as they are stored., type: int, sample: 104857600}
    verified: {description: 'V(none), V(digest) or V(read).', type: str, sample: read}
    proven_at: {description: 'When a restore of it was proven, or null.', type: str, sample: null}
    damaged: {description: 'What is wrong with it, or null.', type: str, sample: null}
    encrypted: {description: Whether it is encrypted., type: bool, sample: false}
    locations: {description: Where it is., type: list, elements: str, sample: [/var/backups/shop]}
    kept_because: {description: Why the policy keeps it; empty when it would go., type: list, elements: str}
broken:
  description: Sets whose manifest cannot be read, with the reason.
  returned: always
  type: dict
  sample: {}
unfinished:
  description: Ids of what unfinished runs left. The next run clears it.
  returned: always
  type: list
  elements: str
  sample: []
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup import arguments, sets
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND
from ansible_collections.day2.ops.plugins.module_utils.backup.run import describe
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error


def main() -> None:
    module = AnsibleModule(
        argument_spec={**arguments.REPOSITORY, "copy_to": {"type": "str"}, "keep": {"type": "dict"}},
        supports_check_mode=True,
    )
    params = module.params
    try:
        series, policy = arguments.series(params, KIND), arguments.policy(params)
        names = [name for name in ("repository", "copy_to") if params[name]]
        places = [arguments.repository(params, name) for name in names]
        loaded = [(place.name, sets.load(place, series)) for place in places]
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    now = time.time()
    where: dict[str, list[str]] = {}
    known: dict[str, sets.BackupSet] = {}
    for name, found in loaded:
        for each in found.sets:
            where.setdefault(each.manifest.id, []).append(name)
            known.setdefault(each.manifest.id, each)
    kept = sets.plan_pruning(loaded[0][1], policy, now).keep
    newest_first = sorted(known.values(), key=lambda each: (each.manifest.time, each.manifest.sequence), reverse=True)
    module.exit_json(
        changed=False,
        sets=[
            {
                **describe(each, where[each.manifest.id]),
                "age": round(now - each.manifest.time, 3),
                "kept_because": kept.get(each.manifest.id, []),
            }
            for each in newest_first
        ],
        broken={name: why for _place, found in loaded for name, why in found.broken.items()},
        unfinished=sorted(name for _place, found in loaded for name in found.unpublished),
    )


if __name__ == "__main__":
    main()
