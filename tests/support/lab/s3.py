# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An S3 for a lab's hosts: moto's server on the lab network's own gateway, gone with the lab."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from .podman import LabError, Podman, atomic_write
from .waiting import WaitTimeout, wait_for

START_LIMIT = 30.0


def ensure(podman: Podman, network: str, folder: Path) -> str:
    """The service's address as the hosts see it. One that is up already stays; it knows any key."""
    record = folder / "s3.json"
    if record.exists():
        known = json.loads(record.read_text())
        if _is_same(known):
            return str(known["endpoint"])
    gateway = podman.run("network", "inspect", network, "--format", "{{(index .Subnets 0).Gateway}}").strip()
    with socket.create_server((gateway, 0)) as probe:
        port = probe.getsockname()[1]
    with (folder / "s3.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", gateway, "-p", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(lambda: _answers(gateway, port), bool, START_LIMIT, "the lab's S3 answers")
    except WaitTimeout as error:
        server.kill()
        raise LabError(f"{error}: {(folder / 's3.log').read_text(errors='replace').strip()}") from error
    endpoint = f"http://{gateway}:{port}"
    atomic_write(record, json.dumps({"pid": server.pid, "born": _born(server.pid), "endpoint": endpoint}) + "\n")
    return endpoint


def stop(folder: Path) -> None:
    """End the service that was started here; a process that only has its number by now is left alone."""
    record = folder / "s3.json"
    if record.exists():
        known = json.loads(record.read_text())
        if _is_same(known):
            os.kill(known["pid"], signal.SIGKILL)
        record.unlink()


def _is_same(known: dict[str, object]) -> bool:
    return known["born"] == _born(int(str(known["pid"])))


def _born(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: a number that is used again has another."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=1).close()
    except OSError:
        return False
    return True
