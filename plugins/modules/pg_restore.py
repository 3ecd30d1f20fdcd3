#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
short_description: Restore a PostgreSQL database without risk to the live one
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Restores a database from a backup set beside the live database, compares it with the set's manifest (digests, row
    counts of every table, indexes by C(amcheck)) and with the expected answers (O(expect)), and only then renames it to
    the name of the live database.
  - Both databases are renamed in one transaction. At every instant one of the two answers under the name, also when the
    run is killed; the next run removes what a killed run left behind.
  - The database that was replaced is kept under a dated name for O(keep_old). O(state=reverted) restores its name.
  - Owner, privileges, settings and connection limit of the live database are carried over and compared.
extends_documentation_fragment:
  - day2.ops.postgres
  - day2.ops.repository
  - day2.ops.proof
  - day2.ops.physical
  - day2.ops.physical.restore
  - day2.ops.attributes
options:
  method:
    description:
      - V(logical) restores a database from a backup set.
      - V(physical) restores a whole cluster from pgBackRest's repository, to a point in time (O(recover_to)).
    type: str
    choices: [logical, physical]
    default: logical
  database:
    description: Name of the database in the backup set. Required with O(method=logical).
    type: str
    required: false
  target:
    description: Name of the restored database on the server. Without it the name in O(database) is used.
    type: str
  source:
    description:
      - Which backup set to restore - V(latest), the id of a set, or a time such as V(2026-01-31 02:00), which selects
        the newest set made at or before that time.
      - Sets that are marked as damaged are never selected.
    type: str
    default: latest
  run_id:
    description: Only backup sets with this run id are considered, such as those of one run of playbook C(backup).
    type: str
  mode:
    description:
      - Whether a database is created or replaced. V(new) creates a database, whose name must not exist yet.
      - V(replace) replaces an existing database.
      - V(either) is V(replace) if the database exists, and V(new) otherwise.
    type: str
    choices: [new, replace, either]
    default: new
  state:
    description:
      - V(present) restores, in every run.
      - V(reverted) makes the database that was replaced the live one again. It is refused if rows were written since
        the restore, unless O(force=true). Running it a second time changes nothing.
      - With O(method=physical), V(reverted) puts the old data directory back after a restore in place that was killed.
    type: str
    choices: [present, reverted]
    default: present
  force:
    description:
      - With O(state=reverted), reverts although rows were written since the restore. They stay in the database that is
        set aside.
      - With O(method=physical), allows a running server to be stopped.
    type: bool
    default: false
  identity:
    description: Path of a file with a secret key of age, for an encrypted backup set.
    type: path
  allow:
    description:
      - Safety checks of the restore that are skipped. Each of these situations is refused unless it is listed here.
      - V(other_cluster) - the backup set was made from another cluster than this server.
      - V(slots) and V(subscriptions) - the live database has logical replication slots or subscriptions.
      - V(create_roles) - roles are missing on this server. They are created with the attributes, passwords, settings,
        comments, security labels and memberships that they had in the catalogue of the source. This includes
        C(SUPERUSER) and the like where the source had them; the plan of check mode (RV(steps)) lists them.
      - V(gained_rights) - a membership of a role that V(create_roles) creates would give rights that the set does not
        give. A role of this server has the name of a group of the source, and C(SUPERUSER), C(CREATEROLE),
        C(REPLICATION), C(BYPASSRLS) or a predefined role such as C(pg_write_server_files) that the group did not have.
        Or a role of another cluster would become a member of a created role that has these.
      - V(extensions) - an extension that a dump of one database does not restore alone (C(timescaledb), C(citus)),
        whose library seems to have to be preloaded, or whose script seems to refuse a database of another name. Use it
        if you know that the extension can be created; otherwise the restore fails before it replaces anything.
        Extensions that are not installed, or only partly, are refused nevertheless.
    type: list
    elements: str
    choices: [other_cluster, slots, subscriptions, create_roles, gained_rights, extensions]
    default: []
  keep_old:
    description: How long a replaced database is kept. Later runs for the same O(target) drop it after that time.
    type: str
    default: 7d
  swap_timeout:
    description: Maximum time to wait for sessions to end when the databases are renamed.
    type: str
    default: 30s
  jobs:
    description: Number of processes that load rows and build indexes. Without it the number of processors.
    type: int
  scratch:
    description:
      - Directory in which the archive is unpacked during the restore. This takes at most the archive's uncompressed
        size. Without it C(TMPDIR) of the environment, or C(/tmp).
    type: path
  bin_dir:
    description: Directory of PostgreSQL's programs. Without it programs of the version of the server are searched for.
    type: path
  timeout:
    description: Maximum run time of each program that the module runs, such as C(pg_restore). Without it there is none.
    type: str
attributes:
  check_mode:
    description:
      - Reports the steps, the disk space needed, and the reasons for which the restore would be refused. Nothing is
        changed.
      - It compares the digests of the database's files in the backup set up to 1 GiB in total, their sizes beyond that,
        and decrypts an encrypted set with O(identity).
    support: full
  platform:
    description: Runs on the host of the database server.
    support: full
    platforms: posix
notes:
  - The login needs to be a superuser of the server. C(pg_restore) must not be older than the server.
  - The unpacked archive is a file without a name, which the kernel removes when the module's process ends.
seealso:
  - module: day2.ops.pg_backup
  - module: day2.ops.pg_backup_info
"""

EXAMPLES = r"""
- name: Look at last night's data without touching the live database
  day2.ops.pg_restore:
    database: shop
    target: shop_last_night
    repository: /var/backups/shop
  become: true
  become_user: postgres

- name: Restore the live database from last night's backup; the present one is kept for a week
  day2.ops.pg_restore:
    database: shop
    mode: replace
    repository: /var/backups/shop
    expect:
      - query: SELECT count(*) > 1000 FROM orders
        result: t
  become: true
  become_user: postgres

- name: Revert that restore
  day2.ops.pg_restore:
    database: shop
    state: reverted
    repository: /var/backups/shop
  become: true
  become_user: postgres

- name: Look at the cluster as it was before a mistake, beside the live one
  day2.ops.pg_restore:
    method: physical
    recover_to: {time: "2026-01-31T14:29:00Z"}
    scratch_cluster: /var/lib/postgresql/scratch
  become: true
  become_user: postgres

- name: Restore the whole cluster in place to that time; run the task again if it was killed
  day2.ops.pg_restore:
    method: physical
    recover_to: {time: "2026-01-31T14:29:00Z"}
    force: true
  become: true
"""

RETURN = r"""
set:
  description: The backup set that was restored (RV(day2.ops.pg_backup#module:set)).
  returned: when something was or would be restored
  type: dict
plan:
  description:
    - Whether O(recover_to) can be reached, from which backup, and how long earlier restores took.
  returned: with O(method=physical)
  type: dict
recovered:
  description: Where the recovery ended - LSN, time, timeline.
  returned: with O(method=physical), when something was restored
  type: dict
kept:
  description: Path of the old data directory that was kept, or null.
  returned: with O(method=physical), when something was restored
  type: str
archives:
  description: Whether the restored cluster archives its WAL as it is configured (O(archiving)).
  returned: with O(method=physical), when something was restored in place
  type: bool
unarchived:
  description:
    - Transactions that were only in the WAL of the replaced cluster - their number, the times of the first and the
      last, the segments and their directory - or null. In check mode RV(plan) has this value as of now.
  returned: with O(method=physical), when something was restored in place
  type: dict
resumed:
  description: Whether an interrupted restore was completed.
  returned: with O(method=physical), when it was
  type: bool
scratch:
  description: The scratch cluster - directory, port, socket.
  returned: with O(scratch_cluster)
  type: dict
restore_seconds:
  description: Seconds that pgBackRest took to restore the files.
  returned: with O(method=physical), when something was restored
  type: float
recovery_seconds:
  description: Seconds that the recovery took to reach the target.
  returned: with O(method=physical), when something was restored
  type: float
seconds:
  description: Seconds that the whole restore took.
  returned: with O(method=physical), when something was restored
  type: float
steps:
  description: Steps of the restore, in order; in check mode those that it would take.
  returned: when something was or would be restored
  type: list
  elements: str
  sample: [restore shop of 20260131T020000Z into shop_restoring]
needs:
  description: Bytes that the restore needs, and bytes that are free (null if that cannot be determined on this host).
  returned: when something was or would be restored
  type: dict
  sample: {database: 1610612736, scratch: 104857600, free: 53687091200, scratch_free: 53687091200}
  contains:
    database: {description: Bytes of the restored database., type: int}
    scratch: {description: Bytes of the archive while it is unpacked., type: int}
    free: {description: Bytes that are free in the file system of the server's data., type: int}
    scratch_free: {description: Bytes that are free in the scratch directory., type: int}
    places:
      description: Bytes needed and free for data, each tablespace, WAL and the scratch directory.
      type: dict
step:
  description: The restore, or its revert, as a line of a report (C(day2_step_results)).
  returned: when something was restored, and with O(state=reverted) outside of check mode
  type: dict
phases:
  description: Seconds that each phase of the restore took.
  returned: when something was restored
  type: dict
  sample: {prepare: 0.1, load: 12.5, analyse: 1.2, verify: 2.3, settle: 0.6, properties: 0.1, swap: 0.1}
unavailable:
  description: Seconds from the first session that was terminated to the commit of the new names.
  returned: when names were exchanged
  type: float
  sample: 0.061
old:
  description: Present name of the database that was replaced, or null.
  returned: success
  type: str
  sample: shop_old_20260131T093000Z
dropped:
  description: Databases that were dropped because they had been kept for longer than O(keep_old).
  returned: when something was restored
  type: list
  elements: str
cleared:
  description: Databases of interrupted runs that were dropped.
  returned: success
  type: list
  elements: str
roles_made:
  description: Roles that were missing and have been created.
  returned: when something was restored
  type: list
  elements: str
verified:
  description: Summary of what was compared.
  returned: when something was restored
  type: str
  sample: 10500 rows of 12 tables, 31 indexes
lost:
  description: Summary of the rows that a revert leaves behind in the database that is set aside, or null.
  returned: with O(state=reverted)
  type: str
"""

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments as physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.restore import PHYSICAL, RESTORE, run_physical
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule
from ansible_collections.day2.ops.plugins.module_utils.restore import arguments as restoring
from ansible_collections.day2.ops.plugins.module_utils.restore.swap import Uncertain

SPEC: dict[str, dict[str, Any]] = {
    **arguments.LOGIN,
    **arguments.REPOSITORY,
    **restoring.RESTORE,
    **physical.STANZA,
    **RESTORE,
    "database": {"type": "str"},
    "method": {"type": "str", "default": "logical", "choices": ["logical", "physical"]},
}


def main() -> None:
    module = MaskedModule(
        arguments.secret_values,
        argument_spec=SPEC,
        required_if=[("method", "logical", ("database", "repository"))],
        supports_check_mode=True,
    )
    try:
        outcome = _run(module.params, module.check_mode)
    except Uncertain as exc:
        module.fail_json(msg=str(exc), uncertain=True)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    for warning in outcome.pop("warnings", []):
        module.warn(warning)
    module.exit_json(**outcome)


def _run(params: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    if params["method"] == "physical":
        physical.refuse_logical(params, SPEC, PHYSICAL)
        return run_physical(params, check_mode)
    physical.refuse_physical(params, SPEC, frozenset(RESTORE))
    if params["state"] == "reverted":
        return restoring.run_revert(params, check_mode)
    return restoring.run(params, check_mode)


if __name__ == "__main__":
    main()
