# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A database whose application works on while it is backed up, and pg_dumps that stop where a test wants to act."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for

DATABASE, REPOSITORY, SHIMS = "moving", "/var/lib/postgresql/day2-moving", "/opt/moving"
PATIENCE = 120.0
# So long a reader of the application may wait: far more than any lock limit of these tests, far less than a dump that
# waits for a test.
READER_LIMIT = "25s"
OBJECTS = """
CREATE TABLE accounts (id int PRIMARY KEY, amount int NOT NULL);
INSERT INTO accounts SELECT n, 100 FROM generate_series(1, 200) n;
CREATE TABLE savings (id int PRIMARY KEY, amount int NOT NULL);
INSERT INTO savings SELECT n, 100 FROM generate_series(1, 200) n;
CREATE TABLE big AS SELECT n AS id, repeat(md5(n::text), 20) AS text FROM generate_series(1, 8000) n;
"""
# Each pg_dump that dumps says so and waits for a file, before it begins or after it has ended. Only the first of a
# stage waits: who comes later finds the file.
_SHIM = """
case "$*" in
  *--snapshot=*--data-only*) kind=data ;;
  *--snapshot=*) kind=main ;;
  *) exec /usr/lib/postgresql/15/bin/$(basename $0) "$@" ;;
esac
stop() {
  touch /opt/moving/at-$1
  until [ -e /opt/moving/go-$1 ]; do sleep 0.1; done
}
stop before-$kind
/usr/lib/postgresql/15/bin/pg_dump "$@" &
trap "kill $!" TERM
wait $!; code=$?
[ $code -ne 0 ] || stop after-$kind
exit $code
"""
STAGES = ("before-main", "after-main", "before-data", "after-data")
# What the application sees, and a restored copy has to have. The sum shows whether all of it is of one moment.
STATE = """
SELECT json_build_object(
  'sum', (SELECT sum(amount) FROM accounts) + (SELECT sum(amount) FROM savings),
  'tables', (SELECT json_object_agg(c.relname, (xpath('/row/n/text()', query_to_xml(
               format('SELECT count(*) AS n FROM ONLY %I', c.relname), false, true, '')))[1]::text)
               FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace),
  'columns', (SELECT json_object_agg(c.relname, (SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute a
               WHERE a.attrelid = c.oid AND attnum > 0 AND NOT attisdropped))
               FROM pg_class c WHERE relkind IN ('r', 'v', 'p') AND relnamespace = 'public'::regnamespace))"""
_MOVE = (
    "WITH a AS (UPDATE accounts SET amount = amount - {n} WHERE id = {id})"
    " UPDATE savings SET amount = amount + {n} WHERE id = {id}"
)


class Moving:
    """The database `moving`, and its backups."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def sql(self, query: str, database: str = DATABASE) -> str:
        return str(self.host.sql(query, database))

    def script(self, text: str) -> None:
        """Statements, each of its own."""
        self.host.run(
            "runuser", "-u", "postgres", "--", "psql", "-Xqv", "ON_ERROR_STOP=1", "-d", DATABASE, text=text
        )  # fmt: skip

    def start(self, *statements: str) -> subprocess.Popen[str]:
        """A session of the application that goes on meanwhile; each of the statements is a transaction."""
        words = ["psql", "-Xqtv", "ON_ERROR_STOP=1", "-d", DATABASE]
        words += [word for line in statements if line for word in ("-c", line)]
        session: subprocess.Popen[str] = self.host.start("runuser", "-u", "postgres", "--", *words)
        return session

    def backup(self, **arguments: Any) -> Any:
        call = {"databases": [DATABASE], "repository": REPOSITORY, "bin_dir": SHIMS, "split_above": "1MB",
                "lock_timeout": "3s", "jobs": 1, **arguments}  # fmt: skip
        return self.host.task("day2.ops.pg_backup", call, become_user="postgres")

    def shell(self, script: str, text: str | None = None) -> str:
        return str(self.host.run("runuser", "-u", "postgres", "--", "sh", "-euc", script, text=text))

    def reached(self, stage: str) -> None:
        wait_for(lambda: self.shell(f"ls {SHIMS}"), lambda seen: f"at-{stage}" in seen, PATIENCE, f"stage {stage}")

    def go_on(self, *stages: str) -> None:
        self.shell("".join(f"touch {SHIMS}/go-{stage};" for stage in stages or STAGES))

    def waiting(self, number: int) -> None:
        """Until so many sessions wait for a lock of a relation."""
        query = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"
        wait_for(lambda: int(self.sql(query)), lambda seen: seen >= number, PATIENCE, f"{number} sessions that wait")

    def compared(self) -> None:
        """Until the backup has compared the definitions: the session with the snapshot was asked for them last."""
        query = (
            "SELECT string_agg(DISTINCT state, ',') FROM pg_stat_activity"
            " WHERE query ~ 'hashtextextended' AND pid <> pg_backend_pid()"
        )
        states = ("idle in transaction", "idle,idle in transaction")
        wait_for(lambda: self.sql(query), lambda seen: seen in states, PATIENCE, "the definitions are compared")

    @contextmanager
    def stopped_at(self, stage: str, **arguments: Any) -> Iterator[Future[Any]]:
        """A backup that has come to this stage, and no further before `go_on`; its outcome."""
        self.shell(f"rm -f {SHIMS}/at-* {SHIMS}/go-*")
        self.go_on(*(name for name in STAGES if name != stage))
        with ThreadPoolExecutor(1) as pool:
            outcome = pool.submit(self.backup, **arguments)
            try:
                self.reached(stage)
                yield outcome
            finally:
                self.go_on()

    @contextmanager
    def load(self, *reads: str, lock_timeout: str = READER_LIMIT) -> Iterator[list[str]]:
        """Moves of money, a reader of everything and one of each of `reads`; errors of any, such as a reader that
        waited too long for a lock."""
        over, errors = threading.Event(), []

        def work() -> None:
            number = 0
            while not over.is_set():
                number += 1
                move = _MOVE.format(n=number % 7, id=number % 200 + 1)
                done = self._once(
                    f"SET lock_timeout = '{lock_timeout}'", move, "SELECT count(*) FROM accounts, big", *reads
                )
                if done:
                    errors.append(done)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield errors
        finally:
            over.set()
            thread.join()

    def _once(self, *statements: str) -> str:
        words = ["runuser", "-u", "postgres", "--", "env", f"PGOPTIONS=-c statement_timeout={READER_LIMIT}"]
        words += ["psql", "-XqtA", "-d", DATABASE, *(word for line in statements for word in ("-c", line))]
        done = self.host.direct.program(*words)
        return done.stderr.strip()

    def state(self, database: str = DATABASE) -> Any:
        return json.loads(self.sql(STATE, database))

    def restored(self, outcome: Any) -> Any:
        """What a set holds: restored by PostgreSQL's own programs, in the documented order."""
        folder = f"{REPOSITORY}/postgresql/{outcome['set']['id']}"
        self.sql("DROP DATABASE IF EXISTS moved WITH (FORCE)", "postgres")
        self.sql("CREATE DATABASE moved TEMPLATE template0", "postgres")
        self.shell(
            f"cd {folder}; rm -rf /tmp/moved; mkdir /tmp/moved\n"
            "for f in db001/*; do zstd -dcq $f > /tmp/moved/$(basename $f | cut -d. -f1); done\n"
            "pg_restore -e -d moved --section=pre-data /tmp/moved/main\n"
            "pg_restore -e -d moved --section=data /tmp/moved/main\n"
            "for f in /tmp/moved/data*; do [ ! -e $f ] || pg_restore -e -d moved $f; done\n"
            "pg_restore -e -d moved --section=post-data /tmp/moved/main\n"
        )
        return self.state("moved")

    def recorded(self, outcome: Any) -> dict[str, int]:
        """The numbers of rows in the manifest."""
        manifest = json.loads(self.shell(f"cat {REPOSITORY}/postgresql/{outcome['set']['id']}/manifest.json"))
        return {entry["table"]: entry["rows"] for entry in manifest["databases"][0]["rows"]}


@contextmanager
def moving_database(lab_host: Any) -> Iterator[Moving]:
    moving = Moving(lab_host)
    lab_host.run("sh", "-c", f"mkdir -p {SHIMS}; chown postgres {SHIMS}")
    for name in ("pg_dump", "pg_dumpall", "pg_restore"):
        lab_host.run("sh", "-c", f"cat > {SHIMS}/{name}; chmod 755 {SHIMS}/{name}", text=f"#!/bin/sh{_SHIM}")
    try:
        yield moving
    finally:
        for name in ("moved", DATABASE):
            moving.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "postgres")
        lab_host.run("rm", "-rf", REPOSITORY, SHIMS, "/tmp/moved")
