# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches PostgreSQL."""

    DOCUMENTATION = r"""
options:
  connection:
    description:
      - How the server is reached - a name in the variable C(day2_connections), or a mapping of O(host), O(port),
        O(user), O(password), O(service) and O(sslmode). What the task gives itself counts. Other fields of a named
        connection (C(database), C(run_as)) are for checks.
    type: raw
  host:
    description:
      - Host name or address of the PostgreSQL server, or the directory of its socket. Without it the default of libpq,
        or the host that O(service) names.
      - The server itself. A connection pooler (C(pgbouncer)) is refused, because it lends its sessions to others.
    type: str
  port:
    description: TCP port of the PostgreSQL server, or the number in the name of its socket.
    type: int
  user:
    description: The database role that logs in. Without it the one named like the user that the module runs as.
    type: str
  password:
    description:
      - Password of the database role O(user). A password file (C(.pgpass)) or an entry of the connection service file
        is better.
    type: str
  service:
    description: Name of an entry of libpq's connection service file (C(pg_service.conf)), instead of O(host).
    type: str
  sslmode:
    description: How the connection to PostgreSQL is encrypted and the server's certificate verified (sslmode of libpq).
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  maintenance_database:
    description: The database to log in to for what concerns the whole cluster, such as the list of databases.
    type: str
    default: postgres
requirements:
  - psycopg2
"""
