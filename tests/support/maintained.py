# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab host that is maintained: playbooks with steps of a test's own, and what is to be seen from outside of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lab_host import ROOT, LabHost, ansible

SERVICE = "options_engine"
UNIT = "options-engine.service"
STATE = f"/var/lib/day2/maintenance/{SERVICE}/state.json"
REPOSITORY = "/var/backups/options_engine-sets"
# It began half a day ago, so that it is never about to close.
_BEGAN = datetime.now(timezone.utc) - timedelta(hours=12)
ANY_TIME = {
    "name": "any-time", "rrule": "FREQ=DAILY", "start": _BEGAN.strftime("%H:%M"), "duration": "24h", "notice": "0",
}  # fmt: skip
NEVER = {"name": "never", "dates": ["2001-01-07"], "start": "02:00", "duration": "1h"}


# What nginx answers, by a Python of the host.
_ASK = """
import ssl, urllib.error, urllib.request
try:
    print(urllib.request.urlopen("https://localhost/metrics", context=ssl._create_unverified_context()).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@dataclass
class Maintained:
    """`steps` are commands; each becomes a role of its own below `folder`."""

    host: LabHost
    folder: Path
    output: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def step(self, name: str, *argv: str, **fields: Any) -> dict[str, Any]:
        """A step that runs a command at the host, as root."""
        tasks = self.folder / "roles" / name / "tasks"
        tasks.mkdir(parents=True, exist_ok=True)
        task = {"name": "Act", "ansible.builtin.command": {"argv": list(argv)}, "become": True, "changed_when": True}
        (tasks / "main.yml").write_text(json.dumps([task]))
        return {"id": name, "role": name, **fields}

    def looking(self, name: str, *, then: str = "") -> dict[str, Any]:
        """A step that writes down what there is while it runs: /tmp/<name> on the host."""
        look = f'{{ systemctl is-active {UNIT}; python3 -c "$1"; cat {STATE}; }} > /tmp/{name}; {then or "true"}'
        return self.step(name, "sh", "-c", look, "look", _ASK)

    def seen(self, name: str) -> tuple[str, str, Any]:
        unit, status, state = self.host.run("cat", f"/tmp/{name}").split("\n", 2)
        return unit, status, json.loads(state)

    def provide(self, unit: str, *command: str) -> None:
        """A unit of systemd that runs."""
        text = f"[Service]\nTimeoutStopSec=600\nExecStart={' '.join(command)}\n"
        self.host.run("tee", f"/run/systemd/system/{unit}.service", text=text)
        self.host.run("systemctl", "daemon-reload")
        self.host.run("systemctl", "restart", unit)

    def withdraw(self, unit: str) -> None:
        self.host.run("systemctl", "kill", "--signal=KILL", unit)
        self.host.run("rm", f"/run/systemd/system/{unit}.service")
        self.host.run("systemctl", "daemon-reload")

    def two_hosts(self, **second: Any) -> str:
        """An inventory of two hosts of one system, `first` and `second`; both are this one, as two services."""
        lab = f"-F {self.host.lab.ssh_config}"
        alias = json.loads((self.host.lab.folder / "lab.json").read_text())["hosts"][self.host.name]["alias"]
        common = {
            "day2_system": "shop", "ansible_host": alias, "ansible_ssh_common_args": lab, "ansible_pipelining": True,
            "ansible_python_interpreter": "/usr/bin/python3", "maintenance_window_backup": False,
            "day2_maintenance_checks": [
                {"id": "web", "title": "Web", "probe": "tcp", "host": "localhost", "port": 443},
            ],
        }  # fmt: skip
        hosts = {
            "first": {"maintenance_window_service": SERVICE, "maintenance_window_units": [UNIT],
                      "maintenance_window_targets": ["units"]},
            "second": {"maintenance_window_service": "second", "maintenance_window_targets": ["units"], **second},
        }  # fmt: skip
        path = self.folder / "two.json"
        path.write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
        return str(path)

    def play(self, name: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        settings = {
            "day2_lab_dir": str(self.host.lab.folder), "day2_report_dir": str(self.folder / "reports"),
            "day2_hosts": SERVICE, "day2_windows": [ANY_TIME], "maintenance_window_wait": "5s",
            **self.variables, **variables,
        }  # fmt: skip
        place = [] if "-i" in options else ["-i", str(ROOT / "inventories" / "lab"), "--limit", self.host.name]
        # One name for the roles of all tests: a loaded Ansible has read its settings.
        roles = self.host.workdir / "roles"
        if not (roles.is_symlink() and roles.readlink() == self.folder / "roles"):
            roles.unlink(missing_ok=True)
            roles.symlink_to(self.folder / "roles")
        done = ansible(
            ["ansible-playbook", f"day2.ops.{name}", *place, "-e", json.dumps(settings), *options],
            ANSIBLE_ROLES_PATH=str(roles),
            **self.environment,
        )
        self.output = done.stdout + done.stderr
        return done

    def rows(self, name: str | None = None) -> dict[str, dict[str, Any]]:
        """The newest report's lines of a host, by their ids."""
        newest = max((self.folder / "reports").glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        (host,) = [host for host in json.loads(newest.read_text())["hosts"] if name in (None, host["host"])]
        return {row["id"]: row for row in host["results"]}

    def reports(self) -> int:
        return len(list((self.folder / "reports").glob("*/report.json")))

    def web(self) -> str:
        return self.host.python(_ASK)

    def unit(self) -> str:
        return self.host.run("systemctl", "is-active", UNIT, check=False)

    def leases(self) -> dict[str, Any]:
        text = self.host.run("sh", "-c", f"test ! -e {STATE} || cat {STATE}")
        leases: dict[str, Any] = json.loads(text)["leases"] if text else {}
        return leases

    def in_service(self) -> bool:
        return (self.web(), self.unit(), self.leases()) == ("200", "active", {})
