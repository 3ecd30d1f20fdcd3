# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Space and inodes of a file system, counted as df does: what only root may use is not free."""

from __future__ import annotations

import os

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.mounts import mount_of
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import BYTES, Unit, format_quantity

SPEC = ProbeSpec(
    doc="Space and inodes of the file system that holds a path. Where that is not mounted at the path itself, the mount"
    " point and the device are named.",
    arguments={"path": Argument("path", "Any path on the file system; links are followed.", required=True)},
    metrics={
        "used_percent": Metric("Used space, of what everybody may use (as df shows it).", "%"),
        "free_percent": Metric("Free space, of what everybody may use.", "%"),
        "used": Metric("Used space.", "B"),
        "free": Metric("Space that is free for everybody.", "B"),
        "size": Metric("Size of the file system.", "B"),
        "inodes_percent": Metric("Used inodes; 0 where the file system has no fixed number of them.", "%"),
    },
    default_metric="used_percent",
)


def observe(_source: object, check: Check) -> Observation:
    path = check.args["path"]
    try:
        # As bytes: a host whose locale is not UTF-8 has files with such names too.
        stats = os.statvfs(path.encode("utf-8", "surrogateescape"))
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be reached") from None
    except OSError as exc:
        raise Undetermined(f"{path}: {exc.strerror}") from exc
    except ValueError:
        raise Undetermined(f"{path!r} cannot be a path: there is a zero byte in it") from None
    block = stats.f_frsize or stats.f_bsize
    used, free = (stats.f_blocks - stats.f_bfree) * block, stats.f_bavail * block
    if not stats.f_blocks:
        raise Undetermined(f"{path} is on a file system without blocks (such as proc)")
    mount = mount_of(path)
    # A file system that is not mounted where it should be shows in the name of the one that is there.
    where = (
        path
        if mount is None or mount.point == path.rstrip("/") or path == "/"
        else f"{path} (on {mount.point}, {mount.device})"
    )
    evidence = [f"mount point {mount.point}, device {mount.device} ({mount.kind})"] if mount is not None else []
    used_percent = 100.0 * used / (used + free) if used + free else 100.0
    name = check.metric.name
    show = Unit("B", BYTES)
    if name == "inodes_percent":
        share = 100.0 * (stats.f_files - stats.f_ffree) / stats.f_files if stats.f_files else 0.0
        return Observation(round(share, 2), f"{share:.1f} % of the inodes of {where} used", evidence=evidence)
    if name in ("used_percent", "free_percent"):
        share = used_percent if name == "used_percent" else 100.0 - used_percent
        word = "used" if name == "used_percent" else "free"
        return Observation(round(share, 2), f"{share:.1f} % of {where} {word}", evidence=evidence)
    value = {"used": used, "free": free, "size": stats.f_blocks * block}[name]
    words = {"used": "used on", "free": "free on", "size": "is the size of"}[name]
    return Observation(value, f"{format_quantity(value, show)} {words} {where}", evidence=evidence)
