# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file system a path is on, by /proc/self/mountinfo (proc(5))."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

_MOUNTS = "/proc/self/mountinfo"
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """Where a file system is mounted, from what (`/dev/sda1`, `tmpfs`), its type, and its options (`rw,size=4k`)."""

    point: str
    device: str
    kind: str
    options: str = ""


def parse_mounts(text: str) -> list[Mount]:
    """`36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`: any number of fields before the dash."""
    found = []
    for line in text.split("\n"):
        head, dash, tail = line.partition(" - ")
        words, source = head.split(" "), tail.split(" ")
        if dash and len(words) > 4 and len(source) > 1:
            found.append(Mount(_plain(words[4]), _plain(source[1]), source[0], " ".join(source[2:])))
    return found


def _plain(text: str) -> str:
    """Blanks and the like are in octal there."""
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), text)


def holding(path: str, mounts: list[Mount]) -> Mount | None:
    """The mount that holds an absolute path without links: the deepest point, and of several there the last."""
    best: Mount | None = None
    for mount in mounts:
        inside = mount.point == "/" or path == mount.point or path.startswith(f"{mount.point}/")
        if inside and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def mount_of(path: str) -> Mount | None:
    """None where the host does not say."""
    try:
        with open(_MOUNTS, encoding="utf-8", errors="surrogateescape") as stream:
            return holding(os.path.realpath(path), parse_mounts(stream.read()))
    except (OSError, ValueError):
        return None
