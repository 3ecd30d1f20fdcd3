#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: file_restore
short_description: Restore directories and files without risk to the existing ones
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Restores paths from a backup set of M(day2.ops.file_backup). Each archive is read completely, unpacked beside its
    path, and its entries are counted; only when all paths are unpacked and synced are they exchanged with the existing
    ones.
  - At every instant a path is the old one or the new one, also when the run is killed; the next run removes what a
    killed run left behind. A failure leaves every path as it was.
  - What was replaced is kept in a hidden directory beside the path for O(keep_old). O(state=reverted) puts it back.
extends_documentation_fragment:
  - day2.ops.repository
options:
  repository:
    description:
      - Where the backup sets are - an absolute path, an address, or a mapping
        (O(day2.ops.pg_backup#module:repository)).
    type: raw
    required: true
  series:
    description: Name of the series of backup sets.
    default: files
  source:
    description:
      - Which backup set to restore - V(latest), the id of a set, or a time such as V(2026-01-31 02:00) (UTC, or with a
        time zone), which selects the newest set made at or before that time.
      - Sets that are marked as damaged are never selected. V(latest) warns of newer sets that are damaged.
    type: str
    default: latest
  run_id:
    description: Only backup sets with this run id (O(day2.ops.file_backup#module:run_id)) are considered.
    type: str
  paths:
    description: Paths of the backup set to restore. Without it all paths of the set.
    type: list
    elements: path
    default: []
  root:
    description: Directory below which the paths are restored, instead of at their original location.
    type: path
  identity:
    description: Path of a file with a secret key of age, for an encrypted backup set.
    type: path
  state:
    description:
      - V(present) restores, in every run.
      - V(reverted) puts back what the newest restore replaced, and keeps what that restore had put there. With O(paths)
        the repository is not needed.
    type: str
    choices: [present, reverted]
    default: present
  keep_old:
    description:
      - How long replaced directories and files are kept. Later restores of the same path remove them after that time.
    type: str
    default: 7d
  lock_wait:
    description: How long to wait for another restore of the same path. With V(0s) a second restore is refused at once.
    type: str
    default: 0s
attributes:
  check_mode:
    description: Reads the archives completely, and reports what would be restored and its size. Nothing is changed.
    support: full
  diff_mode:
    description:
      - Shows names of entries that were added (C(+)), removed (C(-)) or changed (C(~)), up to two hundred for each
        path. Contents are not shown.
    support: full
  platform:
    description: Runs on the host to which the files are restored.
    support: full
    platforms: posix
requirements:
  - GNU tar
  - zstd
  - age, for an encrypted set
  - boto3, for S3
  - OpenSSH's sftp, for SFTP
notes:
  - Run the module as root. Any other user becomes the owner of everything that is restored.
  - Programs that have old files open keep using them. Stop or reload these programs.
  - What was replaced is kept in C(.<name>.day2-old-<time>/content) beside the path. Only its owner can enter this
    directory.
  - On a file system that cannot exchange two names (C(renameat2)), such as NFS, the path is missing for a moment. If a
    run is killed in that moment, the next run repairs it.
seealso:
  - module: day2.ops.file_backup
  - module: day2.ops.pg_backup_info
  - module: day2.ops.pg_restore
"""

EXAMPLES = r"""
- name: Restore the configuration from last night's backup
  day2.ops.file_restore:
    repository: /var/backups/shop
    series: configuration
    paths: [/etc/shop]

- name: Revert that restore
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
  description: The backup set that was restored (RV(day2.ops.file_backup#module:set)). Null with O(state=reverted).
  returned: success
  type: dict
paths:
  description: The paths that were restored, or put back.
  returned: success
  type: list
  elements: dict
  contains:
    path: {description: The path in the backup set., type: str, sample: /etc/shop}
    place: {description: 'Where it was restored: the same path, or below O(root).', type: str, sample: /etc/shop}
    existed: {description: Whether the path existed before., type: bool, sample: true}
    kept:
      description: Directory in which the replaced path is kept, or null.
      type: str
      sample: /etc/.shop.day2-old-20260131T093000Z
    entries: {description: 'Number of files and directories. With O(state=present).', type: int, sample: 42}
    size: {description: 'Size of the files in bytes. With O(state=present).', type: int, sample: 104857600}
reverted:
  description: Whether a restore was reverted.
  returned: success
  type: bool
  sample: false
removed:
  description: Directories that were removed because they had been kept for longer than O(keep_old).
  returned: success
  type: list
  elements: str
  sample: []
cleared:
  description: Remains of interrupted runs beside the paths that were removed.
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

from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import KIND
from ansible_collections.day2.ops.plugins.module_utils.file_sets.restore import Order, restore, revert
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import parse_lifetime


def main() -> None:
    module = MaskedModule(
        arguments.secret_values,
        argument_spec={
            **arguments.REPOSITORY,
            "repository": {**arguments.PLACE, "required": True},
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
        keep_old=arguments.seconds(params, "keep_old", parse_lifetime) or 0.0,
        lock_wait=arguments.seconds(params, "lock_wait") or 0.0,
    )
    repository = arguments.repository(params)
    if params["state"] == "reverted":
        return revert(order, repository, check_mode)
    return restore(order, repository, check_mode, diff)


if __name__ == "__main__":
    main()
