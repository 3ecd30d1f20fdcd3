#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup
short_description: Back up PostgreSQL databases into proven sets
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Dumps databases with roles and grants into one backup set. Each database is read in one snapshot, by as many
    streams as there are processors; streams go through zstd and age into the repository, and nothing is spooled.
  - A set exists from the moment its C(manifest.json) is written, which is last. A run that is killed leaves nothing
    that looks like a set, and the next run clears up.
  - Every program of a stream is checked, and so is what the repository gives back.
  - C(pg_dump) has to be as new as the server.
  - With O(method=physical) pgBackRest backs up the whole cluster as its configuration file describes it (role
    P(day2.ops.postgres_pitr#role)), full, differential or incremental. Then the archiving of WAL is checked, the
    repository is read back, and only then what O(keep) lets go of goes. Options of logical sets are refused with it.
extends_documentation_fragment:
  - day2.ops.postgres
  - day2.ops.repository
  - day2.ops.making
  - day2.ops.physical
  - day2.ops.attributes
options:
  method:
    description: A logical set of dumps, or a physical backup by pgBackRest.
    type: str
    choices: [logical, physical]
    default: logical
  type:
    description:
      - What a physical backup refers to. V(auto) is incremental where there is a full one and full otherwise.
      - A backup counts for O(max_age) when it is at least of this type - an incremental one does not make up for a
        V(full) one that is due.
    type: str
    choices: [auto, full, differential, incremental]
    default: auto
  databases:
    description:
      - Names of databases, or V(all) for every one that allows connections and is no template.
      - Required with O(method=logical).
    type: list
    elements: str
  keep:
    description:
      - Which sets stay. C(last) n sets, those younger than C(age), the newest of each of n C(hourly), C(daily),
        C(weekly), C(monthly) or C(yearly) periods, in UTC. Rules add up. Without any rule everything stays.
      - The newest set and the newest C(min_verified) verified sets (2) stay whatever the rules say. Nothing goes while
        there are fewer of them, in a run whose backup failed, or when the clock was set back.
      - Of physical backups, C(full) n full ones or what is needed to reach back C(age), C(differential) n, and the WAL
        of the newest C(archive) n of C(archive_type) (C(full), C(differential), C(incremental)). Without a rule
        pgBackRest's configuration decides. Nothing goes in a run whose backup, check or verification failed.
    type: dict
  verify:
    description:
      - V(read) reads the set back from the repository, compares digests, decrypts, decompresses and parses all of it.
        A set that fails is marked as damaged, and nothing is pruned.
      - With O(method=physical) the whole repository is read by C(pgbackrest verify), whose findings fail the run.
    type: str
    choices: [none, read]
    default: read
  count_rows:
    description: Whether the exact number of rows of each table is recorded, counted in the snapshot of the dump.
    type: bool
    default: true
  standby:
    description:
      - Whether the server may be a standby. Without it a standby is refused.
      - A standby cancels a dump that is in the way of replaying WAL, which then begins anew like one that has to give
        way (O(lock_timeout)).
    type: bool
    default: false
  split_above:
    description: The size of a table from which on it is dumped into a file of its own, beside the others.
    type: str
    default: 128MiB
  lock_timeout:
    description:
      - How long the backup waits for a lock on the tables that it reads, and how long anybody else may wait for a lock
        that the backup holds, such as V(5m). All tables of a database are locked (C(ACCESS SHARE)) before anything of
        it is read, those of one database after the other.
      - When the tables cannot be locked in that time, the run fails and names who holds one. When somebody has waited
        so long for the backup (C(ALTER TABLE), C(TRUNCATE), C(DROP), C(VACUUM FULL), C(REINDEX)), and everybody else
        behind them, the dump of the database gives way and begins anew. The third time it fails. See docs/backup.md.
    type: str
    default: 30s
  bin_dir:
    description: Directory of PostgreSQL's programs. Without it those of the server's version are looked for.
    type: path
attributes:
  check_mode:
    description: Says what would be made and what would go, and why each set stays. Nothing is changed.
    support: full
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
# The user of the task makes the directory of the sets. This one lies in the home directory of Debian's user postgres;
# Red Hat's is /var/lib/pgsql.
- name: Back up all databases every night, keep a month of days and a year of months
  day2.ops.pg_backup:
    databases: [all]
    repository: /var/lib/postgresql/backups
    keep: {daily: 30, weekly: 12, monthly: 12}
    max_age: 20h
  become: true
  become_user: postgres

# Where that user cannot make the directory, it has to be there.
- name: Make a directory for the sets
  ansible.builtin.file:
    path: /var/backups/shop
    state: directory
    owner: postgres
    mode: "0700"
  become: true

- name: Back up one database, encrypted, with a copy in a bucket
  day2.ops.pg_backup:
    databases: [shop]
    repository: /var/backups/shop
    copy_to: s3://shop-backups/postgresql
    copy_keep: {daily: 90}
    encrypt_to: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p]
  become: true
  become_user: postgres

- name: A full physical backup every Sunday, kept for four weeks
  day2.ops.pg_backup:
    method: physical
    stanza: main
    type: full
    max_age: 6d
    keep: {full: 4}
  become: true
  become_user: postgres

- name: An incremental one every hour; the repository was read by the full one
  day2.ops.pg_backup:
    method: physical
    stanza: main
    type: auto
    max_age: 50m
    verify: none
  become: true
  become_user: postgres
"""

RETURN = r"""
set:
  description: The set that was made, or the newest good one where none was due; null in check mode.
  returned: with O(method=logical)
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
  description: Stored bytes a second; of a physical backup the bytes that were copied from the cluster.
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
  returned: with O(method=logical)
  type: list
  elements: str
  sample: []
locations:
  description: Each repository with what was pruned and what stays.
  returned: with O(method=logical)
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
backup:
  description: The newest good physical backup, of this run when one was made; null when there is none.
  returned: with O(method=physical)
  type: dict
  contains:
    label: {description: Its name., type: str, sample: 20260131-020000F}
    type: {description: 'V(full), V(differential) or V(incremental).', type: str, sample: full}
    started: {description: 'When it began, RFC 3339 in UTC.', type: str, sample: '2026-01-31T02:00:00.000Z'}
    stopped: {description: 'When it ended, from when on it can be recovered.', type: str}
    duration: {description: Seconds that it took., type: float, sample: 41.0}
    start_lsn: {description: Where in the WAL it began., type: str, sample: 0/2000028}
    stop_lsn: {description: Where in the WAL it ended., type: str, sample: 0/3000050}
    start_wal: {description: The first segment that it needs., type: str, sample: '000000010000000000000002'}
    stop_wal: {description: The last segment that it needs., type: str, sample: '000000010000000000000003'}
    size: {description: Bytes of the cluster., type: int, sample: 33573826}
    delta: {description: Bytes that were copied from it., type: int, sample: 33573826}
    stored: {description: Bytes that it added to the repository., type: int, sample: 4331328}
    prior: {description: 'The backup that it builds on, or null.', type: str, sample: null}
    references: {description: All backups that it needs., type: list, elements: str, sample: []}
    error: {description: Whether there were pages with a wrong checksum., type: bool, sample: false}
    run_id: {description: 'The run it belongs to, or null.', type: str, sample: null}
verified:
  description: How many files of backups and segments of WAL were read, and what was found.
  returned: when the repository was read
  type: dict
  sample: {files: 1276, wal: 8, faults: []}
expired:
  description: Labels of backups and runs of WAL that went (in check mode would go), and why nothing may go, or null.
  returned: with O(method=physical)
  type: dict
  sample: {backups: [20260103-020000F], wal: [], held: null}
kept:
  description: Labels of the backups that stay, with the reasons.
  returned: with O(method=physical)
  type: list
  elements: dict
  sample: [{label: 20260131-020000F, because: [the newest full]}]
"""

from functools import partial
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND, Options, contents, dump, inspect
from ansible_collections.day2.ops.plugins.module_utils.backup.run import BackupFailed, Plan, run
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments as physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.backup import TYPES, run_physical
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule

SPEC = {
    **arguments.LOGIN,
    **arguments.REPOSITORY,
    **arguments.MAKING,
    **physical.STANZA,
    "method": {"type": "str", "default": "logical", "choices": ["logical", "physical"]},
    "type": {"type": "str", "default": "auto", "choices": list(TYPES)},
    "databases": {"type": "list", "elements": "str"},
    "count_rows": {"type": "bool", "default": True},
    "standby": {"type": "bool", "default": False},
    "split_above": {"type": "str", "default": "128MiB"},
    "lock_timeout": {"type": "str", "default": "30s"},
    "bin_dir": {"type": "path"},
}
BOTH = frozenset(("method", "type", "keep", "max_age", "verify", "lock_wait", "jobs", "timeout", "run_id"))


def run_logical(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
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
        lock_timeout=arguments.lock_timeout(params),
    )
    login = arguments.login(params)
    repository = arguments.repository(params, "repository", options.jobs)
    copy = arguments.repository(params, "copy_to") if params["copy_to"] else None
    server, databases, programs = inspect(login, options)
    plan = Plan(
        kind=KIND,
        pg_restore=programs["pg_restore"],
        jobs=options.jobs,
        recipients=options.recipients,
        contents=contents(options, databases),
        origin=server.system_identifier,
        **arguments.plan(params, KIND),
    )
    return run(plan, repository, copy, partial(dump, login, options), check_mode)


def make(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    if params["method"] == "physical":
        physical.refuse_logical(params, SPEC, BOTH)
        return run_physical(params, check_mode)
    physical.refuse_physical(params, SPEC, frozenset(["type"]))
    return run_logical(params, check_mode)


def main() -> None:
    module = MaskedModule(
        arguments.secret_values,
        argument_spec=SPEC,
        required_if=[("method", "logical", ("databases", "repository"))],
        supports_check_mode=True,
    )
    try:
        outcome = make(module.params, module.check_mode)
    except BackupFailed as exc:
        module.fail_json(msg=str(exc), **exc.outcome)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    for warning in outcome.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
