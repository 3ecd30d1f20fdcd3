# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists that variables hold in pieces."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.joined import join, names_of

A, B, C = ({"id": name} for name in "abc")


@pytest.mark.parametrize(
    ("lists", "wanted"),
    [
        (["l"], ["l", "l_", "l_a", "l_b_c"]), (["l", "m"], ["l", "l_", "l_a", "l_b_c", "m_x"]), (["n"], []),
        (["l_a"], ["l_a"]),
    ],
)  # fmt: skip
def test_which_variables_are_one_list(lists: list[str], wanted: list[str]) -> None:
    assert names_of(["m_x", "l_b_c", "l_a", "l", "l_", "list", "al", "xl_a"], *lists) == wanted


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([], []), ([[A], [B, C]], [A, B, C]), ([A, (B,)], [A, B]), ([[A, None, ""], None, "", "None", {}], [A, {}]),
        # One level: a list in a list is an entry, which is refused as one.
        ([[[A]], "text"], [[A], "text"]),
    ],
)  # fmt: skip
def test_pieces_become_one_list(pieces: list[Any], wanted: list[Any]) -> None:
    assert join(pieces) == wanted
