# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counts in bounded memory are never too high, and never too low by more than is promised."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter

from ansible_collections.day2.ops.plugins.module_utils.logs.frequent import Frequent
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(st.integers(0, 40), max_size=400), st.integers(1, 12))
def test_counts_keep_what_is_promised(numbers: list[int], kept: int) -> None:
    values = [b"%d" % number for number in numbers]
    frequent, truth = Frequent(kept), Counter(values)
    for value in values:
        frequent.add(value, b"sample of " + value)
    assert frequent.total == len(values)
    shown = {entry.value: entry for entry in frequent.top(1000)}
    assert len(shown) <= 2 * kept
    for value, true in truth.items():
        entry = shown.get(value)
        if entry is None:
            assert true <= len(values) / kept
        else:
            assert entry.count <= true <= entry.count + entry.missed
            assert entry.missed <= len(values) / kept
            assert entry.sample == b"sample of " + value
    if len(truth) <= 2 * kept:
        assert frequent.exact and frequent.distinct == len(truth)
        assert {value: entry.count for value, entry in shown.items()} == truth
    top = frequent.top(1)
    if top and frequent.is_certain(top[0]):
        assert top[0].count == max(truth.values())


def test_the_most_frequent_come_first_and_equal_ones_in_their_order() -> None:
    frequent = Frequent()
    for value in (b"x", b"b", b"a", b"b", b"c", b"a"):
        frequent.add(value)
    assert [entry.value for entry in frequent.top(3)] == [b"b", b"a", b"x"]


def test_many_values_in_little_memory() -> None:
    chance = random.Random(5)
    # One by one in a dictionary they would take three times the memory that is allowed.
    many = max(1_000_000, examples(300_000))
    addresses = [b"10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255) for n in range(many)]
    chance.shuffle(addresses)
    tracemalloc.start()
    frequent = Frequent()
    for number, address in enumerate(addresses):
        frequent.add(address, address * 5)
        if number % 4 == 0:
            frequent.add(b"192.0.2.7")
        if number % 10 == 0 and number > many // 2:
            frequent.add(b"192.0.2.8")
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
    first, second = frequent.top(2)
    assert (first.value, first.count) == (b"192.0.2.7", many // 4) and frequent.is_certain(first)
    assert second.value == b"192.0.2.8" and many // 20 - 130 <= second.count <= many // 20
    assert abs(frequent.distinct / (many + 2) - 1) < 0.01 and not frequent.exact
