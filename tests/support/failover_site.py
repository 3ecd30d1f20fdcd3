# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A system with a plan of failover on one lab host: three clusters and a pooler, each a host of the inventory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from standby_group import PASSFILE, PORTS, standby_group_on

SYSTEM = "ledger"
JOURNAL = f"/var/lib/day2/dr/{SYSTEM}.json"
# What no output of a run has in it. The pooler asks for none.
KEY = "k3y-of-the-pooler"
# pg_hba of the site's servers trusts the owner.
REJOIN = {"login": {"user": "replicator", "passfile": PASSFILE}, "rewind_login": {"user": "postgres"}}
POOLER, PLACE = 6499, "/var/lib/postgresql/dr-pooler"
START_POOLER = f"""
port=$1
mkdir -p {PLACE}
cat > {PLACE}/pgbouncer.ini <<X
[databases]
postgres = host=127.0.0.1 port=$port user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {POOLER}
unix_socket_dir = {PLACE}
auth_type = any
admin_users = postgres
logfile = {PLACE}/log
pidfile = {PLACE}/pid
server_login_retry = 1
X
chown -R postgres: {PLACE}
systemd-run --quiet --unit=dr-pooler --property=User=postgres pgbouncer {PLACE}/pgbouncer.ini
"""
END_POOLER = f"systemctl stop dr-pooler; systemctl reset-failed dr-pooler; rm -rf {PLACE} /var/lib/day2/dr"


class FailoverSite:
    """`dra` is the primary of `drb` and `drc`; applications reach it through `app`'s PgBouncer."""

    ports = PORTS

    def __init__(self, host: Any, group: Any, folder: Path) -> None:
        self.host, self.group, self.folder = host, group, folder
        self.reports = folder / "reports"
        self.output = ""

    def plan(self, **changes: Any) -> dict[str, Any]:
        return {
            "database": "postgres",
            "members": [{"host": name, "address": "127.0.0.1", "port": port} for name, port in self.ports.items()],
            "vantage_points": [*list(self.ports)[1:], "app"],
            "journal_hosts": [*list(self.ports)[1:], "app"],
            "fence": [{"kind": "service"}],
            "traffic": [
                {"kind": "pgbouncer", "host": "app", "databases": ["postgres"], "config": f"{PLACE}/pgbouncer.ini",
                 "admin_host": PLACE, "admin_port": POOLER, "admin_password": KEY},
            ],
            "liveness": {"tries": 2, "over": "1s", "timeout": "2s"},
            "targets": {"rto": "30m", "rpo": "5m"},
            **changes,
        }  # fmt: skip

    def inventory(self, **lost: str) -> Path:
        """Each by a name of its own at the same machine; `lost`: hosts at an address where nobody answers."""
        known = json.loads((self.host.lab.folder / "lab.json").read_text())["hosts"][self.host.name]
        config = self.folder / "ssh_config"
        # Names of this host's own: connections that are kept open are found by them, also by other workers.
        names = {name: f"{name}.{'lost.' if name in lost else ''}{known['alias']}" for name in [*self.ports, "app"]}
        config.write_text(
            "".join(
                f"Host {alias}\n    HostName {lost.get(name, known['address'])}\n    HostKeyAlias {known['alias']}\n"
                "    ConnectTimeout 3\n"
                for name, alias in names.items()
            )
            + Path(self.host.lab.ssh_config).read_text()
        )
        variables = {
            "ansible_ssh_common_args": f"-F '{config}'", "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_pipelining": True, "day2_system": SYSTEM, "day2_report_dir": str(self.reports),
        }  # fmt: skip
        hosts = {name: {"ansible_host": alias} for name, alias in names.items()}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}))
        return path

    def play(self, name: str, *options: str, plan: dict[str, Any] | None = None, **variables: Any) -> Any:
        """Run a playbook; `-i` among the options replaces the inventory."""
        inventory = () if "-i" in options else ("-i", str(self.inventory()))
        given = {"day2_dr_plan": plan or self.plan(), "day2_fail_on": "never", **variables}
        done = self.host.playbook(f"day2.ops.{name}", *inventory, *options, **given)
        self.output = done.stdout + done.stderr
        return done

    def rows(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Of the last report: by host, by id."""
        report = json.loads((self.reports / "latest" / "report.json").read_text())
        return {host["host"]: {row["id"]: row for row in host["results"]} for host in report["hosts"]}

    def journal(self) -> list[tuple[str, str, str | None]]:
        """Steps as the host has them written down, past any module."""
        text = self.host.run("sh", "-c", f"cat {JOURNAL} 2>/dev/null || echo '{{\"entries\": []}}'")
        return [(entry["step"], entry["phase"], entry["host"]) for entry in json.loads(text)["entries"]]

    def through_pooler(self, query: str, check: bool = True) -> str:
        """As an application asks, until it is answered."""
        argv = ["runuser", "-u", "postgres", "--", "env", "PGCONNECT_TIMEOUT=5", "psql", "-XAtq", "-h", "127.0.0.1"]
        return str(self.host.run(*argv, "-p", str(POOLER), "-d", "postgres", "-c", query, check=check))

    def primaries(self) -> list[str]:
        """Clusters that take writes now, each asked itself."""
        found = []
        for name, port in self.ports.items():
            argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-p", str(port), "-d", "postgres"]
            said = self.host.run(*argv, "-c", "SELECT pg_is_in_recovery()", check=False)
            found += [name] if said == "f" else []
        return found

    def crash(self, name: str) -> None:
        """As a machine that fails: nothing is shut down, and nothing starts it again before somebody asks."""
        self.host.run("systemctl", "kill", "--signal=KILL", f"postgresql@15-{name}")
        self.group.until(self.primaries, lambda said: name not in said, f"{name} is gone")


@contextmanager
def failover_site_on(host: Any, folder: Path) -> Iterator[FailoverSite]:
    with standby_group_on(host) as group:
        # A server whose machine has failed is not there for a moment and then again.
        host.run("sh", "-c", "rm -rf /var/lib/day2/dr")
        # pg_hba of Debian asks for a password over TCP; the pooler asks as the application.
        for name in ("dra",):
            host.run("sed", "-i", "1i host all postgres 127.0.0.1/32 trust", f"/etc/postgresql/15/{name}/pg_hba.conf")
            group.sql(name, "SELECT pg_reload_conf()")
        for name in ("drb", "drc"):
            group.clone(name)
        host.run("sh", "-euc", START_POOLER, "sh", str(PORTS["dra"]))
        site = FailoverSite(host, group, folder)
        try:
            # It does not listen at once.
            asked = partial(site.through_pooler, "SELECT 1", check=False)
            group.until(asked, lambda said: said == "1", "the pooler answers")
            yield site
        finally:
            host.run("sh", "-c", END_POOLER, check=False)
