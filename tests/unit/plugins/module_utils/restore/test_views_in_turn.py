# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Materialized views that read each other by functions, which no dependency tells: each is computed in its turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore.explain import Failure
from ansible_collections.day2.ops.plugins.module_utils.restore.load import LoadError, refresh_views
from ansible_collections.day2.ops.plugins.module_utils.restore.toc import REFRESH, Entry

FOREIGN = "away"
EMPTY = "empty"


class Server:
    """Refreshes views in the order of the entries, as pg_restore does; `reads` names what each view reads."""

    def __init__(self, reads: dict[str, str]) -> None:
        self.entries = [Entry(100 + number, REFRESH, f"public {name} postgres") for number, name in enumerate(reads)]
        self.reads, self.populated, self.runs = reads, set[str](), 0

    def restore(self, entries: Sequence[Entry]) -> None:
        self.runs += 1
        for entry in entries:
            name = entry.object_name.removeprefix("public.")
            read = self.reads[name]
            if read == FOREIGN:
                raise LoadError(Failure(entry.number, name, 'user mapping not found for "postgres"'))
            if read and read not in self.populated:
                error = f'materialized view "{read}" has not been populated'
                raise LoadError(Failure(entry.number, name, error))
            self.populated.add(name)


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize(
    "reads",
    [
        {},
        {"a": "", "b": "a"},
        {"a_view": "z_view", "z_view": ""},
        {"a": "b", "b": "c", "c": "d", "d": "", "e": ""},
        {"a": "c", "b": "c", "c": "", "sums of a day": "too", "too": ""},
    ],
)
def test_all_are_computed(reads: dict[str, str], isolated: bool) -> None:
    server = Server(reads)
    assert refresh_views(server.entries, server.restore, isolated) == []
    assert server.populated == set(reads)
    assert server.runs <= 1 + len(reads) * (len(reads) + 1) // 2


@pytest.mark.parametrize(
    ("reads", "unproven"),
    [
        ({"x": FOREIGN, "y": ""}, ["x"]),
        ({"a": "b", "b": "x", "x": FOREIGN, "y": "z", "z": ""}, ["a", "b", "x"]),
        ({"a": "big sums", "big sums": FOREIGN}, ["a", "big sums"]),
    ],
)
def test_a_drill_leaves_out_those_of_foreign_servers_only(reads: dict[str, str], unproven: list[str]) -> None:
    server = Server(reads)
    said = refresh_views(server.entries, server.restore, isolated=True)
    assert sorted(said) == [f"materialized view public.{name}, which reads a foreign server" for name in unproven]
    assert server.populated == set(reads) - set(unproven)
    with pytest.raises(LoadError):
        refresh_views(server.entries, Server(reads).restore, isolated=False)


@pytest.mark.parametrize("isolated", [False, True])
@pytest.mark.parametrize("reads", [{"a": EMPTY}, {"a": "b", "b": EMPTY, "c": ""}, {"a": "b", "b": "a"}, {"a": "a"}])
def test_what_can_never_be_computed_fails_in_a_drill_too(reads: dict[str, str], isolated: bool) -> None:
    server = Server(reads)
    with pytest.raises(LoadError, match="has not been populated"):
        refresh_views(server.entries, server.restore, isolated)
    assert server.runs <= (len(reads) + 1) ** 2


def test_a_view_that_waits_for_nothing_foreign_fails_beside_foreign_ones() -> None:
    server = Server({"a": EMPTY, "x": FOREIGN})
    with pytest.raises(LoadError, match=EMPTY):
        refresh_views(server.entries, server.restore, isolated=True)
