# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is around a member on its host: its disk, and whether its backups are on the same one."""

from __future__ import annotations

import os
import re
from contextlib import suppress

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.client import Client
from ansible_collections.day2.ops.plugins.module_utils.process.mounts import mount_of

_STANZA = re.compile(r"\bpgbackrest\b.*?--stanza[= ](\S+)")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "overlay", "tmpfs")
_CONFIG = re.compile(r"\bpgbackrest\b.*?--config[= ](\S+)")


def disk_free(data: str) -> int | None:
    """Bytes that the server can still write, where there are fewest: its WAL may be on a disk of its own."""
    found = []
    for path in (data, os.path.join(data, "pg_wal")):
        with suppress(OSError):
            status = os.statvfs(path)
            found.append(status.f_bavail * status.f_frsize)
    return min(found, default=None)


def unchanged(data: str, now: float) -> float | None:
    """Seconds for which nobody has written the WAL of a server that does not run, at the least; None if unknown.

    A time of change that is older than the last boot may have been lost with the machine: then the boot is what is
    known. That of a remote file system is of another clock.
    """
    folder = os.path.join(data, "pg_wal")
    mount = mount_of(folder)
    if mount is None or mount.kind not in _LOCAL:
        return None
    try:
        with os.scandir(folder) as entries:
            times = [entry.stat().st_mtime for entry in entries if _SEGMENT.fullmatch(entry.name)]
        with open("/proc/stat", encoding="ascii") as stream:
            booted = next(float(line.split()[1]) for line in stream if line.startswith("btime"))
    except (OSError, StopIteration, ValueError):
        return None
    # The boot is known by the second.
    age = now - max([*times, booted + 1])
    return age if times and age >= 0 else None


def repository_on_this_disk(data: str, command: str, stanza: str, config: str | None) -> bool | None:
    """Whether every repository of pgBackRest is lost with the data directory's disk; None where it archives otherwise.

    What the server's archive_command says counts before `stanza` and `config`.
    """
    named, path = _STANZA.search(command), _CONFIG.search(command)
    client = Client(named[1] if named else stanza, path[1] if path else config)
    try:
        here = [_is_here(client, number, data) for number in range(1, 5) if _has(client, number)]
    except Day2Error:
        return None
    return all(here) if here else None


def _has(client: Client, number: int) -> bool:
    names = ("path", "host", "s3-bucket")
    return any(client.setting(f"repo{number}-{name}") is not None for name in names)


def _is_here(client: Client, number: int, data: str) -> bool:
    if client.setting(f"repo{number}-host") or client.setting(f"repo{number}-type") not in (None, "posix"):
        return False
    path = client.setting(f"repo{number}-path") or "/var/lib/pgbackrest"
    with suppress(OSError):
        return os.stat(path).st_dev == os.stat(data).st_dev
    return False
