# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One lab: a network, its hosts, and the files by which ssh and Ansible find them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from . import image, ready, rootfs, s3, shipping, ssh
from .podman import LabError, Podman, atomic_write

CHECKOUT = Path(__file__).resolve().parents[3]
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")


def prefix(checkout: Path = CHECKOUT) -> str:
    """What every container and network of this checkout begins with: a second checkout has another."""
    return f"day2-{hashlib.sha256(str(checkout.resolve()).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Host:
    """A host that is up. `alias` is new for every container, so no ssh connection outlives its host."""

    name: str
    type: str
    container: str
    address: str
    alias: str


class Lab:
    """The hosts of one purpose (`demo`, `molecule-checklist`, …)."""

    def __init__(self, name: str, checkout: Path = CHECKOUT) -> None:
        if not NAME.fullmatch(name):
            raise LabError(f"{name!r} is no name for a lab: letters, digits and dashes")
        self.name = name
        self.state = checkout / ".lab"
        self.folder = self.state / name
        self.network = f"{prefix(checkout)}-{name}"
        self.podman = Podman(self.state)

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    def container(self, host: str) -> str:
        return f"{self.network}-{host}"

    def up(self, hosts: Mapping[str, str]) -> list[Host]:
        """Bring up hosts (name to type), beside those that are up; again is fast."""
        for name, kind in hosts.items():
            if not NAME.fullmatch(name):
                raise LabError(f"{name!r} is no name for a host: letters, digits and dashes")
            shipping.check_type(kind)
        base = rootfs.ensure(self.podman, self.state, image.RECIPE)
        if not self.podman.succeeds("network", "exists", self.network):
            self.podman.run("network", "create", self.network)
        key = ssh.ensure_key(self.folder)
        with ThreadPoolExecutor(max_workers=8) as pool:
            ready = list(pool.map(lambda item: self._bring_up(base, key, *item), hosts.items()))
        known = {host.name: host for host in self.hosts()} | {host.name: host for host in ready}
        self._publish(sorted(known.values(), key=lambda host: host.name))
        return ready

    def s3(self) -> str:
        """The address of an S3 for the lab's hosts, which are up: the gateway is there with the first of them."""
        return s3.ensure(self.podman, self.network, self.folder)

    def kill(self, host: str) -> None:
        """End a host at once, as a power cut does."""
        self.podman.run("kill", self.container(host))

    def down(self) -> list[str]:
        """Remove the lab; return the containers that were there."""
        s3.stop(self.folder)
        found = self._containers()
        if found:
            self.podman.run("rm", "--force", "--time", "0", "--volumes", *found)
        if self.podman.succeeds("network", "exists", self.network):
            self.podman.run("network", "rm", "--force", self.network)
        shutil.rmtree(self.folder, ignore_errors=True)
        return found

    def hosts(self) -> list[Host]:
        """The hosts that are up."""
        register = self.folder / "lab.json"
        if not register.exists():
            return []
        running = self._containers("--filter", "status=running")
        known = [Host(**entry) for entry in json.loads(register.read_text())["hosts"].values()]
        return [host for host in known if host.container in running]

    def _containers(self, *filters: str) -> list[str]:
        label = ("--filter", f"label=day2.lab={self.network}")
        return self.podman.run("ps", "--all", *label, *filters, "--format", "{{.Names}}").split()

    def _bring_up(self, base: str, key: Path, name: str, kind: str) -> Host:
        container = self.container(name)
        made = self._ensure_running(base, name, kind, container)
        self.podman.wait_until_booted(container)
        form = "{{.Id}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        identity, address = self.podman.run("inspect", container, "--format", form).split()
        if made:
            ready.own_directories(self.podman, container)
        ssh.prepare_host(self.podman, container, key)
        shipping.provision(self.podman, container, kind)
        return Host(name, kind, container, address, f"{container}-{identity[:8]}")

    def _ensure_running(self, base: str, name: str, kind: str, container: str) -> bool:
        """Whether the container is a new one."""
        form = '{{.State.Status}} {{index .Config.Labels "day2.base"}}'
        seen = self.podman.try_run("inspect", container, "--format", form)
        status, _space, made_of = seen.stdout.decode().strip().partition(" ")
        if status == "running" and made_of == base:
            return False
        if status == "exited" and made_of == base:
            self.podman.run("start", container)
            return False
        if status:
            self.podman.run("rm", "--force", "--time", "0", "--volumes", container)
        place = ["--network", self.network, "--network-alias", name, "--hostname", name]
        identity = ["--name", container, "--label", f"day2.lab={self.network}", "--label", f"day2.base={base}"]
        made = ready.ensure(self.podman, base, kind, name)
        self.podman.run("run", "-d", "--systemd=always", *identity, *place, *ready.CAPABILITIES, made)
        return True

    def _publish(self, hosts: list[Host]) -> None:
        ssh.write_config(self.podman, self.folder, {host.alias: host for host in hosts})
        register = {"hosts": {host.name: vars(host) for host in hosts}}
        atomic_write(self.folder / "lab.json", json.dumps(register, indent=2) + "\n")
