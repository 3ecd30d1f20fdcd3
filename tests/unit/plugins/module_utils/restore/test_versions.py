# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between PostgreSQL 13 and 17: columns of the catalogue, options of CREATE DATABASE, limits, archives."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import Manifest
from ansible_collections.day2.ops.plugins.module_utils.postgres.catalogue import locale_columns
from ansible_collections.day2.ops.plugins.module_utils.postgres.session import session_options
from ansible_collections.day2.ops.plugins.module_utils.restore.preflight import archive_fault
from ansible_collections.day2.ops.plugins.module_utils.restore.properties import (
    locale_fault,
    locale_options,
    sorted_otherwise,
)

LIBC = {"collate": "C.UTF-8", "ctype": "C.UTF-8"}
ICU = {**LIBC, "locale_provider": "i", "locale": "de-DE", "icu_rules": None}
RULES = {**ICU, "icu_rules": "& a < g"}
BUILTIN = {**LIBC, "locale_provider": "b", "locale": "C.UTF-8", "icu_rules": None}


@pytest.mark.parametrize(
    ("version", "columns"),
    [
        (130014, ("'c'", "NULL::text", "NULL::text", "NULL::text")),
        (140011, ("'c'", "NULL::text", "NULL::text", "NULL::text")),
        (150006, ("d.datlocprovider::text", "d.daticulocale", "NULL::text", "d.datcollversion")),
        (160002, ("d.datlocprovider::text", "d.daticulocale", "d.daticurules", "d.datcollversion")),
        (170000, ("d.datlocprovider::text", "d.datlocale", "d.daticurules", "d.datcollversion")),
    ],
)
def test_columns_that_a_version_has(version: int, columns: tuple[str, ...]) -> None:
    assert locale_columns(version) == columns


@pytest.mark.parametrize(
    ("version", "wanted", "more"),
    [
        (130014, LIBC, []),
        (140011, {**LIBC, "locale_provider": "c", "locale": None}, []),
        (150006, LIBC, [("LOCALE_PROVIDER", "libc")]),
        (150006, ICU, [("LOCALE_PROVIDER", "icu"), ("ICU_LOCALE", "de-DE")]),
        (160002, RULES, [("LOCALE_PROVIDER", "icu"), ("ICU_LOCALE", "de-DE"), ("ICU_RULES", "& a < g")]),
        (170000, RULES, [("LOCALE_PROVIDER", "icu"), ("ICU_LOCALE", "de-DE"), ("ICU_RULES", "& a < g")]),
        (170000, BUILTIN, [("LOCALE_PROVIDER", "builtin"), ("BUILTIN_LOCALE", "C.UTF-8")]),
        # The version of the collation is the library's that is here.
        (170000, {**LIBC, "collation_version": "2.31"}, [("LOCALE_PROVIDER", "libc")]),
    ],
)
def test_a_locale_for_a_version(version: int, wanted: dict[str, Any], more: list[tuple[str, str]]) -> None:
    options = locale_options(version, wanted)
    assert options == [("LC_COLLATE", "C.UTF-8"), ("LC_CTYPE", "C.UTF-8"), *more]
    assert locale_fault(version, wanted) is None


@pytest.mark.parametrize(
    ("version", "wanted", "words"),
    [
        (140011, ICU, ("icu", "PostgreSQL 14", "15 or later")),
        (150006, RULES, ("ICU rules", "PostgreSQL 15", "16 or later")),
        (160002, BUILTIN, ("builtin", "PostgreSQL 16", "17 or later")),
        (170000, {**LIBC, "locale_provider": "z"}, ("'z'", "later PostgreSQL")),
    ],
)
def test_a_locale_that_a_version_does_not_have(version: int, wanted: dict[str, Any], words: tuple[str, ...]) -> None:
    fault = locale_fault(version, wanted) or ""
    assert [word for word in words if word not in fault] == []


def test_another_version_of_the_collation_is_reported() -> None:
    (warning,) = sorted_otherwise({"collation_version": "2.36"}, {"collation_version": "2.31"})
    assert "2.36" in warning and "2.31" in warning
    assert sorted_otherwise({"collation_version": "2.36"}, {"collation_version": "2.36"}) == []
    # Sets of earlier releases, and servers before 15, have none.
    assert sorted_otherwise({"collation_version": "2.36"}, {}) == []
    assert sorted_otherwise({"collation_version": None}, {"collation_version": "2.31"}) == []


@pytest.mark.parametrize(
    ("version", "named"), [(130014, 3), (140000, 4), (150006, 4), (160002, 4), (170000, 5), (180000, 5)]
)
def test_settings_that_a_version_knows(version: int, named: int) -> None:
    *limits, read_only, isolation = session_options(version).removeprefix("-c ").split(" -c ")
    assert len(limits) == named and all(option.endswith("=0") for option in limits)
    # Blanks within a value are escaped.
    assert (read_only, isolation) == (
        "default_transaction_read_only=off", "default_transaction_isolation=read\\ committed"
    )  # fmt: skip
    # Nobody else may set the language.
    assert session_options(version, superuser=True) == f"{session_options(version)} -c lc_messages=C"
    assert ("idle_session_timeout=0" in limits) == (version >= 140000)
    assert ("transaction_timeout=0" in limits) == (version >= 170000)


@pytest.mark.parametrize(
    ("made_by", "reader", "refused"),
    [
        ("17.2", "15.6", True),
        ("15.6", "15.4", False),
        ("13.14", "17.0", False),
        (None, "15.6", False),
        ("17.2", None, False),
    ],
)
def test_an_archive_of_a_later_pg_dump(made_by: str | None, reader: str | None, refused: bool) -> None:
    about = {"tools": {"pg_dump": made_by}} if made_by else {}
    manifest = Manifest("20260131T020000Z", "postgresql", "postgresql", 1, 1.0, 2.0, [], about=about)
    fault = archive_fault(manifest, reader)
    assert (fault is not None) == refused
    if fault is not None:
        assert "pg_dump 17.2" in fault and "pg_restore 15.6" in fault and "bin_dir" in fault
