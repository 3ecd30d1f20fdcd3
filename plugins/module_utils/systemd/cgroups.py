# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""To which unit a process belongs, by its control group. Pure."""

from __future__ import annotations

import re

_UNIT = re.compile(r"[^/]+\.service")


def cgroup_of(text: str) -> str:
    """The path in `/proc/<pid>/cgroup` that systemd keeps."""
    paths = {}
    for line in text.strip().split("\n"):
        _number, _colon, rest = line.partition(":")
        controllers, _colon, path = rest.partition(":")
        paths[controllers] = path
    return paths.get("name=systemd") or paths.get("", "")


def below(path: str, root: str) -> str:
    """A cgroup's path as the host's systemd sees it: in a container, `root` comes before all of them."""
    root = root[: -len("/init.scope")] if root.endswith("/init.scope") else root
    if path == root:
        return "/"
    return path[len(root) :] if root != "/" and path.startswith(root + "/") else path


def unit_of(cgroup: str) -> str | None:
    """The system's unit that a process belongs to; None for sessions of people, containers and virtual machines."""
    parts = cgroup.strip("/").split("/")
    if not parts[0].endswith(".slice") or parts[0] in ("user.slice", "machine.slice"):
        return None
    for part in parts:
        if part.endswith(".scope"):
            return None
        if _UNIT.fullmatch(part):
            return part
    return None
