#!/usr/bin/python
# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dr_traffic
short_description: Lead an application's traffic to another database server, or cut a server off
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Leads one layer of traffic (O(kind)) to O(primary). It observes where the layer leads, acts where that is something
    else, and observes again. A layer that leads there already is not changed.
  - With O(cut=true) it cuts O(old) off at that layer instead, and says whether that is proven (RV(proven)). Then the
    layer leads nowhere, also after a restart, until it is led to O(primary).
  - PgBouncer and HAProxy are changed at once and in their files; comments, other lines, owner and mode of the files
    stay. The new primary has to be reachable from the host, or nothing is changed.
extends_documentation_fragment:
  - day2.ops.attributes
  - day2.ops.failover
options:
  kind:
    description:
      - The kind of layer. V(pgbouncer) are databases of a PgBouncer and V(haproxy) servers of a HAProxy on this host,
        V(hosts_entry) is a name in a file of hosts, V(route53) a record in Route 53, and V(command) a site's own
        commands.
      - V(pgbouncer) pauses the database, and clients wait without an error. Sessions that are busy longer than
        O(timeout), such as those that wait for a server that is gone, are cut (C(KILL)) with all clients of the
        database. Whatever fails, the database goes on where it was.
      - V(haproxy) gives the servers another address, and ends sessions that are open at the old one.
      - V(pgbouncer), V(haproxy) and V(command) with O(cut_check) can prove that O(old) is cut off.
    type: str
    required: true
    choices: [pgbouncer, haproxy, hosts_entry, route53, command]
  primary:
    description: The server that traffic is led to. Required unless O(cut=true).
    type: dict
    suboptions:
      host:
        description: A name or an address, as the host of this layer reaches it.
        type: str
        required: true
      port:
        description: The port of PostgreSQL.
        type: int
        default: 5432
  old:
    description:
      - The server that traffic was led to. Required with O(cut=true), which looks for connections to it that are left.
    type: dict
    suboptions:
      host:
        description: A name or an address, as the host of this layer reaches it.
        type: str
        required: true
      port:
        description: The port of PostgreSQL.
        type: int
        default: 5432
  cut:
    description:
      - Whether O(old) is cut off. Its connections are ended, and none is made any more.
      - With V(hosts_entry) and V(route53) nothing is changed and nothing is proven, because clients keep connections
        and addresses that they know.
    type: bool
    default: false
  timeout:
    description:
      - How long each wait may take, such as that for sessions of PgBouncer, for a site's command or for Route 53.
      - Without it V(5s) for V(pgbouncer), V(2m) for V(route53), and V(30s) for the others.
    type: str
  databases:
    description:
      - Names in the section C([databases]) of PgBouncer. Required with O(kind=pgbouncer). Other databases are not
        touched.
    type: list
    elements: str
  config:
    description:
      - The configuration of PgBouncer or HAProxy; of the latter it may be a directory, whose C(*.cfg) are read.
      - Without it the file that PgBouncer says it has read (else C(/etc/pgbouncer/pgbouncer.ini)), or
        C(/etc/haproxy/haproxy.cfg). Files that PgBouncer's includes are read as well.
    type: path
  admin_host:
    description: >-
      Directory of PgBouncer's socket, or a name or address where its console is. Without it
      C(/var/run/postgresql).
    type: str
  admin_port:
    description: Port of PgBouncer. Without it 6432.
    type: int
  admin_user:
    description:
      - One of PgBouncer's C(admin_users). Without it root asks at the socket as the user that PgBouncer runs as, which
        needs no password.
    type: str
  admin_password:
    description: The password of O(admin_user).
    type: str
  servers:
    description: >-
      Servers of HAProxy as C(backend/server). Required with O(kind=haproxy).
    type: list
    elements: str
  socket:
    description: >-
      Path of a C(stats socket) of HAProxy with C(level admin). Without it C(/run/haproxy/admin.sock).
    type: path
  name:
    description:
      - The name that is led elsewhere. Required with O(kind=hosts_entry) and O(kind=route53).
      - Of a line in the file of hosts that has other names too, those stay where they are.
    type: str
  file:
    description: The file of hosts. Without it C(/etc/hosts), and then programs of the host have to get the address.
    type: path
  zone:
    description: Id of the hosted zone. Required with O(kind=route53).
    type: str
  record_type:
    description:
      - Type of the record; V(A) without it. The record has to be there, and keeps its TTL (RV(ttl)). An alias, and one
        with a routing policy, are refused.
    type: str
    choices: [A, AAAA, CNAME]
  resolvers:
    description:
      - DNS servers that the clients use, as C(address) or C(address:port). They have to answer with the new value, at
        most O(timeout) after the record's TTL.
    type: list
    elements: str
  endpoint_url:
    description: Address of the interface, where it is not Amazon's.
    type: str
  region:
    description: Region that requests are signed for. Without it C(us-east-1).
    type: str
  access_key:
    description: Id of the access key. Without it boto3 finds its own keys.
    type: str
  secret_key:
    description: Secret part of the access key.
    type: str
  session_token:
    description: Token of a temporary access key.
    type: str
  argv:
    description:
      - The command that leads traffic to O(primary), as a list of words. Required with O(kind=command). It finds
        C(DAY2_PRIMARY_HOST), C(DAY2_PRIMARY_PORT), C(DAY2_OLD_HOST) and C(DAY2_OLD_PORT) in its environment.
    type: list
    elements: str
  check:
    description:
      - A command that says whether traffic leads to O(primary). Exit status 0 is yes, 1 is no; others are an error.
        Without it O(argv) is run each time.
    type: list
    elements: str
  cut_argv:
    description: The command that cuts O(old) off.
    type: list
    elements: str
  cut_check:
    description: A command that says whether O(old) is cut off, as O(check) does.
    type: list
    elements: str
requirements:
  - psycopg2, for PgBouncer
  - boto3, for Route 53
attributes:
  check_mode:
    description: Reports the steps that would be done. Nothing is changed.
    support: full
  platform:
    description: Runs on the host of the layer, as root.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Lead PgBouncer's clients to the new primary
  day2.ops.dr_traffic:
    kind: pgbouncer
    databases: [analytics]
    primary: {host: db2.example.com}
    old: {host: db1.example.com}
  become: true

- name: Cut the old primary off at HAProxy
  day2.ops.dr_traffic:
    kind: haproxy
    servers: [postgres/primary]
    old: {host: 10.0.0.1}
    cut: true
  become: true

- name: Lead a record in Route 53 to the new primary, and see that the site's resolvers know
  day2.ops.dr_traffic:
    kind: route53
    zone: Z0123456789ABCDEFGHIJ
    name: analytics-db.example.com
    primary: {host: 10.0.0.2}
    resolvers: [10.0.0.53]
"""

RETURN = r"""
leads:
  description: Where the layer leads, in words.
  returned: success
  type: str
  sample: analytics at db2.example.com:5432
before:
  description: Where it led before.
  returned: success
  type: str
  sample: analytics at db1.example.com:5432
steps:
  description: Steps that were done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: ['analytics leads to db2.example.com:5432, and goes on']
evidence:
  description: What else was seen, such as connections that are left.
  returned: success
  type: list
  elements: str
proven:
  description: With O(cut=true), whether O(old) is cut off at this layer for certain.
  returned: success
  type: bool
layer:
  description: The layer at which O(old) is cut off, V(proxy) or V(command).
  returned: success
  type: str
  sample: proxy
survives_reboot:
  description: >-
    Whether it is proven, and O(old) stays cut off when the layer's host starts again; null with O(kind=command), of
    which nobody knows.
  returned: success
  type: bool
ttl:
  description: TTL of the record in seconds, with O(kind=route53). So long may clients lead to the server of before.
  returned: success
  type: int
  sample: 60
served_at:
  description: When traffic led to O(primary), by this host's clock. Null where it led there before, and with O(cut).
  returned: success
  type: str
  sample: '2026-02-01T04:00:08.240Z'
seconds:
  description: How long it took.
  returned: success
  type: float
  sample: 0.412
msg:
  description: All of it in a sentence.
  returned: success
  type: str
  sample: 'pgbouncer: analytics at db2.example.com:5432'
"""

from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import secrets_of_commands
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover import guard
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import registry
from ansible_collections.day2.ops.plugins.module_utils.process.masked_module import MaskedModule


def _secrets(params: Mapping[str, Any]) -> list[str]:
    return secrets_of_commands(params, "argv", "check", "cut_argv", "cut_check")


def main() -> None:
    module = MaskedModule(
        _secrets, argument_spec=registry.SPEC, required_together=guard.TOGETHER, supports_check_mode=True
    )
    try:
        module.exit_json(**registry.run(module.params, module.check_mode))
    except Day2Error as exc:
        module.fail_json(msg=str(exc))


if __name__ == "__main__":
    main()
