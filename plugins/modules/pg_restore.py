#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_restore
short_description: Restore a PostgreSQL database without risking the one there is
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Restores a database of a backup set beside the live one, compares it with the set's manifest (digests, rows of
    every table, indexes by C(amcheck)) and with what the site expects, and only then gives it the live one's name.
  - The exchange of the names is one transaction. At every instant one of the two databases answers under the name, also
    when the run is killed; the next run clears what it left.
  - The database that was replaced is kept under a dated name for O(keep_old). O(state=reverted) gives it its name back.
  - The owner, rights, settings and connection limit of the live database are carried over and compared.
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
      - V(logical) restores a database of a backup set.
      - V(physical) restores a cluster from pgBackRest's repository, to a point in time (O(recover_to)).
    type: str
    choices: [logical, physical]
    default: logical
  repository:
    description: Where the sets are - an absolute path, or C(s3://bucket/prefix). Required with O(method=logical).
    type: str
    required: false
  database:
    description: The database in the set. Required with O(method=logical).
    type: str
    required: false
  target:
    description: The name that it will have. Without it that of O(database).
    type: str
  source:
    description:
      - V(latest), the id of a set, or a time such as V(2026-01-31 02:00), which is the newest set taken at or before
        it.
      - Damaged sets are never taken.
    type: str
    default: latest
  run_id:
    description: Only a set of this run, such as one of playbook C(backup).
    type: str
  mode:
    description:
      - V(new) makes a database of a name that is free.
      - V(replace) takes the place of a database that is there.
      - V(either) is V(replace) where there is one, and V(new) where it is gone.
    type: str
    choices: [new, replace, either]
    default: new
  state:
    description:
      - V(present) restores. It does so in each run.
      - V(reverted) gives the database that was replaced its name back. It is refused when rows were written since,
        unless O(force=true). A second time it changes nothing.
      - With O(method=physical) V(reverted) puts the old data directory back after a restore in place that was killed.
    type: str
    choices: [present, reverted]
    default: present
  force:
    description:
      - Goes back though rows were written since. They stay in the database that is put aside.
      - With O(method=physical) a server that is running may be stopped.
    type: bool
    default: false
  identity:
    description: The file of a secret key of age, for an encrypted set.
    type: path
  allow:
    description:
      - What is refused otherwise.
      - V(other_cluster) replaces a database with one of another cluster.
      - V(slots) and V(subscriptions) replace a database that logical replication uses.
      - V(create_roles) makes roles that are missing, as the set has them.
    type: list
    elements: str
    choices: [other_cluster, slots, subscriptions, create_roles]
    default: []
  keep_old:
    description: How long a replaced database is kept. Later runs for the same O(target) drop it.
    type: str
    default: 7d
  swap_timeout:
    description: How long sessions may hold up the exchange of the names.
    type: str
    default: 30s
  jobs:
    description: How many processes load rows and build indexes. Without it as many as there are processors.
    type: int
  scratch:
    description:
      - A directory for the archive while it is unpacked, which takes at most its uncompressed size. Without it
        C(TMPDIR), or C(/tmp).
    type: path
  bin_dir:
    description: Where PostgreSQL's programs are. Without it those of the server's version are found.
    type: path
  timeout:
    description: How long a single program may take.
    type: str
attributes:
  check_mode:
    description:
      - Says what would be done, what it needs and what speaks against it. Nothing is changed.
      - It compares the digests of what the set has of the database up to 1 GiB, the sizes of more, and opens an
        encrypted set with O(identity).
    support: full
  platform:
    description: Runs on the host of the database server.
    support: full
    platforms: posix
notes:
  - Run it as a superuser of the server. C(pg_restore) has to be as new as the server.
  - What is on disk unpacked meanwhile has no name and is gone with the module's process.
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

- name: Put the live database back to last night; the present one is kept for a week
  day2.ops.pg_restore:
    database: shop
    mode: replace
    repository: /var/backups/shop
    expect:
      - query: SELECT count(*) > 1000 FROM orders
        result: t
  become: true
  become_user: postgres

- name: That was a mistake
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

- name: Put the whole cluster back to that time; run it again if it was killed
  day2.ops.pg_restore:
    method: physical
    recover_to: {time: "2026-01-31T14:29:00Z"}
    force: true
  become: true
"""

RETURN = r"""
set:
  description: The set that was restored (RV(day2.ops.pg_backup#module:set)).
  returned: when something was or would be restored
  type: dict
plan:
  description: Whether the target can be reached, from which backup, and how long it took before.
  returned: with O(method=physical)
  type: dict
recovered:
  description: Where the recovery ended - LSN, time, timeline.
  returned: with O(method=physical), when something was restored
  type: dict
kept:
  description: Where the data directory of before is, or null.
  returned: with O(method=physical), when something was restored
  type: str
archives:
  description: Whether the restored cluster archives its WAL as it is configured (O(archiving)).
  returned: with O(method=physical), when something was restored in place
  type: bool
unarchived:
  description:
    - Transactions that were in the WAL of the replaced cluster only - how many, from when to when, in which segments of
      which directory - or null. In check mode RV(plan) has it, as of now.
  returned: with O(method=physical), when something was restored in place
  type: dict
resumed:
  description: That a restore that was interrupted was finished.
  returned: with O(method=physical), when it was
  type: bool
scratch:
  description: The scratch cluster - directory, port, socket.
  returned: with O(scratch_cluster)
  type: dict
restore_seconds:
  description: What pgBackRest took.
  returned: with O(method=physical), when something was restored
  type: float
recovery_seconds:
  description: What the recovery took.
  returned: with O(method=physical), when something was restored
  type: float
seconds:
  description: What it took altogether.
  returned: with O(method=physical), when something was restored
  type: float
steps:
  description: What is done, in order.
  returned: when something was or would be restored
  type: list
  elements: str
  sample: [restore shop of 20260131T020000Z into shop_restoring]
needs:
  description: Bytes that the restore needs, and those that are free (null where that cannot be known from this host).
  returned: when something was or would be restored
  type: dict
  sample: {database: 1610612736, scratch: 104857600, free: 53687091200, scratch_free: 53687091200}
step:
  description: The restore as a line of a report (C(day2_step_results)).
  returned: when something was restored
  type: dict
phases:
  description: Seconds of each phase.
  returned: when something was restored
  type: dict
  sample: {prepare: 0.1, load: 12.5, analyse: 1.2, verify: 2.3, settle: 0.6, properties: 0.1, swap: 0.1}
unavailable:
  description: Seconds from the moment when sessions began to be ended to the commit of the new names.
  returned: when names were exchanged
  type: float
  sample: 0.061
old:
  description: The present name of the database that was there before, or null.
  returned: success
  type: str
  sample: shop_old_20260131T093000Z
dropped:
  description: Databases that had been kept for longer than O(keep_old).
  returned: when something was restored
  type: list
  elements: str
cleared:
  description: Databases that interrupted runs had left.
  returned: success
  type: list
  elements: str
roles_made:
  description: Roles that were missing.
  returned: when something was restored
  type: list
  elements: str
verified:
  description: What was compared, in words.
  returned: when something was restored
  type: str
  sample: 10500 rows of 12 tables, 31 indexes
lost:
  description: What a revert gives up, in words, or null.
  returned: with O(state=reverted)
  type: str
"""

from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import arguments as physical
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.restore import PHYSICAL, RESTORE, run_physical
from ansible_collections.day2.ops.plugins.module_utils.restore import arguments as restoring
from ansible_collections.day2.ops.plugins.module_utils.restore.revert import revert
from ansible_collections.day2.ops.plugins.module_utils.restore.swap import Uncertain

SPEC: dict[str, dict[str, Any]] = {
    **arguments.LOGIN,
    **arguments.REPOSITORY,
    **restoring.RESTORE,
    **physical.STANZA,
    **RESTORE,
    "repository": {"type": "str"},
    "database": {"type": "str"},
    "method": {"type": "str", "default": "logical", "choices": ["logical", "physical"]},
}


def main() -> None:
    module = AnsibleModule(
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
        limit = arguments.seconds(params, "swap_timeout") or 0.0
        target = params["target"] or params["database"]
        return revert(arguments.login(params), target, params["force"], limit, check_mode)
    return restoring.run(params, check_mode)


if __name__ == "__main__":
    main()
