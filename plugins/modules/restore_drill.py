#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_drill
short_description: Prove backup sets by restoring them, and measure RTO and RPO
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Restores backup sets into a scratch cluster or database, compares them as M(day2.ops.pg_restore) does, measures how
    long the restore took and how much data would have been lost, and removes everything again.
  - The result is recorded in the set's C(state.json). Sets that were never proven are drilled first, the newest of them
    before the others; then the set whose proof is the oldest.
  - A drill restores by the same functions as M(day2.ops.pg_restore). The scratch cluster has a socket in its own
    directory and no network, archives nothing, preloads nothing (except by O(settings)) and runs no subscriptions.
  - What a drill leaves out on purpose is returned in RV(drills[].not_proven) - user mappings of foreign servers,
    materialized views that read a foreign server, free space of tablespaces, security labels of roles.
  - The task fails if a drill fails. Its results are returned all the same.
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
      - V(physical) recovers to the end of pgBackRest's archive (or to the time in O(source)) in a scratch cluster, runs
        the checks in O(database) there, and records the proof as an annotation of the backup.
    type: str
    choices: [logical, physical]
    default: logical
  database:
    description:
      - Name of the database in the backup sets. With O(method=physical) the database in which the checks are run.
    type: str
    required: true
  copy_to:
    description:
      - The second location of the backup sets (O(day2.ops.pg_backup#module:copy_to)). The result of a drill is recorded
        there too, as far as it holds for the copy - a proof, and contents that differ from the manifest, but not bytes
        that were lost in O(repository). A copy whose bytes have not been compared yet is read for this.
      - A second location that cannot be reached is a warning.
    type: raw
  source:
    description:
      - Which backup set to drill (see O(day2.ops.pg_restore#module:source)), instead of the sets that are due. With
        O(method=physical) a time to recover to.
      - The id of a set selects it even if it is marked as damaged. If it restores completely, the mark is removed, and
        C(history) in its C(state.json) records both.
    type: str
  identity:
    description: Path of a file with a secret key of age, for encrypted backup sets. The drill tests this key too.
    type: path
  place:
    description:
      - Where backup sets are restored. V(cluster) creates a scratch cluster for the drill; O(host) and the other
        options of the login are not used.
      - V(database) creates a scratch database in the cluster that the options of the login select.
    type: str
    choices: [cluster, database]
    default: cluster
  settings:
    description:
      - Additional server settings of the scratch cluster, such as C(shared_preload_libraries) that an extension needs.
    type: dict
    default: {}
  allow:
    description:
      - Safety checks that are skipped, as in O(day2.ops.pg_restore#module:allow).
      - V(extensions) - an extension that seems not to be restored by a dump of one database, or not in a database of
        another name. The drill then tries it.
    type: list
    elements: str
    choices: [extensions]
    default: []
  newest_row:
    description:
      - A SELECT statement that returns the time of the newest committed row. The RPO is measured from that time.
        Without this option it is measured from the time of the set's snapshot. With O(method=physical) it is then
        unknown, which is a warning if O(rpo) is set.
    type: str
  rto:
    description:
      - Recovery time objective - the maximum time from the start of the drill until the database is restored and
        compared, such as V(30m). The drill fails if it takes longer.
    type: str
  rpo:
    description:
      - Recovery point objective - the maximum time span whose rows may be lost, such as V(24h). The drill fails if more
        would have been lost.
    type: str
  sets:
    description: Maximum number of backup sets that one run drills.
    type: int
    default: 1
  time_budget:
    description:
      - Maximum time of a run. A backup set is not started if its drill is expected to end later, judged by earlier
        drills, or by how long the set took to make. If not even the first drill would end in time, it is postponed,
        which is a warning.
    type: str
    default: 1h
  disk_budget:
    description:
      - Maximum disk space of a drill, such as V(50GiB). A backup set that needs more is not restored. The database with
        its indexes, the unpacked archive, WAL, and the files of the scratch cluster are counted. Independent of this
        option a set is not restored if there is too little free space.
    type: str
  jobs:
    description: Number of processes that load rows and build indexes. Without it the number of processors.
    type: int
  scratch:
    description:
      - Directory for the scratch cluster and the unpacked archive. Without it C(TMPDIR) of the environment, or C(/tmp).
    type: path
  bin_dir:
    description:
      - Directory of PostgreSQL's programs. Without it programs of the version of the backup set are searched for.
    type: path
  timeout:
    description: Maximum run time of each program that the module runs, such as C(pg_restore). Without it there is none.
    type: str
attributes:
  check_mode:
    description: Reports which backup sets would be restored. Nothing is changed.
    support: full
  platform:
    description: Runs on a host with PostgreSQL's server programs. A separate host keeps the load away from production.
    support: full
    platforms: posix
notes:
  - PostgreSQL refuses to run as root. Run the module as an unprivileged user, such as C(postgres).
seealso:
  - module: day2.ops.pg_backup
  - module: day2.ops.pg_restore
"""

EXAMPLES = r"""
- name: Prove the backup set whose drill is due first
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
  description: The drills of this run, one entry for each backup set.
  returned: always
  type: list
  elements: dict
  contains:
    id: {description: Id of the backup set., type: str, sample: 20260131T020000Z}
    proven: {description: Whether the backup set is proven now., type: bool, sample: true}
    rto: {description: Seconds from the start of the drill to a compared database., type: float, sample: 41.3}
    rpo: {description: 'Seconds of rows that would have been lost, or null.', type: float, sample: 25260.2}
    failure: {description: 'Why the drill is no proof, or null.', type: str}
    damaged: {description: Whether the backup set itself is damaged., type: bool, sample: false}
    compared: {description: 'Summary of what was compared.', type: str, sample: '10500 rows of 12 tables, 31 indexes'}
    not_proven:
      description: What a restore does and the drill left out.
      type: list
      elements: str
      sample: [1 user mapping of foreign servers (credentials are left out)]
steps:
  description: The drills as lines of a report (C(day2_step_results)).
  returned: always
  type: list
  elements: dict
"""

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import KIND
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments as physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.drill import run as run_physical
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule
from ansible_collections.day2.ops.plugins.module_utils.restore import arguments as restoring
from ansible_collections.day2.ops.plugins.module_utils.restore.drill import run


def main() -> None:
    module = MaskedModule(
        arguments.secret_values,
        argument_spec={
            **arguments.LOGIN,
            **arguments.REPOSITORY,
            **restoring.DRILL,
            **physical.STANZA,
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
    if any(step["status"] == "critical" for step in outcome["steps"]):
        module.fail_json(**outcome)
    module.exit_json(**outcome)


if __name__ == "__main__":
    main()
