# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which file system holds a path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import disk, registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec
from ansible_collections.day2.ops.plugins.module_utils.process.mounts import holding, mount_of, parse_mounts

# proc(5) and a host: optional fields in any number, blanks in octal, one mount on another.
MOUNTS = parse_mounts(
    r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 8:2 / /srv rw,relatime shared:2 master:1 - xfs /dev/mapper/vg-srv rw
31 30 0:40 / /srv/my\040data rw - nfs4 nas:/export/my\040data rw
32 22 8:3 / /mnt rw - ext4 /dev/sdb1 rw
33 32 8:4 / /mnt rw - ext4 /dev/sdc1 rw
no mount
"""
)


@pytest.mark.parametrize(
    ("path", "point", "device"),
    [
        ("/", "/", "/dev/sda1"), ("/home", "/", "/dev/sda1"), ("/srv", "/srv", "/dev/mapper/vg-srv"),
        ("/srv/x", "/srv", "/dev/mapper/vg-srv"), ("/srv2", "/", "/dev/sda1"), ("/proc/1", "/proc", "proc"),
        ("/srv/my data/a", "/srv/my data", "nas:/export/my data"), ("/mnt/x", "/mnt", "/dev/sdc1"),
    ],
)  # fmt: skip
def test_mounts(path: str, point: str, device: str) -> None:
    found = holding(path, MOUNTS)
    assert found is not None and (found.point, found.device) == (point, device)


def test_no_mounts() -> None:
    assert holding("/x", []) is None and parse_mounts("") == []


def seen(path: str, **fields: str) -> tuple[str, list[str]]:
    raw = {"id": "x", "title": "x", "probe": "disk", "path": path, **fields}
    (check,) = parse_checks([raw], find_spec, registry.PROBES, 10)
    observation = disk.observe(None, check)
    return observation.text, observation.evidence


@pytest.mark.parametrize("metric", ["used_percent", "free", "inodes_percent"])
def test_a_path_below_its_mount_point_names_it(tmp_path: Path, metric: str) -> None:
    mount = mount_of(str(tmp_path))
    assert mount is not None and os.path.ismount(mount.point)
    text, evidence = seen(str(tmp_path), metric=metric)
    assert f"{tmp_path} (on {mount.point}, {mount.device})" in text
    assert evidence == [f"mount point {mount.point}, device {mount.device} ({mount.kind})"]


def test_a_mount_point_is_its_own_name() -> None:
    assert "(on" not in seen("/dev/")[0] and "/dev" in seen("/dev/")[1][0]


def test_paths_of_any_characters(tmp_path: Path) -> None:
    (tmp_path / "grün €").mkdir()
    assert "grün €" in seen(str(tmp_path / "grün €"))[0]
    with pytest.raises(Undetermined, match="zero byte"):
        seen("/a\0b")
