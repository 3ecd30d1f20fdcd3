# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles as the catalogue has them, without passwords: what a manifest says of those that a database needs."""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.postgres.server import ask

# Words of CREATE ROLE by the columns of pg_roles that say them.
ATTRIBUTES = {
    "SUPERUSER": "rolsuper",
    "INHERIT": "rolinherit",
    "CREATEROLE": "rolcreaterole",
    "CREATEDB": "rolcreatedb",
    "LOGIN": "rolcanlogin",
    "REPLICATION": "rolreplication",
    "BYPASSRLS": "rolbypassrls",
}
# Since this version a membership says by itself whether it is inherited and allows SET ROLE.
_OPTIONS = 160000
_NEEDED = """
SELECT d.refobjid FROM pg_shdepend d
 WHERE d.refclassid = 'pg_authid'::regclass
   AND (d.dbid = {oid} OR (d.classid = 'pg_database'::regclass AND d.objid = {oid}))
UNION SELECT datdba FROM pg_database WHERE oid = {oid}
UNION SELECT setrole FROM pg_db_role_setting WHERE setdatabase = {oid}
UNION SELECT 10"""
_ROLES = """
SELECT r.oid, r.rolname, ARRAY[{attributes}], r.rolconnlimit,
       CASE WHEN isfinite(r.rolvaliduntil)
            THEN to_char(r.rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00'
            ELSE r.rolvaliduntil::text END,
       r.rolconfig, shobj_description(r.oid, 'pg_authid'),
       (SELECT coalesce(array_agg(ARRAY[l.provider, l.label] ORDER BY l.provider), '{{}}') FROM pg_shseclabel l
         WHERE l.classoid = 'pg_authid'::regclass AND l.objoid = r.oid)
  FROM pg_roles r WHERE r.oid IN ({needed}) ORDER BY r.rolname"""
# One grant may stand there by several grantors.
_MEMBERSHIPS = """
SELECT pg_get_userbyid(m.roleid), pg_get_userbyid(m.member), bool_or(m.admin_option), {inherit}, {set}
  FROM pg_auth_members m WHERE m.roleid IN ({needed}) OR m.member IN ({needed})
 GROUP BY 1, 2 ORDER BY 1, 2"""


def definitions(shared: Any, oid: int) -> dict[str, Any]:
    """Of the roles that a database needs: `roles` with their properties, `memberships` with one of them."""
    needed = _NEEDED.format(oid=int(oid))
    columns = ", ".join(f"r.{column}" for column in ATTRIBUTES.values())
    roles = [
        {
            "name": name,
            "attributes": [word for word, has in zip(ATTRIBUTES, attributes) if has],
            "connection_limit": limit,
            "valid_until": until,
            "settings": list(settings or []),
            "comment": comment,
            "labels": [list(label) for label in labels],
        }
        for _oid, name, attributes, limit, until, settings, comment, labels in ask(
            shared, _ROLES.format(attributes=columns, needed=needed)
        )
    ]
    options = shared.server_version >= _OPTIONS
    query = _MEMBERSHIPS.format(
        needed=needed,
        inherit="bool_or(m.inherit_option)" if options else "NULL::bool",
        set="bool_or(m.set_option)" if options else "NULL::bool",
    )
    columns_of = ("role", "member", "admin", "inherit", "set")
    return {"roles": roles, "memberships": [dict(zip(columns_of, row)) for row in ask(shared, query)]}
