# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who has waited too long for a backup, what of a statement is shown, and which definitions changed."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.definitions import Part, changed, query
from ansible_collections.day2.ops.plugins.module_utils.backup.dump_streams import Unit, together
from ansible_collections.day2.ops.plugins.module_utils.backup.lock_watch import poll_interval
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Target
from ansible_collections.day2.ops.plugins.module_utils.postgres.lock_waits import (
    Patience,
    Wait,
    decode,
    statement,
    wait_of,
)
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program

# ALTER (20) waits for the session that holds the snapshot (10), an application (30) and a pg_dump (11) behind it.
ALTER = Wait(20, 1, 100, "AccessExclusiveLock", for_ours=True, blockers=(10,))
READER = Wait(30, 1, 100, "AccessShareLock", blockers=(20,))
DUMP = Wait(11, 1, 100, "AccessShareLock", ours=True, blockers=(20,))
# Somebody else's LOCK (21), which waits for nobody, keeps a pg_dump waiting.
BEHIND_A_LOCK = Wait(11, 1, 100, "AccessShareLock", ours=True, blockers=(21,))
# A session of the backup that waits for another one of it.
AMONG_OURS = Wait(11, 1, 100, "AccessShareLock", ours=True, for_ours=True, blockers=(10,))


@pytest.mark.parametrize(
    ("limit", "margin", "seen", "overdue"),
    [
        (30, 2, [(0, [ALTER]), (27, [ALTER])], None),
        (30, 2, [(0, [ALTER]), (28, [ALTER])], ALTER),
        (30, 2, [(0, [ALTER, READER, DUMP]), (28, [ALTER, READER, DUMP])], ALTER),
        # It got its lock, and waits for it again later.
        (30, 2, [(0, [ALTER]), (20, []), (28, [ALTER]), (40, [ALTER])], None),
        # Another one at the same table, and the same one at another table, are waits of their own.
        (30, 2, [(0, [ALTER]), (28, [Wait(22, 1, 100, "x", for_ours=True)])], None),
        (30, 2, [(0, [ALTER]), (28, [Wait(20, 1, 101, "x", for_ours=True)])], None),
        # Nobody who waits for somebody else.
        (30, 2, [(0, [READER]), (99, [READER])], None),
        # The backup behind somebody who waits for it: 30 s whatever the limit.
        (7200, 2, [(0, [ALTER, DUMP]), (27, [ALTER, DUMP])], None),
        (7200, 2, [(0, [ALTER, DUMP]), (28, [ALTER, DUMP])], DUMP),
        (7200, 2, [(0, [ALTER]), (28, [ALTER])], None),
        (7200, 2, [(0, [ALTER]), (7198, [ALTER])], ALTER),
        # Its own limit ends a pg_dump that waits for a lock that is held.
        (30, 2, [(0, [BEHIND_A_LOCK]), (99, [BEHIND_A_LOCK])], None),
        (30, 2, [(0, [AMONG_OURS]), (99, [AMONG_OURS])], None),
        (1, 5, [(0, [ALTER])], ALTER),
    ],
)
def test_who_has_waited_too_long(
    limit: float, margin: float, seen: list[tuple[float, list[Wait]]], overdue: Wait | None
) -> None:
    patience = Patience(limit, margin)
    answers = [patience.overdue(now, waits) for now, waits in seen]
    assert answers == [None] * (len(seen) - 1) + [overdue]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ALTER TABLE accounts ADD COLUMN note text", "ALTER TABLE accounts ADD COLUMN note text"),
        ("BEGIN;  TRUNCATE\n\ta;", "BEGIN; TRUNCATE a;"),
        ("ALTER ROLE x PASSWORD 's3cret'; DROP TABLE t", "ALTER ROLE x PASSWORD"),
        ("DO $$ s3cret $$", "DO"),
        ("INSERT INTO t VALUES (123456)", "INSERT INTO t VALUES"),
        ("UPDATE t SET n=123456", "UPDATE t SET n"),
        ("SELECT E'\\x73', 1", "SELECT E"),
        ("'s3cret'", ""),
        ("", ""),
        ("LOCK TABLE " + "a, " * 60, "LOCK TABLE " + ("a, " * 60)[:69].rstrip() + "…"),
    ],
)
def test_values_of_statements_are_not_shown(text: str, shown: str) -> None:
    assert statement(text) == shown


@pytest.mark.parametrize(
    ("before", "now", "what"),
    [
        ({("type", "a", "1")}, {("type", "a", "1")}, None),
        (set(), {("type", "a", "1")}, None),
        ({("type", "a", "1")}, {("type", "a", "2")}, "type a"),
        ({("type", "a", "1"), ("function", "b", "1")}, set(), "function b and 1 more definitions"),
    ],
)
def test_definitions_that_changed(
    before: set[tuple[str, str, str]], now: set[tuple[str, str, str]], what: str | None
) -> None:
    assert changed(before, now) == what


def test_a_server_is_asked_only_for_columns_that_it_has() -> None:
    assert "prosqlbody" not in query(130018) and "prosqlbody" in query(140000) and "{" not in query(130018)
    assert "{" not in query(150000, Part.LABELS)


@pytest.mark.parametrize(
    ("mode", "ours", "own", "blockers", "holders", "for_ours", "blocking"),
    [
        ("AccessExclusiveLock", False, [10, 11], [10], [10], True, (10,)),
        # The startup process of a standby: nobody is said to keep it waiting, but whoever has a lock does.
        ("AccessExclusiveLock", False, [10, 11], [], [10, 40], True, (10, 40)),
        ("AccessExclusiveLock", False, [10, 11], [], [40], False, (40,)),
        ("AccessExclusiveLock", False, [10, 11], [], [], False, ()),
        # Other modes go with a lock of readers: who waits is what the server says.
        ("ShareLock", False, [10, 11], [40], [10, 40], False, (40,)),
        ("AccessShareLock", False, [10, 11], [20], [10], False, (20,)),
        ("AccessShareLock", True, [10, 11], [20], [10], False, (20,)),
        # A prepared transaction is process 0.
        ("AccessExclusiveLock", False, [10], [0], [10], True, (0, 10)),
        ("AccessExclusiveLock", False, [], [0], [], False, (0,)),
    ],
)
def test_who_waits_for_the_backup(
    mode: str, ours: bool, own: list[int], blockers: list[int], holders: list[int], for_ours: bool, blocking: tuple[int]
) -> None:
    row = (20, 1, 100, mode, ours, own, blockers, holders)
    assert wait_of(row) == Wait(20, 1, 100, mode, ours, for_ours, blocking)


@pytest.mark.parametrize(
    ("limit", "locks", "interval"),
    [(30, 0, 1.0), (30, 2000, 1.0), (30, 5000, 2.5), (30, 100_000, 3.0), (3, 100_000, 0.3), (7200, 100_000, 50.0)],
)
def test_many_locks_are_looked_at_less_often(limit: float, locks: int, interval: float) -> None:
    assert poll_interval(limit, locks) == pytest.approx(interval)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("größe".encode(), "größe"),
        ("größe".encode("latin-1"), "größe"),
        (memoryview(b"COPY t"), "COPY t"),
        (b"\xff\xfe", "ÿþ"),
        (None, ""),
        (b"", ""),
    ],
)
def test_statements_are_shown_in_whatever_encoding(content: object, text: str) -> None:
    assert decode(content) == text


def test_definitions_are_read_before_the_largest_table() -> None:
    sizes = {"data1": 900, "main": 5, "data2": 90}
    units = [Unit(Target(name, name.rstrip("12"), "shop"), Program(["true"]), size) for name, size in sizes.items()]
    begun = []

    def store_unit(unit: Unit) -> StoredFile:
        begun.append(unit.target.path)
        return StoredFile(unit.target.path, unit.target.role, 0, "")

    files, counted = together(store_unit, units, lambda: 7, 1, lambda: None)
    assert begun == ["main", "data1", "data2"] and len(files) == 3 and counted == 7
