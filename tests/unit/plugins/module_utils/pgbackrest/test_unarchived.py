# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which WAL is in a data directory only, and how that is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import archive
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.archive import Contents
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.unarchived import Unarchived, beyond, summed
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.wal import Listing

MIB = 1 << 20


def name(number: int, timeline: int = 1) -> str:
    return f"{timeline:08X}00000000{number:08X}"


def test_what_comes_after_the_newest_archived_one_is_in_no_archive() -> None:
    listing = Listing({name(number): "" for number in (1, 2, 3)})
    assert beyond([name(2), name(3), name(4), name(5)], set(), listing, 1, MIB) == (name(3), [name(4), name(5)])
    assert beyond([name(4)], set(), Listing(), 1, MIB) == (None, [name(4)])


def test_what_waits_before_the_newest_is_not_overlooked() -> None:
    """With archive-async a later segment may have arrived first."""
    listing = Listing({name(1): "", name(3): ""})
    assert beyond([name(1), name(2), name(3)], {name(2), name(1)}, listing, 1, MIB)[1] == [name(2)]


def test_what_an_earlier_timeline_has_left_is_none_of_it() -> None:
    listing = Listing({name(1): "", name(2, 2): ""})
    assert beyond([name(2, 1), name(2, 2), name(3, 2)], set(), listing, 2, MIB) == (name(2, 2), [name(3, 2)])


def test_transactions_are_counted_with_their_times_and_segments() -> None:
    read = {
        name(4): Contents(MIB, 0x400028, 10.0, 20.0, 3),
        name(5): Contents(MIB, 0x500028, 30.0, 40.0, 2),
        name(6): Contents(MIB, None),
    }
    lost = summed(name(3), read, False)
    assert (lost.commits, lost.first, lost.last, lost.lsn) == (5, 10.0, 40.0, 0x500028)
    for words in ("5 transactions", "1970-01-01T00:00:10", "1970-01-01T00:00:40", "LSN 0/500028", name(3), name(4)):
        assert words in str(lost)
    many = summed(name(3), read, True)
    assert many and many.commits is None and many.last is None and "many transactions" in str(many)


def test_segments_without_a_transaction_lose_nothing() -> None:
    assert not summed(name(3), {name(4): Contents(MIB, 0x400028)}, False) and not Unarchived(None)


COMMITS = b"""\
rmgr: Heap        len (rec/tot):     71/    71, tx:  725, lsn: 0/00900028, prev 0/00800090, desc: INSERT off 1
rmgr: Transaction len (rec/tot):     34/    34, tx:  725, lsn: 0/00900070, prev 0/00900028, desc: COMMIT \
2026-01-31 15:37:01.250000 UTC
rmgr: Transaction len (rec/tot):     34/    34, tx:  726, lsn: 0/00900158, prev 0/009000E0, desc: COMMIT \
2026-01-31 15:38:01.250000 UTC
"""


def test_what_a_timeline_has_of_its_parent_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_pipeline(_programs: Any, take: Any, **_about: Any) -> None:
        take(COMMITS)

    monkeypatch.setattr(archive, "run_pipeline", run_pipeline)
    path = tmp_path / name(9)
    path.write_bytes(b"")
    assert archive.read_file(str(path), "pg_waldump").commits == 2
    own = archive.read_file(str(path), "pg_waldump", since=0x9000E0)
    assert own.commits == 1 and own.first_end == own.last_end
