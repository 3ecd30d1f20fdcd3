# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a data directory can be renamed is found by looking: nothing beside it, and nothing of it, is touched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import movable
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.movable import is_merged, rename_fault
from ansible_collections.day2.ops.plugins.module_utils.process.mounts import Mount


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("base/1", "pg_twophase"):
        (tmp_path / "main" / name).mkdir(parents=True)
    (tmp_path / "main/PG_VERSION").write_text("15\n")
    return tmp_path / "main"


def times(data: Path) -> list[tuple[int, int, int]]:
    found = [os.stat(place) for place in (data.parent, data)]
    return [(about.st_ino, about.st_mtime_ns, about.st_ctime_ns) for about in found]


def test_nothing_is_touched(data: Path) -> None:
    before = times(data)
    assert rename_fault(str(data)) is None
    assert times(data) == before
    assert sorted(os.listdir(data.parent)) == ["main"]


def test_a_link_is_no_data_directory(data: Path) -> None:
    link = data.parent / "link"
    link.symlink_to(data)
    fault = rename_fault(str(link))
    assert fault is not None and str(data) in fault


@pytest.mark.parametrize(
    ("links", "within", "merged"),
    [
        # ext4 and xfs count directories; of a merged one the kernel says 1.
        (1, [1, 2, 3], True),
        (1, [2], True),
        (1, [1, 1, 2], True),
        (4, [2, 2], False),
        (20, [1, 2, 3], False),
        # btrfs counts none, in whatever layer.
        (1, [1, 1, 1], False),
        (1, [], False),
        (2, [], False),
    ],
)
def test_by_the_count_of_links(links: int, within: list[int], merged: bool) -> None:
    assert is_merged(links, within) is merged


@pytest.mark.parametrize(
    ("kind", "options", "default", "fault"),
    [
        ("overlay", "rw,lowerdir=/l,upperdir=/u,workdir=/w", "N", True),
        ("overlay", "rw,lowerdir=/l,redirect_dir=nofollow,uuid=on", "Y", True),
        ("overlay", "rw,lowerdir=/l,redirect_dir=off", "Y", True),
        ("overlay", "rw,lowerdir=/l,redirect_dir=on", "N", False),
        ("overlay", "rw,lowerdir=/l", "Y", False),
        ("overlay", "", None, True),
        ("ext4", "rw", "N", False),
        ("btrfs", "rw", "N", False),
    ],
)
def test_which_file_systems_refuse(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    options: str,
    default: str | None,
    fault: bool,
) -> None:
    parameter = tmp_path / "redirect_dir"
    if default is not None:
        parameter.write_text(f"{default}\n")
    monkeypatch.setattr(movable, "_REDIRECTS", str(parameter))
    monkeypatch.setattr(movable, "mount_of", lambda _path: Mount("/", "overlay", kind, options))
    monkeypatch.setattr(movable, "is_merged", lambda _links, _within: True)
    said = rename_fault(str(data))
    assert (said is not None and "lower layer of an overlay" in said) is fault, said
