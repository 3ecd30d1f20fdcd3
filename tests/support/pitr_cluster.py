# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster of its own on a lab host, with its stanza, and how tests call the modules for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for

DATA = "/var/lib/postgresql/15/pitr"
PLACE = "/var/lib/postgresql/pitr-test"
REPOSITORY, CONFIG, SCRATCH = f"{PLACE}/repo", f"{PLACE}/pgbackrest.conf", f"{PLACE}/scratch"
SECRET = "f1ctional-cipher"
PORT, UNIT = 5499, "postgresql@15-pitr"
# Modules as they are here; run there without a controller, one takes a tenth of the time.
# Segments of 1 MiB: nothing here may take 16 MiB for granted.
SETUP = f"""
pg_createcluster 15 pitr -p {PORT} -- --wal-segsize=1 > /dev/null
mkdir -p {REPOSITORY} {PLACE}/bin
cat > {CONFIG} <<X
[global]
repo1-path={REPOSITORY}
repo1-cipher-type=aes-256-cbc
repo1-cipher-pass={SECRET}
repo1-retention-full=9
log-path={PLACE}
lock-path={PLACE}
start-fast=y
compress-type=zst
[pitr]
pg1-path={DATA}
pg1-port={PORT}
[other]
pg1-path=/var/lib/postgresql/15/main
X
chown -R postgres: {PLACE}; chmod 750 {PLACE}; chmod 640 {CONFIG}
cat >> /etc/postgresql/15/pitr/postgresql.conf <<X
archive_mode = on
archive_command = 'pgbackrest --config={CONFIG} --stanza=pitr archive-push %p'
X
systemctl start {UNIT}
"""
# A cluster that a killed restore has left is none to pg_dropcluster.
CLEAR = f"""
systemctl stop {UNIT}
pg_dropcluster 15 pitr
rm -rf /etc/postgresql/15/pitr {DATA} {DATA}.* /var/lib/postgresql/15/.pitr.* {PLACE}
rm -f /usr/local/bin/pgbackrest
"""


class Pitr:
    """The cluster, its stanza, and a table in which every row is a moment."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def make(self) -> None:
        self.remove()
        self.host.run("sh", "-euc", SETUP)

    def remove(self) -> None:
        self.host.run("sh", "-c", CLEAR, check=False)

    def script(self, user: str, name: str, *argv: str) -> None:
        done = self.host.direct.run(name, *argv, user=user)
        assert done.returncode == 0, done.stderr

    def call(self, name: str, user: str, check_mode: bool, **arguments: Any) -> Any:
        """What the module answers."""
        return self.host.direct.answer(name, self.options(arguments), user, check_mode)

    def task(self, name: str, user: str, **arguments: Any) -> Any:
        """The same as a task of Ansible's, whose output is in `host.said`."""
        return self.host.task(f"day2.ops.{name}", self.options(arguments), become_user=user, by_ansible=True)

    @staticmethod
    def options(arguments: dict[str, Any]) -> dict[str, Any]:
        return {"method": "physical", "stanza": "pitr", "pgbackrest_config": CONFIG, **arguments}

    def killed_at(self, step: str, when: str, to: Any, **arguments: Any) -> None:
        """A restore in place that is killed at a step of its journal: `at` it, not begun, or when it is `done`."""
        call = self.options({"recover_to": to, "force": True, **arguments})
        self.script("root", "kill_pitr.py", "note", step, when, json.dumps(call))

    def killed_when(self, pattern: str, name: str, user: str, **arguments: Any) -> None:
        """A module that is killed when there is such a file."""
        self.script(user, "kill_pitr.py", "seen", pattern, name, json.dumps(self.options(arguments)))

    def backup(self, check_mode: bool = False, **arguments: Any) -> Any:
        return self.call("pg_backup", "postgres", check_mode, **arguments)

    def info(self, **arguments: Any) -> Any:
        return self.call("pg_backup_info", "postgres", False, **arguments)

    def restore(self, to: Any, check_mode: bool = False, user: str = "root", **arguments: Any) -> Any:
        return self.call("pg_restore", user, check_mode, recover_to=to, **arguments)

    def scratch(self, to: Any, **arguments: Any) -> Any:
        self.call("pg_restore", "postgres", False, scratch_cluster=SCRATCH, scratch_state="absent")
        return self.restore(to, user="postgres", scratch_cluster=SCRATCH, **arguments)

    def shell(self, script: str) -> str:
        return str(self.host.run("runuser", "-u", "postgres", "--", "sh", "-euc", script))

    def sql(self, query: str, place: str = f"-p {PORT}") -> str:
        return str(self.host.run("runuser", "-u", "postgres", "--", "psql", "-XAtq", *place.split(), "-c", query))

    def words(self, place: str = f"-p {PORT}") -> list[str]:
        return self.sql("SELECT word FROM moments ORDER BY at", place).split()

    def in_scratch(self) -> list[str]:
        return self.words(f"-h {SCRATCH} -p 54329")

    def mark(self, word: str) -> str:
        """Commit a row; a time between it and whatever comes next."""
        self.sql(f"INSERT INTO moments VALUES ('{word}', clock_timestamp())")
        return self.sql("SELECT clock_timestamp()")

    def archive(self) -> None:
        """Everything so far is in the archive, with a commit behind it."""
        self.sql("INSERT INTO moments VALUES ('end', clock_timestamp())")
        self.shell(f"pgbackrest --config={CONFIG} --stanza=pitr check")

    def listed(self) -> list[dict[str, Any]]:
        """The backups, as pgBackRest says them."""
        (stanza,) = json.loads(self.shell(f"pgbackrest --config={CONFIG} --stanza=pitr info --output=json"))
        backups: list[dict[str, Any]] = stanza["backup"]
        return backups

    def archived(self) -> list[str]:
        """Every file of WAL in the archive, of all timelines, and their histories."""
        return self.shell(f"find {REPOSITORY}/archive/pitr/15-1 -type f | sort").split()

    def segments(self) -> list[str]:
        return self.shell(f"cd {REPOSITORY}/archive/pitr/15-1; ls */ | grep -E '^[0-9A-F]{{24}}-'").split()

    @contextmanager
    def archiving_broken(self) -> Iterator[None]:
        self.sql("ALTER SYSTEM SET archive_command = 'false'")
        self.sql("SELECT pg_reload_conf()")
        wait_for(lambda: self.sql("SHOW archive_command"), lambda said: said == "false", 30, "archive_command")
        try:
            yield
        finally:
            self.sql("ALTER SYSTEM RESET archive_command")
            self.sql("SELECT pg_reload_conf()")

    def shim(self, script: str) -> None:
        """A pgbackrest that comes first in the path and does this before it is itself."""
        self.host.run("sh", "-c", f"mkdir -p {PLACE}/bin; : > {PLACE}/argv; chmod 666 {PLACE}/argv")
        text = f'#!/bin/sh\n{script}\nexec /usr/bin/pgbackrest "$@"\n'
        self.host.run("sh", "-c", "cat > /usr/local/bin/pgbackrest; chmod 755 /usr/local/bin/pgbackrest", text=text)

    def empty(self) -> None:
        """Without backups and with an empty table."""
        self.host.run("sh", "-euc", f"systemctl start {UNIT}; rm -rf {DATA}.*; find {REPOSITORY} -mindepth 1 -delete")
        self.shell(f"pgbackrest --config={CONFIG} --stanza=pitr stanza-create")
        self.sql("DROP TABLE IF EXISTS moments; CREATE TABLE moments (word text, at timestamptz)")

    def tidy(self) -> None:
        self.unshim()
        self.call("pg_restore", "postgres", False, scratch_cluster=SCRATCH, scratch_state="absent")

    def unshim(self) -> None:
        self.host.run("rm", "-f", "/usr/local/bin/pgbackrest")


@contextmanager
def pitr_on(host: Any) -> Iterator[Pitr]:
    """A new cluster with its stanza, gone afterwards."""
    made = Pitr(host)
    try:
        made.make()
        yield made
    finally:
        made.remove()
