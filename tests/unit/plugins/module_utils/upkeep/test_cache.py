# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys that leave Redis: those that are meant, each counted once."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.upkeep.cache import FlushError, flush, pattern_of


class Server:
    """SCAN in two rounds, the second of which names a key again."""

    def __init__(self, *keys: str) -> None:
        self.keys = set(keys)
        self.said: list[str] = []

    def ask(self, *words: Any) -> Any:
        self.said.append(words[0])
        if words[0] == "DBSIZE":
            return len(self.keys)
        if words[0] == "FLUSHDB":
            self.keys.clear()
            return "OK"
        if words[0] == "UNLINK":
            gone = self.keys & set(words[1:])
            self.keys -= gone
            return len(gone)
        if words[1] == "0":
            self.found = sorted(key for key in self.keys if fnmatchcase(key, words[3]))
            return b"1", self.found[:2]
        return b"0", self.found[1:]


def test_only_the_prefix_goes() -> None:
    server = Server("a:1", "a:2", "a:3", "b:1")
    done = flush(server, ["a:"], whole_database=False, only_look=False)
    assert server.keys == {"b:1"} and (done.before, done.meant, done.after, done.left) == (4, 3, 1, 0)


def test_looking_removes_nothing_and_counts_each_key_once() -> None:
    server = Server("a:1", "a:2", "a:3", "b:1")
    assert flush(server, ["a:"], whole_database=False, only_look=True).meant == 3
    assert flush(server, [], whole_database=True, only_look=True).meant == 4
    assert len(server.keys) == 4 and not {"UNLINK", "FLUSHDB"} & set(server.said)


@pytest.mark.parametrize(("prefix", "pattern"), [("a*", r"a\**"), ("[x]?", r"\[x\]\?*"), ("a\\", "a\\\\*")])
def test_a_prefix_is_no_pattern(prefix: str, pattern: str) -> None:
    assert pattern_of(prefix) == pattern


def test_an_empty_prefix_is_refused() -> None:
    with pytest.raises(FlushError, match="whole_database"):
        flush(Server("a"), [""], whole_database=False, only_look=False)
