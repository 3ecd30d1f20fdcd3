# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A primary and standbys as clusters of one lab host, and how tests call the modules for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for

PASSWORD = "f1ctional-stream"
PASSFILE = "/var/lib/postgresql/dr-test.pgpass"
ARCHIVE = "/var/lib/postgresql/dr-test-archive"
PORTS = {"dra": 5521, "drb": 5522, "drc": 5523}
# Small and soon: segments of 1 MiB, and a standby that asks again at once.
PRIMARY = f"""
pg_createcluster 15 dra -p {PORTS["dra"]} -- --wal-segsize=1 --data-checksums > /dev/null
mkdir -p {ARCHIVE}
cat >> /etc/postgresql/15/dra/postgresql.conf <<X
wal_retrieve_retry_interval = 200ms
wal_keep_size = 64MB
fsync = off
X
printf '127.0.0.1:*:replication:replicator:%s\\n' "$1" > {PASSFILE}
chown -R postgres: {PASSFILE} {ARCHIVE}; chmod 600 {PASSFILE}
systemctl start postgresql@15-dra
"""
CLONE = f"""
name=$1 port=$2 of=$3 from=$4
runuser -u postgres -- pg_basebackup -D /var/lib/postgresql/15/$name -X stream -c fast -R \\
  -d "host=127.0.0.1 port=$from user=replicator passfile={PASSFILE} application_name=$name"
cp -a /etc/postgresql/15/$of /etc/postgresql/15/$name
sed -i "s/$of/$name/g; s/^port = .*/port = $port/" /etc/postgresql/15/$name/postgresql.conf
systemctl start postgresql@15-$name
"""
CLEAR = """
for name; do
  systemctl unmask postgresql@15-$name; systemctl kill -s CONT postgresql@15-$name; systemctl stop postgresql@15-$name
  systemctl kill -s KILL postgresql@15-$name
  rm -rf /etc/postgresql/15/$name /var/lib/postgresql/15/$name /var/log/postgresql/postgresql-15-$name.log
  systemctl reset-failed postgresql@15-$name
done
"""


class StandbyGroup:
    """`dra` is the primary; `drb` and `drc` are made of it when a test wants them."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def make(self) -> None:
        self.remove(*PORTS)
        self.host.run("sh", "-euc", PRIMARY, "sh", PASSWORD)
        self.ready("dra")
        self.sql("dra", f"CREATE ROLE replicator REPLICATION LOGIN PASSWORD '{PASSWORD}'")
        self.sql("dra", "CREATE TABLE rows (n int)")

    def remove(self, *names: str) -> None:
        self.host.run("sh", "-c", CLEAR, "sh", *names, check=False)

    def clone(self, name: str, of: str = "dra") -> None:
        """A new standby, which streams."""
        self.remove(name)
        self.host.run("sh", "-euc", CLONE, "sh", name, str(PORTS[name]), of, str(PORTS[of]))
        self.streams(name, of)

    def data(self, name: str) -> str:
        return f"/var/lib/postgresql/15/{name}"

    def sql(self, name: str, query: str) -> str:
        argv = ("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-p", str(PORTS[name]), "-d", "postgres")
        return str(self.host.run(*argv, "-c", query))

    def set(self, name: str, setting: str, value: str) -> None:
        """A setting that a reload takes; empty for its default."""
        self.sql(name, f"ALTER SYSTEM SET {setting} = '{value}'" if value else f"ALTER SYSTEM RESET {setting}")
        self.sql(name, "SELECT pg_reload_conf()")
        if value:
            self.until(lambda: self.sql(name, f"SHOW {setting}"), lambda said: said == value, f"{setting} of {name}")

    def until(self, look: Callable[[], Any], wanted: Callable[[Any], bool], what: str) -> None:
        wait_for(look, wanted, 60, what, pause=0.1)

    def ready(self, name: str) -> None:
        argv = ("pg_isready", "-q", "-p", str(PORTS[name]))
        self.until(lambda: self.host.direct.program(*argv).returncode, lambda code: code == 0, f"{name} answers")

    def streams(self, name: str, of: str) -> None:
        self.ready(name)
        query = f"SELECT count(*) FROM pg_stat_wal_receiver WHERE status = 'streaming' AND sender_port = {PORTS[of]}"
        self.until(lambda: self.sql(name, query), lambda said: said == "1", f"{name} streams from {of}")

    def caught_up(self, name: str, of: str = "dra") -> None:
        end = self.sql(of, "SELECT pg_current_wal_lsn()")
        query = f"SELECT pg_last_wal_replay_lsn() >= '{end}'"
        self.until(lambda: self.sql(name, query), lambda said: said == "t", f"{name} has replayed {end}")

    def call(self, module: str, check_mode: bool = False, **arguments: Any) -> Any:
        return self.host.direct.answer(module, arguments, "root", check_mode)

    def info(self, name: str, **arguments: Any) -> Any:
        return self.call("pg_standby_info", port=PORTS[name], **arguments)

    def signal(self, name: str, signal: str) -> None:
        """To the server's first process alone, as a debugger or a kernel that hangs would."""
        self.host.run("sh", "-c", f'kill -s "$1" "$(head -n 1 {self.data(name)}/postmaster.pid)"', "sh", signal)

    def systemctl(self, verb: str, name: str) -> None:
        self.host.run("systemctl", verb, f"postgresql@15-{name}")

    def killed(self, name: str) -> None:
        """As by a power cut."""
        self.host.run("systemctl", "kill", "-s", "KILL", f"postgresql@15-{name}")
        self.until(lambda: self.info(name)["state"], lambda state: state == "stopped", f"{name} is gone")

    def identifier(self, name: str) -> str:
        return self.sql(name, "SELECT system_identifier FROM pg_control_system()")

    def timeline(self, name: str) -> str:
        return self.sql(name, "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)")


@contextmanager
def standby_group_on(host: Any) -> Iterator[StandbyGroup]:
    made = StandbyGroup(host)
    try:
        made.make()
        yield made
    finally:
        made.remove(*PORTS)
        host.run("rm", "-rf", PASSFILE, ARCHIVE)
