# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room for a restore on each file system: what lies on the same one adds up."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.restore.space import (
    DATA,
    SCRATCH,
    WAL,
    Room,
    Volume,
    demands,
    shortages,
)

GIB = 1 << 30
FAST, SLOW = "tablespace fast", "tablespace slow"


BOTH = (
    f"the file system of {FAST} and {SLOW} has 6.0 GiB left, and about 7.0 GiB are needed"
    f" ({FAST} 4.0 GiB, {SLOW} 3.0 GiB)"
)


@pytest.mark.parametrize(
    ("home", "tablespaces", "expected"),
    [
        ("pg_default", {}, {DATA: 10, WAL: 5, SCRATCH: 3}),
        ("pg_default", {"fast": 4, "slow": 1}, {DATA: 5, FAST: 4, SLOW: 1, WAL: 5, SCRATCH: 3}),
        ("fast", {"slow": 1}, {FAST: 9, SLOW: 1, WAL: 5, SCRATCH: 3}),
        # Tables that name the tablespace in which the database will lie anyway.
        ("fast", {"fast": 4}, {FAST: 10, WAL: 5, SCRATCH: 3}),
        ("fast", {"pg_default": 4}, {FAST: 6, DATA: 4, WAL: 5, SCRATCH: 3}),
        # Estimates of indexes may be larger than the whole.
        ("pg_default", {"fast": 40}, {DATA: 0, FAST: 40, WAL: 5, SCRATCH: 3}),
    ],
)
def test_what_each_place_needs(home: str, tablespaces: dict[str, int], expected: dict[str, int]) -> None:
    assert demands(10, 3, home, tablespaces, Room(wal=5)) == expected


def room(**devices: tuple[int, int]) -> Room:
    names = {"data": DATA, "wal": WAL, "scratch": SCRATCH, "fast": FAST, "slow": SLOW}
    return Room({names[name]: Volume(device, free * GIB) for name, (device, free) in devices.items()})


NEEDED = {DATA: 5 * GIB, FAST: 4 * GIB, SLOW: 3 * GIB, WAL: GIB, SCRATCH: 2 * GIB}
ENOUGH = {"data": (1, 9), "wal": (2, 9), "scratch": (3, 9), "fast": (4, 9), "slow": (5, 9)}


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({}, []),
        ({"fast": (4, 3)}, [f"{FAST} has 3.0 GiB left, and about 4.0 GiB are needed"]),
        ({"wal": (2, 0)}, [f"{WAL} has 0 B left, and about 1.0 GiB are needed"]),
        ({"scratch": (3, 1)}, [f"{SCRATCH} has 1.0 GiB left, and about 2.0 GiB are needed"]),
        ({"data": (1, 4), "slow": (5, 2)}, [f"{DATA} has 4.0 GiB left", f"{SLOW} has 2.0 GiB left"]),
        # Each would fit alone.
        ({"fast": (4, 6), "slow": (4, 6)}, [BOTH]),
        ({"data": (1, 7), "wal": (1, 7), "scratch": (1, 7)}, [f"file system of {DATA} and {WAL} and {SCRATCH}"]),
    ],
)  # fmt: skip
def test_shortages(there: dict[str, tuple[int, int]], words: list[str]) -> None:
    found = shortages(NEEDED, room(**{**ENOUGH, **there}), {})
    assert len(found) == len(words), found
    assert [word for word, fault in zip(words, found) if word not in fault] == [], found


def test_what_is_dropped_first_makes_room() -> None:
    there = room(**{**ENOUGH, "fast": (4, 3)})
    assert shortages(NEEDED, there, {DATA: GIB}) != []
    assert shortages(NEEDED, there, {FAST: GIB}) == []


def test_places_of_another_host_are_not_known() -> None:
    assert shortages(NEEDED, Room({DATA: None, SCRATCH: Volume(3, 9 * GIB)}), {}) == []
