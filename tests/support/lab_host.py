# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How tests reach a lab host, with Ansible and without."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from lab.environment import Lab
from preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]
Checks = list[dict[str, Any]]


class LabHost:
    """A host of type options_engine."""

    name = "options-engine-1"

    def __init__(self, lab: Lab, workdir: Path) -> None:
        self.lab, self.workdir = lab, workdir
        self._calls = 0

    @cached_property
    def inside(self) -> list[str]:
        """What comes before a command that is to run in the host: as `podman exec`, four times as fast."""
        name = self.lab.podman.run("inspect", "--format", "{{.Id}}", self.lab.container(self.name)).strip()
        return ["runc", "exec", name]

    def run(self, *argv: str, check: bool = True, text: str | None = None) -> str:
        """What a program says in the host, past Ansible."""
        done = subprocess.run([*self.inside, *argv], input=text, capture_output=True, text=True, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """A program in the host that goes on meanwhile; the caller ends it."""
        return subprocess.Popen([*self.inside, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def ssh(self) -> list[str]:
        """A connection of its own, for a tunnel: the host's name and options come after it."""
        return ["ssh", "-F", str(self.lab.ssh_config), "-o", "ControlMaster=no", "-o", "ControlPath=none"]

    def sql(self, query: str, database: str = "options_engine") -> str:
        return self.run("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", database, "-c", query)

    def playbook(self, name: str, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
        """Run a playbook (a file, or day2.ops.<name>) against the lab's inventory."""
        extra = json.dumps({"day2_lab_dir": str(self.lab.folder), **variables})
        inventory = [] if "-i" in options else ["-i", str(ROOT / "inventories" / "lab")]
        return ansible(["ansible-playbook", name, *inventory, "-e", extra, *options])

    def module(self, checks: Checks, *options: str, become_user: str | None = None, **call: Any) -> Any:
        """The checklist's whole result for these checks (also a failed one)."""
        return self.task("day2.ops.checklist", {"checks": checks, **call}, *options, become_user=become_user)

    def task(
        self,
        name: str,
        arguments: dict[str, Any],
        *options: str,
        become_user: str | None = None,
        check_mode: bool = False,
    ) -> Any:
        """The whole result of a module (also a failed one)."""
        self._calls += 1
        play = self.workdir / f"call{self._calls}.json"
        out = self.workdir / f"result{self._calls}.json"
        become = {"become": True, "become_user": become_user} if become_user else {}
        tasks: list[dict[str, Any]] = [
            {
                name: arguments,
                "register": "outcome",
                "ignore_errors": True,
                **({"check_mode": True} if check_mode else {}),
                **become,
            },
            {"keep": {"value": "{{ outcome }}", "file": str(out)}},
        ]
        play.write_text(json.dumps([{"hosts": self.name, "gather_facts": False, "tasks": tasks}]))
        done = self.playbook(str(play), *options)
        assert done.returncode == 0, done.stdout + done.stderr
        self.said = done.stdout + done.stderr
        return json.loads(out.read_text())

    def checks(self, *checks: dict[str, Any], **call: Any) -> dict[str, dict[str, Any]]:
        """Results by id; title is filled in."""
        outcome = self.module([{"title": check["id"], **check} for check in checks], **call)
        assert "results" in outcome, outcome
        return {result["id"]: result for result in outcome["results"]}


@cache
def _preloaded() -> Preloaded:
    return Preloaded(_environment(), ROOT)


def _environment() -> dict[str, str]:
    # pytest says in its own which test is running: that is nothing to Ansible.
    own = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {
        **own,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        "ANSIBLE_ACTION_PLUGINS": str(ROOT / "tests" / "support" / "action_plugins"),
    }


def ansible(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**_environment(), **environment}
    done = _preloaded().run(command, settings)
    return done or subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
