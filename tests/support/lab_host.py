# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How tests reach a lab host, with Ansible and without."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from direct import Direct, is_direct, packed_modules
from lab.environment import Lab
from lab.podman import atomic_write
from lab.waiting import wait_for
from preloaded import Preloaded

ROOT = Path(__file__).resolve().parents[2]
Checks = list[dict[str, Any]]
# By this name a host's Python knows kept_code.py.
_CODE = "day2_test_code"


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class LabHost:
    """A host of type options_engine."""

    name = "options-engine-1"

    def __init__(self, lab: Lab, workdir: Path, *, calls_directly: bool = False) -> None:
        """`calls_directly`: see `task`; nothing for measurements."""
        self.lab, self.workdir, self._calls_directly = lab, workdir, calls_directly
        self._calls = 0
        self._through_ansible: set[str] = set()

    @cached_property
    def _id(self) -> str:
        return self.lab.podman.run("inspect", "--format", "{{.Id}}", self.lab.container(self.name)).strip()

    @property
    def inside(self) -> list[str]:
        """What comes before a command that is to run in the host: as `podman exec`, four times as fast."""
        return ["runc", "exec", self._id]

    def run(self, *argv: str, check: bool = True, text: str | None = None) -> str:
        """What a program says in the host, past Ansible."""
        done = self.direct.program(*argv, text=text)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def python(self, code: str, *arguments: str) -> str:
        """What Python code prints in the host, likewise; no new Python is started for it."""
        done = self.direct.code(code, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """A program in the host that goes on meanwhile; the caller ends it."""
        return subprocess.Popen([*self.inside, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    @contextmanager
    def tunnel(self, port: int) -> Iterator[int]:
        """A port of this machine that leads to one of the host's own."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            local = int(probe.getsockname()[1])
        ssh = ["ssh", "-F", str(self.lab.ssh_config), "-o", "ControlMaster=no", "-o", "ControlPath=none"]
        tunnel = subprocess.Popen([*ssh, "-N", "-L", f"{local}:127.0.0.1:{port}", self.name])
        try:
            wait_for(lambda: _listens(local), bool, 10, f"a tunnel to port {port} of {self.name}")
            yield local
        finally:
            tunnel.terminate()
            tunnel.wait()

    @property
    def gateway(self) -> str:
        """This machine, as the lab's hosts see it."""
        form = "{{(index .Subnets 0).Gateway}}"
        return self.lab.podman.run("network", "inspect", self.lab.network, "--format", form).strip()

    def sql(self, query: str, database: str = "options_engine") -> str:
        return self.run("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-d", database, "-c", query)

    def playbook(
        self, name: str, *options: str, in_full: bool = False, **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a playbook (a file, or day2.ops.<name>) against the lab's inventory; `in_full`: see IN_FULL."""
        extra = json.dumps({"day2_lab_dir": str(self.lab.folder), **variables})
        inventory = [] if "-i" in options else ["-i", str(ROOT / "inventories" / "lab")]
        command = ["ansible-playbook", name, *inventory, "-e", extra, *options]
        return ansible(command, **(IN_FULL if in_full else {}))

    def module(
        self, checks: Checks, *options: str, become_user: str | None = None, by_ansible: bool = False, **call: Any
    ) -> Any:
        """The checklist's whole result for these checks (also a failed one)."""
        arguments = {"checks": checks, **call}
        return self.task("day2.ops.checklist", arguments, *options, become_user=become_user, by_ansible=by_ansible)

    @cached_property
    def direct(self) -> Direct:
        return Direct(self._id, packed_modules())

    def task(
        self,
        name: str,
        arguments: dict[str, Any],
        *options: str,
        become_user: str | None = None,
        check_mode: bool = False,
        by_ansible: bool = False,
    ) -> Any:
        """The whole result of a module (also a failed one).

        A host that calls directly does so from the second call of a module on, unless a call has options or asks for
        Ansible. What Ansible, or the module, wrote is in `said`.
        """
        known = self._calls_directly and name in self._through_ansible
        if known and not by_ansible and is_direct(name, arguments, options):
            outcome, self.said = self.direct.call(name, arguments, become_user, check_mode)
            return outcome
        self._through_ansible.add(name)
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
        done = self.playbook(str(play), *options, in_full=True)
        assert done.returncode == 0, done.stdout + done.stderr
        self.said = done.stdout + done.stderr
        return json.loads(out.read_text())

    def checks(self, *checks: dict[str, Any], **call: Any) -> dict[str, dict[str, Any]]:
        """Results by id; title is filled in."""
        outcome = self.module([{"title": check["id"], **check} for check in checks], **call)
        assert "results" in outcome, outcome
        return {result["id"]: result for result in outcome["results"]}


@contextmanager
def host_of_session(purpose: str, workdir: Path) -> Iterator[LabHost]:
    """A lab host that goes with the session. Two runs at the same time need two labs, and so do two workers of one."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    lab = Lab(os.environ.get("DAY2_TEST_LAB", purpose) + (f"-{worker}" if worker else ""))
    lab.down()
    try:
        lab.up({LabHost.name: "options_engine"})
        keep_code(lab, LabHost.name)
        yield LabHost(lab, workdir, calls_directly=True)
    finally:
        lab.down()


def keep_code(lab: Lab, host: str) -> None:
    """Have the host's Python compile what comes to it in archives once (kept_code.py); nothing for measurements."""
    source = Path(__file__).with_name("kept_code.py").read_bytes()
    site = "$(python3 -c 'import site; print(site.getsitepackages()[0])')"
    script = f'cd "{site}"; mkdir -m 755 {_CODE}; cat >{_CODE}.py; echo import {_CODE} >{_CODE}.pth'
    lab.podman.run_in(lab.container(host), ["sh", "-euc", script], stdin=source)


# Settings with which more than one run is to be expected.
_SHARED = {"ANSIBLE_ROLES_PATH", "ANSIBLE_STDOUT_CALLBACK"}
# Ansible's own output: every task by its name, and with -vvv the arguments of modules, which `brief` never prints. For
# tests that say what is not in it.
IN_FULL = {"ANSIBLE_STDOUT_CALLBACK": "default"}


@cache
def _preloaded(settings: frozenset[tuple[str, str]]) -> Preloaded:
    return Preloaded(dict(settings), ROOT)


@cache
def _usual() -> dict[str, str]:
    return _environment()


@cache
def _kept_code() -> Path:
    """The directory of kept_code.py as Python looks for it by itself, and of what it keeps."""
    place = ROOT / ".cache" / "kept-code"
    (place / "sitecustomize").mkdir(parents=True, exist_ok=True)
    atomic_write(place / "sitecustomize.py", Path(__file__).with_name("kept_code.py").read_text())
    return place


def _environment() -> dict[str, str]:
    # pytest says in its own which test is running: that is nothing to Ansible.
    own = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {
        **own,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_FORCE_COLOR": "0",
        # For modules that run on this machine.
        "PYTHONPATH": str(_kept_code()),
        # As its default, without -C: what goes over this machine's own network is not worth compressing.
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s",
        "ANSIBLE_ACTION_PLUGINS": str(ROOT / "tests" / "support" / "action_plugins"),
    }


def ansible(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**_environment(), **environment}
    shared = _usual() | {name: value for name, value in environment.items() if name in _SHARED}
    done = _preloaded(frozenset(shared.items())).run(command, settings)
    return done or subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)
