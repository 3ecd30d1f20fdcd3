#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_patroni
short_description: Ask Patroni what its cluster is, or to fail over
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Asks the REST of Patroni on a member's own host. Where Patroni manages PostgreSQL, it alone promotes; two deciders
    make two primaries.
  - With O(state=failed_over) Patroni is asked (C(POST /failover)) to promote O(candidate), unless that leads already.
    While Patroni is not paused, it elects a leader itself; it is given two of its rounds (C(loop_wait)) before it is
    asked. It is never asked while another member leads.
  - What Patroni answers is told in its own words. An answer that it failed, that nobody knows, or that is cut off,
    proves nothing - C(GET /cluster) is asked until the candidate leads on a new timeline, or O(limit) is over.
  - With O(data), a write on the new timeline proves that it takes any.
extends_documentation_fragment:
  - day2.ops.failover
  - day2.ops.attributes
options:
  state:
    description: Whether to look, or to have Patroni fail over.
    type: str
    choices: [observed, failed_over]
    default: observed
  address:
    description: Where the REST listens on this host, as in C(restapi.connect_address).
    type: str
    default: 127.0.0.1
  rest_port:
    description: Its port.
    type: int
    default: 8008
  scheme:
    description: Whether it speaks TLS.
    type: str
    choices: [http, https]
    default: http
  username:
    description: The user in C(restapi.authentication), where it has one.
    type: str
  password_file:
    description: A file on this host that holds the password of O(username). Only what changes something needs it.
    type: path
  ca_path:
    description: A file on this host with the certificates that are trusted, instead of the system's.
    type: path
  client_cert:
    description: A certificate on this host, where C(restapi.verify_client) wants one.
    type: path
  client_key:
    description: Its key, where it is not in the same file.
    type: path
  candidate:
    description: Patroni's name of the member to promote. Needed with O(state=failed_over).
    type: str
  expected_timeline:
    description: The timeline that the candidate is to leave. A leader on this one is no successor.
    type: int
  data:
    description: The data directory of the candidate, if it is on this host.
    type: path
  database:
    description: The database that is written to.
    type: str
    default: postgres
  limit:
    description: How long all of it may take.
    type: str
    default: 2m
attributes:
  check_mode:
    description: Looks, and says whether Patroni would be asked.
    support: full
  idempotent:
    description: A candidate that leads is not promoted again.
    support: full
seealso:
  - module: day2.ops.dr_failover
"""

EXAMPLES = r"""
- name: Look what Patroni says
  day2.ops.dr_patroni:
  register: patroni
  become: true

- name: Have Patroni promote this member, because its leader is lost
  day2.ops.dr_patroni:
    state: failed_over
    candidate: analytics-2
    expected_timeline: 3
    username: ops
    password_file: /etc/patroni/rest.pass
  become: true
"""

RETURN = r"""
cluster:
  description: >-
    The cluster - whether Patroni C(answered) and otherwise its C(error), C(scope), C(paused), the C(leader),
    C(members) with C(name), C(host), C(port), C(role), C(state), C(timeline), C(lag) and C(tags), and what of the
    dynamic configuration a failover depends on.
  returned: O(state) is V(observed)
  type: dict
leader:
  description: Who leads now.
  returned: O(state) is V(failed_over)
  type: str
timeline:
  description: The timeline on which it does.
  returned: O(state) is V(failed_over)
  type: int
fork_lsn:
  description: Where it has left O(expected_timeline).
  returned: O(state) is V(failed_over) and O(data) is there
  type: str
lsn:
  description: The write that proves it.
  returned: O(state) is V(failed_over) and O(data) is there
  type: str
first_write_seconds:
  description: Seconds from the beginning to that write.
  returned: O(state) is V(failed_over) and O(data) is there
  type: float
said:
  description: Patroni's own words.
  returned: O(state) is V(failed_over)
  type: str
elsewhere:
  description: Who leads, where that is another one than O(candidate).
  returned: failure
  type: str
msg:
  description: All of it in a sentence.
  returned: always
  type: str
"""

import time
from typing import Any, Mapping

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import guard, patroni, promotion
from ansible_collections.day2.ops.plugins.module_utils.failover.local import member_at
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ServerError
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

_OPTIONS: dict[str, dict[str, Any]] = {
    "state": {"type": "str", "choices": ["observed", "failed_over"], "default": "observed"},
    "address": {"type": "str", "default": "127.0.0.1"},
    "rest_port": {"type": "int", "default": 8008},
    "scheme": {"type": "str", "choices": ["http", "https"], "default": "http"},
    "username": {"type": "str"},
    # The name of a file.
    "password_file": {"type": "path", "no_log": False},
    "ca_path": {"type": "path"},
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
    "candidate": {"type": "str"},
    "expected_timeline": {"type": "int"},
    "data": {"type": "path"},
    "database": {"type": "str", "default": "postgres"},
    "limit": {"type": "str", "default": "2m"},
}


def _rest(params: Mapping[str, Any]) -> patroni.Rest:
    host = f"[{params['address']}]" if ":" in params["address"] else params["address"]
    password = None
    if params["password_file"] is not None:
        try:
            with open(params["password_file"], encoding="utf-8") as stream:
                password = stream.read().strip()
        except (OSError, ValueError) as exc:
            why = getattr(exc, "strerror", None) or exc
            raise patroni.PatroniError(f"'password_file': {params['password_file']}: {why}") from exc
    return patroni.Rest(
        f"{params['scheme']}://{host}:{params['rest_port']}", params["username"], password, params["ca_path"],
        params["client_cert"], params["client_key"],
    )  # fmt: skip


def _failed_over(module: AnsibleModule, rest: patroni.Rest) -> dict[str, Any]:
    params, begun = module.params, time.monotonic()
    limit = parse_duration(params["limit"])
    asked = patroni.Failover(params["candidate"], params["expected_timeline"], limit)
    with guard.acting(params["system"], params["epoch"], params["run"], limit, module.check_mode):
        done = patroni.fail_over(rest, asked, module.check_mode)
        member = member_at(params["data"], None) if params["data"] is not None else None
        if member is None or done["timeline"] is None:
            return done
        try:
            lsn = promotion.first_write(member, params["run"], params["database"], limit)
        except ServerError as exc:
            raise promotion.Unproven(f"{done['msg']}, and cannot be written to: {exc}", done) from exc
        fork = promotion.fork_of(member, done["timeline"], params["expected_timeline"] or done["timeline"] - 1)
        return {**done, "lsn": lsn, "fork_lsn": fork, "first_write_seconds": round(time.monotonic() - begun, 3)}


def main() -> None:
    module = AnsibleModule(
        argument_spec={**guard.OPTIONS, **_OPTIONS},
        required_together=guard.TOGETHER,
        required_if=[("state", "failed_over", ("candidate",))],
        required_by={"client_key": ("client_cert",), "password_file": ("username",)},
        supports_check_mode=True,
    )
    try:
        rest = _rest(module.params)
        if module.params["state"] == "observed":
            cluster = patroni.observe(rest)
            said = cluster["error"] or f"{cluster['leader'] or 'nobody'} leads"
            module.exit_json(changed=False, cluster=cluster, msg=said)
        module.exit_json(**_failed_over(module, rest))
    except QuantityError as exc:
        module.fail_json(msg=f"'limit': {exc}")
    except promotion.Unproven as exc:
        module.fail_json(**{**exc.about, "msg": str(exc)})
    except patroni.Elsewhere as exc:
        module.fail_json(msg=str(exc), elsewhere=exc.leader)
    except Day2Error as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
