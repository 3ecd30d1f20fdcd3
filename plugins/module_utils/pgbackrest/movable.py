# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a data directory can be renamed, checked while its server still runs."""

from __future__ import annotations

import os
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.file_sets.plan import inside
from ansible_collections.day2.ops.plugins.module_utils.file_sets.trees import mount_points
from ansible_collections.day2.ops.plugins.module_utils.process.mounts import Mount, mount_of

# Overlayfs' own default (Linux, Documentation/filesystems/overlayfs.rst).
_REDIRECTS = "/sys/module/overlay/parameters/redirect_dir"
_ANOTHER = "use 'keep_data' false, or 'scratch_cluster'"


def rename_fault(data: str) -> str | None:
    """Why an existing directory cannot be renamed, with what to do; None: it can be."""
    if os.path.islink(data):
        return f"{data} is a symbolic link: give the directory itself ({os.path.realpath(data)}) as 'data_dir'"
    real = os.path.realpath(data)
    points = [point for point in mount_points() if inside(point, real) and _is_mounted(point)]
    if _is_mounted(real):
        return f"{data} is a file system of its own and cannot be renamed: {_ANOTHER}"
    if points:
        return f"{data} has the mount point {points[0]} below it, which would be put aside with it: {_ANOTHER}"
    if _in_lower_layer(real):
        return f"{data} lies in a lower layer of an overlay file system and cannot be renamed: {_ANOTHER}"
    return None


def _is_mounted(folder: str) -> bool:
    """Whether a directory is a mount point, by its mount id: the list of mounts also has places that were removed."""
    try:
        return _mount_of(folder) != _mount_of(os.path.dirname(folder))
    except OSError:
        return False


def _mount_of(folder: str) -> str:
    opened = os.open(folder, os.O_PATH)
    try:
        with open(f"/proc/self/fdinfo/{opened}", encoding="ascii") as stream:
            return next(line for line in stream if line.startswith("mnt_id:"))
    finally:
        os.close(opened)


def _in_lower_layer(data: str) -> bool:
    """Whether overlayfs would refuse to rename it. It is only looked at: what is live is never renamed for a trial."""
    mount = mount_of(data)
    if mount is None or mount.kind != "overlay" or _redirects(mount):
        return False
    try:
        with os.scandir(data) as entries:
            within = [entry.stat(follow_symlinks=False).st_nlink for entry in entries if _is_directory(entry)]
        return is_merged(os.stat(data).st_nlink, within)
    except OSError:
        return False


def _is_directory(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def is_merged(links: int, within: Sequence[int]) -> bool:
    """Whether a directory of an overlay file system lies in a lower layer as well, by its link count. Pure.

    Such a directory has one link (Linux, fs/overlayfs/inode.c: ovl_getattr), where others have one for each directory
    within it (`within`: link counts of these). File systems that do not count (btrfs) have one everywhere: nothing is
    known of theirs. A directory in which nobody has written since lies in a lower layer alone, and is not recognised:
    the server of a data directory writes into it.
    """
    return links == 1 and any(count > 1 for count in within)


def _redirects(mount: Mount) -> bool:
    """Whether this overlay renames directories of lower layers too; the kernel names options that differ from its own
    default."""
    given = [option for option in mount.options.split(",") if option.startswith("redirect_dir=")]
    if given:
        return given[-1] == "redirect_dir=on"
    try:
        with open(_REDIRECTS, encoding="ascii") as stream:
            return stream.read().strip() in ("Y", "1")
    except OSError:
        return False
