#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_info
short_description: The backup sets of a repository
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Lists the sets of a series, newest first, with their verdicts and with the class of the policy that keeps each.
  - Reads manifests and states only. Whether a set is whole was found by the run that verified it.
  - With O(method=physical) the backups of a stanza of pgBackRest, and how far a point-in-time recovery reaches - from
    the end of the oldest usable backup to the last commit in the archived WAL, and the segments that are missing
    between. The ends are read from the WAL itself (C(pg_waldump)).
extends_documentation_fragment:
  - day2.ops.repository
  - day2.ops.physical
  - day2.ops.attributes
options:
  method:
    description: Logical sets of a repository, or physical backups of a stanza.
    type: str
    choices: [logical, physical]
    default: logical
  timeline:
    description: The timeline whose reach is returned. Without it the newest, which a recovery follows by default.
    type: int
  bin_dir:
    description: Directory of C(pg_waldump). Without it the program of the cluster's version is looked for.
    type: path
  copy_to:
    description: The second repository of the same sets, as O(repository).
    type: raw
  keep:
    description: The retention policy for RV(sets[].kept_because), as O(day2.ops.pg_backup#module:keep).
    type: dict
attributes:
  check_mode:
    description: Only looks, in check mode and otherwise.
    support: full
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

- name: How far back can we go, and until when?
  day2.ops.pg_backup_info:
    method: physical
    stanza: main
  become: true
  become_user: postgres
  register: physical

- name: There is no hole in the WAL
  ansible.builtin.assert:
    that: physical.reach.gaps | length == 0
"""

RETURN = r"""
sets:
  description: The sets of both locations, newest first; one that is in both is there once.
  returned: with O(method=logical)
  type: list
  elements: dict
  contains:
    id: {description: Its name., type: str, sample: 20260131T020000Z}
    time: {description: 'When its snapshot was taken, RFC 3339 in UTC.', type: str, sample: '2026-01-31T02:00:00.120Z'}
    age: {description: Seconds since then., type: float, sample: 3600.5}
    size: {description: Bytes of its files as they are stored., type: int, sample: 104857600}
    verified: {description: 'V(none), V(digest) or V(read).', type: str, sample: read}
    proven_at: {description: 'When a restore of it was proven, or null.', type: str, sample: null}
    damaged:
      description: What is wrong with it in the first of its locations, or null. Files that are missing or of another
        size than was written are seen by the listing.
      type: str
      sample: db001/main.dump.zst is missing
    damaged_at: {description: What is wrong with it in each location., type: dict, sample: {}}
    history:
      description: Verdicts of damage and those that took them back, oldest first - C(at), C(found), C(by), C(why).
      type: list
      elements: dict
      sample: []
    encrypted: {description: Whether it is encrypted., type: bool, sample: false}
    locations: {description: Where it is., type: list, elements: str, sample: [/var/backups/shop]}
    kept_because: {description: Why the policy keeps it; empty when it would go., type: list, elements: str}
broken:
  description: Sets whose manifest cannot be read, with the reason.
  returned: with O(method=logical)
  type: dict
  sample: {}
unfinished:
  description: Ids of what unfinished runs left. The next run clears it.
  returned: with O(method=logical)
  type: list
  elements: str
  sample: []
backups:
  description: The physical backups, newest first, as RV(day2.ops.pg_backup#module:backup) describes them, with C(age).
  returned: with O(method=physical)
  type: list
  elements: dict
  sample: [{label: 20260131-020000F, type: full, stopped: '2026-01-31T02:00:41.000Z', age: 3600.5}]
reach:
  description: What a point-in-time recovery can reach.
  returned: with O(method=physical)
  type: dict
  contains:
    earliest: {description: 'The end of the oldest usable backup, RFC 3339 in UTC, or null.', type: str}
    earliest_lsn: {description: Its LSN., type: str, sample: 0/3000050}
    latest: {description: 'The last commit in the archived WAL that is reached, or null.', type: str}
    latest_lsn: {description: The last record there., type: str, sample: 0/11000A20}
    latest_wal: {description: The segment that it stands in., type: str, sample: '000000010000000000000011'}
    timeline: {description: The timeline., type: int, sample: 1}
    ranges:
      description: What can be reached without a break, earliest first - more than one where WAL is missing.
      type: list
      elements: dict
    gaps:
      description: WAL that is missing on any timeline - C(timeline), C(from), C(to), C(count) and C(segments) by name.
      type: list
      elements: dict
      sample: []
database:
  description: Version and system identifier of the cluster that the stanza belongs to.
  returned: with O(method=physical)
  type: dict
  sample: {version: '15', system_identifier: '7710571359535782690'}
encrypted:
  description: Whether the repository is encrypted.
  returned: with O(method=physical)
  type: bool
  sample: true
"""

import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments, sets
from ansible_collections.day2.ops.plugins.module_utils.backup.outcome import describe
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments as physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import open_archive
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule

SPEC = {
    **arguments.REPOSITORY,
    **physical.STANZA,
    "method": {"type": "str", "default": "logical", "choices": ["logical", "physical"]},
    "copy_to": arguments.PLACE,
    "keep": {"type": "dict"},
    "timeline": {"type": "int"},
    "bin_dir": {"type": "path"},
}


def logical_sets(params: Mapping[str, Any]) -> dict[str, Any]:
    series, policy = arguments.series(params, KIND), arguments.policy(params)
    names = [name for name in ("repository", "copy_to") if params[name]]
    places = [arguments.repository(params, name) for name in names]
    loaded = [(place.name, sets.load(place, series)) for place in places]
    now = time.time()
    where: dict[str, list[str]] = {}
    damaged: dict[str, dict[str, str]] = {}
    known: dict[str, sets.BackupSet] = {}
    for name, found in loaded:
        for backup_set in found.sets:
            where.setdefault(backup_set.manifest.id, []).append(name)
            known.setdefault(backup_set.manifest.id, backup_set)
        for set_id, why in found.damaged.items():
            damaged.setdefault(set_id, {})[name] = why
    kept = sets.plan_pruning(loaded[0][1], policy, now).keep
    newest_first = sorted(
        known.values(), key=lambda backup_set: (backup_set.manifest.time, backup_set.manifest.sequence), reverse=True
    )
    return {
        "sets": [
            {
                **describe(backup_set, where[backup_set.manifest.id]),
                "age": round(now - backup_set.manifest.time, 3),
                "damaged_at": damaged.get(backup_set.manifest.id, {}),
                "kept_because": kept.get(backup_set.manifest.id, []),
            }
            for backup_set in newest_first
        ],
        "broken": {name: why for _place, found in loaded for name, why in found.broken.items()},
        "unfinished": sorted(name for _place, found in loaded for name in found.unpublished),
    }


def physical_backups(params: Mapping[str, Any]) -> dict[str, Any]:
    archive = open_archive(physical.client(params), params["bin_dir"])
    now = time.time()
    backups = [{**backup.describe(), "age": round(now - backup.stop, 3)} for backup in reversed(archive.stanza.backups)]
    about = archive.database
    return {
        "backups": backups,
        "reach": archive.reach(params["timeline"]).describe(),
        "database": {"version": about.version, "system_identifier": about.system_identifier},
        "encrypted": archive.stanza.cipher != "none",
    }


def look(params: Mapping[str, Any]) -> dict[str, Any]:
    if params["method"] == "physical":
        physical.refuse_logical(params, SPEC, frozenset(("method", "timeline", "bin_dir")))
        return physical_backups(params)
    physical.refuse_physical(params, SPEC, frozenset(("timeline", "bin_dir")))
    return logical_sets(params)


def main() -> None:
    module = MaskedModule(
        arguments.secret_values,
        argument_spec=SPEC,
        required_if=[("method", "logical", ("repository",))],
        supports_check_mode=True,
    )
    try:
        found = look(module.params)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
