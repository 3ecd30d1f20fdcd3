# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab host with two clusters, an old primary and a new one, and PgBouncer and HAProxy before them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for
from lab_host import LabHost

OLD, NEW = {"host": "127.0.0.1", "port": 5471}, {"host": "127.0.0.1", "port": 5472}
INI, CFG = "/etc/pgbouncer/pgbouncer.ini", "/etc/haproxy/haproxy.cfg"
POOL, PROXY = 6432, 6500
_CLUSTERS = ("old", "new")
_INI = f"""; kept as it is
[databases]
# the shop, by the pool
shop = dbname=shop host=127.0.0.1   port={OLD["port"]} user=shop password='it''s' pool_size=5
audit = host=127.0.0.1 port={OLD["port"]} dbname=shop user=shop password='it''s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {POOL}
unix_socket_dir = /var/run/postgresql
auth_type = any
pool_mode = transaction
logfile = /var/log/postgresql/pgbouncer.log
pidfile = /var/run/postgresql/pgbouncer.pid
"""
_CFG = f"""# kept as it is
global
    stats socket /run/haproxy/admin.sock mode 600 level admin
    user haproxy
    group haproxy
defaults
    mode tcp
    timeout connect 2s
    timeout client 60s
    timeout server 60s
listen shop
    bind 127.0.0.1:{PROXY}
    server primary 127.0.0.1:{OLD["port"]} check inter 300ms  # the primary
    server spare   127.0.0.1:1 check backup
"""
_DROP_IN = "/etc/systemd/system/haproxy.service.d"
_OFTEN = "/etc/systemd/system/pgbouncer.service.d"
_SETUP = """
for name in old new; do
    port=$([ $name = old ] && echo 5471 || echo 5472)
    pg_createcluster 15 $name -p $port > /dev/null
    echo "cluster_name = '$name'" >> /etc/postgresql/15/$name/postgresql.conf
    systemctl start postgresql@15-$name
    runuser -u postgres -- psql -Xq -p $port -c "CREATE ROLE shop LOGIN PASSWORD 'it''s'"
    runuser -u postgres -- createdb -p $port -O shop shop
    PGPASSWORD="it's" psql -Xq -h 127.0.0.1 -p $port -U shop shop -c "CREATE TABLE written (n bigint)"
done
"""
_CLEAR = f"""
systemctl disable --now pgbouncer haproxy
for name in old new; do pg_dropcluster --stop 15 $name; done
rm -rf {_DROP_IN} {_OFTEN}
systemctl daemon-reload
"""
# Writes by a connection that stays, and by new ones, until its file is gone; then it says how that went.
_WRITER = """
import json, os, sys, time, psycopg2
port, database, file = sys.argv[1:]
login = dict(host="127.0.0.1", port=port, dbname=database, user="shop", password="it's")
wrong, kept, n = [], psycopg2.connect(**login), 0
kept.autocommit = True
print("begun", flush=True)
while os.path.exists(file):
    time.sleep(0.005)
    try:
        fresh = psycopg2.connect(**login) if n % 2 == 0 else None
        with (fresh or kept).cursor() as cursor:
            cursor.execute("INSERT INTO written VALUES (%s)", (n,))
        if fresh:
            fresh.commit()
            fresh.close()
    except psycopg2.Error as error:
        wrong.append(str(error))
        break
    n += 1
print(json.dumps({"count": n, "wrong": wrong}))
"""
# A transaction that does not end until its file is gone.
_HOLDER = """
import os, sys, time, psycopg2
held = psycopg2.connect(host="127.0.0.1", port=sys.argv[1], dbname=sys.argv[2], user="shop", password="it's")
held.cursor().execute("SELECT 1")
print("held", flush=True)
while os.path.exists(sys.argv[3]):
    time.sleep(0.05)
"""


def _ask(port: int, database: str) -> list[str]:
    return ["env", "PGPASSWORD=it's", "psql", "-XAtq", "-h", "127.0.0.1", "-p", str(port), "-U", "shop", database,
            "-c", "SHOW cluster_name"]  # fmt: skip


class Traffic:
    """The host, the module, and what is to be seen past it."""

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def lead(self, kind: str, check_mode: bool = False, **arguments: Any) -> Any:
        given = {"kind": kind, "old": OLD, **({} if arguments.get("cut") else {"primary": NEW}), **arguments}
        return self.host.direct.answer("dr_traffic", given, check_mode=check_mode)

    def sql(self, server: dict[str, Any], query: str) -> str:
        psql = ("psql", "-XAtq", "-p", str(server["port"]), "-d", "shop", "-c", query)
        return self.host.run("runuser", "-u", "postgres", "--", *psql)

    def count(self, server: dict[str, Any]) -> int:
        return int(self.sql(server, "SELECT count(*) FROM written"))

    def who_answers(self, port: int, database: str = "shop") -> str:
        """The name of the cluster behind a port, or nothing."""
        return self.host.run("timeout", "4", *_ask(port, database), check=False)

    @contextmanager
    def asking(self, port: int, database: str = "shop") -> Iterator[list[str]]:
        """The same by a client that goes on meanwhile; its answer is there afterwards, or nothing in some seconds."""
        running, answers = self.host.start("timeout", "12", *_ask(port, database)), list[str]()
        yield answers
        answers += running.communicate(timeout=30)[0].split()

    def console(self, command: str) -> str:
        return self.host.run("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-h", "/var/run/postgresql", "-p",
                             str(POOL), "-U", "pgbouncer", "pgbouncer", "-c", command)  # fmt: skip

    def connections(self, program: str, server: dict[str, Any]) -> int:
        """Of a program to a server, by its user: in a container nobody sees the descriptors of others."""
        user = self.host.run("id", "-u", {"pgbouncer": "postgres"}.get(program, program))
        listed = self.host.run("ss", "-Htne", "state", "established", f"dport = :{server['port']}")
        return sum(1 for line in listed.splitlines() if f"uid:{user}" in line.split())

    @contextmanager
    def writing(self, port: int, database: str = "shop") -> Iterator[dict[str, Any]]:
        """A client writes meanwhile; afterwards the mapping says how many rows, and what was wrong."""
        found: dict[str, Any] = {}
        with self._program(_WRITER, port, database) as said:
            yield found
        found.update(json.loads(said[-1]))

    @contextmanager
    def holding(self, port: int, database: str = "shop") -> Iterator[None]:
        with self._program(_HOLDER, port, database):
            yield

    @contextmanager
    def _program(self, script: str, port: int, database: str) -> Iterator[list[str]]:
        file = f"/run/day2-client-{port}-{database}"
        self.host.run("touch", file)
        argv = ["python3", "-c", script, str(port), database, file]
        running = self.host.start("runuser", "-u", "nobody", "--", *argv)
        said: list[str] = []
        assert running.stdout
        try:
            assert running.stdout.readline().strip() in ("begun", "held")
            yield said
        finally:
            self.host.run("rm", "-f", file)
            said += (running.communicate(timeout=30)[0] or "").strip().splitlines()

    def until(self, wanted: Any, limit: float = 20.0) -> None:
        wait_for(wanted, bool, limit, "the host", pause=0.1)

    def reset(self) -> None:
        """Both lead to the old cluster again."""
        for path, text in ((INI, _INI), (CFG, _CFG)):
            self.host.run("tee", path, text=text)
        self.host.run("sh", "-c", f"chown postgres:postgres {INI}; chmod 640 {INI}")
        self.host.run("systemctl", "restart", "pgbouncer", "haproxy")
        for server in (OLD, NEW):
            self.sql(server, "TRUNCATE written")
        self.until(lambda: self.who_answers(POOL) == "old" and self.who_answers(PROXY) == "old")


@contextmanager
def traffic_on(host: LabHost) -> Iterator[Traffic]:
    host.run("sh", "-c", _CLEAR, check=False)
    host.run("sh", "-euc", _SETUP)
    # A container has no name spaces to give away, and a quick machine starts them more often than systemd lets it.
    host.run("mkdir", "-p", _DROP_IN, _OFTEN)
    host.run("tee", f"{_DROP_IN}/lab.conf", text="[Unit]\nStartLimitIntervalSec=0\n[Service]\nBindReadOnlyPaths=\n")
    host.run("tee", f"{_OFTEN}/lab.conf", text="[Unit]\nStartLimitIntervalSec=0\n")
    host.run("systemctl", "daemon-reload")
    try:
        yield Traffic(host)
    finally:
        host.run("sh", "-c", _CLEAR, check=False)
