#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup
short_description: Back up PostgreSQL databases into proven sets
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Dumps databases with roles and grants into one backup set. Each database is read in one snapshot, by as many
    streams as there are processors; streams go through zstd and age into the repository, and nothing is spooled.
  - A set exists from the moment its C(manifest.json) is written, which is last. A run that is killed leaves nothing
    that looks like a set, and the next run clears up.
  - Every program of a stream is checked, and so is what the repository gives back.
  - C(pg_dump) has to be as new as the server.
extends_documentation_fragment:
  - day2.ops.postgres
  - day2.ops.repository
  - day2.ops.making
options:
  databases:
    description: Names of databases, or V(all) for every one that allows connections and is no template.
    type: list
    elements: str
    required: true
  count_rows:
    description: Records the exact number of rows of each table, in the dump's own snapshot.
    type: bool
    default: true
  standby:
    description: Allows to read from a standby.
    type: bool
    default: false
  split_above:
    description: A table from this size on has a stream of its own.
    type: str
    default: 128MiB
  bin_dir:
    description: Where PostgreSQL's programs are. Without it those of the server's version are found.
    type: path
attributes:
  check_mode:
    description: Says what would be made and what would go, and why each set stays. Nothing is changed.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: Runs on the host that reads the database.
    support: full
    platforms: posix
notes:
  - Run it as a user that may read all tables (C(pg_read_all_data), PostgreSQL 14 and later) or as a superuser, whose
    sets have the roles' passwords too.
seealso:
  - module: day2.ops.pg_backup_info
"""

EXAMPLES = r"""
- name: Back up the database every night, keep a month of days and a year of months
  day2.ops.pg_backup:
    databases: [shop]
    repository: /var/backups/shop
    keep: {daily: 30, weekly: 12, monthly: 12}
    max_age: 20h
  become: true
  become_user: postgres

- name: Encrypt it, and have a copy in a bucket
  day2.ops.pg_backup:
    databases: [all]
    repository: /var/backups/shop
    copy_to: s3://shop-backups/postgresql
    copy_keep: {daily: 90}
    encrypt_to: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
  become: true
  become_user: postgres
"""

RETURN = r"""
set:
  description: The newest set of the series, null in check mode and when there is none.
  returned: always
  type: dict
  contains:
    id: {description: 'Its name, a UTC time.', type: str, sample: 20260131T020000Z}
    kind: {description: What it is of., type: str, sample: postgresql}
    series: {description: Its series., type: str, sample: postgresql}
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
    databases: {description: Names of its databases., type: list, elements: str, sample: [shop]}
    server: {description: The server it is from., type: dict}
    wal: {description: LSN and timeline., type: dict}
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
    broken: {description: 'Sets whose manifest cannot be read, with the reason.', type: dict}
"""

from functools import partial

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND, Options, dump, inspect
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed, Plan, run
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **arguments.LOGIN,
            **arguments.REPOSITORY,
            **arguments.MAKING,
            "databases": {"type": "list", "elements": "str", "required": True},
            "count_rows": {"type": "bool", "default": True},
            "standby": {"type": "bool", "default": False},
            "split_above": {"type": "str", "default": "128MiB"},
            "bin_dir": {"type": "path"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        options = Options(
            databases=params["databases"],
            jobs=arguments.jobs(params),
            level=arguments.level(params),
            recipients=arguments.recipients(params),
            count_rows=params["count_rows"],
            standby=params["standby"],
            split_bytes=arguments.size("split_above", params["split_above"]),
            bin_dir=params["bin_dir"],
            timeout=arguments.seconds(params, "timeout"),
        )
        login = arguments.login(params)
        repository = arguments.repository(params, "repository", options.jobs)
        copy = arguments.repository(params, "copy_to") if params["copy_to"] else None
        _server, _databases, programs = inspect(login, options)
        plan = Plan(
            kind=KIND,
            pg_restore=programs["pg_restore"],
            jobs=options.jobs,
            recipients=options.recipients,
            **arguments.plan(params, KIND),
        )
        outcome = run(plan, repository, copy, partial(dump, login, options), module.check_mode)
    except BackupFailed as exc:
        module.fail_json(msg=str(exc), **exc.outcome)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    for warning in outcome.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
