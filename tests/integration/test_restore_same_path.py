# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drill has proven, a restore does; what neither can do is refused before anything is touched."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from small_disk import small_disk

REPOSITORY = "/var/lib/postgresql/day2-path-sets"
EXTENSIONS = "/usr/share/postgresql/15/extension"
# Event triggers that write to a table, that forbid, and that always fire; views that a refresh has to compute.
TRIGGERS = """
CREATE TABLE orders (id int PRIMARY KEY, amount int);
INSERT INTO orders SELECT n, n FROM generate_series(1, 300) n;
CREATE TABLE heard (tag text);
CREATE MATERIALIZED VIEW totals AS SELECT sum(amount) FROM orders;
CREATE MATERIALIZED VIEW twice AS SELECT 2 * sum FROM totals;
CREATE PUBLICATION changes FOR ALL TABLES;
COMMENT ON PUBLICATION changes IS 'all of them';
CREATE SUBSCRIPTION reads CONNECTION 'host=/nowhere dbname=x' PUBLICATION p
  WITH (connect = false, slot_name = NONE, enabled = false);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.heard VALUES ('row');
  RETURN NULL; END $$;
CREATE TRIGGER notes AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE orders ENABLE ALWAYS TRIGGER notes;
CREATE FUNCTION hear() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO heard VALUES (tg_tag); END $$;
CREATE FUNCTION forbid() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL here: %', tg_tag; END $$;
CREATE EVENT TRIGGER hears ON ddl_command_end EXECUTE FUNCTION hear();
COMMENT ON EVENT TRIGGER hears IS 'what it is for';
CREATE EVENT TRIGGER forbids_start ON ddl_command_start EXECUTE FUNCTION forbid();
ALTER EVENT TRIGGER forbids_start ENABLE ALWAYS;
CREATE EVENT TRIGGER forbids_end ON ddl_command_end WHEN TAG IN ('REFRESH MATERIALIZED VIEW')
  EXECUTE FUNCTION forbid();
"""
STATE = """
SELECT json_build_object(
  'triggers', (SELECT json_agg(concat_ws(' ', evtname, evtevent, evtenabled, evttags::text,
                               obj_description(oid, 'pg_event_trigger')) ORDER BY evtname) FROM pg_event_trigger),
  'heard', (SELECT json_agg(tag) FROM heard), 'totals', (SELECT sum FROM totals),
  'unpopulated', (SELECT json_agg(relname) FROM pg_class WHERE relkind = 'm' AND NOT relispopulated),
  'publications', (SELECT json_agg(pubname || obj_description(oid, 'pg_publication')) FROM pg_publication),
  'subscriptions', (SELECT json_agg(concat_ws(' ', subname, subenabled, subconninfo)) FROM pg_subscription
                     WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())),
  'always', (SELECT json_agg(tgname) FROM pg_trigger WHERE tgenabled = 'A'))"""
ROWS = "SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 8000) n"
ONLY_THERE = """
\\echo Use "CREATE EXTENSION day2_only_there" to load this file. \\quit
DO $$ BEGIN
  IF current_database() <> 'paths' THEN RAISE EXCEPTION 'can only create extension in database %', 'paths'; END IF;
END $$;
CREATE FUNCTION day2_there() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""
# One that asks for its database's encoding; its author's name is in latin-1.
ANYWHERE = """
DO $$ BEGIN
  IF (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()) <> 'UTF8' THEN
    RAISE EXCEPTION 'UTF8 is needed';
  END IF;
END $$;
CREATE FUNCTION day2_anywhere() RETURNS int LANGUAGE sql AS 'SELECT 2';
"""


class Site:
    """A database `paths` and its sets."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def call(self, name: str, check_mode: bool = False, **arguments: Any) -> Any:
        call = {"database": "paths", "repository": REPOSITORY, **arguments}
        return self.host.direct.answer(name, call, "postgres", check_mode)

    def backup(self) -> str:
        call = {"databases": ["paths"], "repository": REPOSITORY}
        made = self.host.direct.answer("pg_backup", call, "postgres")
        assert made["made"], made
        return str(made["set"]["id"])

    def drill(self, **arguments: Any) -> Any:
        return self.call("restore_drill", **arguments)

    def restore(self, **arguments: Any) -> Any:
        return self.call("pg_restore", **{"mode": "replace", **arguments})

    def sql(self, query: str, database: str = "paths") -> str:
        return str(self.host.sql(query, database))

    def make(self, objects: str) -> None:
        shell = ["runuser", "-u", "postgres", "--", "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", "paths"]
        self.host.run(*shell, text=objects)

    def refused(self, *words: str, **arguments: Any) -> None:
        """In check mode too, and the server has the same databases as before."""
        names = self.sql("SELECT string_agg(datname, ',' ORDER BY 1) FROM pg_database")
        for check_mode in (True, False):
            done = self.restore(check_mode=check_mode, **arguments)
            assert done.get("failed") and "nothing was touched" in done["msg"], done
            assert [word for word in words if word not in done["msg"]] == [], done["msg"]
            assert self.sql("SELECT string_agg(datname, ',' ORDER BY 1) FROM pg_database") == names


@pytest.fixture
def site(lab_host: Any) -> Iterator[Site]:
    with ExitStack() as undo:
        undo.callback(lab_host.run, "rm", "-rf", REPOSITORY)
        undo.callback(_drop, lab_host)
        _drop(lab_host)
        lab_host.run("rm", "-rf", REPOSITORY)
        lab_host.sql("CREATE DATABASE paths", "postgres")
        yield Site(lab_host)


def _drop(lab_host: Any) -> None:
    names = lab_host.sql("SELECT datname FROM pg_database WHERE datname ~ '^paths'", "postgres").split()
    for name in names:
        off = "SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname) FROM pg_event_trigger"
        for statement in filter(None, lab_host.sql(off, name).split("\n")):
            lab_host.sql(statement, name)
        lab_host.sql("DROP SUBSCRIPTION IF EXISTS reads", name)
        lab_host.sql(f'DROP DATABASE "{name}" WITH (FORCE)', "postgres")


def test_event_triggers_hear_nothing_of_a_restore(site: Site) -> None:
    site.make(TRIGGERS)
    before = json.loads(site.sql(STATE))
    assert before["totals"] == 45150 and before["unpopulated"] is None and len(before["triggers"]) == 3
    name = site.backup()
    for place in ("cluster", "database"):
        drilled = site.drill(place=place, source=name)
        assert drilled["drills"][0]["proven"] and drilled["drills"][0]["not_proven"] == [], drilled
    site.sql("ALTER EVENT TRIGGER forbids_start DISABLE; TRUNCATE orders")
    done = site.restore(allow=["subscriptions"])
    assert done["changed"], done
    assert json.loads(site.sql(STATE)) == before
    # They are in force again.
    said = site.host.run(
        "runuser", "-u", "postgres", "--", "psql", "-Xqd", "paths", "-c", "CREATE TABLE x ()", check=False
    )
    assert said == "" and site.sql("SELECT to_regclass('x') IS NULL") == "t"


def test_a_view_of_another_server_is_not_proven(site: Site) -> None:
    site.sql("DROP DATABASE IF EXISTS paths_remote", "postgres")
    site.sql("CREATE DATABASE paths_remote", "postgres")
    site.sql("CREATE TABLE there AS SELECT generate_series(1, 7) AS a", "paths_remote")
    site.make(
        "CREATE EXTENSION postgres_fdw;\n"
        "CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw"
        " OPTIONS (host '/var/run/postgresql', dbname 'paths_remote');\n"
        "CREATE USER MAPPING FOR postgres SERVER other OPTIONS (user 'postgres');\n"
        "CREATE FOREIGN TABLE there (a int) SERVER other;\n"
        "CREATE FUNCTION read_there() RETURNS bigint LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT count(*) FROM public.there); END $$;\n"
        "CREATE TABLE here AS SELECT 1 AS a;\n"
        "CREATE MATERIALIZED VIEW away AS SELECT * FROM there;\n"
        "CREATE MATERIALIZED VIEW through AS SELECT read_there();\n"
        "CREATE MATERIALIZED VIEW upon AS SELECT count(*) FROM away;\n"
        "CREATE MATERIALIZED VIEW near AS SELECT * FROM here;\n"
    )
    name = site.backup()
    done = site.drill()
    (drilled,) = done["drills"]
    assert drilled["proven"], done
    views = [f"materialized view public.{view}, which reads a foreign server" for view in ("away", "through", "upon")]
    mappings = "1 user mapping of foreign servers (credentials are left out)"
    assert sorted(drilled["not_proven"]) == sorted([mappings, *views])
    (line,) = done["steps"]
    assert line["status"] == "ok" and f"not proven: {views[0]}" in line["evidence"], line
    assert "not proven: " in line["message"]
    state = json.loads(site.host.run("cat", f"{REPOSITORY}/postgresql/{name}/state.json"))
    assert state["proven"]["not_proven"] == drilled["not_proven"]
    assert site.restore()["changed"]
    assert site.sql("SELECT (SELECT count FROM upon), (SELECT read_there FROM through)") == "7|7"
    # A restore leaves nothing empty: without the other server it fails, and says what it needs.
    site.sql("DROP DATABASE paths_remote WITH (FORCE)", "postgres")
    failed = site.restore()
    assert failed["failed"] and "nothing was replaced" in failed["msg"], failed
    assert "MATERIALIZED VIEW DATA " in failed["msg"] and "a foreign server, which has to answer" in failed["msg"]


def test_views_that_read_each_other_by_functions(site: Site) -> None:
    # pg_depend knows nothing of what a function's text reads, and pg_dump goes by names then.
    site.make(
        "CREATE TABLE here AS SELECT 3 AS a;\n"
        "CREATE MATERIALIZED VIEW z_view AS SELECT a FROM here;\n"
        "CREATE FUNCTION read_z() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT a FROM public.z_view); END $$;\n"
        "CREATE MATERIALIZED VIEW b_view AS SELECT read_z() AS b;\n"
        "CREATE FUNCTION read_b() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT b FROM public.b_view); END $$;\n"
        "CREATE MATERIALIZED VIEW a_view AS SELECT read_b() AS a;\n"
    )
    name = site.backup()
    drilled = site.drill(source=name)
    assert drilled["drills"][0]["proven"] and drilled["drills"][0]["not_proven"] == [], drilled
    for jobs in (1, 2):
        done = site.restore(jobs=jobs)
        assert done.get("changed"), done
        assert site.sql("SELECT a_view.a, b, z_view.a FROM a_view, b_view, z_view") == "3|3|3"
    # What the source had left empty, no restore can compute: a drill says it too.
    site.sql("REFRESH MATERIALIZED VIEW z_view WITH NO DATA")
    name = site.backup()
    failed = site.drill(source=name)
    assert failed.get("failed") and "has not been populated" in failed["msg"], failed
    assert "WITH NO DATA" in site.restore(source=name)["msg"]


def test_rights_and_settings_of_the_database_are_proven_too(site: Site) -> None:
    site.sql("DROP ROLE IF EXISTS path_reader", "postgres")
    site.sql("CREATE ROLE path_reader", "postgres")
    try:
        site.make("CREATE TABLE t (a int)")
        site.sql("GRANT TEMPORARY ON DATABASE paths TO path_reader; ALTER DATABASE paths SET work_mem = '7MB';"
                 "ALTER ROLE path_reader IN DATABASE paths SET search_path = 'a b', public;"
                 "ALTER DATABASE paths CONNECTION LIMIT 9")  # fmt: skip
        name = site.backup()
        assert site.drill(source=name)["drills"][0]["proven"]
        # What no restore could give either.
        path = f"{REPOSITORY}/postgresql/{name}/manifest.json"
        broken = site.host.run("sed", "s/work_mem=7MB/no_such_setting=7MB/", path)
        fields = json.loads(broken)
        del fields["digest"]
        fields["digest"] = hashlib.sha256(json.dumps(fields, ensure_ascii=True, sort_keys=True).encode()).hexdigest()
        site.host.run("sh", "-c", f"cat > {path}", text=json.dumps(fields))
        done = site.drill(source=name)
        assert done["failed"] and "no_such_setting" in done["msg"] and not done["drills"][0]["damaged"], done
    finally:
        _drop(site.host)
        site.sql("DROP ROLE path_reader", "postgres")


def test_an_extension_that_can_be_created_in_one_database_only(site: Site) -> None:
    control = "default_version = '1.0'\nrelocatable = true\n"
    files = {"day2_only_there.control": control, "day2_only_there--1.0.sql": ONLY_THERE}
    try:
        for name, text in files.items():
            site.host.run("sh", "-c", f"cat > {EXTENSIONS}/{name}", text=text)
        site.make("CREATE EXTENSION day2_only_there; CREATE TABLE t AS SELECT day2_there()")
        site.backup()
        site.refused(
            "extension day2_only_there", "one database of the server only", "paths_restoring", "DROP EXTENSION"
        )
        done = site.drill()
        assert done["failed"] and "one database of the server only" in done["msg"], done
        assert not done["drills"][0]["damaged"]
        # Whoever knows better hears it from the server, before anything is replaced.
        done = site.restore(allow=["extensions"])
        assert done["failed"] and "nothing was replaced" in done["msg"], done
        assert "can only create extension in database paths" in done["msg"]
        done = site.drill(allow=["extensions"])
        assert done["failed"] and "can only create extension in database paths" in done["msg"], done
        # The package is there in part.
        site.host.run("rm", f"{EXTENSIONS}/day2_only_there--1.0.sql")
        site.refused("no script that makes its version 1.0", "install the whole package")
        site.host.run("rm", f"{EXTENSIONS}/day2_only_there.control")
        site.refused("extensions are not installed on this server: day2_only_there")
    finally:
        site.host.run("sh", "-c", f"rm -f {EXTENSIONS}/day2_only_there*")


def test_an_extension_that_asks_for_an_encoding(site: Site) -> None:
    control = "default_version = '1.0'\nrelocatable = true\nencoding = 'LATIN1'\n"
    try:
        site.host.run("sh", "-c", f"cat > {EXTENSIONS}/day2_anywhere.control", text=control)
        script = f"{{ printf -- '-- Ren\\351\\n'; cat; }} > {EXTENSIONS}/day2_anywhere--1.0.sql"
        site.host.run("sh", "-c", script, text=ANYWHERE)
        site.make("CREATE EXTENSION day2_anywhere")
        name = site.backup()
        assert site.drill(source=name)["drills"][0]["proven"]
        assert site.restore().get("changed") and site.sql("SELECT day2_anywhere()") == "2"
    finally:
        site.host.run("sh", "-c", f"rm -f {EXTENSIONS}/day2_anywhere*")


def test_names_without_a_schema_are_explained(site: Site) -> None:
    site.make(
        "CREATE TABLE rates (rate int); INSERT INTO rates VALUES (3);\n"
        "CREATE FUNCTION latest_rate() RETURNS int LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN (SELECT rate FROM rates); END $$;\n"
        "CREATE MATERIALIZED VIEW priced AS SELECT latest_rate();\n"
    )
    site.backup()
    for done in (site.drill(), site.restore()):
        assert done["failed"], done
        words = ("MATERIALIZED VIEW DATA priced", 'relation "rates" does not exist', "latest_rate()",
                 "empty search_path", "make a new backup")  # fmt: skip
        assert [word for word in words if word not in done["msg"]] == [], done["msg"]


def test_a_key_that_is_missing_is_found_before_anything_is_made(site: Site) -> None:
    site.make("CREATE TABLE t AS SELECT 1 AS a")
    site.host.run("sh", "-euc", "for k in right wrong; do rm -f /tmp/path-$k; age-keygen -o /tmp/path-$k; "
                  "chmod 644 /tmp/path-$k; done")  # fmt: skip
    recipient = site.host.run("age-keygen", "-y", "/tmp/path-right")
    call = {"databases": ["paths"], "repository": REPOSITORY, "encrypt_to": [recipient], "identity": "/tmp/path-right"}
    assert site.host.direct.answer("pg_backup", call, "postgres")["made"]
    made = "SELECT max(oid) FROM pg_database"
    before = site.sql(made)
    site.refused("no identity is given")
    site.refused("age failed", identity="/tmp/path-wrong")
    site.refused("cannot be read", identity="/tmp/path-nowhere")
    done = site.drill(identity="/tmp/path-wrong")
    assert done["failed"] and "age failed" in done["msg"], done
    assert site.sql(made) == before
    assert site.restore(identity="/tmp/path-right")["changed"]


def test_a_tablespace_with_too_little_room(site: Site) -> None:
    with small_disk(site.host, "/srv/day2-fast", "size=40m,mode=777") as folder, ExitStack() as undo:
        for name in ("one", "two"):
            site.host.run("install", "-d", "-o", "postgres", "-m", "700", f"{folder}/{name}")
            site.sql(f"CREATE TABLESPACE path_{name} LOCATION '{folder}/{name}'", "postgres")
            undo.callback(site.sql, f"DROP TABLESPACE path_{name}", "postgres")
        undo.callback(_drop, site.host)
        site.make(
            f"CREATE TABLE big TABLESPACE path_one AS {ROWS}; CREATE TABLE other TABLESPACE path_two AS {ROWS};\n"
            "CREATE TABLE small AS SELECT 1 AS a;\nCREATE INDEX ON small (a) TABLESPACE path_two;\nANALYZE;\n"
        )
        site.backup()
        plan = site.restore(check_mode=True)
        places = plan["needs"]["places"]
        assert places["tablespace path_one"]["needed"] > 5 << 20 and places["tablespace path_one"]["free"], plan
        # One of them would fit.
        room = int(site.host.run("df", "--output=avail", "-B1", folder).split()[-1])
        want = sum(places[f"tablespace path_{name}"]["needed"] for name in ("one", "two"))
        left = want - (2 << 20)
        site.host.run("fallocate", "-l", str(room - left), f"{folder}/filler")
        site.refused("the file system of tablespace path_one and tablespace path_two", "left, and about", "are needed")
        site.host.run("rm", f"{folder}/filler")
        done = site.drill()
        assert done["drills"][0]["not_proven"] == ["that tablespaces path_one, path_two have room"], done
        assert site.restore()["changed"]
        spaces = (
            "SELECT string_agg(spcname, ',' ORDER BY relname) FROM pg_class c"
            " JOIN pg_tablespace t ON t.oid = c.reltablespace WHERE relname IN ('big', 'other')"
        )
        assert site.sql(spaces) == "path_one,path_two"
        # Another server, which has no such tablespace.
        site.sql("ALTER TABLESPACE path_one RENAME TO path_renamed", "postgres")
        undo.callback(site.sql, "ALTER TABLESPACE path_renamed RENAME TO path_one", "postgres")
        site.refused("tablespaces are missing: path_one", "CREATE TABLESPACE")
