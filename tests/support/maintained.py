# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab host that is maintained: playbooks with steps of a test's own, and what is to be seen from outside of them."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab_host import ROOT, LabHost, ansible

SERVICE = "options_engine"
UNIT = "options-engine.service"
STATE = f"/var/lib/day2/maintenance/{SERVICE}/state.json"
REPOSITORY = "/var/backups/options_engine-sets"
ANY_TIME = {"name": "any-time", "rrule": "FREQ=DAILY", "start": "00:00", "duration": "24h", "notice": "0"}
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

    def play(self, name: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        settings = {
            "day2_lab_dir": str(self.host.lab.folder), "day2_report_dir": str(self.folder / "reports"),
            "day2_hosts": SERVICE, "day2_windows": [ANY_TIME], "maintenance_window_wait": "5s",
            **self.variables, **variables,
        }  # fmt: skip
        done = ansible(
            ["ansible-playbook", f"day2.ops.{name}", "-i", str(ROOT / "inventories" / "lab"),
             "-e", json.dumps(settings), "--limit", self.host.name, *options],
            ANSIBLE_ROLES_PATH=str(self.folder / "roles"),
        )  # fmt: skip
        self.output = done.stdout + done.stderr
        return done

    def rows(self) -> dict[str, dict[str, Any]]:
        """The newest report's lines by their ids."""
        newest = max((self.folder / "reports").glob("*/report.json"), key=lambda path: path.stat().st_mtime_ns)
        (host,) = json.loads(newest.read_text())["hosts"]
        return {row["id"]: row for row in host["results"]}

    def reports(self) -> int:
        return len(list((self.folder / "reports").glob("*/report.json")))

    def web(self) -> str:
        return self.host.run("python3", "-c", _ASK)

    def unit(self) -> str:
        return self.host.run("systemctl", "is-active", UNIT, check=False)

    def leases(self) -> dict[str, Any]:
        text = self.host.run("sh", "-c", f"test ! -e {STATE} || cat {STATE}")
        leases: dict[str, Any] = json.loads(text)["leases"] if text else {}
        return leases

    def in_service(self) -> bool:
        return (self.web(), self.unit(), self.leases()) == ("200", "active", {})
