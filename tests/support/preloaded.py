# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-playbook in a fork of a process that has it loaded already: half of a short run is the loading.

The program's own entry point is called, with its own exit status; what a run loads or changes ends with its fork.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from forked import call_in_fork

_NAME = "ansible-playbook"


class Preloaded:
    """One such process for runs with one environment and place, one at a time."""

    def __init__(self, environment: Mapping[str, str], place: Path) -> None:
        self._lock, self._environment = threading.Lock(), dict(environment)
        self._server = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment,
            cwd=place,
        )

    def run(self, command: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str] | None:
        """As subprocess.run says; None for another program or environment, and while another run goes on."""
        if command[0] != _NAME or environment != self._environment or not self._lock.acquire(blocking=False):
            return None
        try:
            with tempfile.TemporaryDirectory() as folder:
                said, complained = (Path(folder, name) for name in ("stdout", "stderr"))
                asked = json.dumps({"argv": command, "stdout": str(said), "stderr": str(complained)})
                assert self._server.stdin and self._server.stdout
                print(asked, file=self._server.stdin, flush=True)
                code = int(self._server.stdout.readline())
                return subprocess.CompletedProcess(command, code, said.read_text(), complained.read_text())
        finally:
            self._lock.release()


def _load() -> None:
    from ansible.plugins import loader

    for name in ("cli.playbook", "executor.module_common", "executor.playbook_executor"):
        import_module(f"ansible.{name}")
    # What every run on a host over SSH takes.
    for kind, name in (
        (loader.strategy_loader, "linear"),
        (loader.connection_loader, "ssh"),
        (loader.connection_loader, "local"),
        (loader.shell_loader, "sh"),
        (loader.become_loader, "sudo"),
        (loader.action_loader, "normal"),
        (loader.callback_loader, "default"),
    ):
        kind.get(name, class_only=True)
    for plugins in (loader.filter_loader, loader.test_loader):
        list(plugins.all(class_only=True))


def _play(argv: list[str]) -> None:
    from ansible.cli.playbook import PlaybookCLI

    sys.argv = argv
    PlaybookCLI.cli_executor(argv)


def _serve() -> None:
    answers = os.dup(1)
    os.dup2(2, 1)
    _load()
    for line in sys.stdin:
        asked = json.loads(line)
        with open(asked["stdout"], "wb") as stdout, open(asked["stderr"], "wb") as stderr:
            code = call_in_fork(lambda argv=asked["argv"]: _play(argv), stdout.fileno(), stderr.fileno())
        os.write(answers, f"{code}\n".encode())


if __name__ == "__main__":
    _serve()
