# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Variables of roles that are refused before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.plugin_utils.decisions import preflight


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, []), ({"durations": {"a": "", "b": None, "c": 0, "d": "30m", "e": 12.5, "f": "1 h", "g": "5min"}}, []),
        ({"durations": {"rto": "abc"}}, ["rto: 'abc' is not a quantity"]),
        ({"durations": {"rto": "30 GB", "rpo": "-1h"}},
         ["rto: '30 GB' is not a duration, such as 30s or 24h", "rpo: '-1h' is less than nothing"]),
        ({"durations": {"a": True, "b": ["1h"]}},
         ["a: True is not a duration, such as 30s or 24h", "b: ['1h'] is not a duration, such as 30s or 24h"]),
        ({"lifetimes": {"a": "", "b": None, "c": 0, "d": "0", "e": "30m", "f": "0s"}}, []),
        ({"lifetimes": {"kept": 7, "age": "30"}}, ["kept: '7' has no unit: write for instance 7d",
                                                   "age: '30' has no unit: write for instance 30d"]),
        ({"sizes": {"a": "10GB", "b": 5, "c": "", "d": "2 GiB"}}, []),
        ({"sizes": {"a": "10h"}}, ["a: 'h' (duration) does not convert to 'B' (bytes)"]),
        ({"sizes": {"a": "much"}}, ["a: 'much' is not a quantity"]),
        ({"needed": {"a": "/x", "b": "", "c": {"url": "/x"}, "d": None}}, ["b is empty: set it", "d is empty: set it"]),
        ({"databases": {"a": "shop", "b": [], "c": ["shop", "other"]}}, []),
        ({"databases": {"a": "", "b": ["shop", ""]}},
         ["day2_database of db1 has no 'name': set it, or a", "day2_database of db1 has no 'name': set it, or b"]),
        ({"databases": {"a": None}}, ["day2_database of db1 has no 'name': set it, or a"]),
    ],
)  # fmt: skip
def test_what_cannot_be_meant(given: dict[str, Any], wanted: list[str]) -> None:
    assert preflight.problems("db1", **given) == wanted


def test_seconds() -> None:
    assert (preflight.seconds("2m"), preflight.seconds(3)) == (120.0, 3.0)
