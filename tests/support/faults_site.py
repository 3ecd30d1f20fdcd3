# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Four lab hosts with a system that fails over: a primary, two standbys, an application behind PgBouncer and HAProxy.

Each case begins from copies of the data directories, within seconds; cuts of the network are rules in the hosts' own
name spaces. The application and whoever judges it share nothing with the product.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import faults_scripts as scripts
from lab.environment import Lab
from lab.waiting import wait_for
from lab_host import ROOT, LabHost

MEMBERS = ("dra", "drb", "drc")
HOSTS = (*MEMBERS, "app")
SYSTEM = "ledger"
JOURNAL = f"/var/lib/day2/dr/{SYSTEM}.json"
UNIT = "postgresql@15-main"
CONFIRMED = {"day2_dr_confirm": SYSTEM}
SUPPORT = Path(__file__).parent
LIMIT = 600.0


class Node(LabHost):
    """One of the hosts."""

    def __init__(self, lab: Lab, name: str, folder: Path) -> None:
        super().__init__(lab, folder)
        self.name = name

    def sh(self, script: str, *arguments: str, check: bool = True) -> str:
        return self.run("sh", "-euc", script, "sh", *arguments, check=check)


class FaultsSite:
    def __init__(self, lab: Lab, folder: Path) -> None:
        self.lab, self.folder = lab, folder
        known = {host.name: host for host in lab.hosts()}
        self.nodes = {name: Node(lab, name, folder) for name in HOSTS}
        self.address = {name: known[name].address for name in HOSTS}
        self.alias = {name: known[name].alias for name in HOSTS}
        self.controller = self.nodes["app"].gateway
        self.output, self.runs = "", 0
        self._clients: list[subprocess.Popen[str]] = []

    def everywhere(self, do: Callable[[Node], Any], names: Sequence[str] = HOSTS) -> list[Any]:
        with ThreadPoolExecutor(len(HOSTS)) as pool:
            return list(pool.map(lambda name: do(self.nodes[name]), names))

    def make(self) -> None:
        self.everywhere(lambda node: node.sh(scripts.QUIET))
        self.nodes["dra"].sh(scripts.PRIMARY)
        for name in ("drb", "drc"):
            self.nodes[name].sh(scripts.STANDBY, name, self.address["dra"])
        self.nodes["app"].sh(scripts.APPLICATION, self.address["dra"])
        self.nodes["app"].run("sh", "-c", "cat > /usr/local/lib/client.py", text=(SUPPORT / "ledger.py").read_text())
        self.settled()
        # The primary first: its standbys have all that it wrote.
        for name in MEMBERS:
            self.nodes[name].sh(f"systemctl stop {UNIT}")
        self.everywhere(lambda node: node.sh(scripts.KEEP))

    def reset(self) -> None:
        """As it was made, whatever a case has left."""
        self.end_clients()
        self.heal()
        self.everywhere(lambda node: node.run("sh", "-c", scripts.END, check=False), MEMBERS)
        self.everywhere(lambda node: node.sh(scripts.RESET))
        self.settled()

    def settled(self) -> None:
        asked = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
        wait_for(lambda: self.sql("dra", asked), lambda said: said == "2", 60, "both standbys stream")

    def sql(self, name: str, query: str) -> str:
        """What a server says on its own host; empty where it does not answer."""
        argv = ("timeout", "10", "runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", "postgres", "-c", query)
        return self.nodes[name].run(*argv, check=False)

    def primaries(self) -> list[str]:
        return [name for name in MEMBERS if self.sql(name, "SELECT pg_is_in_recovery()") == "f"]

    # What goes wrong.

    def cut(self, one: str, other: str) -> None:
        """Nothing comes from one to the other, or back. `controller` is this machine."""
        host, far = (one, other) if one in self.nodes else (other, one)
        place = self.address.get(far, self.controller)
        self.nodes[host].sh(scripts.CUT, place)

    def heal(self) -> None:
        self.everywhere(lambda node: node.sh(scripts.HEAL))

    def lose(self, name: str) -> None:
        """A machine without power: nothing runs, nobody is answered."""
        self.nodes[name].sh(scripts.LOST)

    def crash(self, name: str) -> None:
        """A server that dies on a machine that lives."""
        self.nodes[name].sh(f"systemctl kill --signal=KILL {UNIT}")
        wait_for(self.primaries, lambda said: name not in said, 30, f"{name} is gone")

    # Who fails over.

    def plan(self, **changes: Any) -> dict[str, Any]:
        role = {"role": "dr_counted"}
        return {
            "database": "postgres",
            "members": [{"host": name, "address": self.address[name]} for name in MEMBERS],
            "vantage_points": ["app", "drb", "drc", "controller"],
            "journal_hosts": ["drb", "drc", "app"],
            "fence": [{"kind": "service"}, {"kind": "proxy"}],
            "traffic": [
                {"kind": "pgbouncer", "host": "app", "databases": ["postgres"],
                 "config": "/etc/pgbouncer/pgbouncer.ini"},
                {"kind": "haproxy", "host": "app", "servers": ["postgres/primary"],
                 "config": "/etc/haproxy/haproxy.cfg"},
            ],
            "application": {**role, "entry_point": "prepare", "hosts": ["app"]},
            "verify": [{"id": "login", "title": "Login", "probe": "postgres", "metric": "connections_percent",
                        "run_as": "postgres"}],
            "backup": {**role, "entry_point": "backup"},
            "liveness": {"tries": 2, "over": "1s", "timeout": "2s"},
            "targets": {"rto": "30m", "rpo": "5m"},
            **changes,
        }  # fmt: skip

    def start(
        self, *options: str, at: dict[str, Any] | None = None, plan: dict[str, Any] | None = None, **variables: Any
    ) -> Controller:
        """A controller of its own process group. `at`: see callback_plugins/at_instant.py."""
        inventory = self.folder / "inventory.json"
        common = {
            "ansible_ssh_common_args": f"-F '{self.lab.ssh_config}' -o ConnectTimeout=3",
            "ansible_python_interpreter": "/usr/bin/python3", "ansible_pipelining": True, "day2_system": SYSTEM,
        }  # fmt: skip
        hosts = {name: {"ansible_host": self.alias[name]} for name in HOSTS}
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
        self.runs += 1
        reports = self.folder / f"run{self.runs}"
        given = {
            "day2_dr_plan": plan or self.plan(), "day2_fail_on": "never", "day2_report_dir": str(reports),
            **CONFIRMED, **variables,
        }  # fmt: skip
        argv = ["ansible-playbook", "day2.ops.dr_failover", "-i", str(inventory), "-e", json.dumps(given), *options]
        return Controller(argv, reports, at)

    def fail_over(self, *options: str, **more: Any) -> Controller:
        controller = self.start(*options, **more)
        controller.wait()
        self.output = controller.output
        return controller

    # The application.

    def begin(self) -> None:
        """Applications write from here on: through PgBouncer, and through HAProxy."""
        for number, port in enumerate((6432, 5000)):
            argv = ["python3", "/usr/local/lib/client.py", f"/root/ledger{number}", str(port), str(number * 10**6)]
            self._clients.append(self.nodes["app"].start(*argv))
        self.serves()

    def serves(self, by: str = "", limit: float = 60) -> None:
        """Both are answered now (by that member)."""
        after = time.time()

        def answered() -> bool:
            return all(
                any(x["at"] > after and by in ("", self.member(x.get("server", "-"))) for x in said if "server" in x)
                for said in self.ledgers()
            )

        wait_for(answered, bool, limit, f"applications are served {by}", pause=0.3)

    def member(self, address: str) -> str:
        return next((name for name, known in self.address.items() if known == address), address)

    def ledgers(self) -> list[list[dict[str, Any]]]:
        texts = [self.nodes["app"].run("cat", f"/root/ledger{number}", check=False) for number in (0, 1)]
        return [[json.loads(line) for line in text.splitlines() if line.endswith("}")] for text in texts]

    def end_clients(self) -> None:
        self.nodes["app"].run("pkill", "-f", "^python3 /usr/local/lib/client.py", check=False)
        for client in self._clients:
            client.wait()
        self._clients.clear()

    def journal(self, name: str = "app") -> list[dict[str, Any]]:
        text = self.nodes[name].run("sh", "-c", f"cat {JOURNAL} 2>/dev/null || echo '{{\"entries\": []}}'")
        return list(json.loads(text)["entries"])


class Controller:
    def __init__(self, argv: list[str], reports: Path, at: dict[str, Any] | None) -> None:
        settings = {
            **os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_CALLBACK_PLUGINS": str(SUPPORT / "callback_plugins"),
            "ANSIBLE_CALLBACKS_ENABLED": "at_instant", "ANSIBLE_ROLES_PATH": str(SUPPORT / "roles"),
            "DAY2_AT": json.dumps(at or {}),
        }  # fmt: skip
        self.reports = reports
        self._said = reports.with_suffix(".txt")
        with self._said.open("w") as out:
            self._process = subprocess.Popen(
                argv, cwd=ROOT, env=settings, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self.output = ""

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self._process.pid, number)

    def stopped(self) -> bool:
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def wait(self) -> int:
        """Its end, whatever ends it."""
        try:
            code = self._process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            self._process.wait()
            raise AssertionError(f"the run did not end within {LIMIT:g} s") from None
        finally:
            self.output = self._said.read_text()
        return code

    @property
    def killed(self) -> bool:
        return self._process.returncode == -signal.SIGKILL

    def rows(self) -> dict[str, dict[str, Any]]:
        """Of its report, by id; those of a failover are of one host each."""
        report = json.loads((self.reports / "latest" / "report.json").read_text())
        return {row["id"]: row for host in report["hosts"] for row in host["results"]}


@contextmanager
def faults_site(purpose: str = "faults") -> Iterator[FaultsSite]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    lab = Lab(f"{purpose}-{worker}" if worker else purpose)
    lab.down()
    try:
        lab.up(dict.fromkeys(HOSTS, "bare"))
        with tempfile.TemporaryDirectory() as folder:
            site = FaultsSite(lab, Path(folder))
            site.make()
            try:
                yield site
            finally:
                site.end_clients()
    finally:
        lab.down()
