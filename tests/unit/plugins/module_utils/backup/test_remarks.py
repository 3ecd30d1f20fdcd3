# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What programs that did not fail had to say, and what servers say to programmers only."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.advice import advise, cancelled
from ansible_collections.day2.ops.plugins.module_utils.backup.postgresql import warnings_of
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error, printable
from ansible_collections.day2.ops.plugins.module_utils.restore.proof import _together


def test_warnings_of_pg_dump() -> None:
    remarks = [
        "pg_dump: warning: subscriptions not dumped because current user is not a superuser",
        "pg_dump: warning: there are circular foreign-key constraints on this table:",
        "pg_dump: detail: a",
        "WARNING:  database has a collation version mismatch",
        "pg_dump: warning: subscriptions not dumped because current user is not a superuser",
    ]
    assert warnings_of("shop", remarks) == [
        "pg_dump of database 'shop' warns: subscriptions not dumped because current user is not a superuser"
    ]


@pytest.mark.parametrize(
    ("failure", "word"),
    [
        ('query would be affected by row-level security policy for table "t"', "BYPASSRLS"),
        ("pg_dump failed (… ERROR:  permission denied for large object 1)", "LARGE OBJECT"),
        ("permission denied for schema c", "pg_read_all_data"),
        ("permission denied for table t", "pg_read_all_data"),
        ("character with byte sequence 0xe2 has no equivalent in encoding", "row by row"),
        ("permission denied to create database", None),
        ("disk full", None),
    ],
)
def test_advice(failure: str, word: str | None) -> None:
    hint = advise(failure)
    assert (hint is None) == (word is None) and (word or "") in (hint or "")


def test_what_a_standby_cancels() -> None:
    assert cancelled("canceling statement due to conflict with recovery")
    assert cancelled("terminating connection due to conflict with recovery")
    assert not cancelled("canceling statement due to statement timeout")


def test_rows_that_change_places() -> None:
    rows = {("s", "a_0"): 3, ("s", "a_1"): 4, ("s", "b"): 5}
    moved = {("s", "a_0"): ("s", "a"), ("s", "a_1"): ("s", "a"), ("x", "b"): ("x", "c")}
    assert _together(rows, moved) == {("s", "a"): 7, ("s", "b"): 5}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (b"gr\xc3\xb6\xc3\x9fe".decode(), "größe"),
        (b"gr\xf6\xdfe".decode("utf-8", "surrogateescape"), r"gr\xf6\xdfe"),
        ("half \ud800", r"half \ud800"),
    ],
)
def test_bytes_that_are_no_text_are_shown(stored: str, shown: str) -> None:
    assert printable(stored) == shown and str(Day2Error(f"table {stored}")) == f"table {shown}"
