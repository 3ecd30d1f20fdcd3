# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Named connections, in checks, in modules and in a role, with servers that want a password."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lab_host import ansible

PASSWORD, CACHE_PASSWORD = "Wr3n-harbour", "Teal-anchor7"
VARIABLES: dict[str, Any] = {
    "vault_database": PASSWORD,
    "day2_connections": {
        "application": {"host": "127.0.0.1", "user": "named", "password": "{{ vault_database }}", "database": "named"},
        "administration": {"database": "named", "run_as": "postgres", "password": "{{ nobody | default(omit) }}"},
        "wrong": {"host": "127.0.0.1", "user": "named", "password": "no-" + PASSWORD, "database": "named"},
        "cache": {"host": "127.0.0.1", "password": CACHE_PASSWORD, "database": 5, "validate_certs": True},
        "unused": {"host": "{{ a_variable_that_nobody_sets }}"},
    },
}


@pytest.fixture(scope="module", autouse=True)
def servers(lab_host: Any) -> Iterator[None]:
    lab_host.sql(f"CREATE ROLE named LOGIN PASSWORD '{PASSWORD}'")
    lab_host.sql("CREATE DATABASE named OWNER named")
    lab_host.run("redis-cli", "CONFIG", "SET", "requirepass", CACHE_PASSWORD)
    yield
    lab_host.run("env", f"REDISCLI_AUTH={CACHE_PASSWORD}", "redis-cli", "CONFIG", "SET", "requirepass", "")
    lab_host.sql("DROP DATABASE named WITH (FORCE)")
    lab_host.sql("DROP ROLE named")


def options(**more: Any) -> list[str]:
    return ["-vvv", "-e", json.dumps({**VARIABLES, **more})]


def named(lab_host: Any, *checks: dict[str, Any]) -> Any:
    found = lab_host.module([{"title": check["id"], **check} for check in checks], *options())
    assert PASSWORD not in lab_host.said and CACHE_PASSWORD not in lab_host.said
    return found


def test_checks_reach_what_they_name(lab_host: Any) -> None:
    found = named(
        lab_host,
        {"id": "user", "probe": "postgres", "connection": "application", "query": "SELECT session_user || '@' || "
         "current_database()"},
        {"id": "local", "probe": "postgres", "connection": "administration", "query": "SELECT session_user || ''"},
        {"id": "other", "probe": "postgres", "connection": "administration", "database": "postgres",
         "query": "SELECT current_database() || ''"},
        {"id": "refused", "probe": "postgres", "connection": "wrong"},
        {"id": "cache", "probe": "redis", "connection": "cache"},
        {"id": "by-itself", "probe": "redis"},
    )  # fmt: skip
    rows = {row["id"]: row for row in found["results"]}
    assert [rows[name]["value"] for name in ("user", "local", "other")] == ["named@named", "postgres", "postgres"]
    assert rows["refused"]["status"] == "critical" and "password authentication failed" in rows["refused"]["message"]
    assert rows["cache"]["status"] == "ok" and rows["by-itself"]["status"] == "critical", rows


def test_a_misspelt_connection_is_refused_before_anything_runs(lab_host: Any) -> None:
    found = named(lab_host, {"id": "login", "probe": "postgres", "connection": "aplication"})
    assert found["failed"] and "results" not in found
    assert found["msg"] == (
        "check 'login', field 'connection': 'aplication' is not in day2_connections; did you mean 'application'?"
    )


def test_modules_take_a_name_or_the_fields(lab_host: Any) -> None:
    """pg_backup logs in as the role of the connection: it may read its own database, and no other."""
    place = "/var/lib/postgresql/named-sets"
    about = {"repository": place, "databases": ["named"], "connection": "application", "max_age": "1h"}
    lab_host.run("sh", "-c", f"rm -rf {place}; install -d -o postgres {place}")
    of_others = {**about, "databases": ["options_engine"]}
    refused = lab_host.task("day2.ops.pg_backup", of_others, *options(), become_user="postgres")
    assert refused["failed"] and "permission denied" in refused["msg"] and PASSWORD not in lab_host.said, refused
    made = lab_host.task("day2.ops.pg_backup", about, *options(), become_user="postgres")
    assert made["changed"] and made["made"] and PASSWORD not in lab_host.said, made
    fields = {"host": "127.0.0.1", "user": "named", "password": PASSWORD, "database": "elsewhere"}
    ended = lab_host.task("day2.ops.pg_sessions", {"database": "named", "connection": fields}, *options())
    assert not ended["failed"] and PASSWORD not in lab_host.said, ended
    wrong = lab_host.task(
        "day2.ops.pg_sessions", {"database": "named", "connection": {**fields, "prot": 1}}, *options()
    )
    assert wrong["failed"] and "module pg_sessions does not take; did you mean 'port'?" in wrong["msg"], wrong
    assert PASSWORD not in lab_host.said


def test_a_step_empties_the_cache_that_it_names(lab_host: Any) -> None:
    ask = ["env", f"REDISCLI_AUTH={CACHE_PASSWORD}", "redis-cli", "-n", "5"]
    lab_host.run(*ask, "MSET", "gone:1", "x", "stays:1", "y")
    about = {"prefixes": ["gone:"], "connection": "cache"}
    done = lab_host.task("day2.ops.redis_cleanup", about, *options())
    assert done["changed"] and lab_host.run(*ask, "KEYS", "*") == "stays:1", done
    assert CACHE_PASSWORD not in lab_host.said
    lab_host.run(*ask, "FLUSHDB")


def test_a_role_backs_up_by_a_name(lab_host: Any, tmp_path: Path) -> None:
    place = "/var/lib/postgresql/named-role"
    connections = {**VARIABLES["day2_connections"], "service": {"host": "/var/run/postgresql", "run_as": "postgres"}}
    lab_host.run("rm", "-rf", place)
    done = lab_host.playbook(
        "day2.ops.backup", "-l", "options-engine-1", day2_report_dir=str(tmp_path), postgres_backup_install=False,
        day2_connections=connections, postgres_backup_login="service", postgres_backup_databases=["named"],
        postgres_backup_repository=place, postgres_backup_files=[], postgres_backup_copy_to="", day2_backup_checks=[],
        day2_fail_on="never",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads(lab_host.run("sh", "-c", f"cat {place}/postgresql/*/manifest.json"))
    assert [entry["name"] for entry in manifest["databases"]] == ["named"]


def test_a_misspelt_name_is_refused_by_the_variable_that_has_it(tmp_path: Path) -> None:
    """What a user wrote is the variable of a role; the option is the role's own."""
    task = {"day2.ops.pg_sessions": {"database": "named", "connection": "{{ shop_login }}"}}
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": [task]}
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    named_here = {"shop_login": "aplication", "day2_connections": {"application": {"host": "db1"}}}
    done = ansible(["ansible-playbook", str(tmp_path / "play.yml"), "-e", json.dumps(named_here)])
    said = "shop_login: 'aplication' is not in day2_connections; did you mean 'application'?"
    assert done.returncode == 2 and said in done.stdout, done.stdout + done.stderr
