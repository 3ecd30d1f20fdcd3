# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs.files import rotated_names


@pytest.mark.parametrize(
    "name",
    [
        "app.log.1",
        "app.log.12.gz",
        "app.log-20261120",
        "app.log-20261120.xz",
        "app.log-20261120-051733.zst",
        "app.log-1795243998.bz2",
        "app.log.2026-11-20",
        "app.log.2026-11-20_05-17.gz",
        "app.1.log",
        "app-20261120.log.gz",
        "app.2026-11-20.log",
        "app.log-20261130-1764527000",
        "app.log-20261130-1764527000.zst",
        "app.log-20261130-1764527000.zst.age",
        "app.log.3.gz.gpg",
        "app.log.1.age",
    ],
)
def test_rotated_files_are_known_by_their_names(name: str) -> None:
    assert rotated_names("app.log", ["app.log", name, "app2.log.1"]) == [name]


@pytest.mark.parametrize(
    "name",
    [
        "app.log",
        "app.log.gz",
        "app.log.bak",
        "app.log.1.tmp",
        "app.log.1.gz.tmp",
        "app.log-1",
        # Another log: the second of several applications.
        "app-2.log",
        "app2.log.1",
        "xapp.log.1",
        "app_log.1",
        "app.log.1.log",
        # What is being packed.
        ".app.log-20261130-1764527000.day2-packing",
        "..app.log-20261130-1764527000.day2-packing.day2-packing",
        "app.log-20261130-1764527000.age.zst",
        "app.log.age",
    ],
)
def test_other_files_are_not_taken_for_rotated_ones(name: str) -> None:
    assert rotated_names("app.log", [name]) == []


def test_a_file_that_is_being_compressed_is_taken_as_it_is() -> None:
    assert rotated_names("app.log", ["app.log.1", "app.log.1.gz", "app.log.2.gz"]) == ["app.log.1", "app.log.2.gz"]


def test_a_log_without_an_ending() -> None:
    assert rotated_names("syslog", ["syslog", "syslog.1", "syslog.2.gz", "syslog-20261120", "kern.1"]) == [
        "syslog-20261120",
        "syslog.1",
        "syslog.2.gz",
    ]


def test_of_one_piece_the_form_that_can_be_read() -> None:
    piece = "app.log-20261130-1764527000"
    assert rotated_names("app.log", [f"{piece}.zst", f"{piece}.zst.age", piece]) == [piece]
    assert rotated_names("app.log", [f"{piece}.zst.age"]) == [f"{piece}.zst.age"]


def test_the_days_of_the_week_are_one_log_of_postgresql() -> None:
    parts = [
        "postgresql-Fri.log",
        "postgresql-Mon.log-20261130-1764527000.zst",
        "postgresql-Tue.log-20261124-1763940000",
    ]
    others = ["postgresql-Wed.csv", "postgresql-15-main.log", "postgresql_Mon.log", "postgresql-Monday.log"]
    assert rotated_names("postgresql-Tue.log", ["postgresql-Tue.log", *parts, *others]) == parts
    assert rotated_names("app.log", parts) == []
