# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Places that are not cleaned up, and a clean-up that is refused half-way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.upkeep import cleanup


@pytest.mark.parametrize("directory", ["/var/lib/postgresql", "/usr/local/share", "/etc/logrotate.d", "/var/lib/x/y/z"])
def test_no_age_counts_where_packages_and_databases_live(directory: str) -> None:
    with pytest.raises(cleanup.CleanupError, match="lies below"):
        cleanup.refuse(directory)


@pytest.mark.parametrize("marker", ["PG_VERSION", "ibdata1", "dump.rdb", "appendonlydir", "backup.info"])
def test_a_store_is_known_from_above_and_from_within(tmp_path: Path, marker: str) -> None:
    inner = tmp_path / "a" / "store" / "base"
    inner.mkdir(parents=True)
    beside = tmp_path / "a" / "logs"
    beside.mkdir()
    (tmp_path / "a" / "store" / marker).touch()
    cleanup.refuse_stores(str(beside))
    for directory in (inner, inner.parent, tmp_path / "a"):
        with pytest.raises(cleanup.CleanupError, match=marker):
            cleanup.refuse_stores(str(directory))


def test_a_file_that_stays_does_not_hide_those_that_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    for name in ("a.log.1", "b.log.1", "c.log.1"):
        (folder / name).write_text("x")
    real = os.unlink

    def unlink(name: str, **where: Any) -> None:
        if name == "b.log.1":
            raise PermissionError(1, "Operation not permitted", name)
        real(name, **where)

    monkeypatch.setattr(os, "unlink", unlink)
    now = os.stat(folder / "a.log.1").st_mtime + 100
    wanted = cleanup.Wanted([str(folder)], ("*.log.*",), 10)
    removed = cleanup.clean(wanted, now, only_look=False)
    assert [os.path.basename(path) for path in removed.paths] == ["a.log.1", "c.log.1"]
    assert removed.refused == [f"{folder}/b.log.1: Operation not permitted"]
    told = cleanup.outcome(removed, wanted, planning=False)
    assert told["status"] == "warning" and told["evidence"][0].startswith("not removed: ")
