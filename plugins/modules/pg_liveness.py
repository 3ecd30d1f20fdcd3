#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_liveness
short_description: Whether PostgreSQL servers answer, as this host sees them
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Connects to each of O(targets), asks whether it takes TLS, and reads the answer, O(tries) times over a time. It
    needs no login, no client program and no root, and changes nothing.
  - One vantage point decides nothing. What a host sees may be its own network.
  - At a server that takes TLS, an attempt that is answered leaves a line in the server's log, which says that the
    connection was closed.
  - All targets are looked at at the same time. It takes O(over) plus O(timeout) at most, and a moment where each is
    answered.
extends_documentation_fragment: day2.ops.attributes
options:
  targets:
    description: The servers.
    type: list
    elements: dict
    required: true
    suboptions:
      address:
        description: A host's name or address, as this host reaches it.
        type: str
        required: true
      port:
        description: The server's own port. A connection pooler answers whether or not its server does.
        type: int
        default: 5432
  tries:
    description: How many attempts have to fail.
    type: int
    default: 3
  over:
    description: The time over which the attempts are spread, from the beginning of the first to that of the last.
    type: str
    default: 15s
  timeout:
    description: >-
      How long one attempt may take, with the resolution of the name. Where a name has several addresses, they share it.
    type: str
    default: 5s
attributes:
  check_mode:
    description: Only looks, in check mode and otherwise.
    support: full
  idempotent:
    description: It changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Look at the primary from this host
  day2.ops.pg_liveness:
    targets:
      - address: db1.example.org
    tries: 3
    over: 15s
  register: seen
"""

RETURN = r"""
targets:
  description: One record a target, in the order of O(targets).
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: As it was given.
      type: str
    port:
      description: As it was given.
      type: int
    verdict:
      description:
        - V(answers) where one attempt did, also with an error. Otherwise what all attempts have in common, or V(mixed).
        - V(silent) - connections are accepted and PostgreSQL says nothing. The server may be stopped or hung, and go on
          writing later; or something else has the port.
        - V(refused) - the host refuses connections to the port, or closes them at once.
        - V(unreachable) - no connection came about in time, or there is no way to the host.
        - V(unresolved) - the name has no address.
      type: str
    attempts:
      description: Each attempt with C(at), C(verdict) and C(detail), until one was answered.
      type: list
      elements: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.liveness import Patience, look, target
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "targets": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "address": {"type": "str", "required": True},
                    "port": {"type": "int", "default": 5432},
                },
            },
            "tries": {"type": "int", "default": 3},
            "over": {"type": "str", "default": "15s"},
            "timeout": {"type": "str", "default": "5s"},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        patience = Patience(params["tries"], parse_duration(params["over"]), parse_duration(params["timeout"]))
        seen = look([target(one["address"], one["port"]) for one in params["targets"]], patience)
    except QuantityError as exc:
        module.fail_json(msg=f"'over' and 'timeout': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    told = ", ".join(f"{one.target.address}:{one.target.port} {one.verdict.value}" for one in seen)
    module.exit_json(changed=False, msg=told, targets=[one.as_dict() for one in seen])


if __name__ == "__main__":
    main()
