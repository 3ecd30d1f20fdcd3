# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people have reported of backup programs: databases, roles and logins that these failed on or read wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from foreign_site import OWNER, REAL, SPACE_NAME, Site, foreign_site
from shop import quoted

ODD_TABLES = """
CREATE TABLE "a|b(c[d]+?^$
.\\" AS SELECT n FROM generate_series(1, 7) n;
CREATE SCHEMA "S %s.x";
CREATE TABLE "S %s.x"."T'\t;--" AS SELECT 3 AS n;
CREATE VIEW "S %s.x"."v
" AS SELECT 1 AS one;
COMMENT ON VIEW "S %s.x"."v
" IS 'a
\\.
-- b';
"""
# A function of somebody's own, which fits better than the server's (CVE-2018-1058), or comes before it.
TRAP = "CREATE FUNCTION public.{} LANGUAGE plpgsql AS 'BEGIN RAISE ''called by %'', user; END';\n"
TRAPS = "".join(
    TRAP.format(named)
    for named in (
        "hashtextextended(text, int) RETURNS bigint", "concat_ws(text, oid, name, oid, oid) RETURNS text",
        "current_database() RETURNS name", "pg_relation_size(oid) RETURNS bigint", "format(text, int) RETURNS text",
        "pg_export_snapshot() RETURNS text", "pg_backend_pid() RETURNS int", "pg_is_in_recovery() RETURNS bool",
        "set_config(text, text, bool) RETURNS text",
    )
)  # fmt: skip


@dataclass(frozen=True)
class Situation:
    """A database of this `name`: what it has (typed in `encoding`), and an answer that it gives.

    `about` are settings and the like of the database, for whose name there is {0}.
    """

    name: str
    content: str
    query: str
    answer: str
    create: str = ""
    about: str = ""
    encoding: str = "UTF8"
    place: str = "database"
    replaced: bool = False


SITUATIONS = {
    "hashes of an enumeration": Situation(
        "foreign hash",
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy', 'angry', 'calm');\n"
        "CREATE TABLE moods (m mood, n int) PARTITION BY HASH (m);\n"
        + "".join(
            f"CREATE TABLE moods_{part} PARTITION OF moods FOR VALUES WITH (MODULUS 7, REMAINDER {part});\n"
            for part in range(7)
        )
        + "INSERT INTO moods SELECT (enum_range(NULL::mood))[1 + n % 5], n FROM generate_series(1, 1000) n;\n",
        "SELECT count(*), sum(n), count(DISTINCT m) FROM public.moods", "1000|500500|5",
    ),
    "functions that take the place of the server's": Situation(
        "foreign path", TRAPS + "CREATE TABLE t AS SELECT n FROM generate_series(1, 20) n;\n"
        "CREATE TABLE pg_class (oid oid, relname name);\nCREATE TABLE pg_database (datname name);\n",
        "SELECT sum(n) FROM public.t", "210", about="ALTER DATABASE {0} SET search_path = public, pg_catalog",
        replaced=True,
    ),
    "settings of its sessions": Situation(
        "foreign settings", "CREATE TABLE t AS SELECT '€'::text AS e;\n"
        "CREATE MATERIALIZED VIEW m AS SELECT e FROM t;\n", "SELECT encode(convert_to(e, 'UTF8'), 'hex') FROM public.m",
        "e282ac", about="; ".join(
            f"ALTER DATABASE {{0}} SET {setting}" for setting in (
                "default_transaction_read_only = on", "default_transaction_isolation = serializable",
                "client_encoding = LATIN1", "quote_all_identifiers = on", "standard_conforming_strings = off",
                "DateStyle = German", "bytea_output = escape", "default_tablespace = nowhere",
            )
        ), replaced=True,
    ),
    "latin-1, and names that are stored in UTF-8": Situation(
        "foreign latin", 'CREATE TABLE "größe" ("ä" text);\nINSERT INTO "größe" VALUES (\'ö\');\n' + ODD_TABLES,
        "SELECT encode(convert_to(string_agg(relname, ',' ORDER BY relname), 'UTF8'), 'hex') FROM pg_class"
        " WHERE relname ~ '^gr'", "6772c3b6c39f65", create="ENCODING 'LATIN1' LOCALE 'C'", encoding="LATIN1",
        place="cluster", replaced=True,
    ),
    "bytes of no encoding": Situation(
        "foreign ascii", 'CREATE TABLE "größe" ("ä" text);\nINSERT INTO "größe" VALUES (\'ö\');\n'
        "CREATE TYPE m AS ENUM ('ü');\n", "SELECT encode(textsend(relname::text), 'hex') FROM pg_class"
        " WHERE relname ~ '^gr'", "6772f6df65", create="ENCODING 'SQL_ASCII' LOCALE 'C'", encoding="LATIN1",
        place="cluster",
    ),
    "line breaks in names": Situation(
        "foreign new\nline\r ", ODD_TABLES, 'SELECT count(*) FROM public."a|b(c[d]+?^$\n.\\"', "7",
        create=f'TABLESPACE "{SPACE_NAME}"',
    ),
}  # fmt: skip
OF_DATABASE = f"""
COMMENT ON DATABASE {{0}} IS E'it''s\\nnew $x$ über \\\\';
ALTER DATABASE {{0}} SET app.note = 'über';
ALTER ROLE {OWNER} IN DATABASE {{0}} SET work_mem = '7MB';
GRANT CONNECT ON DATABASE {{0}} TO {OWNER}
"""
# Digests: what is no text where the test runs is compared too.
STATE = """
SELECT md5(string_agg(concat_ws('/', nspname, relname, relkind, pg_get_userbyid(relowner),
                                obj_description(c.oid, 'pg_class')), ',' ORDER BY nspname, relname)),
       (SELECT md5(concat_ws('/', pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datacl::text,
                             shobj_description(d.oid, 'pg_database'), dattablespace,
                             (SELECT string_agg(concat(setrole, setconfig), ',' ORDER BY setrole)
                                FROM pg_db_role_setting WHERE setdatabase = d.oid)))
          FROM pg_database d WHERE datname = current_database())
  FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname !~ '^pg_|^information_schema$'"""


@pytest.fixture(scope="module")
def site(lab_host: Any) -> Iterator[Site]:
    with foreign_site(lab_host) as made:
        yield made


@pytest.fixture(scope="module")
def made(site: Site) -> str:
    """One set of all situations: its id."""
    for each in SITUATIONS.values():
        site.psql(f"CREATE DATABASE {quoted(each.name)} TEMPLATE template0 OWNER {OWNER} {each.create}")
        site.psql(each.content, each.name, each.encoding)
        site.psql(OF_DATABASE.format(quoted(each.name)))
        site.psql(each.about.format(quoted(each.name)))
    names = [each.name for each in SITUATIONS.values()]
    outcome = site.call("pg_backup", databases=names, split_above="1B")
    assert outcome.get("made") and outcome["set"]["databases"] == names, outcome
    return str(outcome["set"]["id"])


@pytest.mark.parametrize("each", SITUATIONS.values(), ids=list(SITUATIONS))
def test_what_was_backed_up_is_restored(site: Site, made: str, each: Situation) -> None:
    assert site.ask(each.query, each.name) == each.answer
    state = site.ask(STATE, each.name)
    drilled = site.call("restore_drill", database=each.name, place=each.place, source=made)
    assert drilled["drills"][0]["proven"], drilled
    copy = {"target": "foreign copy"} if not each.replaced else {"mode": "replace"}
    done = site.call("pg_restore", database=each.name, source=made, **copy)
    assert done.get("changed") and done.get("warnings", []) == [], done
    restored = copy.get("target", each.name)
    assert site.ask(each.query, restored) == each.answer
    assert site.ask(STATE, restored) == state
    site.psql(f"DROP DATABASE IF EXISTS {quoted('foreign copy')}")


def test_a_login_whose_sessions_are_read_only(site: Site) -> None:
    site.psql('CREATE DATABASE "foreign login"')
    site.psql("CREATE TABLE t AS SELECT 5 AS n; CREATE MATERIALIZED VIEW m AS SELECT n FROM t", "foreign login")
    with site.login_settings(
        "default_transaction_read_only = on", "default_transaction_isolation = serializable",
        "client_encoding = LATIN1", "search_path = nowhere",
    ):  # fmt: skip
        assert site.call("pg_backup", databases=["foreign login"]).get("made")
        assert site.call("restore_drill", database="foreign login", place="database")["drills"][0]["proven"]
        done = site.call("pg_restore", database="foreign login", mode="replace")
        assert done.get("changed"), done
        reverted = site.call("pg_restore", state="reverted", database="foreign login")
        assert reverted.get("changed"), reverted
    assert site.ask("SELECT n FROM public.m", "foreign login") == "5"


def test_a_login_that_is_a_superuser_by_a_role_alone(site: Site) -> None:
    """`SET role` of a login: the options of a connection are judged by the login's own rights."""
    site.psql("CREATE ROLE foreign_taker LOGIN PASSWORD 'fictional-taker' IN ROLE postgres")
    site.psql("ALTER ROLE foreign_taker SET role = 'postgres'")
    site.psql('CREATE DATABASE "foreign role"')
    site.psql("CREATE TABLE t AS SELECT 7 AS n", "foreign role")
    login = {"host": "127.0.0.1", "user": "foreign_taker", "password": "fictional-taker"}
    assert site.call("pg_backup", databases=["foreign role"], **login).get("made")
    assert site.call("restore_drill", database="foreign role", place="database", **login)["drills"][0]["proven"]
    done = site.call("pg_restore", database="foreign role", mode="replace", **login)
    assert done.get("changed"), done
    assert site.ask("SELECT n FROM public.t", "foreign role") == "7"


# What the database has, what the login is, and the words that say what to do.
REFUSED = {
    "rows that it does not see": (
        "CREATE TABLE t AS SELECT 1 AS n; ALTER TABLE t ENABLE ROW LEVEL SECURITY", "foreign_reader", ["BYPASSRLS"],
    ),
    "large objects": ("SELECT lo_from_bytea(0, 'x')", "foreign_reader", ["LARGE OBJECT", "pg_read_all_data gives no"]),
    "a schema that is not for it": (
        "CREATE SCHEMA c; CREATE TABLE c.t AS SELECT 1 AS n", "foreign_nobody", ["GRANT pg_read_all_data"],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "user", "words"), REFUSED.values(), ids=list(REFUSED))
def test_what_a_role_may_not_read_is_named(site: Site, content: str, user: str, words: list[str]) -> None:
    site.psql('DROP DATABASE IF EXISTS "foreign rights"')
    site.psql('CREATE DATABASE "foreign rights"')
    site.psql(content, "foreign rights")
    login = {"host": "127.0.0.1", "user": user, "password": "fictional-reader"}
    outcome = site.call("pg_backup", databases=["foreign rights"], **login)
    assert outcome.get("failed") and "no backup was made" in outcome["msg"], outcome
    assert [word for word in words if word not in outcome["msg"]] == [], outcome["msg"]


def test_what_pg_dump_leaves_out_is_a_warning(site: Site) -> None:
    site.psql('CREATE DATABASE "foreign reads"')
    slot = "WITH (connect = false, slot_name = NONE, enabled = false)"
    site.psql(f"CREATE SUBSCRIPTION foreign_s CONNECTION 'host=/nowhere' PUBLICATION p {slot}", "foreign reads")
    try:
        login = {"host": "127.0.0.1", "user": "foreign_reader", "password": "fictional-reader"}
        outcome = site.call("pg_backup", databases=["foreign reads"], **login)
        assert outcome["made"] and "subscriptions not dumped" in outcome["warnings"][0], outcome
        assert not site.call("pg_backup", databases=["foreign reads"]).get("warnings")
    finally:
        site.psql("DROP SUBSCRIPTION foreign_s", "foreign reads")


def test_names_that_nobody_can_give(site: Site) -> None:
    """Made in a database of latin-1: what is stored is not UTF-8, and another name where somebody asks for it so."""
    site.psql("CREATE DATABASE \"foreign maker\" TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")
    site.psql('CREATE DATABASE "foreign düd"', "foreign maker", "LATIN1")
    site.psql('CREATE ROLE "jürgen"', "foreign maker", "LATIN1")
    try:
        refused = site.call("pg_backup", databases=["foreign maker"])
        assert refused.get("failed") and r"role 'j\xfcrgen' is not UTF-8" in refused["msg"], refused
        # Where it is read as it is stored there is nothing wrong with it.
        site.psql("CREATE DATABASE \"foreign raw\" TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'")
        outcome = site.call("pg_backup", databases=["foreign maker"], maintenance_database="foreign raw")
        assert outcome.get("made"), outcome
        site.psql('DROP ROLE "jürgen"', "foreign maker", "LATIN1")
        refused = site.call("pg_backup", databases=["all"])
        assert refused.get("failed") and r"database 'foreign d\xfcd' is not UTF-8" in refused["msg"], refused
        assert site.call("pg_backup", databases=["foreign maker"]).get("made")
    finally:
        site.psql('DROP ROLE IF EXISTS "jürgen"; DROP DATABASE "foreign düd"', "foreign maker", "LATIN1")


def test_a_role_that_goes_before_the_roles_are_read(site: Site) -> None:
    site.psql("CREATE ROLE foreign_late LOGIN PASSWORD 'fictional' CONNECTION LIMIT 3")
    site.psql('CREATE DATABASE "foreign late" OWNER foreign_late')
    site.psql("CREATE TABLE t AS SELECT 1 AS n; ALTER TABLE t OWNER TO foreign_late", "foreign late")
    psql = f"{REAL}/psql -Xqd"
    gone = f"{psql} 'foreign late' -c 'REASSIGN OWNED BY foreign_late TO postgres'"
    gone += f"; {psql} postgres -c 'DROP ROLE foreign_late'"
    bin_dir = site.shims(f'case "$0 $*" in *pg_dumpall*--globals-only*) {gone};; esac')
    assert site.call("pg_backup", databases=["foreign late"], bin_dir=bin_dir).get("made")
    call = {"database": "foreign late", "target": "foreign late copy"}
    refused = site.call("pg_restore", **call)
    assert refused.get("failed") and "roles are missing: foreign_late" in refused["msg"], refused
    done = site.call("pg_restore", allow=["create_roles"], **call)
    try:
        assert done["roles_made"] == ["foreign_late"] and "no passwords of foreign_late" in done["warnings"][0], done
        limit = "SELECT rolconnlimit, rolcanlogin FROM pg_roles WHERE rolname = 'foreign_late'"
        owner = "SELECT relowner::regrole FROM pg_class WHERE relname = 't'"
        assert site.ask(limit, "postgres") == "3|t" and site.ask(owner, "foreign late copy") == "foreign_late"
    finally:
        site.psql('DROP DATABASE "foreign late copy"; DROP ROLE foreign_late')
