# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of two hosts of one name, and a repository that is tried before a policy is put in place."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import LogPolicyError, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.present import try_copies
from ansible_collections.day2.ops.plugins.module_utils.rotation.verifying import verify
from rotated_logs import make_place, piece, policy, run


@pytest.fixture
def away(tmp_path: Path) -> Path:
    (tmp_path / "away").mkdir()
    return tmp_path / "away"


@pytest.fixture
def other(tmp_path: Path) -> Place:
    """Another host."""
    (tmp_path / "other").mkdir()
    return make_place(tmp_path / "other")


def copied(folder: Path, recipient: str, away: object) -> Policy:
    return policy(folder, name="audit", log_class="audit", encrypt_to=(recipient,), copy_to=away, host="db1")


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_hosts_of_one_name_are_never_mixed(
    place: Place, other: Place, folder: Path, away: Path, tmp_path: Path, recipient: str
) -> None:
    mine, theirs = copied(folder, recipient, str(away)), copied(tmp_path / "theirs", recipient, str(away))
    (tmp_path / "theirs").mkdir()
    piece(folder)
    assert not run(place, mine).faults
    before = tree(away)
    path = piece(tmp_path / "theirs", 1)
    done = run(other, theirs)
    (fault,) = done.faults
    assert "db1 in " in fault and "is another host of this name" in fault and "log_management_host" in fault
    assert tree(away) == before, "nothing of it is brought"
    assert Path(f"{path}.zst.age").exists(), "what is done on the host is done all the same"
    verdict = verify(theirs, other)
    assert not verdict.faults and "is another host of this name" in verdict.unreached[0]
    with pytest.raises(LogPolicyError, match=r"'copy_to': .*another host of this name"):
        try_copies(theirs, other, planning=True)
    with pytest.raises(LogPolicyError, match=r"'copy_to': .*another host of this name"):
        try_copies(theirs, other, planning=False)
    assert tree(away) == before and not verify(mine, place).unreached
    # This one takes the place of the other one.
    os.unlink(away / "db1" / "host.json")
    assert not run(other).faults
    assert "another host of this name" in run(place).faults[0]


@pytest.mark.parametrize("content", ["nonsense", "[]", "{}"])
def test_a_file_that_says_nothing_of_the_host_is_refused(
    place: Place, folder: Path, away: Path, recipient: str, content: str
) -> None:
    (away / "db1").mkdir()
    (away / "db1" / "host.json").write_text(content)
    piece(folder)
    assert "was altered there" in run(place, copied(folder, recipient, str(away))).faults[0]


def test_a_host_knows_itself_again(place: Place, folder: Path, away: Path, recipient: str) -> None:
    wanted = copied(folder, recipient, str(away))
    assert place.identity(make=False) == ""
    assert try_copies(wanted, place, planning=True) == [] and list(away.iterdir()) == []
    assert place.identity(make=False) == ""
    for _time in range(2):
        assert try_copies(wanted, place, planning=False) == []
    said = json.loads((away / "db1" / "host.json").read_text())
    assert said["id"] == place.identity() == place.identity()
    piece(folder)
    assert not run(place, wanted).faults
    before = (away / "db1" / "host.json").stat().st_mtime_ns
    run(place)
    assert (away / "db1" / "host.json").stat().st_mtime_ns == before, "what is known is not written each hour"


@pytest.mark.parametrize(
    ("where", "planning", "said"),
    [
        ("/proc/day2/logs", False, "'copy_to': /proc/day2/logs cannot be made"),
        ("{file}/logs", False, "'copy_to': .* cannot be made: Not a directory"),
        ("{file}/logs", True, "'copy_to': .* is no directory"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(
    place: Place, folder: Path, tmp_path: Path, recipient: str, where: str, planning: bool, said: str
) -> None:
    (tmp_path / "file").write_text("x")
    lost = copied(folder, recipient, where.format(file=tmp_path / "file"))
    with pytest.raises(LogPolicyError, match=said):
        try_copies(lost, place, planning)


def test_one_that_does_not_answer_now_is_a_warning(place: Place, folder: Path, recipient: str) -> None:
    away = {"url": "s3://bucket/logs", "endpoint_url": "http://127.0.0.1:9", "access_key": "a", "secret_key": "hidden"}
    (said,) = try_copies(copied(folder, recipient, away), place, planning=False)
    assert "'copy_to' cannot be tried: " in said and "hidden" not in said
