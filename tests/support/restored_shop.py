# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database that is backed up and restored by the modules, and what the server itself says of it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for
from shop import FINGERPRINT, NASTY, OBJECTS, quoted

REPOSITORY = "/var/lib/postgresql/day2-restore"
# What a database is besides its contents, as the server says it.
PROPERTIES = """
SELECT row_to_json(p) FROM (
  SELECT pg_get_userbyid(datdba) AS owner, datconnlimit, datcollate, pg_encoding_to_char(encoding) AS encoding,
         datistemplate, datallowconn, datlocprovider, daticulocale, dattablespace,
         shobj_description(d.oid, 'pg_database') AS comment,
         (SELECT array_agg(a::text ORDER BY a::text) FROM (
            SELECT concat_ws(' ', grantor::regrole, grantee::regrole, privilege_type, is_grantable) AS a
              FROM aclexplode(datacl)) x) AS acl,
         (SELECT array_agg(s::text ORDER BY s::text) FROM (
            SELECT coalesce(rolname, '') || setconfig::text AS s FROM pg_db_role_setting
              LEFT JOIN pg_roles r ON r.oid = setrole
             WHERE setdatabase = d.oid) x) AS settings
    FROM pg_database d WHERE datname = current_database()) p"""


class Shop:
    """The database, its repository, and the module."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def backup(self, **arguments: Any) -> Any:
        call = {"databases": [NASTY], "repository": REPOSITORY, **arguments}
        made = self.host.task("day2.ops.pg_backup", call, become_user="postgres")
        assert made["made"], made
        return made

    def restore(self, check_mode: bool = False, by_ansible: bool = False, **arguments: Any) -> Any:
        call = {"database": NASTY, "repository": REPOSITORY, **arguments}
        how = {"become_user": "postgres", "check_mode": check_mode, "by_ansible": by_ansible}
        return self.host.task("day2.ops.pg_restore", call, **how)

    def rewrite_manifest(self, change: Callable[[dict[str, Any]], None]) -> None:
        """As if the newest set had been made so; its manifest has a digest of its own fields."""
        path = self.host.run("sh", "-c", f"ls {REPOSITORY}/postgresql/*/manifest.json").split("\n")[-1]
        fields = json.loads(self.host.run("cat", path))
        change(fields)
        del fields["digest"]
        text = json.dumps(fields, ensure_ascii=True, sort_keys=True)
        fields["digest"] = hashlib.sha256(text.encode()).hexdigest()
        self.host.run("sh", "-c", f"cat > '{path}'", text=json.dumps(fields))

    def fingerprint(self, database: str = NASTY) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.host.sql(FINGERPRINT, database))
        return found

    def properties(self, database: str = NASTY) -> Any:
        return json.loads(self.host.sql(PROPERTIES, database))

    def databases(self) -> set[str]:
        said = self.host.sql("SELECT datname FROM pg_database WHERE NOT datistemplate", "postgres")
        return set(said.split("\n"))

    @contextmanager
    def restoring(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        """While a restore is loaded and asks what the site expects; its outcome stands in the record afterwards."""
        outcome: dict[str, Any] = {}
        slow = {"query": "SELECT pg_sleep(12)::text", "result": "", "title": "slow"}

        def work() -> None:
            # One that is killed has an outcome by Ansible alone.
            outcome.update(self.restore(expect=[slow], by_ansible=True, **arguments))

        thread = threading.Thread(target=work)
        thread.start()
        try:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_sleep.12' AND pid <> pg_backend_pid()"
            wait_for(lambda: self.host.sql(asked, "postgres"), lambda seen: seen == "1", 60, "the site's question")
            yield outcome
        finally:
            thread.join()

    def set_aside(self) -> set[str]:
        """Databases beside the live one that restores have made."""
        return {name for name in self.databases() if any(part in name for part in ("_restoring", "_old_", "_undone_"))}


@contextmanager
def restored_shop(lab_host: Any) -> Iterator[Shop]:
    clean(lab_host)
    lab_host.sql(f"CREATE DATABASE {quoted(NASTY)} TEMPLATE template0", "postgres")
    lab_host.sql(OBJECTS, NASTY)
    try:
        yield Shop(lab_host)
    finally:
        clean(lab_host)


def clean(lab_host: Any) -> None:
    names = lab_host.sql(
        "SELECT quote_ident(datname) FROM pg_database WHERE datname ~ '^(we\"ird|copy)'", "postgres"
    ).split("\n")
    lab_host.sql("UPDATE pg_database SET datistemplate = false WHERE datname ~ '^(we\"ird|copy)'", "postgres")
    for name in filter(None, names):
        lab_host.sql(f"DROP DATABASE {name} WITH (FORCE)", "postgres")
    lab_host.sql('DROP ROLE IF EXISTS "strange ""owner"; DROP ROLE IF EXISTS reader', "postgres")
    lab_host.run("rm", "-rf", REPOSITORY)
