#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_restore
short_description: Restore directories and files without risking what is there
version_added: 0.3.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Puts paths back as a set of M(day2.ops.file_backup) has them. Each archive is read whole, unpacked beside its path
    and counted; only when all paths are there and on the disk do they change places with what is there.
  - At every instant a path is the old one or the new one, also when the run is killed; the next run clears
    what it left. A failure leaves every path as it was.
  - What was replaced is kept beside it, hidden, for O(keep_old). O(state=reverted) puts it back.
extends_documentation_fragment:
  - day2.ops.repository
options:
  series:
    description: The series of the sets.
    default: files
  source:
    description:
      - V(latest), the id of a set, or a time such as V(2026-01-31 02:00) (UTC, or with a zone), which is the newest
        set taken at or before it.
      - Damaged sets are never taken; V(latest) warns of newer ones that are.
    type: str
    default: latest
  run_id:
    description: Only sets of this run, as O(day2.ops.file_backup#module:run_id) named it.
    type: str
  paths:
    description: Which paths of the set. Without it all of them.
    type: list
    elements: path
    default: []
  root:
    description: A directory below which the paths are restored, instead of in their own place.
    type: path
  identity:
    description: The file of a secret key of age, for an encrypted set.
    type: path
  state:
    description:
      - V(present) restores. It does so in each run.
      - V(reverted) puts back what the newest restore replaced, and keeps what that one had put there. With O(paths) the
        repository is not needed.
    type: str
    choices: [present, reverted]
    default: present
  keep_old:
    description: How long what was replaced is kept. Later restores of the same path remove it.
    type: str
    default: 7d
  lock_wait:
    description: How long to wait for another restore of the same path. Without it a second one is refused at once.
    type: str
    default: 0s
attributes:
  check_mode:
    description: Reads the archives whole and says what would be restored and how much it is. Nothing is changed.
    support: full
  diff_mode:
    description: Names of what would differ (C(+) added, C(-) removed, C(~) changed), two hundred a path. No contents.
    support: full
  platform:
    description: Runs on the host that is to have the files.
    support: full
    platforms: posix
requirements:
  - GNU tar
  - zstd
  - age, for an encrypted set
  - boto3, for S3
notes:
  - Run it as root; any other user owns all that it restores.
  - Programs that hold files of the old one open go on with these. Stop or reload them.
  - What was replaced lies in C(.<name>.day2-old-<time>/content) beside the path, which only its owner can enter.
  - A file system without an exchange of names (C(renameat2)), such as NFS, has a moment in which neither is there. A
    run that was killed in it is made good by the next one.
seealso:
  - module: day2.ops.file_backup
  - module: day2.ops.pg_backup_info
  - module: day2.ops.pg_restore
"""

EXAMPLES = r"""
- name: Put the configuration back to last night
  day2.ops.file_restore:
    repository: /var/backups/shop
    series: configuration
    paths: [/etc/shop]

- name: That was a mistake
  day2.ops.file_restore:
    repository: /var/backups/shop
    series: configuration
    paths: [/etc/shop]
    state: reverted

- name: Look at what it was before Saturday, without touching what is there
  day2.ops.file_restore:
    repository: /var/backups/shop
    series: configuration
    source: "2026-01-31 00:00"
    root: /srv/look
"""

RETURN = r"""
set:
  description: The set that was restored (RV(day2.ops.file_backup#module:set)). Null with O(state=reverted).
  returned: success
  type: dict
paths:
  description: What was restored, or put back.
  returned: success
  type: list
  elements: dict
  contains:
    path: {description: The path in the set., type: str, sample: /etc/shop}
    place: {description: 'Where it went: the same, or below O(root).', type: str, sample: /etc/shop}
    existed: {description: Whether there was something before., type: bool, sample: true}
    kept:
      description: The directory that keeps what was there, or null.
      type: str
      sample: /etc/.shop.day2-old-20260131T093000Z
    entries: {description: 'How many files and directories. With O(state=present).', type: int, sample: 42}
    size: {description: 'Bytes of its files. With O(state=present).', type: int, sample: 104857600}
reverted:
  description: Whether what was replaced was put back.
  returned: success
  type: bool
  sample: false
removed:
  description: What had been kept for longer than O(keep_old).
  returned: success
  type: list
  elements: str
  sample: []
cleared:
  description: What interrupted runs had left beside the paths.
  returned: success
  type: list
  elements: str
  sample: []
step:
  description: The run as a line of a report (C(day2_step_results), docs/backup.md).
  returned: success
  type: dict
"""

from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.backup.file_restore import Order, restore, revert
from ansible_collections.day2.ops.plugins.module_utils.backup.files_set import KIND
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **arguments.REPOSITORY,
            "series": {"type": "str", "default": KIND},
            "source": {"type": "str", "default": "latest"},
            "run_id": {"type": "str"},
            "paths": {"type": "list", "elements": "path", "default": []},
            "root": {"type": "path"},
            "identity": {"type": "path"},
            "state": {"type": "str", "choices": ["present", "reverted"], "default": "present"},
            "keep_old": {"type": "str", "default": "7d"},
            "lock_wait": {"type": "str", "default": "0s"},
        },
        supports_check_mode=True,
    )
    try:
        outcome = _run(module.params, module.check_mode, module._diff)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    for warning in outcome.pop("warnings"):
        module.warn(warning)
    module.exit_json(**outcome)


def _run(params: Mapping[str, Any], check_mode: bool, diff: bool) -> dict[str, Any]:
    order = Order(
        series=arguments.series(params, KIND),
        source=params["source"],
        run_id=params["run_id"],
        paths=params["paths"],
        root=params["root"],
        identity=params["identity"],
        keep_old=arguments.seconds(params, "keep_old") or 0.0,
        lock_wait=arguments.seconds(params, "lock_wait") or 0.0,
    )
    repository = arguments.repository(params)
    if params["state"] == "reverted":
        return revert(order, repository, check_mode)
    return restore(order, repository, check_mode, diff)


if __name__ == "__main__":
    main()
