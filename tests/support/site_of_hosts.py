# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Playbooks as a person runs them, over hosts that are this machine under several names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lab_host import IN_FULL, ansible

DISK = {"id": "disk", "title": "Root file system", "probe": "disk", "path": "/"}
FULL = {**DISK, "id": "full", "critical": "> 0%"}
TIGHT = {**DISK, "id": "tight", "warning": "> 0%"}


class Site:
    """An inventory of hosts on this machine, and the report of a run over it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, dict[str, Any]] = {}

    def host(self, name: str, **variables: Any) -> None:
        python = "{{ ansible_playbook_python }}"
        self.hosts[name] = {"ansible_connection": "local", "ansible_python_interpreter": python, **variables}

    def gone(self, name: str) -> None:
        """A host that refuses connections, on this machine's own address."""
        address = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=2"}
        self.hosts[name] = {"day2_daily_checks": [DISK], **address}

    def run(
        self,
        *options: str,
        playbook: str = "day2.ops.daily",
        keep: bool = False,
        in_full: bool = False,
        **variables: Any,
    ) -> Any:
        """The exit status; earlier reports are removed unless they are to be kept. `in_full`: see IN_FULL."""
        inventory = self.folder / "inventory.json"
        inventory.write_text(json.dumps({"all": {"hosts": self.hosts}}))
        reports = self.folder / "reports"
        if reports.exists() and not keep:
            shutil.rmtree(reports)
        extra = json.dumps({"day2_report_dir": str(reports), **variables})
        command = ["ansible-playbook", playbook, "-i", str(inventory), "-e", extra, *options]
        done = ansible(command, **(IN_FULL if in_full else {}))
        self.output = done.stdout + done.stderr
        written = reports / "latest" / "report.json"
        self.report = json.loads(written.read_text()) if written.exists() else None
        return done.returncode

    def latest(self) -> Path:
        """The directory of the last report."""
        return (self.folder / "reports" / "latest").resolve()

    def results(self, host: str) -> dict[str, dict[str, Any]]:
        (entry,) = [entry for entry in self.report["hosts"] if entry["host"] == host]
        return {result["id"]: result for result in entry["results"]}
