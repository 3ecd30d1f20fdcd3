# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is run for a database, whether there is room for it, and what is told."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.upkeep.vacuum import (
    Done,
    Room,
    Table,
    Work,
    lacking,
    options,
    outcome,
    rooms,
)


def test_vacuum_full_builds_no_index_twice() -> None:
    vacuum, reindex = Work("shop", full=True, jobs=2).commands()
    assert vacuum == ["vacuumdb", "--no-password", "--analyze", "--jobs=2", "--full"]
    assert reindex == ["reindexdb", "--no-password", "--system"]
    (vacuum,) = Work("shop").commands()
    assert "--full" not in vacuum
    assert len(Work("shop", full=True, reindex=False).commands()) == 1


@pytest.mark.parametrize(
    ("truncate", "standbys", "full", "given"),
    [
        ("auto", 0, False, False), ("auto", 1, False, True), ("auto", 3, False, True), ("auto", 2, True, False),
        ("always", 2, False, False), ("never", 0, False, True), ("never", 0, True, False),
    ],
)  # fmt: skip
def test_tables_are_not_truncated_where_standbys_would_cancel_queries(
    truncate: str, standbys: int, full: bool, given: bool
) -> None:
    vacuum = Work("shop", full=full, truncate=truncate).commands(standbys)[0]
    assert ("--no-truncate" in vacuum) is given


def test_the_largest_tables_at_a_time_have_to_fit() -> None:
    tables = [Table("a", "/data", 600), Table("b", "/data", 500), Table("c", "/fast", 700), Table("d", None, 10**9)]
    rooms_ = [Room(1000, ["/data"]), Room(700, ["/fast"])]
    assert lacking(tables, rooms_, 1) == []
    (fault,) = lacking(tables, rooms_, 2)
    assert fault.startswith("/data has 1000 B free, and 1.1 KiB are needed to write a (600 B), b (500 B)")
    (fault,) = lacking(tables, [Room(699, ["/fast"])], 1)
    assert "c (700 B)" in fault


def test_tablespaces_of_one_file_system_share_what_is_free() -> None:
    assert rooms({"/a": (1, 10), "/b": (1, 10), "/c": (2, 20)}) == [Room(10, ["/a", "/b"]), Room(20, ["/c"])]


def test_blanks_of_a_value_are_escaped() -> None:
    assert options("-c statement_timeout=0", "5 min") == "-c statement_timeout=0 -c lock_timeout=5\\ min"


def test_warnings_invalid_and_left_indexes_count() -> None:
    done = Done(2048, 1024, ["vacuumdb: vacuuming"], notes=["reindexed: 3 indexes"])
    assert outcome(Work("shop"), done, planning=False)["status"] == "ok"
    assert outcome(Work("shop"), done, planning=False)["message"].endswith("of shop: 2.0 KiB -> 1.0 KiB")
    told = outcome(Work("shop"), Done(1, 1, ["WARNING:  skipping"], ["i"]), planning=False)
    assert told["status"] == "warning" and told["evidence"][:2] == ["WARNING:  skipping", "invalid index: i"]
    left = outcome(Work("shop"), Done(1, 1, left=["public.a: not reindexed, pg_dump (process 7) …"]), planning=False)
    assert left["status"] == "warning" and left["message"].endswith("1 index not reindexed")
    assert left["evidence"][0].startswith("public.a: not reindexed")
    told = outcome(Work("shop", full=True), Done(1, 1, unknown="not seen"), planning=True)
    assert told["status"] == "skipped" and told["evidence"][0] == "not seen"
