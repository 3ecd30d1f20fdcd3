#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_fence
short_description: Keep an old primary from writing, and prove it
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - With O(kind=service), on the old primary's own host, disables and masks the cluster's own unit, ends every server
    that works on O(data), however it was started, and looks afterwards whether that is so. A unit whose file is in
    C(/etc/systemd/system) cannot be masked; it gets a drop-in that lets it start no more.
  - With O(kind=command), runs a site's own command, such as one that cuts the power, and proves it by another one.
  - What is not proven is answered as not proven. The module fails where it did nothing, such as with a unit that starts
    no server.
  - Servers get a fast shutdown first. After O(limit) they are killed; one that a signal has stopped is killed at once,
    because it would write when it goes on. Nothing committed is lost by that, and the next start recovers.
  - A fence is lifted by hand, once the cluster is a standby - C(systemctl unmask) and C(systemctl enable) of its unit,
    or the removal of C(zzz-day2-fenced.conf) from the folder of its drop-ins and C(systemctl daemon-reload).
extends_documentation_fragment:
  - day2.ops.failover
  - day2.ops.attributes
options:
  kind:
    description: What proves it.
    type: str
    choices: [service, command]
    required: true
  data:
    description: The cluster's data directory. Needed with O(kind=service).
    type: path
  unit:
    description:
      - The unit that starts the cluster. Without it, the one of Debian's and Red Hat's layouts, which is masked in any
        case where there is one.
      - Debian's C(postgresql.service) starts no server, and is refused.
    type: str
  port:
    description: The server's port, for the evidence. Without it, as the server wrote it into O(data).
    type: int
  argv:
    description: >-
      The command and its arguments. It is not run where O(check) ends well already. Needed with O(kind=command).
    type: list
    elements: str
  check:
    description:
      - A command whose exit status 0 proves that the old primary cannot write, now and after a reboot. It only looks,
        is run in check mode too, and is repeated until O(limit) is over. Needed with O(kind=command).
    type: list
    elements: str
  old:
    description: >-
      The old primary, for O(argv) and O(check), which have it in their environment as C(DAY2_OLD_HOST) and
      C(DAY2_OLD_PORT).
    type: dict
    suboptions:
      host:
        description: Its host.
        type: str
        required: true
      port:
        description: Its port.
        type: int
        default: 5432
  limit:
    description: >-
      How long a fast shutdown, or the command with its check, may take, and how long to wait while another run's module
      changes something on this host. The whole of O(kind=service) takes a minute more at most; a file system that hangs
      is answered as not proven.
    type: str
    default: 30s
attributes:
  check_mode:
    description: Says what is not proven, and changes nothing.
    support: full
  idempotent:
    description: What is proven already is not done again.
    support: full
seealso:
  - module: day2.ops.dr_journal
"""

EXAMPLES = r"""
- name: Fence the old primary on its own host
  day2.ops.dr_fence:
    kind: service
    data: /var/lib/postgresql/15/main
    system: snowflake_analytics
    epoch: 4
    run: 20260201T040000Z-7f3a
  become: true

- name: Cut its power
  day2.ops.dr_fence:
    kind: command
    argv: [/usr/local/sbin/power, 'off']
    check: [/usr/local/sbin/power, is-off]
    old:
      host: db1
"""

RETURN = r"""
proven:
  description: Whether nothing of the old primary can write, now and after a reboot.
  returned: success
  type: bool
layer:
  description: What proves it, as O(kind).
  returned: success
  type: str
survives_reboot:
  description: >-
    Whether what was done to the unit is there after a reboot. With O(kind=command), what O(check) proves.
  returned: success
  type: bool
found_running:
  description: >-
    Whether a server worked on the data directory when this began: then standbys may have received more until it ended.
    None with O(kind=command), which does not look.
  returned: success
  type: bool
evidence:
  description: What was seen and done.
  returned: success
  type: list
  elements: str
  sample:
    - a fast shutdown ended process 812
    - postgresql@15-main.service is inactive and kept from starting in /etc/systemd/system
    - no server works on /var/lib/postgresql/15/main
    - 'port 5432 of this host: refused, Connection refused'
msg:
  description: Whether it is fenced, and otherwise what is missing.
  returned: success
  type: str
"""

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import secrets_of_commands
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import fence, guard
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration


def _secrets(params: Mapping[str, Any]) -> list[str]:
    return secrets_of_commands(params, "argv", "check")


def main() -> None:
    module = MaskedModule(
        _secrets,
        argument_spec={
            **guard.OPTIONS,
            "kind": {"type": "str", "choices": ["service", "command"], "required": True},
            "data": {"type": "path"},
            "unit": {"type": "str"},
            "port": {"type": "int"},
            "argv": {"type": "list", "elements": "str"},
            "check": {"type": "list", "elements": "str"},
            "old": {
                "type": "dict",
                "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 5432}},
            },
            "limit": {"type": "str", "default": "30s"},
        },
        required_together=guard.TOGETHER,
        required_if=[("kind", "service", ("data",)), ("kind", "command", ("argv", "check"))],
        supports_check_mode=True,
    )
    params = module.params
    old = (params["old"]["host"], params["old"]["port"]) if params["old"] else None
    try:
        limit = parse_duration(params["limit"])
        with guard.acting(params["system"], params["epoch"], params["run"], limit, module.check_mode):
            if params["kind"] == "service":
                done = fence.service(params["data"], params["unit"], params["port"], limit, module.check_mode)
            else:
                done = fence.command(params["argv"], params["check"], old, limit, module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"'limit': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**done.as_dict())


if __name__ == "__main__":
    main()
