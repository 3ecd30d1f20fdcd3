# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup sets of a real PostgreSQL: made, proven by restores that PostgreSQL's own programs do, damaged, pruned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

REPOSITORY = "/var/lib/postgresql/day2-test"
NASTY = 'we"ird; DROP ünï'
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
ALTER TABLE "Sch ema"."Ta.ble" OWNER TO "strange ""owner";
GRANT SELECT ON parts TO "strange ""owner";
"""
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
  UNION ALL SELECT 'extensions', (SELECT string_agg(extname || extversion, ',' ORDER BY extname) FROM pg_extension)
) everything"""


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


@pytest.fixture(scope="module")
def shop(lab_host: Any) -> Iterator[Shop]:
    quoted = '"' + NASTY.replace('"', '""') + '"'
    lab_host.sql(f"CREATE DATABASE {quoted} CONNECTION LIMIT 40", "postgres")
    lab_host.run("runuser", "-u", "postgres", "--", "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", NASTY, text=OBJECTS)
    lab_host.sql(f"ALTER DATABASE {quoted} SET work_mem = '7MB'", "postgres")
    yield Shop(lab_host)
    lab_host.sql("DROP DATABASE IF EXISTS restored WITH (FORCE)", "postgres")
    lab_host.sql(f"DROP DATABASE {quoted} WITH (FORCE)", "postgres")
    lab_host.sql('DROP ROLE "strange ""owner"', "postgres")
    lab_host.run("rm", "-rf", REPOSITORY)


@pytest.fixture(autouse=True)
def fresh(shop: Shop) -> None:
    shop.host.run("rm", "-rf", REPOSITORY)


def folder_of(outcome: Any) -> str:
    return f"{REPOSITORY}/postgresql/{outcome['set']['id']}"


@pytest.mark.parametrize("split", ["1B", "1GB"])
def test_a_set_restores_to_the_same(shop: Shop, split: str) -> None:
    before = shop.fingerprint()
    outcome = shop.backup(split_above=split)
    assert outcome["changed"] and outcome["made"] and outcome["set"]["verified"] == "read", outcome
    assert shop.restore(folder_of(outcome)) == before
    manifest = json.loads(shop.shell(f"cat {folder_of(outcome)}/manifest.json"))
    assert (len(manifest["files"]) > 3) is (split == "1B")
    (database,) = manifest["databases"]
    rows = {(entry["schema"], entry["table"]): entry["rows"] for entry in database["rows"]}
    assert rows["Sch ema", "Ta.ble"] == 3000 and rows["public", "empty"] == 0 and rows["public", "sums"] == 12
    assert database["connection_limit"] == 40 and database["settings"] == [{"role": None, "settings": ["work_mem=7MB"]}]


def test_roles_and_grants_are_part_of_it(shop: Shop) -> None:
    outcome = shop.backup()
    text = shop.shell(f"zstd -dc {folder_of(outcome)}/globals.sql.zst")
    assert 'CREATE ROLE "strange ""owner"' in text and "CONNECTION LIMIT 7" in text and "SCRAM-SHA-256" in text


def test_files_are_closed_to_others_and_say_what_they_hold(shop: Shop) -> None:
    outcome = shop.backup()
    wrong = shop.shell(f"find {REPOSITORY} \\( -type f ! -perm 0600 \\) -o \\( -type d ! -perm 0700 \\)")
    assert wrong == ""
    manifest = json.loads(shop.shell(f"cat {folder_of(outcome)}/manifest.json"))
    for each in manifest["files"]:
        line = shop.shell(
            f"sha256sum {folder_of(outcome)}/{each['path']}; stat -c %s {folder_of(outcome)}/{each['path']}"
        )
        assert line.split()[0] == each["sha256"] and int(line.split()[-1]) == each["bytes"]
    assert manifest["wal"]["lsn"] and manifest["server"]["system_identifier"]


def test_a_set_that_is_young_enough_is_not_made_again(shop: Shop) -> None:
    first = shop.backup(max_age="20h")
    second = shop.backup(max_age="20h")
    assert first["changed"] and not second["changed"] and second["set"]["id"] == first["set"]["id"]
    assert "no set is due" in second["msg"] and shop.backup(max_age="0s")["made"]


def test_check_mode_says_what_would_happen_and_does_nothing(shop: Shop) -> None:
    planned = shop.backup(check_mode=True)
    assert planned["changed"] and planned["made"] and shop.shell(f"ls -A {REPOSITORY} 2>/dev/null || true") == ""
    shop.backup()
    before = shop.shell(f"find {REPOSITORY} | sort | md5sum")
    planned = shop.backup(check_mode=True, keep={"last": 1, "min_verified": 1})
    (place,) = planned["locations"]
    assert len(place["pruned"]) == 1 and place["kept"][0]["id"] == "the set of this run"
    assert shop.shell(f"find {REPOSITORY} | sort | md5sum") == before


def test_what_the_policy_lets_go_goes(shop: Shop) -> None:
    made = [shop.backup(keep={"last": 2, "min_verified": 1})["set"]["id"] for _run in range(3)]
    found = shop.info(keep={"last": 2, "min_verified": 1})
    assert [each["id"] for each in found["sets"]] == made[:0:-1] and found["sets"][0]["kept_because"]
    assert shop.shell(f"ls {REPOSITORY}/postgresql").split() == sorted(made[1:])


def test_encrypted_for_its_recipients(shop: Shop) -> None:
    shop.shell(f"mkdir -m 0700 {REPOSITORY}; age-keygen -o {REPOSITORY}/key 2>/dev/null")
    recipient = shop.shell(f"age-keygen -y {REPOSITORY}/key")
    before = shop.fingerprint()
    blind = shop.backup(encrypt_to=[recipient])
    assert blind["set"]["verified"] == "digest" and "no identity here" in "".join(blind["warnings"])
    heads = shop.shell(f"for f in {folder_of(blind)}/*/*.age {folder_of(blind)}/*.age; do head -n 1 $f; done").split(
        "\n"
    )
    assert heads == ["age-encryption.org/v1"] * blind["set"]["files"]
    seeing = shop.backup(encrypt_to=[recipient], identity=f"{REPOSITORY}/key")
    assert seeing["set"]["verified"] == "read" and seeing["set"]["encrypted"]
    assert shop.restore(folder_of(seeing), f"{REPOSITORY}/key") == before
    other = shop.shell(f"age-keygen -o {REPOSITORY}/other 2>/dev/null; echo {REPOSITORY}/other")
    wrong = shop.backup(encrypt_to=[recipient], identity=other)
    assert wrong["failed"] and "is damaged" in wrong["msg"] and "no identity matched" in wrong["msg"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"databases": ["nosuch"]}, "there is no database 'nosuch'"), ({"port": 1}, "no login"),
        ({"user": "nobody_at_all"}, "no login"), ({"repository": "relative"}, "neither an absolute path"),
        ({"keep": {"dayly": 3}}, "'dayly' is no rule"), ({"max_age": "soon"}, "'max_age'"),
        ({"encrypt_to": ["AGE-SECRET-KEY-1QQQ"]}, "is a secret key"), ({"encrypt_to": ["age1short"]}, "no recipient"),
        ({"jobs": 0}, "'jobs' is 0"), ({"compression_level": 99}, "zstd has 1 to 19"),
        ({"series": "../up"}, "'series'"), ({"bin_dir": "/nowhere"}, "pg_dump is not installed in /nowhere"),
        ({"repository": "s3://B"}, "no address such as"), ({"repository": "/proc/backups"}, "/proc/backups"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_and_leaves_nothing(shop: Shop, change: dict[str, Any], words: str) -> None:
    outcome = shop.backup(**change)
    assert outcome["failed"] and words in outcome["msg"], outcome
    assert shop.shell(f"find {REPOSITORY} -type f 2>/dev/null || true") == ""


def test_an_older_pg_dump_is_refused(shop: Shop) -> None:
    shop.shims("/opt/old", "echo 'x (PostgreSQL) 12.3'")
    outcome = shop.backup(bin_dir="/opt/old")
    assert outcome["failed"] and "pg_dump 12.3 is older than the server" in outcome["msg"]


def test_nothing_is_pruned_in_a_run_that_failed(shop: Shop) -> None:
    for _run in range(2):
        shop.backup()
    outcome = shop.backup(timeout="0.001s", keep={"last": 1, "min_verified": 0})
    assert outcome["failed"] and "nothing was pruned" in outcome["msg"]
    found = shop.info()
    assert len(found["sets"]) == 2 and found["unfinished"] == []


def test_one_run_at_a_time(shop: Shop) -> None:
    shop.backup()
    script = f"exec 9>>{REPOSITORY}/postgresql/.lock; flock 9; echo held; sleep 20"
    holder = shop.host.start("runuser", "-u", "postgres", "--", "sh", "-c", script)
    try:
        assert holder.stdout.readline() == "held\n"
        refused = shop.backup()
        assert refused["failed"] and "/.lock is held by" in refused["msg"]
        assert shop.backup(lock_wait="120s")["made"]
    finally:
        holder.terminate()
        holder.wait()


def test_a_password_is_nowhere(shop: Shop) -> None:
    """In no argument of a program, no log, no result; the programs are watched from within."""
    shims = "/opt/watched"
    shop.shims(shims, f'echo "$0 $*" >> {shims}/argv; exec /usr/lib/postgresql/15/bin/$(basename $0) "$@"')
    shop.host.sql("CREATE ROLE dumper LOGIN SUPERUSER PASSWORD 'f1ctional-pass'", "postgres")
    try:
        outcome = shop.backup(host="127.0.0.1", user="dumper", password="f1ctional-pass", bin_dir=shims)
        assert outcome["made"], outcome
        assert "pg_dump" in shop.shell(f"cat {shims}/argv") and "f1ctional" not in shop.shell(f"cat {shims}/argv")
        assert "f1ctional" not in json.dumps(outcome) + shop.host.said
        assert "f1ctional" not in shop.host.run("journalctl", "--no-pager", "-n", "500")
        assert "f1ctional" not in shop.shell(f"cat {folder_of(outcome)}/manifest.json")
    finally:
        shop.host.sql("DROP ROLE dumper", "postgres")


@pytest.mark.parametrize("victim", ["AnsiballZ_pg_backup", "pg_dump", "zstd", "pg_dumpall"])
def test_a_kill_leaves_nothing_that_looks_like_a_set(shop: Shop, victim: str) -> None:
    """SIGKILL of the module or of a program, as soon as it is there."""
    shop.host.sql("INSERT INTO empty SELECT n, '{}' FROM generate_series(1, 300000) n", NASTY)
    script = f"for i in $(seq 3000); do pkill -9 -u postgres -f '[{victim[0]}]{victim[1:]}' && exit 0; sleep 0.01; done"
    killer = shop.host.start("sh", "-c", script)
    try:
        shop.backup()
        assert killer.wait(60) == 0, "nothing was killed"
        found = shop.info()
        assert all(each["verified"] == "read" for each in found["sets"])
        after = shop.backup()
        assert after["made"] and shop.info()["unfinished"] == []
        assert shop.restore(folder_of(after)) == shop.fingerprint()
    finally:
        killer.terminate()
        killer.wait()
        shop.host.sql("TRUNCATE empty", NASTY)
