# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules called in a lab host without Ansible around them, for a third of its processor time.

The modules are unpacked there once, with Ansible's module_utils, and take their arguments as JSON. What Ansible adds
(templates, the action half, the way there) is tested by the first call of each module, which goes through it.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ansible
from ansible_collections.day2.ops.plugins.action.checklist import part_secrets

_ROOT = Path(__file__).resolve().parents[2]
_PLACE = "/opt/day2-direct"
_SOCKET = f"{_PLACE}/agent.socket"
_NAME = "day2.ops."
# Those that tests call most.
_DIRECT = {
    f"{_NAME}{module}"
    for module in (
        "checklist", "dr_journal", "file_backup", "file_restore", "log_rotation", "maintenance_mode", "pg_backup",
        "pg_backup_info", "pg_follow", "pg_promote", "pg_restore", "pg_standby_info", "restore_drill",
    )
}  # fmt: skip


def packed_modules() -> bytes:
    """An archive of the modules, what they need of Ansible, and these scripts."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:

        def add(source: Path, name: str) -> None:
            archive.add(source, name, filter=lambda entry: None if "__pycache__" in entry.name else entry)

        # Ansible's own __init__ wants the controller's parts.
        archive.addfile(tarfile.TarInfo("ansible/__init__.py"))
        add(Path(ansible.__file__).parent / "module_utils", "ansible/module_utils")
        add(Path(ansible.__file__).parent / "release.py", "ansible/release.py")
        for part in ("modules", "module_utils"):
            add(_ROOT / "plugins" / part, f"ansible_collections/day2/ops/plugins/{part}")
        for script in (
            "forked.py",
            "host_agent.py",
            "kill_maintenance.py",
            "kill_pitr.py",
            "kill_restores.py",
            "kill_runs.py",
            "run_module.py",
        ):
            add(Path(__file__).with_name(script), script)
    return packed.getvalue()


def is_direct(name: str, arguments: dict[str, Any], options: Sequence[str]) -> bool:
    """Whether nothing in this call is Ansible's to do."""
    text = json.dumps(arguments)
    return name in _DIRECT and not options and "{{" not in text and '"connection":' not in text


class Direct:
    """Programs and modules in one host, through the agent that runs there (host_agent.py)."""

    def __init__(self, container: str, packed: bytes) -> None:
        """`container`: the whole id of the running container."""
        self._container, self._lock, self._socket = container, threading.Lock(), _SOCKET
        unpack = ["sh", "-euc", f"rm -rf {_PLACE}; mkdir {_PLACE}; tar -x --no-same-owner -C {_PLACE}; "
                  f"chmod -R a+rX {_PLACE}"]  # fmt: skip
        subprocess.run(["runc", "exec", container, *unpack], input=packed, capture_output=True, check=True)

    def _connected(self) -> socket.socket:
        """A connection to the agent, which is started where it does not run: at first, and after a reboot."""
        with self._lock:
            try:
                return _connection(self._socket)
            except (ConnectionRefusedError, FileNotFoundError):
                self._start()
                return _connection(self._socket)

    def _start(self) -> None:
        script = ["env", f"PYTHONPATH={_PLACE}", "python3", f"{_PLACE}/host_agent.py", _SOCKET]
        argv = ["runc", "exec", self._container, *script]
        agent = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert agent.stdout
        if (said := agent.stdout.readline()) != "listening\n":
            raise ConnectionError(f"the agent in the host does not run: {said}")
        state = json.loads(subprocess.run(["runc", "state", self._container], capture_output=True, check=True).stdout)
        # The host's own files, as this machine sees them.
        self._socket = f"/proc/{state['pid']}/root{_SOCKET}"

    def program(
        self, *argv: str, text: str | None = None, user: str = "", directory: str = "/"
    ) -> subprocess.CompletedProcess[str]:
        """As `subprocess.run`; a program that a signal ended has its number, negative, as status."""
        return self._ask({"argv": argv, "user": user, "directory": directory}, text)

    def code(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """As `python3 -c CODE ARGUMENTS`, by a Python that has loaded what most of those load."""
        return self._ask({"code": code, "arguments": arguments, "directory": "/"}, None)

    def run(
        self, script: str, *arguments: str, user: str = "root", text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """One of the scripts that are packed with the modules, run by a user of the host."""
        python = ["env", f"PYTHONPATH={_PLACE}", "python3", f"{_PLACE}/{script}"]
        return self.program(*python, *arguments, text=text, user=user)

    def answer(
        self, name: str, arguments: dict[str, Any], user: str = "root", check_mode: bool = False, shift: float = 0
    ) -> Any:
        """What a module prints, also one that fails; `shift` seconds are what its clock is ahead."""
        asked = {**arguments, **({"_ansible_check_mode": True} if check_mode else {})}
        return _read(name, self._module(name, asked, user, "/", shift))

    def call(self, name: str, arguments: dict[str, Any], become_user: str | None, check_mode: bool) -> tuple[Any, str]:
        """The module's result as a task registers it, and all that it wrote."""
        short = name.removeprefix(_NAME)
        if short == "checklist":
            arguments = _with_secrets_apart(arguments)
        settings = {"_ansible_check_mode": check_mode, "_ansible_remote_tmp": "~/.ansible/tmp"}
        done = self._module(short, {**arguments, **settings}, become_user or "root", "/root")
        return {"changed": False, "failed": False, **_read(name, done)}, done.stdout + done.stderr

    def _module(
        self, name: str, arguments: dict[str, Any], user: str, directory: str, shift: float = 0
    ) -> subprocess.CompletedProcess[str]:
        asked = {"module": name, "shift": str(shift), "user": user, "directory": directory}
        return self._ask(asked, json.dumps(arguments))

    def _ask(self, asked: dict[str, Any], text: str | None) -> subprocess.CompletedProcess[str]:
        try:
            with tempfile.TemporaryFile() as given, self._connected() as agent:
                given.write((text or "").encode())
                given.seek(0)
                (said, said_in), (complained, complained_in) = os.pipe(), os.pipe()
                socket.send_fds(agent, [b"x"], [given.fileno(), said_in, complained_in])
                os.close(said_in)
                os.close(complained_in)
                agent.sendall(json.dumps(asked).encode())
                agent.shutdown(socket.SHUT_WR)
                with open(said, encoding="utf-8") as stdout, open(complained, encoding="utf-8") as stderr:
                    with ThreadPoolExecutor(1) as beside:
                        complaint = beside.submit(stderr.read)
                        output = stdout.read()
                    code = agent.recv(16) or b"255"
                    return subprocess.CompletedProcess(asked, int(code), output, complaint.result())
        except ConnectionError as error:
            # As with any other way into a host that is just going down or coming up.
            return subprocess.CompletedProcess(asked, 255, "", str(error))


def _connection(place: str) -> socket.socket:
    agent = socket.socket(socket.AF_UNIX)
    try:
        agent.connect(place)
    except OSError:
        agent.close()
        raise
    return agent


def _read(name: str, done: subprocess.CompletedProcess[str]) -> Any:
    try:
        result = json.loads(done.stdout.rstrip().rsplit("\n", maxsplit=1)[-1])
    except ValueError:
        raise AssertionError(f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}") from None
    if "warnings" in result:
        result["warnings"] = [_text_of(warning) for warning in result["warnings"]]
    return result


def _text_of(warning: Any) -> str:
    """A warning as a task registers it; on its way to the controller it is a record with its source."""
    return warning if isinstance(warning, str) else str(warning["event"]["msg"])


def _with_secrets_apart(arguments: dict[str, Any]) -> dict[str, Any]:
    """As the action half of the checklist hands them on."""
    checks, secrets = part_secrets(arguments.get("checks"))
    return {**arguments, "checks": checks, **({"secrets": json.dumps(secrets)} if secrets else {})}
