# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restored database is called and marked as, and how its properties are read."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore import properties, revert
from ansible_collections.day2.ops.plugins.module_utils.restore.names import (
    Marker,
    Role,
    beside,
    own_comment,
    parse_marker,
)
from ansible_collections.day2.ops.plugins.module_utils.restore.properties import Right, in_order
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1).filter(
    lambda name: len(name.encode()) <= 63
)


@given(NAMES, st.sampled_from(Role), st.floats(1e9, 4e9), st.none() | NAMES)
def test_a_marker_says_its_databases_name(name: str, role: Role, moment: float, comment: str | None) -> None:
    marker = Marker(role, name, "20260131T020000Z", moment, comment)
    read = parse_marker(marker.render())
    assert read == marker and read.name == marker.name
    assert len(marker.name.encode()) <= 63 and marker.name != name


@given(NAMES, NAMES)
def test_two_names_stay_two(one: str, other: str) -> None:
    assert (beside(one) == beside(other)) == (one == other)


def test_no_marker_is_passed_on() -> None:
    inner = Marker(Role.OLD, "shop", "20260131T020000Z", 1.0, "mine")
    outer = Marker(Role.UNDONE, "shop", "20260131T020000Z", 2.0, inner.render())
    assert own_comment(outer.render()) == "mine"
    assert own_comment(Marker(Role.NEW, "shop", "20260131T020000Z", 1.0).render()) is None
    assert own_comment("day2.ops is somebody's own") == "day2.ops is somebody's own"


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), min_size=1))
def test_lists_of_names(names: list[str]) -> None:
    written = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    assert properties._names(written) == names


def test_lists_of_plain_names() -> None:
    assert properties._names('"$user", public,pg_temp') == ["$user", "public", "pg_temp"]
    assert properties._names('""') == [""] and properties._names("") == []


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("=Tc/postgres", {"postgres"}),
        ("reader=c*/boss", {"reader", "boss"}),
        ('"r=e/""x"=CTc/"a b"', {'r=e/"x', "a b"}),
    ],
)
def test_roles_of_a_right(right: str, expected: set[str]) -> None:
    settings = [{"role": "setter", "settings": ["work_mem=1MB"]}, {"role": None, "settings": ["a.b=1"]}]
    found = properties.roles({"owner": "own", "acl": [right], "settings": settings})
    assert found == {"own", "setter"} | expected
    assert properties.roles({"owner": "own", "acl": None, "settings": []}) == {"own"}


def test_rights_follow_what_allows_them() -> None:
    last, second, first = (
        Right("a_second", "b_last", "CONNECT", grantable=False),
        Right("z_first", "a_second", "CONNECT", grantable=True),
        Right("owner", "z_first", "CONNECT", grantable=True),
    )
    assert in_order([last, second, first], "owner") == [first, second, last]
    # Nobody lets it give this: it is kept all the same, for PostgreSQL to refuse.
    stray = Right("nobody", "b_last", "CREATE", grantable=False)
    assert set(in_order([stray, first], "owner")) == {stray, first}


@pytest.mark.parametrize(
    ("newest", "old", "live", "back"),
    [
        # A revert that put the restored one aside, and one that found none to put aside.
        ((Role.UNDONE, 11, 0), (Role.OLD, 11, 0), 11, True),
        ((Role.OLD, 11, 11), (Role.OLD, 11, 11), 11, True),
        # Restored since: the newest one that was put aside is to come back.
        ((Role.OLD, 13, 0), (Role.OLD, 13, 0), 13, False),
        ((Role.OLD, 11, 0), (Role.OLD, 11, 0), 11, False),
        # Nobody has the name: there is something to come back, whatever was reverted before.
        ((Role.UNDONE, 11, 0), (Role.OLD, 11, 11), None, False),
    ],
)
def test_a_revert_that_is_done(
    newest: tuple[Role, int, int], old: tuple[Role, int, int], live: int | None, back: bool
) -> None:
    first, second = (
        Marker(role, "shop", "20260131T020000Z", 1.0, successor=successor, returned=returned)
        for role, successor, returned in (newest, old)
    )
    assert revert._is_back(first, second, live) is back
    assert parse_marker(second.render()) == second
