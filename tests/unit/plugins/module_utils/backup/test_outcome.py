# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sentence that a backup run ends with: what was made or why not, what was pruned or why not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, State
from ansible_collections.day2.ops.plugins.module_utils.backup.outcome import summarize
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.run import Plan, run
from ansible_collections.day2.ops.plugins.module_utils.backup.sets import BackupSet
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository

NOW = 1_800_000_000.0
FEW = "nothing is pruned before there are 2 verified sets (min_verified)"
NEWEST = BackupSet(Manifest("20270115T050000Z", "files", "files", 1, NOW - 3 * 3600, NOW - 3 * 3600, []), State())
MADE = {"id": "20270115T080000Z", "size": 1536, "verified": "read"}


def place(gone: int = 0, held: str | None = None, name: str = "/sets") -> dict[str, Any]:
    return {"repository": name, "pruned": [f"n{number}" for number in range(gone)], "held": held}


@pytest.mark.parametrize(
    ("outcome", "would", "words"),
    [
        ({"made": False, "locations": [place()]}, "",
         "no set is due, the newest good one is 20270115T050000Z (3 h old; max_age is 20 h); no set to prune"),
        ({"made": False, "locations": [place(1)]}, "would be ",
         "no set is due, the newest good one is 20270115T050000Z (3 h old; max_age is 20 h); 1 set would be pruned"),
        ({"made": True, "set": MADE, "seconds": 2.0, "locations": [place(3)]}, "",
         "20270115T080000Z 1.5 KiB in 2 s, verified: read; 3 sets pruned"),
        ({"made": True, "set": MADE, "seconds": 2.0, "locations": [place(held=FEW)]}, "",
         f"20270115T080000Z 1.5 KiB in 2 s, verified: read; {FEW}"),
        ({"made": True, "set": None, "locations": [place(held=FEW)]}, "would be ", f"a set would be made; {FEW}"),
        ({"made": True, "set": None, "locations": [place(2), place(held=FEW, name="s3://copy")]}, "",
         f"a set would be made; 2 sets pruned; in s3://copy {FEW}"),
    ],
)  # fmt: skip
def test_what_was_done_and_why_not(outcome: dict[str, Any], would: str, words: str) -> None:
    assert summarize(outcome, NEWEST, 20 * 3600.0, NOW, would) == words


def test_a_plan_does_not_miss_a_directory_that_is_made_before(tmp_path: Path) -> None:
    closed = tmp_path / "file"
    closed.touch()
    # Below a file nobody can make a directory, whoever runs this.
    root = str(closed / "sets")
    assert "no directory" in str(planned(root)["warnings"])
    assert planned(root, [root])["warnings"] == []
    assert "no directory" in str(planned(root, [str(tmp_path)])["warnings"])


def planned(root: str, directories: list[str] | None = None) -> dict[str, Any]:
    plan = Plan("files", "files", Policy(), planned_directories=directories or [])
    return run(plan, open_repository(root), None, lambda _repository, _folder: pytest.fail("made"), check_mode=True)
