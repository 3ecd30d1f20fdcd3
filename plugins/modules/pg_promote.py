#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_promote
short_description: Promote a PostgreSQL standby, and prove it by a write
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Makes the standby in O(data) the primary, waits until it is, and commits a first write on the new timeline.
  - It is refused, before anything is changed, where the server is another cluster or on another timeline than was
    planned with, is no standby, replays late, or where somebody has promoted a server already - the history of the next
    timeline is in the archive (C(restore_command) of the server is asked) or in its C(pg_wal).
  - Does not fence the old primary, which has to be done before (M(day2.ops.dr_fence)).
  - Logs in by the server's own socket as the user who owns its data directory, and needs C(psql) only.
extends_documentation_fragment:
  - day2.ops.failover
  - day2.ops.standby
  - day2.ops.attributes
options:
  database:
    description: Database in which the first write is committed. No table is touched.
    type: str
    default: postgres
  system_identifier:
    description: System identifier that the server has to have.
    type: str
    required: true
  expected_timeline:
    description: Timeline that the standby has to be on.
    type: int
    required: true
  synchronous_standby_names:
    description:
      - Is set before the promotion. With the names of standbys that do not follow yet, the first commit would wait.
      - The old value is returned as RV(previous_synchronous_standby_names).
    type: str
    default: ""
  verify:
    description: Whether a write proves the promotion.
    type: bool
    default: true
  resume_replay:
    description: Whether a standby whose replay is paused or delayed replays all that it has received, and is promoted.
    type: bool
    default: false
  ignore_archive:
    description: Whether it is promoted though its archive cannot be asked whether there is a newer timeline.
    type: bool
    default: false
  timeout:
    description: How long it may take to replay what was received and to become primary.
    type: str
    default: 60s
attributes:
  check_mode:
    description: Refuses what would be refused, and says from where it would be promoted.
    support: full
  idempotent:
    description: A server that the same O(run) has promoted is only proven again.
    support: full
  platform:
    description: Runs as root, or as the user who owns the data directory.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.pg_standby_info
  - module: day2.ops.pg_follow
"""

EXAMPLES = r"""
- name: Look at the standby
  day2.ops.pg_standby_info:
  become: true
  register: standby

- name: Promote it
  day2.ops.pg_promote:
    data: "{{ standby.data }}"
    system_identifier: "{{ standby.system_identifier }}"
    expected_timeline: "{{ standby.timeline }}"
    database: analytics
  become: true
"""

RETURN = r"""
timeline:
  description: The timeline of the primary; in check mode that of the standby.
  returned: success, or when the first write failed
  type: int
  sample: 2
fork_lsn:
  description: Where the new timeline left the old one. What the old primary has beyond is lost.
  returned: success, or when the first write failed
  type: str
  sample: 0/3000148
lsn:
  description: The end of the first write, which is on disk. Null without one.
  returned: success
  type: str
  sample: 0/30001F8
last_commit:
  description: When the last transaction was committed, by the old primary's clock, that the standby had received.
  returned: success, not in check mode, or when the first write failed
  type: str
  sample: '2026-02-01T04:00:00.120Z'
first_write_seconds:
  description: Seconds from the first change to the end of the first write. Null without one.
  returned: success
  type: float
  sample: 0.412
previous_synchronous_standby_names:
  description: The setting before.
  returned: success, not in check mode
  type: str
  sample: db2
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.guard import OPTIONS, TOGETHER, acting
from ansible_collections.day2.ops.plugins.module_utils.failover.local import GUARD_WAIT, STANDBY, member_at
from ansible_collections.day2.ops.plugins.module_utils.failover.promotion import Promotion, Unproven, promote
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

SPEC = {
    **OPTIONS,
    **STANDBY,
    "database": {"type": "str", "default": "postgres"},
    "system_identifier": {"type": "str", "required": True},
    "expected_timeline": {"type": "int", "required": True},
    "synchronous_standby_names": {"type": "str", "default": ""},
    "verify": {"type": "bool", "default": True},
    "resume_replay": {"type": "bool", "default": False},
    "ignore_archive": {"type": "bool", "default": False},
    "timeout": {"type": "str", "default": "60s"},
}
_SAME = (
    "port", "database", "system_identifier", "expected_timeline", "synchronous_standby_names", "verify",
    "resume_replay", "ignore_archive", "run",
)  # fmt: skip


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, required_together=TOGETHER, supports_check_mode=True)
    given = module.params
    try:
        asked = Promotion(**{name: given[name] for name in _SAME}, limit=parse_duration(given["timeout"]))
        with acting(given["system"], given["epoch"], given["run"], GUARD_WAIT, module.check_mode):
            result = promote(member_at(given["data"], given["unit"]), asked, module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"'timeout': {exc}")
    except Unproven as exc:
        module.fail_json(**exc.about)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
