# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Podman with a configuration of our own: the machine's stays untouched."""

from __future__ import annotations

import os
import resource
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .waiting import WaitTimeout, wait_for

# More than a lab's hosts need. A process without CAP_SYS_RESOURCE cannot raise its limits, so
# what the shell has is an upper bound.
MAX_FILES = 20000
MAX_PROCESSES = 4096
BOOT_LIMIT = 60.0


class LabError(Exception):
    """The lab cannot do what was asked; the message says what to look at."""


def require(*programs: str) -> None:
    """Say in one line what is missing, before a program that is not there says it in ten."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise LabError(f"missing: {', '.join(missing)} (run tests/support/bootstrap lab)")


def atomic_write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file, so that a reader beside us sees the old one or the new one."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.chmod(mode)
    beside.replace(path)


def _limit(kind: int, most: int) -> int:
    hard = resource.getrlimit(kind)[1]
    return most if hard == resource.RLIM_INFINITY else min(most, hard)


def _configuration() -> str:
    files = _limit(resource.RLIMIT_NOFILE, MAX_FILES)
    processes = _limit(resource.RLIMIT_NPROC, MAX_PROCESSES)
    return f"""\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]

[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"

[network]
network_backend = "netavark"
"""


class Podman:
    """Calls podman through a wrapper script that others (molecule, people) can call too."""

    def __init__(self, state: Path) -> None:
        if os.geteuid() != 0:
            raise LabError("systemd containers need root (try: sudo)")
        require("podman")
        self.wrapper = state / "podman"
        configuration = state / "containers.conf"
        atomic_write(configuration, _configuration())
        script = f'#!/bin/sh\nCONTAINERS_CONF={shlex.quote(str(configuration))} exec podman "$@"\n'
        atomic_write(self.wrapper, script, 0o755)

    def try_run(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(self.wrapper), *arguments],
            input=b"" if stdin is None else stdin,
            capture_output=True,
            check=False,
        )

    def run(self, *arguments: str, stdin: bytes | None = None) -> str:
        """Return the standard output; a failure carries what podman said."""
        done = self.try_run(*arguments, stdin=stdin)
        if done.returncode != 0:
            said = (done.stderr + done.stdout).decode(errors="replace").strip()
            raise LabError(f"podman {shlex.join(arguments[:6])} … exited {done.returncode}:\n{said}")
        return done.stdout.decode(errors="replace")

    def run_in(self, container: str, argv: Sequence[str], stdin: bytes | None = None) -> str:
        return self.run("exec", *(["-i"] if stdin is not None else []), container, *argv, stdin=stdin)

    def succeeds(self, *arguments: str) -> bool:
        return self.try_run(*arguments).returncode == 0

    def wait_until_booted(self, container: str) -> None:
        """Degraded will do: a lab's host may have a unit that is down on purpose."""
        try:
            wait_for(
                lambda: self._system_state(container),
                lambda state: state in ("running", "degraded"),
                BOOT_LIMIT,
                f"{container} has booted",
            )
        except WaitTimeout as error:
            journal = self.try_run("exec", container, "journalctl", "--no-pager", "-n", "40")
            console = self.try_run("logs", "--tail", "20", container)
            said = b"".join((journal.stdout, journal.stderr, console.stdout, console.stderr))
            raise LabError(f"{error}\n{said.decode(errors='replace').strip()}") from error

    def _system_state(self, container: str) -> str:
        seen = self.try_run("exec", container, "systemctl", "is-system-running")
        return (seen.stdout or seen.stderr).decode(errors="replace").strip()
