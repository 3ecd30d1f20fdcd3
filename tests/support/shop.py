# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A PostgreSQL database with a strange name and all kinds of objects, and the repository of its backups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

REPOSITORY = "/var/lib/postgresql/day2-test"
NASTY = 'we"ird; DROP ünï'
# 63 bytes, which is as long as a name may be.
LONG = "Ta ble' \\ " + "ü" * 26 + "x"
OBJECTS = """
CREATE ROLE "strange ""owner" LOGIN PASSWORD 'fictional' CONNECTION LIMIT 7;
CREATE SCHEMA "Sch ema";
CREATE TABLE "Sch ema"."Ta.ble" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "co l" text,
  twice int GENERATED ALWAYS AS (length("co l") * 2) STORED);
INSERT INTO "Sch ema"."Ta.ble" ("co l") SELECT repeat('é', n % 9) FROM generate_series(1, 3000) n;
CREATE TABLE empty (a int, b jsonb);
CREATE TABLE parts (day date NOT NULL, v numeric) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-07-01');
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-07-01') TO ('2027-01-01');
INSERT INTO parts SELECT date '2026-01-01' + n % 365, n FROM generate_series(1, 5000) n;
CREATE MATERIALIZED VIEW sums AS SELECT date_trunc('month', day) AS month, sum(v) FROM parts GROUP BY 1;
CREATE SEQUENCE tickets START 100;
SELECT nextval('tickets'), nextval('tickets');
CREATE EXTENSION pg_trgm;
CREATE INDEX trigrams ON "Sch ema"."Ta.ble" USING gin ("co l" gin_trgm_ops);
SELECT lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex'));
CREATE UNLOGGED TABLE fleeting AS SELECT 1 AS a;
CREATE TABLE bare ();
INSERT INTO bare DEFAULT VALUES;
CREATE TABLE "{long}" (a int);
INSERT INTO "{long}" VALUES (63);
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TABLE typed (m mood DEFAULT 'ok', p positive, a text[] DEFAULT ARRAY['x;"y']);
INSERT INTO typed (p) VALUES (1);
CREATE TABLE child (extra text) INHERITS (typed);
INSERT INTO child (p, extra) VALUES (2, E'a\\tb\\n\\\\.');
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE passwd (line text) SERVER files OPTIONS (filename '/etc/hostname');
CREATE VIEW seen AS SELECT day FROM parts;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2';
ALTER TABLE "Sch ema"."Ta.ble" OWNER TO "strange ""owner";
GRANT SELECT ON parts TO "strange ""owner";
""".replace("{long}", LONG)
# Everything that a restore has to bring back: a digest of each table's rows and of what the catalogues say.
FINGERPRINT = """
SELECT json_object_agg(name, digest ORDER BY name) FROM (
  SELECT c.oid::regclass::text AS name,
         (xpath('/row/d/text()', query_to_xml(format(
           'SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) AS d FROM %s t', c.oid::regclass),
           false, true, '')))[1]::text AS digest
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_|^information_schema$'
  UNION ALL SELECT 'sequences', (SELECT string_agg(sequencename || last_value, ',' ORDER BY 1) FROM pg_sequences)
  UNION ALL SELECT 'large objects', (SELECT md5(string_agg(md5(lo_get(oid)), ',')) FROM pg_largeobject_metadata)
  UNION ALL SELECT 'indexes', (SELECT md5(string_agg(indexdef, ',' ORDER BY indexdef)) FROM pg_indexes
                                WHERE schemaname !~ '^pg_')
  UNION ALL SELECT 'owners', (
    SELECT md5(string_agg(relname || pg_get_userbyid(relowner) || coalesce(relacl::text, ''), ',' ORDER BY relname))
      FROM pg_class WHERE relkind <> 'S' AND relnamespace::regnamespace::text !~ '^pg_|^information_schema$')
  UNION ALL SELECT 'columns', (
    SELECT md5(string_agg(concat_ws(' ', a.attrelid::regclass, a.attname, a.atttypid::regtype, a.attgenerated,
                                    a.attidentity), ',' ORDER BY a.attrelid::regclass::text, a.attname))
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE a.attnum > 0 AND c.relnamespace::regnamespace::text !~ '^pg_|^information_schema$')
  UNION ALL SELECT 'kinds', (
    SELECT string_agg(concat_ws(' ', relname, relkind, relpersistence), ',' ORDER BY relname) FROM pg_class
     WHERE relkind IN ('r', 'm', 'p', 'f', 'v', 'S')
       AND relnamespace::regnamespace::text !~ '^pg_|^information_schema$')
  UNION ALL SELECT 'functions', (SELECT string_agg(pg_get_functiondef(oid), ',') FROM pg_proc WHERE proname = 'twice')
  UNION ALL SELECT 'extensions', (SELECT string_agg(extname || extversion, ',' ORDER BY extname) FROM pg_extension)
) everything"""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class Shop:
    """A database with a strange name and all kinds of objects, and a repository of its backups."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def backup(self, **arguments: Any) -> Any:
        check = arguments.pop("check_mode", False)
        call = {"databases": [NASTY], "repository": REPOSITORY, **arguments}
        return self.host.task("day2.ops.pg_backup", call, become_user="postgres", check_mode=check)

    def info(self, **arguments: Any) -> Any:
        call = {"repository": REPOSITORY, **arguments}
        return self.host.task("day2.ops.pg_backup_info", call, become_user="postgres")

    def shell(self, script: str, check: bool = True) -> str:
        return str(self.host.run("runuser", "-u", "postgres", "--", "sh", "-euc", script, check=check))

    def shims(self, folder: str, script: str) -> None:
        """Programs of PostgreSQL's names that do this."""
        self.host.run("sh", "-c", f"mkdir -p {folder}; : > {folder}/argv; chmod 666 {folder}/argv")
        for name in ("pg_dump", "pg_dumpall", "pg_restore"):
            self.host.run(
                "sh", "-c", f"cat > {folder}/{name}; chmod 755 {folder}/{name}", text=f"#!/bin/sh\n{script}\n"
            )

    def fingerprint(self, database: str = NASTY) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.host.sql(FINGERPRINT, database))
        return found

    def restore(self, folder: str, identity: str = "") -> dict[str, str]:
        """By PostgreSQL's own programs, in the documented order, into another database."""
        self.host.sql("DROP DATABASE IF EXISTS restored WITH (FORCE)", "postgres")
        self.host.sql("CREATE DATABASE restored TEMPLATE template0", "postgres")
        opened = f"age -d -i {identity} $f | zstd -dc" if identity else "zstd -dc $f"
        self.shell(
            f"cd {folder}; rm -rf /tmp/opened; mkdir /tmp/opened\n"
            f"for f in db001/*; do {opened} > /tmp/opened/$(basename $f | cut -d. -f1); done\n"
            "pg_restore -e -d restored --section=pre-data /tmp/opened/main\n"
            "pg_restore -e -d restored --section=data /tmp/opened/main\n"
            "for f in /tmp/opened/data*; do [ ! -e $f ] || pg_restore -e -d restored $f; done\n"
            "pg_restore -e -d restored --section=post-data /tmp/opened/main\n"
        )
        return self.fingerprint("restored")

    def folder_of(self, outcome: Any) -> str:
        return f"{REPOSITORY}/postgresql/{outcome['set']['id']}"

    def sets(self) -> list[str]:
        """What is published, asked of the directory."""
        return sorted(self.shell(f"cd {REPOSITORY}/postgresql; find . -name manifest.json -printf '%P\\n'").split())


@contextmanager
def opened_shop(lab_host: Any) -> Iterator[Shop]:
    name = quoted(NASTY)
    lab_host.sql(f"CREATE DATABASE {name} CONNECTION LIMIT 40", "postgres")
    lab_host.run("runuser", "-u", "postgres", "--", "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", NASTY, text=OBJECTS)
    lab_host.sql(f"ALTER DATABASE {name} SET work_mem = '7MB'", "postgres")
    try:
        yield Shop(lab_host)
    finally:
        lab_host.sql("DROP DATABASE IF EXISTS restored WITH (FORCE)", "postgres")
        lab_host.sql(f"DROP DATABASE {name} WITH (FORCE)", "postgres")
        lab_host.sql('DROP ROLE "strange ""owner"', "postgres")
        lab_host.run("rm", "-rf", REPOSITORY)
