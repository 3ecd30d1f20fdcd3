#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_rejoin
short_description: Make an old PostgreSQL primary a standby of the new one
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Reports what the stopped server in O(data) has that O(primary) has not, keeps it in O(evidence), and makes the
    server a standby, by C(pg_rewind) or by a new base backup.
  - A server whose WAL ends before the place where the new primary left its timeline is started as a standby as it is.
  - A server that runs as a primary is refused. So is one of another cluster, and one of a primary on the same timeline,
    which was not promoted.
  - The unit that M(day2.ops.dr_fence) has masked is unmasked once the data directory can only become a standby.
  - The host's own C(postgresql.auto.conf), and the configuration files that are in O(data), stay as they are but for
    C(primary_conninfo), C(primary_slot_name) and C(recovery_target*).
  - A run that was killed is continued by the next one. What a C(pg_rewind) has not finished is replaced by a base
    backup, since it is of no use any more.
extends_documentation_fragment:
  - day2.ops.failover
  - day2.ops.standby
  - day2.ops.attributes
options:
  primary:
    description: The new primary, as this host reaches it.
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
  login:
    description: How the standby logs in to stream, which is kept in C(primary_conninfo).
    type: dict
    required: true
    suboptions: &login
      user:
        description: Database role.
        type: str
        required: true
      passfile:
        description: Password file (C(.pgpass)) of this host, which the owner of O(data) can read.
        type: path
      sslmode:
        description: Whether the connection is encrypted, as libpq names it.
        type: str
      sslrootcert:
        description: File of the authorities that the server's certificate is verified by.
        type: path
      sslcert:
        description: File of the client's certificate.
        type: path
      sslkey:
        description: File of the client's key.
        type: path
  rewind_login:
    description:
      - How C(pg_rewind) logs in, as a superuser or a role that may execute what C(pg_rewind)'s documentation lists.
        Tables of the report are named by it, too. Without it O(login) is used.
    type: dict
    suboptions: *login
  database:
    description: Database that O(rewind_login) connects to.
    type: str
    default: postgres
  method:
    description:
      - V(auto) is C(pg_rewind) where the cluster has data checksums or C(wal_log_hints), otherwise a base backup.
      - V(base_backup) copies the primary beside O(data), which is kept under its name with the time appended.
    type: str
    choices: [auto, rewind, base_backup]
    default: auto
  slot:
    description: Physical slot through which it streams, which is made on the primary where it is missing.
    type: str
  application_name:
    description: Name of the standby on the primary. Without it O(slot).
    type: str
  expected_timeline:
    description: Timeline that the primary has to be on. Without it any but that of the server.
    type: int
  system_identifier:
    description: System identifier that both have to have. Without it they have to have the same.
    type: str
  evidence:
    description:
      - Directory in which what only this server had is kept, in a directory of each call, as C(divergence.json) and,
        with O(keep_wal), the WAL itself, which C(pg_waldump) reads.
    type: path
    default: /var/lib/day2/dr/rejoined
  keep_wal:
    description: Whether the WAL that only this server has is kept. It may be as large as what was written there.
    type: bool
    default: true
  copy_timeout:
    description: How long C(pg_rewind) or a base backup may take.
    type: str
    default: 4h
  timeout:
    description: How long it may take from the start until it streams.
    type: str
    default: 60s
attributes:
  check_mode:
    description: Reports what the server has and how it would be made a standby, and changes nothing.
    support: full
  idempotent:
    description: A standby that streams from there already is not changed.
    support: full
  platform:
    description: Runs as root.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.dr_fence
  - module: day2.ops.pg_follow
  - module: day2.ops.pg_standby_info
"""

EXAMPLES = r"""
- name: See what the old primary has that nobody else has
  day2.ops.pg_rejoin: &rejoin
    data: /var/lib/postgresql/15/main
    primary: {host: db2.example.com}
    login: {user: replicator, passfile: /var/lib/postgresql/.pgpass}
    rewind_login: {user: rewinder, passfile: /var/lib/postgresql/.pgpass}
    slot: db1
  become: true
  check_mode: true
  register: seen

- name: Make it a standby
  day2.ops.pg_rejoin: *rejoin
  become: true
  when: (seen.divergence.transactions or 0) == 0
"""

RETURN = r"""
method:
  description: How it became a standby, V(follow), V(rewind) or V(base_backup). V(follow) is as it was.
  returned: success
  type: str
  sample: rewind
timeline:
  description: The timeline of the primary.
  returned: success
  type: int
  sample: 2
divergence:
  description:
    - What only this server has. Null where it streams already, and where an earlier run has reported it and was ended
      before it was done.
  returned: success
  type: dict
  contains:
    timeline:
      description: The timeline that the server was on.
      type: int
    fork_lsn:
      description: Where the new primary left it.
      type: str
    end_lsn:
      description: Where the server's WAL ends; null where it cannot be read.
      type: str
    bytes:
      description: Bytes of WAL beyond the fork; null where the end is not known.
      type: int
    transactions:
      description: Transactions that were committed there; null where the WAL cannot be read.
      type: int
    last_commit:
      description: When the last one of them was committed.
      type: str
    tables:
      description: Tables that were touched there, as database and name.
      type: list
      elements: str
    kept:
      description: Directory with the evidence; null where there is none.
      type: str
  sample: {timeline: 1, fork_lsn: 0/3000148, end_lsn: 0/3000F00, bytes: 3512, transactions: 3}
kept:
  description: Where the old data directory is kept; null unless it was replaced.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.guard import OPTIONS, TOGETHER, acting
from ansible_collections.day2.ops.plugins.module_utils.failover.keeping import Rejoin
from ansible_collections.day2.ops.plugins.module_utils.failover.local import GUARD_WAIT, STANDBY, member_at
from ansible_collections.day2.ops.plugins.module_utils.failover.rejoining import finish_replacement, rejoin
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

LOGIN = {
    "user": {"type": "str", "required": True},
    "passfile": {"type": "path", "no_log": False},
    "sslmode": {"type": "str"},
    "sslrootcert": {"type": "path"},
    "sslcert": {"type": "path"},
    "sslkey": {"type": "path", "no_log": False},
}
SPEC = {
    **OPTIONS,
    **STANDBY,
    "primary": {
        "type": "dict",
        "required": True,
        "options": {"host": {"type": "str", "required": True}, "port": {"type": "int", "default": 5432}},
    },
    "login": {"type": "dict", "required": True, "options": LOGIN},
    "rewind_login": {"type": "dict", "options": LOGIN},
    "database": {"type": "str", "default": "postgres"},
    "method": {"type": "str", "choices": ["auto", "rewind", "base_backup"], "default": "auto"},
    "slot": {"type": "str"},
    "application_name": {"type": "str"},
    "expected_timeline": {"type": "int"},
    "system_identifier": {"type": "str"},
    "evidence": {"type": "path", "default": "/var/lib/day2/dr/rejoined"},
    "keep_wal": {"type": "bool", "default": True},
    "copy_timeout": {"type": "str", "default": "4h"},
    "timeout": {"type": "str", "default": "60s"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, required_together=TOGETHER, supports_check_mode=True)
    given = module.params
    try:
        login = {name: value for name, value in given["login"].items() if value is not None}
        more = {name: value for name, value in (given["rewind_login"] or login).items() if value is not None}
        asked = Rejoin(
            host=given["primary"]["host"],
            primary_port=given["primary"]["port"],
            login=login,
            rewind_login=more,
            database=given["database"],
            method=given["method"],
            slot=given["slot"],
            name=given["application_name"],
            expected_timeline=given["expected_timeline"],
            system_identifier=given["system_identifier"],
            evidence=given["evidence"],
            keep_wal=given["keep_wal"],
            run=given["run"],
            limit=parse_duration(given["copy_timeout"]),
            stream_limit=parse_duration(given["timeout"]),
        )
        with acting(given["system"], given["epoch"], given["run"], GUARD_WAIT, module.check_mode):
            if not module.check_mode:
                finish_replacement(given["data"])
            result = rejoin(member_at(given["data"], given["unit"]), asked, module.check_mode)
    except QuantityError as exc:
        module.fail_json(msg=f"a duration is not understood: {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
