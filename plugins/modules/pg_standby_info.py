#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_standby_info
short_description: What a PostgreSQL server is in a group of primary and standbys
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Tells of the server on this host whether it runs, whether it is primary or standby, on which timeline and how far it
    is, what it streams from and who streams from it, and what a promotion would need.
  - A server that does not run is described by its files (C(pg_controldata)). One that hangs, or whose disk does, is
    V(hung) when O(timeout) has passed.
  - Logs in by the server's own socket as the user who owns its data directory, and needs C(psql) only.
extends_documentation_fragment: day2.ops.attributes
options:
  port:
    description: Port of the server, by which it is found.
    type: int
    default: 5432
  data:
    description: Data directory of the server. Without it the one whose server has O(port).
    type: path
  unit:
    description: Name of its systemd unit, if it differs from that of Debian's or PostgreSQL's packages.
    type: str
  stanza:
    description: Name of the pgBackRest stanza, where the C(archive_command) of the server does not name it.
    type: str
    default: main
  pgbackrest_config:
    description: Path of pgBackRest's configuration file, where the C(archive_command) of the server does not name it.
    type: path
  timeout:
    description: How long all of it may take.
    type: str
    default: 20s
attributes:
  check_mode:
    description: Only looks, in check mode and otherwise.
    support: full
  platform:
    description: Runs as root, or as the user who owns the data directory.
    support: full
    platforms: posix
seealso:
  - module: day2.ops.pg_promote
  - module: day2.ops.pg_follow
"""

EXAMPLES = r"""
- name: Look at the server
  day2.ops.pg_standby_info:
  become: true
  register: member

- name: A standby that follows
  ansible.builtin.assert:
    that: member.role == "standby" and member.upstream.status == "streaming"
"""

RETURN = r"""
state:
  description: >-
    V(running), V(stopped), V(starting) (it refuses sessions), V(hung) (its process is there and it does not
    answer) or V(absent).
  returned: success
  type: str
  sample: running
role:
  description: V(primary) or V(standby); of a server that does not run, what it was.
  returned: success
  type: str
in_recovery:
  description: Whether it is in recovery.
  returned: success
  type: bool
system_identifier:
  description: Which cluster it is a copy of.
  returned: success
  type: str
  sample: '7710571359535782690'
timeline:
  description: Its timeline.
  returned: success
  type: int
  sample: 1
version:
  description: Its version.
  returned: success
  type: int
  sample: 150018
data:
  description: Its data directory.
  returned: success
  type: str
  sample: /var/lib/postgresql/15/main
port:
  description: Its port.
  returned: success
  type: int
  sample: 5432
unit:
  description: Its systemd unit.
  returned: success
  type: str
  sample: postgresql@15-main.service
unit_state:
  description: Its active state.
  returned: success
  type: str
  sample: active
unit_masked:
  description: >-
    Whether the unit is kept from starting for good, as M(day2.ops.dr_fence) does. A mask in C(/run) does not count.
  returned: success
  type: bool
lsn:
  description: >-
    What a primary has on disk, or a standby has received. Of a server that does not run, the least that its files
    hold.
  returned: success
  type: str
  sample: 0/3000060
clean:
  description: Of a server that does not run, whether it was shut down in order.
  returned: success
  type: bool
wal_end:
  description: Where the WAL of a primary ends that was not, if it can be read.
  returned: success
  type: str
unchanged:
  description: >-
    Of a primary that does not run, seconds for which nobody has written its WAL, at the least; null where that is not
    known, as on a remote file system.
  returned: success
  type: float
  sample: 384.2
received_lsn:
  description: What a standby has received.
  returned: success
  type: str
replayed_lsn:
  description: What a standby has replayed.
  returned: success
  type: str
replayable:
  description: Whether it replays at once what it has - neither paused nor delayed.
  returned: success
  type: bool
replay_paused:
  description: Whether replay is paused.
  returned: success
  type: bool
apply_delay:
  description: Seconds of C(recovery_min_apply_delay).
  returned: success
  type: float
lag:
  description: >-
    C(bytes) and C(seconds) that a standby is behind what it streams from. Both are 0 while nothing is written
    there. Without a stream C(bytes) is null, and C(seconds) is the age of the last commit that was replayed.
  returned: success
  type: dict
  sample: {bytes: 0, seconds: 0.0}
upstream:
  description: What a standby streams from - C(host), C(port), C(status), C(last_message_age).
  returned: success
  type: dict
replication:
  description: >-
    Who streams from it - C(application), C(address), C(state), C(sync_state), C(flush_lsn), C(bytes), C(seconds).
  returned: success
  type: list
  elements: dict
slots:
  description: Its slots - C(name), C(type), C(active), C(retained_bytes), C(wal_status), C(failover).
  returned: success
  type: list
  elements: dict
synchronous_standby_names:
  description: The setting.
  returned: success
  type: str
archiver:
  description: C(mode), C(last_archived), C(last_failed) and C(failing), which is null where it does not archive.
  returned: success
  type: dict
repository_on_this_disk:
  description: Whether all repositories of pgBackRest are on the disk of the data directory; null where unknown.
  returned: success
  type: bool
checksums:
  description: Whether it has data checksums.
  returned: success
  type: bool
wal_log_hints:
  description: C(wal_log_hints), which C(pg_rewind) needs without checksums.
  returned: success
  type: bool
password_ok:
  description: >-
    Whether a standby's login at what it streams from works; null where that does not answer.
  returned: success
  type: bool
disk_free:
  description: Free bytes for its data and its WAL.
  returned: success
  type: int
managed_by:
  description: >-
    Who else decides here - V(patroni), V(repmgrd), V(pacemaker), V(pg_auto_failover), V(stolon) or V(cloudnative_pg). A
    manager of another data directory does not; Patroni and pg_auto_failover do while they rest, by what they have left
    in this one (C(patroni.dynamic.json), C(postgresql-auto-failover.conf)).
  returned: success
  type: str
manager_paused:
  description: Where it is V(repmgrd), whether that is paused; null where the server does not say.
  returned: success
  type: bool
promoted_by:
  description: The run of M(day2.ops.pg_promote) that made it primary.
  returned: success
  type: str
error:
  description: Why something is not known.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import standby
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration

SPEC = {
    "port": {"type": "int", "default": 5432},
    "data": {"type": "path"},
    "unit": {"type": "str"},
    "stanza": {"type": "str", "default": "main"},
    "pgbackrest_config": {"type": "path"},
    "timeout": {"type": "str", "default": "20s"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    given = module.params
    try:
        limit = parse_duration(given["timeout"])
        member = standby.observe(
            given["port"], given["data"], given["unit"], limit, given["stanza"], given["pgbackrest_config"]
        )
    except QuantityError as exc:
        module.fail_json(msg=f"'timeout': {exc}")
    except Day2Error as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(changed=False, **member)


if __name__ == "__main__":
    main()
