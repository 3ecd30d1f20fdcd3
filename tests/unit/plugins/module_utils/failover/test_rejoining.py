# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A rejoin that was killed, and what a base backup cannot bring back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.local import MemberError
from ansible_collections.day2.ops.plugins.module_utils.failover.rejoining import (
    finish_replacement,
    note_path,
    refuse_links,
)


def test_a_kill_between_two_renames_is_finished(tmp_path: Path) -> None:
    data, new = tmp_path / "main", tmp_path / "main.day2-new"
    new.mkdir()
    Path(note_path(str(data))).write_text("{}")
    # A copy that is not complete is none.
    finish_replacement(str(data))
    assert not data.exists()
    (new / "standby.signal").touch()
    finish_replacement(str(data))
    assert (data / "standby.signal").exists() and not new.exists()
    # What an earlier pg_rewind has left is not there any more.
    assert not os.path.exists(note_path(str(data)))


def test_a_directory_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    data, new = tmp_path / "main", tmp_path / "main.day2-new"
    for folder in (data, new):
        folder.mkdir()
    (new / "standby.signal").touch()
    finish_replacement(str(data))
    assert not (data / "standby.signal").exists() and new.exists()


@pytest.mark.parametrize("link", ["pg_wal", "pg_tblspc/16390"])
def test_what_lies_elsewhere_is_named_before_anything_is_copied(tmp_path: Path, link: str) -> None:
    (tmp_path / "pg_tblspc").mkdir()
    refuse_links(str(tmp_path))
    (tmp_path / link).symlink_to("/elsewhere")
    with pytest.raises(MemberError, match="symbolic link"):
        refuse_links(str(tmp_path))
