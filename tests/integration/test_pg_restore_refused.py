# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore refuses before anything is touched, and what it carries over from the live database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from restored_shop import REPOSITORY, Shop, restored_shop
from shop import NASTY, quoted

STANDBY = "/var/lib/postgresql/day2-standby"
# Settings that need a restart of the server.
NEEDED = {"wal_level": "logical", "max_prepared_transactions": "5"}


@pytest.fixture
def shop(lab_host: Any) -> Iterator[Shop]:
    with restored_shop(lab_host) as opened:
        yield opened


@pytest.fixture(scope="module")
def logical_server(lab_host: Any) -> Iterator[Any]:
    for name, value in NEEDED.items():
        lab_host.sql(f"ALTER SYSTEM SET {name} = {value}", "postgres")
    lab_host.run("systemctl", "restart", "postgresql@15-main")
    yield lab_host
    for name in NEEDED:
        lab_host.sql(f"ALTER SYSTEM RESET {name}", "postgres")
    lab_host.run("systemctl", "restart", "postgresql@15-main")


def refused(shop: Shop, *words: str, **arguments: Any) -> None:
    """Before anything is touched, in check mode too."""
    names = shop.databases()
    for check_mode in (True, False):
        done = shop.restore(check_mode=check_mode, **arguments)
        assert done.get("failed"), done
        assert [word for word in words if word not in done["msg"]] == [], done["msg"]
        assert shop.databases() == names


def test_slots_and_prepared_transactions(logical_server: Any, shop: Shop) -> None:
    shop.backup()
    shop.host.sql("SELECT pg_create_logical_replication_slot('reads_it', 'test_decoding')", NASTY)
    try:
        refused(shop, "nothing was touched", "reads_it", "allow: [slots]", mode="replace")
        shop.host.sql("BEGIN; INSERT INTO empty VALUES (1); PREPARE TRANSACTION 'half'", NASTY)
        refused(shop, "prepared transactions hold the database: half", mode="replace", allow=["slots"])
        shop.host.sql("ROLLBACK PREPARED 'half'", NASTY)
        done = shop.restore(mode="replace", allow=["slots"])
        assert done["changed"], done
        assert shop.host.sql("SELECT database FROM pg_replication_slots", "postgres") == done["old"]
    finally:
        shop.host.sql("SELECT pg_drop_replication_slot('reads_it')", "postgres")


def test_a_transaction_that_is_prepared_meanwhile(logical_server: Any, shop: Shop) -> None:
    shop.backup()
    with shop.restoring(mode="replace", swap_timeout="3s") as outcome:
        shop.host.sql("BEGIN; INSERT INTO empty VALUES (77); PREPARE TRANSACTION 'half'", NASTY)
    shop.host.sql("COMMIT PREPARED 'half'", NASTY)
    assert outcome["failed"] and "prepared transaction 'half'" in outcome["msg"], outcome
    assert shop.host.sql("SELECT sum(a) FROM empty", NASTY) == "77" and shop.set_aside() == set()


def test_subscriptions(shop: Shop) -> None:
    shop.host.sql(
        "CREATE SUBSCRIPTION reads_other CONNECTION 'dbname=postgres' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE, enabled = false)",
        NASTY,
    )
    try:
        shop.backup()
        refused(shop, "reads_other", "allow: [subscriptions]", mode="replace")
        wrong = [{"query": "SELECT 1", "result": "2"}]
        done = shop.restore(mode="replace", allow=["subscriptions"], expect=wrong)
        assert done["failed"] and shop.set_aside() == set(), done
        first = shop.restore(mode="replace", allow=["subscriptions"])
        done = shop.restore(mode="replace", allow=["subscriptions"], keep_old="0s")
        # The first one still has it, and PostgreSQL drops no database that has: the restore is done all the same.
        assert done["changed"] and done["dropped"] == [] and first["old"] in shop.databases(), done
        assert [warning for warning in done["warnings"] if "was not dropped" in warning], done
    finally:
        for name in [NASTY, *shop.set_aside()]:
            shop.host.sql("DROP SUBSCRIPTION IF EXISTS reads_other", name)


def test_a_standby(shop: Shop) -> None:
    shop.backup()
    commands = (
        f"rm -rf {STANDBY}; pg_basebackup -D {STANDBY} -R -c fast\n"
        f"printf 'port = 5498\\nhot_standby = on\\n' > {STANDBY}/postgresql.conf; touch {STANDBY}/pg_ident.conf\n"
        f"echo 'local all all peer' > {STANDBY}/pg_hba.conf\n"
        f"/usr/lib/postgresql/15/bin/pg_ctl -D {STANDBY} -w -s -l {STANDBY}/log start"
    )
    shop.host.run("runuser", "-u", "postgres", "--", "sh", "-euc", commands)
    try:
        refused(shop, "nothing was touched", "this server is a standby", mode="replace", port=5498)
    finally:
        stop = ("/usr/lib/postgresql/15/bin/pg_ctl", "-D", STANDBY, "-m", "immediate", "-w", "-s", "stop")
        shop.host.run("runuser", "-u", "postgres", "--", *stop)
        shop.host.run("rm", "-rf", STANDBY)


def test_programs_older_than_the_server(shop: Shop) -> None:
    shop.backup()
    script = "mkdir -p /tmp/old; for p in pg_restore vacuumdb; do cat > /tmp/old/$p; chmod 755 /tmp/old/$p; done"
    shop.host.run("sh", "-euc", script, text="#!/bin/sh\necho 'pg_restore (PostgreSQL) 14.9'\n")
    shop.host.run("cp", "/tmp/old/pg_restore", "/tmp/old/vacuumdb")
    refused(shop, "14.9 is older than the server", "install version 15", mode="replace", bin_dir="/tmp/old")


def test_what_this_server_lacks(shop: Shop) -> None:
    shop.host.sql(f'CREATE ROLE "Rea""der=x"; GRANT CREATE ON DATABASE {quoted(NASTY)} TO "Rea""der=x"', "postgres")
    try:
        shop.backup()
    finally:
        shop.host.sql('DROP OWNED BY "Rea""der=x"; DROP ROLE "Rea""der=x"', NASTY)
    # Only the database's own rights name it, so only a database that has these needs it.
    refused(shop, 'roles are missing: Rea"der=x', "allow: [create_roles]", target="copy")
    assert shop.restore(mode="replace")["changed"]
    shop.rewrite_manifest(lambda fields: fields["databases"][0]["extensions"].update(nosuch="1.0"))
    refused(shop, "extensions are not installed on this server: nosuch", mode="replace")


def test_archives_of_a_later_pg_dump(shop: Shop) -> None:
    shop.backup()
    shop.rewrite_manifest(lambda fields: fields["tools"].update(pg_dump="99.1"))
    refused(shop, "nothing was touched", "pg_dump 99.1", "pg_restore 15.", mode="replace")


def test_a_repository_that_is_not_there(shop: Shop) -> None:
    refused(shop, "the repository /nonexistent does not exist", repository="/nonexistent")
    shop.backup(verify="none")
    refused(shop, REPOSITORY, "has no set of series other", "it has sets of postgresql", series="other")


def test_limits_that_a_site_sets_for_its_users(shop: Shop) -> None:
    """Neither the snapshot that waits for its dump, nor a query that takes its time, is ended by them."""
    limits = ("idle_in_transaction_session_timeout", "idle_session_timeout", "statement_timeout", "lock_timeout")
    real = "/usr/lib/postgresql/15/bin"
    shim = f'case "$*" in *--snapshot*) sleep 2;; esac\nexec {real}/$(basename "$0") "$@"\n'
    shop.host.run("mkdir", "-p", "/tmp/slow")
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        script = f"cat > /tmp/slow/{name}; chmod 755 /tmp/slow/{name}"
        shop.host.run("sh", "-c", script, text=f"#!/bin/sh\n{shim}")
    for name in limits:
        shop.host.sql(f"ALTER ROLE postgres SET {name} TO '1s'", "postgres")
        shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} SET {name} TO '1s'", "postgres")
    try:
        shop.backup(bin_dir="/tmp/slow")
        patient = {"query": "SELECT pg_sleep(1.5)::text", "result": "", "title": "slow"}
        assert shop.restore(mode="replace", expect=[patient])["changed"]
    finally:
        shop.host.sql("ALTER ROLE postgres RESET ALL", "postgres")


def test_a_set_of_a_later_server(shop: Shop) -> None:
    shop.backup()
    shop.rewrite_manifest(lambda fields: fields["server"].update(version_num=990000))
    refused(shop, "the set is of PostgreSQL 99", mode="replace")


def test_a_live_database_that_nobody_may_enter(shop: Shop) -> None:
    shop.backup()
    shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} ALLOW_CONNECTIONS false", "postgres")
    try:
        refused(shop, "allows no connections", "ALLOW_CONNECTIONS true first", mode="replace")
    finally:
        shop.host.sql(f"ALTER DATABASE {quoted(NASTY)} ALLOW_CONNECTIONS true", "postgres")


def test_everything_a_database_is_besides_its_contents(shop: Shop) -> None:
    name, role = quoted(NASTY), quoted('r,"ole')
    shop.host.sql(f"DROP DATABASE {name}", "postgres")
    for statement in (
        f"CREATE ROLE {role}",
        "CREATE ROLE reader",
        f"CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-DE' OWNER {role}",
    ):
        shop.host.sql(statement, "postgres")
    try:
        shop.host.sql(
            f"ALTER DATABASE {name} SET search_path TO '$user', '\"', 'a,b', 'c\"d', \"E f\", public;"
            f"ALTER DATABASE {name} SET DateStyle TO 'SQL, DMY'; ALTER DATABASE {name} SET app.note TO 'it''s, \"so\"';"
            f"ALTER ROLE {role} IN DATABASE {name} SET search_path TO ''; ALTER ROLE reader IN DATABASE {name}"
            f" SET statement_timeout TO '7s'; REVOKE ALL ON DATABASE {name} FROM PUBLIC;"
            f"GRANT CONNECT ON DATABASE {name} TO reader"
            f" WITH GRANT OPTION; SET ROLE reader; GRANT CONNECT ON DATABASE {name} TO {role}; RESET ROLE;"
            f"COMMENT ON DATABASE {name} IS 'it''s \"quoted\" \\ {{json}}';"
            f"ALTER DATABASE {name} CONNECTION LIMIT 0; ALTER DATABASE {name} IS_TEMPLATE true",
            "postgres",
        )
        before = shop.properties()
        assert before["datistemplate"] and before["datconnlimit"] == 0 and before["daticulocale"] == "de-DE"
        shop.backup()
        done = shop.restore(mode="replace")
        assert done["changed"], done
        assert shop.properties() == before
        # From what the set says, without a database to look at. It was made where text was sorted otherwise.
        version = shop.host.sql("SELECT datcollversion FROM pg_database WHERE datname = current_database()", NASTY)
        kept: list[Any] = []
        shop.rewrite_manifest(lambda fields: kept.append(fields["databases"][0].copy()))
        assert (kept[0]["collation_version"], kept[0]["icu_rules"]) == (version, None) and version
        shop.rewrite_manifest(lambda fields: fields["databases"][0].update(collation_version="0.1"))
        done = shop.restore(target="copy")
        assert done["changed"] and [warning for warning in done["warnings"] if "and by 0.1 before" in warning], done
        assert shop.properties("copy") == before
        shop.host.sql(f'CREATE DATABASE "copy two" TEMPLATE {name}', "postgres")
    finally:
        shop.host.sql("UPDATE pg_database SET datistemplate = false WHERE datname !~ '^template'", "postgres")
        for name in [name for name in shop.databases() if name.startswith((NASTY, "copy"))]:
            shop.host.sql(f"DROP DATABASE {quoted(name)} WITH (FORCE)", "postgres")
        shop.host.sql(f"DROP ROLE {role}", "postgres")
