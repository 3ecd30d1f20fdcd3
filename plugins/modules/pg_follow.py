#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_follow
short_description: Let a PostgreSQL standby follow another primary
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Points the standby in O(data) at O(primary), and waits until it streams from there on the primary's timeline.
  - The primary is asked first, with the standby's own login (C(primary_conninfo)), who it is and where its timeline
    left the earlier ones. A standby that has WAL beyond that point is reported as RV(diverged) and not touched.
  - Logs in by the server's own socket as the user who owns its data directory, and needs C(psql) only. The server is
    not restarted.
extends_documentation_fragment:
  - day2.ops.failover
  - day2.ops.standby
  - day2.ops.attributes
options:
  primary:
    description: The primary, as the standby reaches it.
    type: dict
    required: true
    suboptions:
      host:
        description: Host name or address.
        type: str
        required: true
      port:
        description: Port.
        type: int
        default: 5432
  slot:
    description:
      - Name of the physical slot through which it streams, which is made on the primary where it is missing, by the
        standby's login. Without it C(primary_slot_name) stays as it is.
    type: str
  expected_timeline:
    description: Timeline that the primary has to be on. Without it any that goes on from the standby's.
    type: int
  system_identifier:
    description: System identifier that both have to have. Without it they have to have the same.
    type: str
  timeout:
    description: How long it may take until it streams.
    type: str
    default: 60s
attributes:
  check_mode:
    description: Refuses what would be refused, asks the primary, and changes nothing.
    support: full
  idempotent:
    description: A standby that streams from there already is not changed.
    support: full
  platform:
    description: Runs as root, or as the user who owns the data directory.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.pg_standby_info
  - module: day2.ops.pg_promote
"""

EXAMPLES = r"""
- name: Follow the new primary
  day2.ops.pg_follow:
    data: /var/lib/postgresql/15/main
    primary: {host: db2.example.com}
    slot: db3
    expected_timeline: 2
  become: true
  register: following

- name: Nobody is ahead of it
  ansible.builtin.assert:
    that: not following.diverged
"""

RETURN = r"""
diverged:
  description: Whether the standby has WAL that the primary has not. Nothing was changed then.
  returned: success
  type: bool
ahead_bytes:
  description: How many bytes of WAL those are; null where the standby's timeline is none of the primary's ancestors.
  returned: success
  type: int
  sample: 0
timeline:
  description: The timeline of the primary, or of a standby that diverged.
  returned: success
  type: int
  sample: 2
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.following import Follow, follow
from ansible_collections.day2.ops.plugins.module_utils.failover.guard import OPTIONS, TOGETHER, acting
from ansible_collections.day2.ops.plugins.module_utils.failover.local import GUARD_WAIT, STANDBY, member_at
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

SPEC = {
    **OPTIONS,
    **STANDBY,
    "primary": {
        "type": "dict",
        "required": True,
        "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 5432}},
    },
    "slot": {"type": "str"},
    "expected_timeline": {"type": "int"},
    "system_identifier": {"type": "str"},
    "timeout": {"type": "str", "default": "60s"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, required_together=TOGETHER, supports_check_mode=True)
    given = module.params
    try:
        asked = Follow(
            host=given["primary"]["host"],
            primary_port=given["primary"]["port"],
            expected_timeline=given["expected_timeline"],
            slot=given["slot"],
            port=given["port"],
            system_identifier=given["system_identifier"],
            limit=parse_duration(given["timeout"]),
        )
        with acting(given["system"], given["epoch"], given["run"], GUARD_WAIT, module.check_mode):
            result = follow(member_at(given["data"], given["unit"]), asked, module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"'timeout': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
