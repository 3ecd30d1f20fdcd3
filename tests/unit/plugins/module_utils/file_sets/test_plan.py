# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest, StoredFile
from ansible_collections.day2.ops.plugins.module_utils.file_sets.plan import (
    Record,
    RestoreRefused,
    Role,
    Standing,
    Wrapper,
    expired,
    is_wrapper,
    kept_name,
    newest,
    next_sequence,
    parse_record,
    prefix,
    targets,
    to_revert,
)

NIGHT = 1769824800.0
OLD = Record(Role.OLD, "20260131T020000Z", "r1", 1, NIGHT, 7)
UNDONE = replace(OLD, role=Role.UNDONE, sequence=2, outgoing=5)


def manifest(*paths: str) -> Manifest:
    files = [StoredFile(f"archive{number:03d}.tar.zst", "archive", 1, "0" * 64) for number, _path in enumerate(paths)]
    packed = [{"path": path, "file": file.path} for path, file in zip(paths, files)]
    return Manifest("20260131T020000Z", "files", "files", 1, NIGHT, NIGHT, files, about={"paths": packed})


def test_paths_that_are_asked_for() -> None:
    about = manifest("/etc/shop", "/srv/www")
    assert [target.place for target in targets(about, [], None)] == ["/etc/shop", "/srv/www"]
    (one,) = targets(about, ["/srv/www/"], "/look")
    assert (one.path, one.place, one.member, one.stored.path) == (
        "/srv/www", "/look/srv/www", "srv/www", "archive001.tar.zst",
    )  # fmt: skip


def test_paths_that_are_refused() -> None:
    with pytest.raises(RestoreRefused, match="has no /etc/other; it has /etc/shop"):
        targets(manifest("/etc/shop"), ["/etc/other"], None)
    with pytest.raises(RestoreRefused, match="/etc/shop/a lies in /etc/shop"):
        targets(manifest("/etc/shop/a", "/etc/shop", "/etc/shopping"), [], None)
    assert len(targets(manifest("/etc/shop/a", "/etc/shop"), ["/etc/shop"], None)) == 1
    with pytest.raises(RestoreRefused, match="no paths"):
        targets(manifest(), [], None)
    for odd in ("etc", "/", "/etc/../root", "/etc/shop/"):
        with pytest.raises(RestoreRefused, match="no set of files"):
            targets(manifest(odd), [], None)
    about = manifest("/etc/shop")
    about.files.clear()
    with pytest.raises(RestoreRefused, match="no set of files"):
        targets(about, [], None)


def test_names_beside_a_target() -> None:
    name = kept_name("/etc/shop", Role.OLD, NIGHT, [])
    assert name == "/etc/.shop.day2-old-20260131T020000Z"
    assert kept_name("/etc/shop", Role.OLD, NIGHT, [name, name + ".2"]) == name + ".3"
    for known in (name, name + ".3", "/etc/.shop.day2-new-20260131T020000Z-1"):
        assert is_wrapper(known.rpartition("/")[2], "/etc/shop")
    for other in (".shop.day2-lock", ".shop.day2-old-mine", ".shopping.day2-old-20260131T020000Z", "shop"):
        assert not is_wrapper(other, "/etc/shop")


def test_long_names_stay_two_and_fit() -> None:
    first, second = (prefix("/x/" + "é" * 120 + end) for end in ("a", "b"))
    assert first != second
    assert all(len(f"{prefix}undone-20260131T020000Z-12345678.99".encode()) <= 255 for prefix in (first, second))


@pytest.mark.parametrize(
    ("record", "inode", "wanted"),
    [
        (OLD, 7, Standing.PENDING),
        (OLD, 5, Standing.OLD),
        (OLD, None, Standing.OLD),
        (UNDONE, 5, Standing.REVERTING),
        (UNDONE, 7, Standing.UNDONE),
        (replace(UNDONE, outgoing=None), None, Standing.REVERTING),
        (replace(UNDONE, outgoing=None), 7, Standing.UNDONE),
        (None, 5, Standing.PENDING),
    ],
)
def test_the_inode_says_on_which_side_of_its_exchange_a_run_ended(
    record: Record | None, inode: int | None, wanted: Standing
) -> None:
    assert Wrapper("/x", record, inode).standing is wanted


def test_records_survive_and_strange_ones_are_nobodys() -> None:
    assert parse_record(OLD.render().encode()) == OLD
    assert parse_record(replace(UNDONE, outgoing=None).render().encode()) == replace(UNDONE, outgoing=None)
    for strange in (b"", b"[]", b"{}", b"\xff", b'{"schema": 1}', OLD.render().replace('"old"', '"new"').encode()):
        assert parse_record(strange) is None


def wrapper(restore: str, sequence: int, role: Role = Role.OLD, at: float = NIGHT) -> Wrapper:
    return Wrapper(f"/{restore}{role.value}", Record(role, "s", restore, sequence, at, 7), 5)


def test_what_goes_back_is_of_the_newest_restore_only() -> None:
    both = {"/a": [wrapper("r1", 1), wrapper("r2", 2)], "/b": [wrapper("r1", 1)]}
    assert list(to_revert(both)) == ["/a"]
    assert next_sequence(both) == 3
    whole = {"/a": [wrapper("r1", 1)], "/b": [wrapper("r1", 1)]}
    assert list(to_revert(whole)) == ["/a", "/b"]
    # A clock that was set back does not make it an older one.
    odd = {"/a": [wrapper("r1", 1), wrapper("r2", 2, at=NIGHT - 1e6)]}
    assert to_revert(odd)["/a"].record == odd["/a"][1].record


def test_a_second_revert_goes_no_further_back() -> None:
    done = {"/a": [wrapper("r1", 1), wrapper("r2", 3, Role.UNDONE)], "/b": [wrapper("r2", 3, Role.UNDONE)]}
    assert to_revert(done) == {}
    half = {**done, "/b": [wrapper("r2", 2)]}
    assert list(to_revert(half)) == ["/b"]


def test_nothing_to_revert() -> None:
    pending = Wrapper("/p", OLD, OLD.outgoing)
    with pytest.raises(RestoreRefused, match="nothing was restored to /a, /b"):
        to_revert({"/a": [], "/b": [pending]})
    assert newest([pending]) is None


def test_only_what_was_kept_for_long_enough_goes() -> None:
    day = 86400.0
    group = [
        wrapper("r3", 3, at=NIGHT + 9 * day),
        wrapper("r1", 1, at=NIGHT),
        wrapper("r2", 2, Role.UNDONE, NIGHT + day),
    ]
    now = NIGHT + 10 * day
    assert [wrapper.path for wrapper in expired(group, 7 * day, now)] == ["/r1old", "/r2undone"]
    assert expired(group, 10 * day, now) == []
    # What is of the future was dated by a wrong clock.
    assert expired(group, 0.0, NIGHT - day) == []
