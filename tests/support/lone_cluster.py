# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A primary without standbys on a lab host, which tests stop, hang and fence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for

# A site's own unit for it, whose file is where `systemctl mask` wants its link.
OWN_UNIT = "day2-test-postgres.service"
_UNIT = """[Service]
User=postgres
ExecStart=/usr/lib/postgresql/15/bin/postgres -D {data} -c config_file={config}
KillMode=mixed
Restart=on-failure
"""
_CLEAR = f"""
systemctl unmask $1 {OWN_UNIT}
systemctl unmask --runtime $1
rm -rf /etc/systemd/system/$1.d /etc/systemd/system/{OWN_UNIT} /etc/systemd/system/{OWN_UNIT}.d
pid=$(head -1 $2/postmaster.pid) && kill -KILL $pid && while [ -e /proc/$pid ]; do sleep 0.1; done
systemctl kill -s KILL $1 {OWN_UNIT}
systemctl stop --no-block $1 {OWN_UNIT}
# Read again, it notices at once that its control group is empty.
systemctl daemon-reload
systemctl stop $1 {OWN_UNIT}
systemctl reset-failed $1 {OWN_UNIT}
"""
_BY_HAND = "/usr/lib/postgresql/15/bin/pg_ctl start -w -s -D {data} -o '-c config_file={config}' -l /dev/null"


class LoneCluster:
    """Debian's cluster 15/lone."""

    port, data, unit = 5477, "/var/lib/postgresql/15/lone", "postgresql@15-lone.service"
    config = "/etc/postgresql/15/lone/postgresql.conf"

    def __init__(self, host: Any) -> None:
        self.host = host

    def make(self) -> None:
        self.remove()
        self.host.run("pg_createcluster", "15", "lone", "-p", str(self.port))
        self.host.run("sh", "-c", f"echo fsync = off >> {self.config}")

    def clear(self) -> None:
        """Not running, and free to start."""
        self.host.run("sh", "-c", _CLEAR, "sh", self.unit, self.data, check=False)

    def remove(self) -> None:
        self.clear()
        self.host.run("pg_dropcluster", "15", "lone", check=False)

    def start(self) -> None:
        self.host.run("systemctl", "start", self.unit)
        self.answers()

    def start_by_hand(self) -> None:
        script = _BY_HAND.format(data=self.data, config=self.config)
        self.host.run("runuser", "-u", "postgres", "--", "sh", "-c", f"{script} > /dev/null 2>&1")
        self.answers()

    def start_in_own_unit(self) -> None:
        text = _UNIT.format(data=self.data, config=self.config)
        self.host.run("sh", "-c", f"cat > /etc/systemd/system/{OWN_UNIT}; systemctl daemon-reload", text=text)
        self.host.run("systemctl", "start", OWN_UNIT)
        self.answers()

    def answers(self) -> None:
        wait_for(self.is_up, bool, 60, "the server answers")

    def is_up(self) -> bool:
        """As a client finds it; one that is stopped by a signal takes connections and says nothing."""
        done = self.host.direct.program("pg_isready", "-q", "-t", "1", "-h", "127.0.0.1", "-p", str(self.port))
        return bool(done.returncode == 0)

    def pid(self) -> int:
        return int(self.host.run("head", "-1", f"{self.data}/postmaster.pid"))

    def signal(self, name: str) -> None:
        self.host.run("kill", f"-{name}", str(self.pid()))

    def processes(self) -> str:
        """Servers on its data directory, as their owner sees them."""
        look = f"for p in $(pgrep -x postgres); do [ $(readlink /proc/$p/cwd) = {self.data} ] && echo $p; done; true"
        return str(self.host.run("runuser", "-u", "postgres", "--", "sh", "-c", look))


@contextmanager
def lone_cluster_on(host: Any) -> Iterator[LoneCluster]:
    made = LoneCluster(host)
    made.make()
    try:
        yield made
    finally:
        made.remove()
