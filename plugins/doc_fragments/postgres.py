# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How a module reaches PostgreSQL."""

    DOCUMENTATION = r"""
options:
  host:
    description: Name, address, or the directory of a socket. Without it libpq's default, or what O(service) says.
    type: str
  port:
    description: The port.
    type: int
  user:
    description: The role. Without it the user that the module runs as.
    type: str
  password:
    description: Its password. A password file (C(.pgpass)) or a service entry is better.
    type: str
  service:
    description: An entry of the connection service file (C(pg_service.conf)).
    type: str
  sslmode:
    description: libpq's sslmode.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  maintenance_database:
    description: The database for what concerns the whole cluster.
    type: str
    default: postgres
requirements:
  - psycopg2
"""
