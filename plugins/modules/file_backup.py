#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_backup
short_description: Back up directories into proven sets
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Packs configuration, applications or logs into one backup set, of the same kind and with the same options as
    M(day2.ops.pg_backup) - streamed through zstd and age, published by its manifest, read back, kept by a policy.
  - A file that changes while it is read is packed as it was when tar came to it.
extends_documentation_fragment:
  - day2.ops.repository
  - day2.ops.making
  - day2.ops.attributes
options:
  repository:
    description:
      - Where the backup sets are - an absolute path, an address, or a mapping
        (O(day2.ops.pg_backup#module:repository)).
    type: raw
    required: true
  paths:
    description: Absolute paths of the directories and files that are backed up.
    type: list
    elements: path
    required: true
  exclude:
    description: Shell patterns of files and directories that are left out, as C(tar --exclude) takes them.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Says what would be made and what would go, and why each set stays. Nothing is changed.
    support: full
  platform:
    description: Runs on the host that has the files.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.pg_backup
"""

EXAMPLES = r"""
- name: Back up the configuration of this host
  day2.ops.file_backup:
    paths: [/etc]
    exclude: ["*.swp"]
    repository: /var/backups/files
    series: configuration
    keep: {daily: 30}
  become: true
"""

RETURN = r"""
set:
  description: The set that was made, or the newest good one where none was due; null in check mode.
  returned: always
  type: dict
  contains:
    id: {description: 'Its name, a UTC time.', type: str, sample: 20260131T020000Z}
    kind: {description: What it is of., type: str, sample: files}
    series: {description: Its series., type: str, sample: files}
    time: {description: 'When its snapshot was taken, RFC 3339 in UTC.', type: str, sample: '2026-01-31T02:00:00.120Z'}
    duration: {description: Seconds that it took., type: float, sample: 41.2}
    size: {description: Bytes of its files as they are stored., type: int, sample: 104857600}
    files: {description: How many files it has., type: int, sample: 4}
    encrypted: {description: Whether it is encrypted., type: bool, sample: true}
    verified: {description: 'V(none), V(digest) or V(read).', type: str, sample: read}
    verified_at: {description: 'When, or null.', type: str, sample: '2026-01-31T02:01:00.000Z'}
    proven_at: {description: 'When a restore of it was proven, or null.', type: str, sample: null}
    damaged: {description: 'What is wrong with it, or null.', type: str, sample: null}
    run_id: {description: 'The run it belongs to, or null.', type: str, sample: null}
    locations: {description: Where it is., type: list, elements: str, sample: [/var/backups/shop]}
    paths: {description: Each path with the file of the set that holds it., type: list, elements: dict}
step:
  description: The run as a line of a report (C(day2_step_results), docs/backup.md).
  returned: success
  type: dict
made:
  description: Whether a set was made.
  returned: always
  type: bool
  sample: true
throughput:
  description: Stored bytes a second.
  returned: when a set was made
  type: int
  sample: 52428800
seconds:
  description: What the set took, without its verification.
  returned: when a set was made
  type: float
  sample: 41.2
verify_seconds:
  description: What its verification took.
  returned: when it was verified
  type: float
  sample: 9.8
copied:
  description: Ids of the sets that were copied to O(copy_to).
  returned: when there were some
  type: list
  elements: str
  sample: [20260131T020000Z]
cleared:
  description: Ids of what unfinished runs had left.
  returned: always
  type: list
  elements: str
  sample: []
locations:
  description: Each repository with what was pruned and what stays.
  returned: always
  type: list
  elements: dict
  contains:
    repository: {description: Its address., type: str, sample: /var/backups/shop}
    pruned: {description: 'Ids that went, oldest first. In check mode those that would go.', type: list, elements: str}
    kept: {description: Ids with the reasons why they stay., type: list, elements: dict}
    held: {description: 'Why nothing may go at all, or null.', type: str}
    locked: {description: 'Sets that may not be removed yet, with the reason.', type: dict}
    damaged: {description: 'Sets that are damaged or lack files, with the reason.', type: dict}
    broken: {description: 'Sets whose manifest cannot be read, with the reason.', type: dict}
"""

from functools import partial

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed, Plan, run
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import (
    KIND,
    Options,
    check,
    contents,
    host,
    pack,
)
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule


def main() -> None:
    module = MaskedModule(
        arguments.secret_values,
        argument_spec={
            **arguments.REPOSITORY,
            "repository": {**arguments.PLACE, "required": True},
            **arguments.MAKING,
            "paths": {"type": "list", "elements": "path", "required": True},
            "exclude": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        options = Options(
            paths=params["paths"],
            exclude=params["exclude"],
            level=arguments.level(params),
            recipients=arguments.recipients(params),
            timeout=arguments.seconds(params, "timeout"),
        )
        check(options)
        repository = arguments.repository(params)
        copy = arguments.repository(params, "copy_to") if params["copy_to"] else None
        common = arguments.plan(params, KIND)
        plan = Plan(
            kind=KIND,
            jobs=arguments.jobs(params),
            recipients=options.recipients,
            contents=contents(options),
            origin=host(),
            **common,
        )
        outcome = run(plan, repository, copy, partial(pack, options), module.check_mode)
    except BackupFailed as exc:
        module.fail_json(msg=str(exc), **exc.outcome)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    for warning in outcome.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
