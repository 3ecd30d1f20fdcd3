# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles that a restore makes are those of the source, whatever stands in their comments, settings and names."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

REPOSITORY = "/var/lib/postgresql/day2-role-sets"
LOG = "/var/log/postgresql/postgresql-15-main.log"
ATTACK = (
    "ALTER ROLE role_app SUPERUSER;\n"
    "ALTER ROLE role_app WITH SUPERUSER INHERIT CREATEROLE CREATEDB LOGIN REPLICATION BYPASSRLS;\n"
    "GRANT pg_execute_server_program TO role_app GRANTED BY postgres;\nGRANT postgres TO role_app;\n"
)
# Names, comments and settings of somebody who may make roles.
ODD = 'role_odd"\nALTER ROLE role_app SUPERUSER;\n--'
ROLES = f"""
CREATE ROLE role_app LOGIN CONNECTION LIMIT 3 PASSWORD 'fic''tional\\' VALID UNTIL '2031-05-06 07:08:09+02' CREATEDB;
CREATE ROLE role_team NOINHERIT;
CREATE ROLE role_gone;
CREATE ROLE "{ODD.replace('"', '""')}";
COMMENT ON ROLE role_app IS $x$it's
{ATTACK}\\ end$x$;
ALTER ROLE role_app SET search_path = "$user", "a b", public;
ALTER ROLE role_app SET application_name = E'a''b\\\\c';
ALTER ROLE role_app SET my.value = $x$1
{ATTACK}2$x$;
ALTER ROLE "{ODD.replace('"', '""')}" SET work_mem = '7MB';
GRANT role_team TO role_app WITH ADMIN OPTION;
GRANT role_app TO "{ODD.replace('"', '""')}";
GRANT role_gone TO role_app;
GRANT pg_monitor TO role_team;
GRANT role_team TO role_keeper;
GRANT SET ON PARAMETER log_statement TO role_app;
"""
# As the server has them, with passwords; but for what this site gives nobody.
WHAT_THEY_ARE = """
SELECT json_agg(json_build_array(rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication,
         rolbypassrls, rolconnlimit, rolpassword, extract(epoch FROM rolvaliduntil),
         (SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid AND setdatabase = 0),
         shobj_description(a.oid, 'pg_authid'),
         (SELECT json_agg(json_build_array(roleid::regrole, admin_option) ORDER BY roleid::regrole::text)
            FROM pg_auth_members WHERE member = a.oid)) ORDER BY rolname)
  FROM pg_authid a WHERE rolname ~ '^role_'"""


class Site:
    """A database `roles` that is owned and used by roles of strange texts."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def psql(self, text: str, database: str = "postgres") -> None:
        shell = ["runuser", "-u", "postgres", "--", "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", database]
        self.host.run(*shell, text=text)

    def drop_roles(self) -> None:
        """All but `role_keeper`, with what they may do."""
        self.psql("SELECT format('DROP OWNED BY %I', rolname) FROM pg_roles WHERE rolname ~ '^role_' \\gexec\n")
        self.psql("SELECT format('DROP ROLE %I', rolname) FROM pg_roles WHERE rolname ~ '^role_' AND rolname <>"
                  " 'role_keeper' \\gexec\n")  # fmt: skip

    def roles(self) -> Any:
        return json.loads(self.host.sql(WHAT_THEY_ARE, "postgres"))

    def backup(self) -> str:
        call = {"databases": ["roles"], "repository": REPOSITORY}
        made = self.host.direct.answer("pg_backup", call, "postgres")
        assert made["made"], made
        return str(made["set"]["id"])

    def restore(self, check_mode: bool = False, **arguments: Any) -> Any:
        call = {"database": "roles", "repository": REPOSITORY, "allow": ["create_roles"], **arguments}
        return self.host.direct.answer("pg_restore", call, "postgres", check_mode)


@pytest.fixture
def site(lab_host: Any) -> Iterator[Site]:
    found = Site(lab_host)

    def clean() -> None:
        lab_host.sql("DROP DATABASE IF EXISTS roles WITH (FORCE)", "postgres")
        found.drop_roles()
        lab_host.sql("DROP ROLE IF EXISTS role_keeper", "postgres")
        lab_host.run("rm", "-rf", REPOSITORY)

    clean()
    lab_host.sql("CREATE ROLE role_keeper", "postgres")
    found.psql(ROLES)
    odd = ODD.replace('"', '""')
    lab_host.sql("CREATE DATABASE roles OWNER role_app", "postgres")
    found.psql(
        f'CREATE TABLE t (a int); ALTER TABLE t OWNER TO role_app; GRANT SELECT ON t TO "{odd}", role_team;\n', "roles"
    )
    yield found
    clean()


def from_globals_only(site: Site) -> None:
    """As a release made the set that did not record roles in the manifest."""
    path = site.host.run("sh", "-c", f"ls {REPOSITORY}/postgresql/*/manifest.json")
    fields = json.loads(site.host.run("cat", path))
    assert fields["databases"][0].pop("role_definitions")
    del fields["digest"]
    fields["digest"] = hashlib.sha256(json.dumps(fields, ensure_ascii=True, sort_keys=True).encode()).hexdigest()
    site.host.run("sh", "-c", f"cat > {path}", text=json.dumps(fields))


@pytest.mark.parametrize("recorded", [True, False])
def test_roles_are_what_they_were(site: Site, recorded: bool) -> None:
    before = site.roles()
    assert [role[1] for role in before] == [False] * 5
    site.backup()
    if not recorded:
        from_globals_only(site)
    site.host.sql("DROP DATABASE roles", "postgres")
    site.drop_roles()
    refused = site.restore(allow=[])
    assert refused["failed"] and "roles are missing: " in refused["msg"], refused
    plan = site.restore(check_mode=True)
    step = next(step for step in plan["steps"] if step.startswith("make roles "))
    assert 'role_app (CREATEDB, LOGIN; member of role_team WITH ADMIN; with member "role_odd' in step, plan
    assert "sets search_path, application_name, my.value" in step and "\n" not in step
    assert "SUPERUSER" not in step.replace(json.dumps(ODD), "")
    assert [role[0] for role in site.roles()] == ["role_keeper"]
    done = site.restore()
    assert done["changed"], done
    # role_gone has nothing to do with the database.
    gone = "role_app is not made a member of role_gone again: this server has no role role_gone"
    parameters = "role_app had privileges on parameters of the server, which are not restored"
    assert sorted(done.get("warnings", [])) == sorted([gone, parameters]), done
    expected = [role for role in before if role[0] != "role_gone"]
    for role in expected:
        role[-1] = [setting for setting in role[-1] or [] if setting[0] != "role_gone"] or None
    assert site.roles() == expected


def test_a_password_is_in_no_log(site: Site) -> None:
    site.backup()
    site.host.sql("DROP DATABASE roles", "postgres")
    site.drop_roles()
    site.host.sql("ALTER SYSTEM SET log_statement = 'all'", "postgres")
    site.host.sql("SELECT pg_reload_conf()", "postgres")
    try:
        size = site.host.run("stat", "-c", "%s", LOG)
        done = site.restore()
        assert done["changed"], done
        log = site.host.run("tail", "-c", f"+{size}", LOG)
        password = site.host.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'role_app'", "postgres")
        assert "CREATE DATABASE" in log and password.startswith("SCRAM") and password not in log
    finally:
        site.host.sql("ALTER SYSTEM RESET log_statement", "postgres")
        site.host.sql("SELECT pg_reload_conf()", "postgres")


def test_attributes_of_the_source_are_planned_and_made(site: Site) -> None:
    site.host.sql("ALTER ROLE role_team BYPASSRLS REPLICATION; GRANT pg_write_server_files TO role_team", "postgres")
    site.backup()
    site.host.sql("DROP DATABASE roles", "postgres")
    site.drop_roles()
    plan = site.restore(check_mode=True)
    assert "role_team (REPLICATION, BYPASSRLS; member of pg_monitor, pg_write_server_files; with member" in str(plan)
    assert site.restore()["changed"]
    query = (
        "SELECT rolbypassrls, rolreplication, rolsuper, pg_has_role(oid, 'pg_write_server_files', 'MEMBER')"
        " FROM pg_roles WHERE rolname = 'role_team'"
    )
    assert site.host.sql(query, "postgres") == "t|t|f|t"


def test_no_right_is_gained_by_a_name(site: Site) -> None:
    site.backup()
    site.host.sql("DROP DATABASE roles", "postgres")
    site.drop_roles()
    site.host.sql("CREATE ROLE role_gone SUPERUSER", "postgres")
    before = site.roles()
    for check_mode in (True, False):
        refused = site.restore(check_mode=check_mode)
        assert refused.get("failed") and "nothing was touched" in refused["msg"], refused
        assert "role_app would become a member of role_gone, which has SUPERUSER on this server" in refused["msg"]
        assert "allow: [gained_rights]" in refused["msg"] and site.roles() == before
    meant = {"allow": ["create_roles", "gained_rights"]}
    plan = site.restore(check_mode=True, **meant)
    assert any(step.startswith("although role_app would become a member of role_gone") for step in plan["steps"]), plan
    assert site.restore(**meant)["changed"]
    assert site.host.sql("SELECT pg_has_role('role_app', 'role_gone', 'MEMBER')", "postgres") == "t"


def test_rights_of_a_group_that_is_there(site: Site) -> None:
    # As pg_has_role knows them, of predefined roles and of groups of groups.
    site.backup()
    site.host.sql("DROP DATABASE roles", "postgres")
    site.drop_roles()
    site.psql("CREATE ROLE role_gone; CREATE ROLE role_deep REPLICATION; GRANT role_deep TO role_gone;"
              " GRANT pg_read_server_files TO role_deep;")  # fmt: skip
    refused = site.restore()
    assert refused.get("failed") and "role_gone, which has REPLICATION, pg_read_server_files on" in refused["msg"]
    site.host.sql("REVOKE role_deep FROM role_gone", "postgres")
    assert site.restore()["changed"]
