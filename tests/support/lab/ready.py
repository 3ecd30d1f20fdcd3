# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images of hosts that are provisioned already: one is made, and all others like it only boot.

What depends on the time (logs that end now, ages of backups, when a timer last ran) is brought up to date at each
start, by provisioning again: that leaves alone what is as it should be.
"""

from __future__ import annotations

import datetime
import hashlib
import os

from . import rootfs, shipping
from .podman import Podman

REPOSITORY = "localhost/day2-lab-host"
LABEL = "day2.lab-host"
# ufw and nftables inside; ping.
CAPABILITIES = ("--cap-add=NET_ADMIN", "--cap-add=NET_RAW")
KEPT = "24h"
# It is brought up to date at its next start, and is another machine each time.
SETTLE = f"rm {shipping.STAMP} && : >/etc/machine-id"


# overlayfs refuses to rename a directory of an image; restores of files exchange these.
OWN = """
for folder in /etc/options_engine /opt/options_engine; do
    [ -d "$folder" ] || continue
    cp -a "$folder" "$folder.own" && rm -rf "$folder" && mv "$folder.own" "$folder"
done
if [ -d /opt/options_engine ]; then systemctl try-restart options-engine.service; fi
"""


def own_directories(podman: Podman, container: str) -> None:
    """Make the application's directories the container's own, as they are on a host that was never an image."""
    podman.run_in(container, ["sh", "-eu", "-c", OWN])


def ensure(podman: Podman, base: str, kind: str, host: str) -> str:
    """The image for a host of that type and name; it is made when there is none of today's."""
    if kind == shipping.BARE:
        return base
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    recipe = f"{base} {shipping.digest(kind)} {host} {today} {SETTLE}"
    name = f"{REPOSITORY}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if podman.succeeds("image", "exists", name):
        return name
    with rootfs.only_one(REPOSITORY):
        if not podman.succeeds("image", "exists", name):
            _make(podman, base, kind, host, name)
            podman.run("image", "prune", "--all", "--force", "--filter", f"label={LABEL}", "--filter", f"until={KEPT}")
    return name


def _make(podman: Podman, base: str, kind: str, host: str, name: str) -> None:
    container = f"{name.rpartition('/')[2].replace(':', '-')}-{os.getpid()}"
    # Nothing of it needs others: what it becomes is found in its packages.
    place = ["--name", container, "--hostname", host, "--network=none", *CAPABILITIES]
    try:
        podman.run("run", "-d", "--systemd=always", *place, base)
        podman.wait_until_booted(container)
        shipping.provision(podman, container, kind)
        podman.run_in(container, ["sh", "-c", SETTLE])
        podman.run("stop", "--time", "60", container)
        podman.run("commit", "--quiet", "--change", f"LABEL {LABEL}={kind}", container, name)
    finally:
        podman.try_run("rm", "--force", "--time", "0", "--volumes", container)
