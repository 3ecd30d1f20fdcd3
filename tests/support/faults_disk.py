# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server in a lab host whose file system is a disk of its own, which hangs: whoever writes there waits."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.waiting import wait_for
from lab_host import LabHost
from small_disk import inside

PLACE, PORT, UNIT = "/srv/frozen", 5599, "postgresql@15-frozen"
MAKE = f"""
chown postgres: {PLACE}
pg_createcluster 15 frozen -d {PLACE}/data -p {PORT} > /dev/null
systemctl start {UNIT}
until pg_isready -q -p {PORT}; do sleep 0.1; done
"""
REMOVE = f"systemctl unmask -q {UNIT}; pg_dropcluster --stop 15 frozen"


class Server:
    data, port = f"{PLACE}/data", PORT

    def __init__(self, host: LabHost) -> None:
        self._host = host

    def call(self, module: str, **arguments: Any) -> Any:
        return self._host.direct.answer(module, arguments, "root", False)


@contextmanager
def frozen(host: LabHost) -> Iterator[tuple[Server, Callable[[], None]]]:
    """The server, which has begun to write, and what ends the hanging."""
    enter = inside(host)

    def within(*argv: str) -> None:
        subprocess.run([*enter, *argv], check=True)

    def thaw() -> None:
        within("fsfreeze", "--unfreeze", PLACE)

    with _mounted(host, within):
        host.run("sh", "-euc", MAKE)
        within("fsfreeze", "--freeze", PLACE)
        writing = "CREATE TABLE rows AS SELECT generate_series(1, 100000)"
        client = host.start("runuser", "-u", "postgres", "--", "psql", "-Xq", "-p", str(PORT), "-c", writing)
        thawed: list[None] = []
        try:
            waits = ("sh", "-c", "ps -o stat= -u postgres")
            wait_for(lambda: host.run(*waits), lambda said: "D" in said, 30, "a process waits for the disk")
            yield Server(host), lambda: thawed.append(thaw())
        finally:
            if not thawed:
                thaw()
            client.wait()
            host.run("sh", "-c", REMOVE)


@contextmanager
def _mounted(host: LabHost, within: Callable[..., None]) -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "disk")
        with image.open("wb") as stream:
            stream.truncate(200 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
        found = subprocess.run(["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True)
        device = found.stdout.strip()
        try:
            number = os.stat(device).st_rdev
            host.run("mkdir", "-p", PLACE)
            # The host has none of this machine's devices.
            host.run("rm", "-f", device)
            within("mknod", device, "b", str(os.major(number)), str(os.minor(number)))
            within("mount", device, PLACE)
            try:
                yield
            finally:
                within("umount", PLACE)
                host.run("rm", "-f", device)
        finally:
            subprocess.run(["losetup", "--detach", device], check=True)
