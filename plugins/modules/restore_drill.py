#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Prove backup sets by restoring them, and measure RTO and RPO
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Restores sets into a scratch place, compares them as M(day2.ops.pg_restore) does, measures how long it took and how
    much would have been lost, and removes everything again.
  - The verdict goes into the set's C(state.json). The set whose proof is the oldest comes first, never proven ones
    before all others and the newest of them first.
  - The scratch cluster has a socket in its own directory and no network, archives nothing, preloads nothing and runs no
    subscription. User mappings of foreign servers, event triggers and publications are not restored.
  - A drill that fails fails the task. What it found is returned all the same.
extends_documentation_fragment:
  - day2.ops.postgres
  - day2.ops.repository
  - day2.ops.proof
  - day2.ops.physical
  - day2.ops.attributes
options:
  method:
    description:
      - V(logical) restores backup sets.
      - V(physical) recovers the end of pgBackRest's archive (or O(source), a time) into a scratch cluster, asks
        O(database) there, and notes the proof at the backup.
    type: str
    choices: [logical, physical]
    default: logical
  repository:
    description: Where the sets are - an absolute path, or C(s3://bucket/prefix). Required with O(method=logical).
    type: str
    required: false
  database:
    description: The database in the sets, or the one that is asked.
    type: str
    required: true
  copy_to:
    description:
      - The second location of the sets (M(day2.ops.pg_backup)). What is found of a set is noted there too, as
        far as it is true of the copy - a proof, and contents that are not what the manifest says, but not bytes that
        were lost in O(repository). A copy whose bytes nobody has compared is read for it.
      - One that does not answer is a warning.
    type: str
  source:
    description:
      - A certain set, as M(day2.ops.pg_restore) takes it, instead of those that need it most.
      - By its id a set that is marked as damaged is taken too. Where it restores whole, the mark is taken away, and
        C(history) of its C(state.json) tells both.
    type: str
  identity:
    description: The file of a secret key of age, for encrypted sets. This tests the key too.
    type: path
  place:
    description:
      - V(cluster) makes a cluster for the drill. Nothing of O(host) and the other options of the login is used.
      - V(database) makes a database in the cluster that these options name.
    type: str
    choices: [cluster, database]
    default: cluster
  settings:
    description: More settings of the scratch cluster, such as C(shared_preload_libraries) that an extension needs.
    type: dict
    default: {}
  newest_row:
    description:
      - One SELECT of the time of the newest committed row. RPO is counted from it. Without it from the time of the
        set's snapshot. Of O(method=physical) nobody knows it then, which is a warning where O(rpo) is set.
    type: str
  rto:
    description: How long a recovery may take. Longer is a failure.
    type: str
  rpo:
    description: How much may be lost. More is a failure.
    type: str
  sets:
    description: The number of sets, at most.
    type: int
    default: 1
  time_budget:
    description:
      - No set is begun that would end later, by what drills took before, or by the time in which the set was made.
        Where not even the first one would end in time, the drill is put off, which is a warning.
    type: str
    default: 1h
  disk_budget:
    description:
      - A set that needs more is not restored - the database with its indexes, the archive while it is unpacked, WAL,
        and the files of the cluster. The free space counts in any case.
    type: str
  jobs:
    description: How many processes load rows and build indexes. Without it as many as there are processors.
    type: int
  scratch:
    description: A directory for the cluster and what is unpacked. Without it C(TMPDIR), or C(/tmp).
    type: path
  bin_dir:
    description: Where PostgreSQL's programs are. Without it those of the set's version are found.
    type: path
  timeout:
    description: How long a single program may take.
    type: str
attributes:
  check_mode:
    description: Says which sets it would restore.
    support: full
  platform:
    description: Runs on a host with PostgreSQL's server programs; a host of its own keeps the load away from others.
    support: full
    platforms: posix
notes:
  - A server does not run as root. Run it as an unprivileged user, such as C(postgres).
seealso:
  - module: day2.ops.pg_backup
  - module: day2.ops.pg_restore
"""

EXAMPLES = r"""
- name: Prove the set that needs it most
  day2.ops.restore_drill:
    database: shop
    repository: /var/backups/shop
    newest_row: SELECT max(created_at) FROM orders
    rto: 30m
    rpo: 24h
    expect:
      - query: SELECT count(*) > 1000 FROM orders
        result: t
  become: true
  become_user: postgres
"""

RETURN = r"""
drills:
  description: Each drill.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: The set., type: str, sample: 20260131T020000Z}
    proven: {description: Whether it is proven now., type: bool, sample: true}
    rto: {description: Seconds from the start to a compared database., type: float, sample: 41.3}
    rpo: {description: 'Seconds of rows that would have been lost, or null.', type: float, sample: 25260.2}
    failure: {description: 'Why it is no proof, or null.', type: str}
    damaged: {description: Whether the set is to blame., type: bool, sample: false}
    compared: {description: 'What was compared, in words.', type: str, sample: '10500 rows of 12 tables, 31 indexes'}
steps:
  description: The drills as lines of a report (C(day2_step_results)).
  returned: always
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments as physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.drill import run as run_physical
from ansible_collections.day2.ops.plugins.module_utils.restore import arguments as restoring
from ansible_collections.day2.ops.plugins.module_utils.restore.drill import run


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **arguments.LOGIN,
            **arguments.REPOSITORY,
            **restoring.DRILL,
            **physical.STANZA,
            "repository": {"type": "str"},
        },
        required_if=[("method", "logical", ("repository",))],
        supports_check_mode=True,
    )
    params = module.params
    try:
        drill = restoring.drill(params)
        if params["method"] == "physical":
            outcome = run_physical(drill, params, module.check_mode)
        else:
            series = arguments.series(params, KIND)
            copy = arguments.repository(params, "copy_to") if params["copy_to"] else None
            outcome = run(drill, arguments.repository(params), series, module.check_mode, copy)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    for warning in outcome.pop("warnings", []):
        module.warn(warning)
    if any(each["status"] == "critical" for each in outcome["steps"]):
        module.fail_json(**outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
