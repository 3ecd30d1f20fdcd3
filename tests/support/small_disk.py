# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file system of its own within a lab host, as small as a test needs it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab.waiting import wait_for


def inside(lab_host: Any) -> list[str]:
    """What comes before a command of this machine that is to run with the host's mounts."""
    lab = lab_host.lab
    pid = lab.podman.run("inspect", lab.container(lab_host.name), "--format", "{{.State.Pid}}")
    # Programs are looked for with the host's mounts, where the folders of this machine's PATH may not be.
    return ["nsenter", "-t", pid.strip(), "-m", "-p", "/usr/bin/env", "PATH=/usr/sbin:/usr/bin"]


@contextmanager
def small_disk(lab_host: Any, folder: str, options: str) -> Iterator[str]:
    """A tmpfs with these options at a new directory, which is gone afterwards."""
    lab_host.run("mkdir", "-p", folder)
    enter = inside(lab_host)
    subprocess.run([*enter, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        _unmount(enter, folder)
        lab_host.run("rmdir", folder)


@contextmanager
def mounted_on_itself(lab_host: Any, folder: str) -> Iterator[None]:
    """A directory that is a mount point meanwhile, of the same file system."""
    enter = inside(lab_host)
    subprocess.run([*enter, "mount", "--bind", folder, folder], check=True)
    try:
        yield
    finally:
        _unmount(enter, folder)


@contextmanager
def overlaid(lab_host: Any, folder: str) -> Iterator[None]:
    """A directory that is meanwhile an overlay file system, with what was there as its lower layer."""
    with small_disk(lab_host, "/run/day2-layers", "size=16m") as layers:
        lab_host.run("mkdir", f"{layers}/upper", f"{layers}/work")
        options = f"lowerdir={folder},upperdir={layers}/upper,workdir={layers}/work,redirect_dir=off"
        enter = inside(lab_host)
        subprocess.run([*enter, "mount", "-t", "overlay", "overlay", "-o", options, folder], check=True)
        try:
            yield
        finally:
            _unmount(enter, folder)


def _unmount(enter: list[str], folder: str) -> None:
    wait_for(lambda: subprocess.call([*enter, "umount", folder]), lambda code: code == 0, 20, "umount")
