# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import time
from datetime import datetime, timezone

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs import place
from ansible_collections.day2.ops.plugins.module_utils.logs.place import start_of_last_lines, start_of_time
from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=timezone.utc).timestamp()


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("line", "utc"),
    [
        (b"2026-01-02T10:00:00Z INFO x", "2026-01-02T10:00:00"),
        (b"2026-01-02 10:00:00,250 INFO x", "2026-01-02T09:00:00.25"),
        (b"2026-01-02T10:00:00.5+02:00 x", "2026-01-02T08:00:00.5"),
        (b"2026/01/02 10:00:00 [error] 1#1: x", "2026-01-02T09:00:00"),
        (b'{"time":"2026-01-02T10:00:00Z","m":1}', "2026-01-02T10:00:00"),
        (b'10.0.0.1 - - [02/Jan/2026:10:00:00 +0000] "GET /"', "2026-01-02T10:00:00"),
        (b"Jan  2 10:00:00 host app[1]: x", "2026-01-02T09:00:00"),
        (b"Dec 31 23:00:00 host app[1]: x", "2025-12-31T22:00:00"),
        (b"Feb 29 10:00:00 host app[1]: x", "2024-02-29T09:00:00"),
        (b"1767348000 x", "2026-01-02T10:00:00"),
        (b"1767348000.5 x", "2026-01-02T10:00:00.5"),
        (b"1767348000500 x", "2026-01-02T10:00:00.5"),
        (b"2025-07-01 12:00:00 summer", "2025-07-01T10:00:00"),
    ],
)
def test_the_usual_times(line: bytes, utc: str) -> None:
    assert line_time(line, NOW) == datetime.fromisoformat(utc).replace(tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    "line", [b"", b"  at frame 3", b"2026-13-45T10:00:00Z", b"Foo  2 10:00:00 x", b"order 2026", b"\xff\x00"]
)
def test_lines_without_a_time(line: bytes) -> None:
    assert line_time(line, NOW) is None


def test_last_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_WINDOW", 16)
    for data in (b"".join(b"line %d\n" % n for n in range(50)), b"a\n\n\nb\nlast without end", b"\n\n\n", b"", b"one"):
        lines = data.split(b"\n")
        lines = lines[:-1] if not lines[-1] else lines
        for count in (1, 2, 3, 49, 50, 60):
            start = start_of_last_lines(io.BytesIO(data), len(data), count)
            kept = data[start:].split(b"\n")
            kept = kept[:-1] if not kept[-1] else kept
            assert kept == lines[-count:], (data, count)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=60),
    st.integers(-100, 1500),
    st.integers(64, 200),
)
def test_bisection_finds_what_reading_all_finds(steps: list[tuple[int, int]], cutoff: int, window: int) -> None:
    moment, data, wanted = 1_700_000_000, b"", None
    for step, continuations in steps:
        moment += step
        if wanted is None and moment >= 1_700_000_000 + cutoff:
            wanted = len(data)
        data += b"%d INFO message\n" % moment + b"    continued\n" * continuations
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "_WINDOW", window)
        found = start_of_time(io.BytesIO(data), len(data), 1_700_000_000 + cutoff, NOW)
    assert found == (len(data) if wanted is None else wanted)


def test_a_log_without_times_cannot_answer() -> None:
    data = b"no time here\n" * 1000
    assert start_of_time(io.BytesIO(data), len(data), 0, NOW) is None
    assert start_of_time(io.BytesIO(b""), 0, 0, NOW) == 0
