#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: redis_cleanup
short_description: Remove an application's keys from Redis
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Removes the keys that begin with one of O(prefixes), or all keys of one O(database) where O(whole_database) says so.
    It never empties another database.
  - It speaks Redis's protocol itself - no password is in any argument of a program, and nothing has to be installed.
extends_documentation_fragment: day2.ops.attributes
options:
  prefixes:
    description: What the keys begin with. Every character stands for itself.
    type: list
    elements: str
    default: []
  whole_database:
    description: All keys of O(database), whatever they begin with.
    type: bool
    default: false
  connection:
    description:
      - How the server is reached - a name in the variable C(day2_connections), whose fields are options of this module,
        or a mapping of them. What the task gives itself counts.
    type: raw
  database:
    description: The number of the database. Without it 0; O(whole_database) needs it.
    type: int
  host:
    description: Name or address.
    type: str
    default: localhost
  port:
    description: The port.
    type: int
    default: 6379
  path:
    description: The server's socket, instead of O(host) and O(port).
    type: path
  user:
    description: The user of the server's access lists.
    type: str
  password:
    description: The password.
    type: str
  tls:
    description: Whether the connection is encrypted.
    type: bool
    default: false
  validate_certs:
    description: Whether the server's certificate must be valid, with O(tls=true).
    type: bool
    default: true
  ca_path:
    description: A file of authorities, instead of the system's.
    type: path
  timeout:
    description: How long one answer may take.
    type: str
    default: 30s
attributes:
  check_mode:
    description: Counts the keys that would go.
    support: full
"""

EXAMPLES = r"""
- name: Empty the shop's cache
  day2.ops.redis_cleanup:
    prefixes: ["shop:cache:"]
    database: 0
"""

RETURN = r"""
outcome:
  description: >-
    The outcome of a step - status, message and evidence - as C(<role>_step_outcome) has it.
  returned: success
  type: dict
before:
  description: Keys of the database before.
  returned: success
  type: int
removed:
  description: Keys that went.
  returned: success
  type: int
after:
  description: Keys of the database afterwards.
  returned: success
  type: int
"""

import socket
from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.redis.client import Address, Connection
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.upkeep import cache

_PLACE = {
    "validate_certs": {"type": "bool", "default": True},
    "host": {"type": "str", "default": "localhost"},
    "port": {"type": "int", "default": 6379},
    "path": {"type": "path"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "tls": {"type": "bool", "default": False},
    "ca_path": {"type": "path"},
    "database": {"type": "int"},
}


def work(params: Mapping[str, Any], address: Address, only_look: bool) -> cache.Flushed:
    # The client has no limit of its own.
    socket.setdefaulttimeout(parse_duration(params["timeout"]))
    connection = Connection(address)
    try:
        return cache.flush(connection, params["prefixes"], params["whole_database"], only_look)
    finally:
        connection.close()


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_PLACE,
            # Resolved on the controller.
            "connection": {"type": "raw"},
            "prefixes": {"type": "list", "elements": "str", "default": []},
            "whole_database": {"type": "bool", "default": False},
            "timeout": {"type": "str", "default": "30s"},
        },
        supports_check_mode=True,
    )
    params = module.params
    if bool(params["prefixes"]) == params["whole_database"]:
        module.fail_json(msg="name 'prefixes', or say 'whole_database: true': one of them")
    if params["database"] is None and params["whole_database"]:
        module.fail_json(msg="'database' is missing: 'whole_database' empties one, and nobody has said which")
    params["database"] = params["database"] or 0
    address = Address(**{name: params[name] for name in _PLACE})
    try:
        done = work(params, address, module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"'timeout': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=f"{address}: {exc}")
    except OSError as exc:
        module.fail_json(msg=f"{address} does not answer: {exc.strerror or exc}")
    where = f"database {params['database']} of {address}"
    outcome = cache.outcome(done, where, module.check_mode)
    module.exit_json(
        changed=done.meant > 0,
        msg=outcome["message"],
        outcome=outcome,
        before=done.before,
        removed=done.meant,
        after=done.after,
    )


if __name__ == "__main__":
    main()
