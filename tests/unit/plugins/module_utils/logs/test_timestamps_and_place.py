# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import time
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs import place
from ansible_collections.day2.ops.plugins.module_utils.logs.place import (
    start_in_flow,
    start_of_last_lines,
    start_of_time,
)
from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=timezone.utc).timestamp()


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    os.environ["TZ"] = "Europe/Berlin"
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


@settings(max_examples=examples(300), deadline=None)
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


@pytest.mark.parametrize(
    ("line", "utc"),
    [
        (b"[Fri Jan 02 10:00:00.123 2026] [core:error] [pid 7] x", "2026-01-02T09:00:00.123"),
        (b"[Fri Jan 02 10:00:00.123456 2026] [core:error] x", "2026-01-02T09:00:00.123456"),
        (b"Fri Jan  2 10:00:00 2026 x", "2026-01-02T09:00:00"),
        (b"Fri Jan  2 10:00:00 UTC 2026 x", "2026-01-02T10:00:00"),
        (
            b"[pid: 7|app: 0|req: 1/2] 10.0.0.1 () {40 vars} [Fri Jan  2 10:00:00 2026] GET / => 2",
            "2026-01-02T09:00:00",
        ),
        (b"1234:M 02 Jan 2026 10:00:00.123 * Ready to accept connections", "2026-01-02T09:00:00.123"),
        (b"02-Jan-2026 10:00:00.123 INFO [main] org.apache.catalina x", "2026-01-02T09:00:00.123"),
        (b"Fri, 02 Jan 2026 10:00:00 +0100 x", "2026-01-02T09:00:00"),
        (b"10.0.0.1:4711 [02/Jan/2026:10:00:00.123] http-in web/s1 0/0", "2026-01-02T09:00:00.123"),
        (b"2026-01-02 10:00:00.123 UTC [4711] LOG:  x", "2026-01-02T10:00:00.123"),
        (b"2026-01-02 10:00:00.123 CET [4711] LOG:  x", "2026-01-02T09:00:00.123"),
        (b"2026-01-02 10:00:00.123 PST [4711] LOG:  x", "2026-01-02T18:00:00.123"),
        (b"2026-01-02 10:00:00.123 +03 [4711] LOG:  x", "2026-01-02T07:00:00.123"),
        (b"2026-01-02 10:00:00.123+03 x", "2026-01-02T07:00:00.123"),
        (b"2026-01-02 10:00:00 INFO x", "2026-01-02T09:00:00"),
        (b"2026-01-02 10:00:00 -10 items", "2026-01-02T09:00:00"),
        (b"2026/01/02 10:00:00 [error] 12#12: *3 open() failed", "2026-01-02T09:00:00"),
        (b"20260102T100000Z x", "2026-01-02T10:00:00"),
        (b"20260102 10:00:00.5 x", "2026-01-02T09:00:00.5"),
        (b"02.01.2026 10:00:00 x", "2026-01-02T09:00:00"),
        (b"Jan 02, 2026 1:00:00 PM org.example.Main run", "2026-01-02T12:00:00"),
        (b"Jan 02, 2026 12:00:00 AM org.example.Main run", "2026-01-01T23:00:00"),
        (b"I0102 10:00:00.123456    7 server.go:12] x", "2026-01-02T09:00:00.123456"),
        (b"E1231 23:00:00.5 7 server.go:12] x", "2025-12-31T22:00:00.5"),
        (b"<34>Jan  2 10:00:00 host app: x", "2026-01-02T09:00:00"),
        (b"<34>1 2026-01-02T10:00:00.003Z host app - - x", "2026-01-02T10:00:00.003"),
        (b"type=USER_LOGIN msg=audit(1767348000.123:456): pid=1", "2026-01-02T10:00:00.123"),
        (b"level=info ts=1767348000.25 msg=x", "2026-01-02T10:00:00.25"),
        (b"level=info ts=2026-01-02T10:00:00Z msg=x", "2026-01-02T10:00:00"),
        (b"1767348000500000 x", "2026-01-02T10:00:00.5"),
        (b'{"level":"info","ts":1767348000.25,"msg":"x"}', "2026-01-02T10:00:00.25"),
        (b'{"msg":"since 2020-01-01 00:00:00","time":"2026-01-02T10:00:00Z"}', "2026-01-02T10:00:00"),
        (b'{"m":"' + b"x" * 5000 + b'", "@timestamp" : "2026-01-02T10:00:00.5Z"}', "2026-01-02T10:00:00.5"),
        (b'{"timestamp":1767348000500,"m":1}', "2026-01-02T10:00:00.5"),
        (b'{"log":"x\\n","stream":"stderr","time":"2026-01-02T10:00:00.123456789Z"}', "2026-01-02T10:00:00.123456789"),
        (b'{"t":{"$date":"2026-01-02T10:00:00.500+00:00"},"s":"I"}', "2026-01-02T10:00:00.5"),
    ],
)
def test_the_times_of_known_programs(line: bytes, utc: str) -> None:
    whole, _dot, fraction = utc.partition(".")
    expected = datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp() + float(f"0.{fraction or 0}")
    assert line_time(line, NOW) == pytest.approx(expected, abs=1e-6)


def test_the_first_time_of_a_line_is_its_own() -> None:
    for line in (
        b"Jan  2 10:00:00 host app: imported 2020-01-01 00:00:00",
        b'10.0.0.1 - - [02/Jan/2026:10:00:00 +0100] "GET /?from=2020-01-01T00:00:00Z"',
        b"2026-01-02 10:00:00 moved [01/Jan/2020:00:00:00 +0000]",
    ):
        assert line_time(line, NOW) == NOW - 3 * 3600, line


@pytest.mark.parametrize(
    "line",
    [
        b"01/02/2026 10:00:00 ERROR x",
        b"01/02/2026 10:00:00 ERROR imported 2026-01-02 10:00:00",
        b"31/12/2025 10:00:00 x",
        b"01-02-2026 10:00:00 x",
        b"    VALUES ('2020-01-01 00:00:00')",
        b"\tat Frame.java 2020-01-01 00:00:00",
        b"[12345.678901] eth0: link up",
        b"2026-02-30 10:00:00 x",
        b"2026-01-02 25:00:00 x",
        b"10.0.0.1 - - [02/Foo/2026:10:00:00 +0000] x",
        b'{"level":"info","msg":"x"}',
        b'{"ts":"yesterday, I think"}',
        b"1234567 x",
    ],
)
def test_what_cannot_be_dated_is_not_guessed(line: bytes) -> None:
    assert line_time(line, NOW) is None


_ZONED = {
    "iso": "%Y-%m-%dT%H:%M:%S%z x",
    "access": '10.0.0.1 - - [%d/%b/%Y:%H:%M:%S %z] "GET /"',
    "rfc2822": "%a, %d %b %Y %H:%M:%S %z x",
    "compact": "%Y%m%dT%H%M%S%z x",
}
_LOCAL = {
    "iso": "%Y-%m-%d %H:%M:%S x",
    "fraction": "%Y-%m-%d %H:%M:%S,000 INFO x",
    "nginx": "%Y/%m/%d %H:%M:%S [error] x",
    "apache": "[%a %b %d %H:%M:%S.000 %Y] [core:error] x",
    "redis": "1:M %d %b %Y %H:%M:%S.000 * x",
    "haproxy": "10.0.0.1:1 [%d/%b/%Y:%H:%M:%S.000] x",
    "german": "%d.%m.%Y %H:%M:%S x",
    "java": "%b %d, %Y %I:%M:%S %p x",
    "json": '{"msg":"x","time":"%Y-%m-%d %H:%M:%S"}',
}
_YEARLESS = {"syslog": "%b %d %H:%M:%S host app: x", "klog": "I%m%d %H:%M:%S.000 1 x.go:1] x"}
_PLACES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "America/St_Johns"]
)


def in_zone(name: str) -> None:
    os.environ["TZ"] = name
    time.tzset()


@settings(max_examples=examples(400), deadline=None)
@given(st.integers(1_000_000_000, 1_999_999_999), _PLACES, st.booleans())
def test_every_shape_gives_back_the_moment_in_every_zone(moment: int, zone: str, later: bool) -> None:
    in_zone(zone)
    local = datetime.fromtimestamp(moment, ZoneInfo(zone))
    for shape in _ZONED.values():
        line = local.strftime(shape).encode()
        assert line_time(line, moment) == moment, line
    for shape in _LOCAL.values():
        line = local.strftime(shape).encode()
        assert line_time(line, moment, local.fold) == moment, line
    for shape in _YEARLESS.values():
        # Up to most of a year back, and a little ahead, for clocks that differ.
        now = moment + (300 * 86400 if later else -3600)
        line = local.strftime(shape).encode()
        assert line_time(line, now, local.fold) == moment, line


def test_year_less_times_around_new_year() -> None:
    def posix(text: str) -> float:
        return datetime.fromisoformat(text).timestamp()

    newyear = posix("2027-01-01T00:00:05")
    assert line_time(b"Dec 31 23:59:59 host app: x", newyear) == posix("2026-12-31T23:59:59")
    assert line_time(b"Jan  1 00:00:04 host app: x", newyear) == posix("2027-01-01T00:00:04")
    # A clock that is a little ahead writes of next year already.
    assert line_time(b"Jan  1 00:00:04 host app: x", posix("2026-12-31T23:59:58")) == posix("2027-01-01T00:00:04")
    data = b"".join(
        datetime.fromtimestamp(moment).strftime("%b %d %H:%M:%S host app: x\n").encode()
        for moment in range(int(newyear) - 86400, int(newyear), 600)
    )
    start = start_of_time(io.BytesIO(data), len(data), newyear - 3600, newyear)
    assert start is not None and data[start:].count(b"\n") == 6


def test_a_traceback_belongs_to_the_line_before_it() -> None:
    data = (
        b"2026-01-02 10:00:00 ERROR old\nTraceback (most recent call last):\n  File 'x'\n"
        b"ValueError: no 2026-13-01\n  VALUES ('2026-01-02 12:30:00')\n2026-01-02 12:00:00 INFO new\n"
    )
    cutoff = datetime(2026, 1, 2, 11, 0, 0).timestamp()
    for found in (
        start_of_time(io.BytesIO(data), len(data), cutoff, NOW),
        start_in_flow(io.BytesIO(data), cutoff, NOW),
    ):
        assert data[found:] == b"2026-01-02 12:00:00 INFO new\n"


_NIGHT = 1_792_886_400  # 2026-10-25 00:00 UTC: at 01:00 the clocks of Berlin go from 03:00 back to 02:00.


@settings(max_examples=examples(300), deadline=None)
@given(st.integers(-7200, 14400), st.integers(60, 900), st.integers(64, 4096), st.integers(0, 7200))
def test_the_night_the_clocks_go_back(cutoff: int, step: int, window: int, age: int) -> None:
    in_zone("Europe/Berlin")
    now = _NIGHT + max(cutoff, 0) + age
    moments = range(_NIGHT - 7200, now, step)
    lines = [datetime.fromtimestamp(moment).strftime("%Y-%m-%d %H:%M:%S x\n").encode() for moment in moments]
    data = b"".join(lines)
    wanted = sum(len(line) for line, moment in zip(lines, moments) if moment < _NIGHT + cutoff)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "_WINDOW", window)
        found = start_of_time(io.BytesIO(data), len(data), _NIGHT + cutoff, now)
        flowing = start_in_flow(io.BytesIO(data), _NIGHT + cutoff, now)
    assert found == wanted
    # A stream counts rather an hour too much than one too little.
    assert wanted == len(data) or (flowing is not None and flowing <= wanted)


def test_an_hour_that_may_be_either_is_rather_counted() -> None:
    in_zone("Europe/Berlin")
    data = b"2026-10-25 01:00:00 x\n2026-10-25 02:30:00 x\n2026-10-25 03:30:00 x\n"
    for cutoff in (_NIGHT + 2400, _NIGHT + 4800):
        found = start_of_time(io.BytesIO(data), len(data), cutoff, _NIGHT + 30000)
        assert data[found:].startswith(b"2026-10-25 02:30"), cutoff


@settings(max_examples=examples(200), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=60),
    st.integers(-100, 1500),
    st.integers(20, 200),
)
def test_a_stream_is_cut_where_a_file_is(steps: list[tuple[int, int]], cutoff: int, block: int) -> None:
    moment, data = 1_700_000_000, b""
    for step, continuations in steps:
        moment += step
        data += b"%d INFO message\n" % moment + b"    continued\n" * continuations
    data = data[:-1]
    cutoff += 1_700_000_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "_FLOW", block)
        flowing = start_in_flow(io.BytesIO(data), cutoff, NOW)
    found = start_of_time(io.BytesIO(data), len(data), cutoff, NOW)
    assert flowing == (None if found == len(data) else found)


def test_an_endless_line_in_a_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_FLOW", 100)
    monkeypatch.setattr(place, "_PATIENCE", 1000)
    monkeypatch.setattr(place, "_WINDOW", 50)
    first = b"1700000000 old" + b"x" * 5000 + b"\n"
    data = first + b"1700000100 new\n"
    assert start_in_flow(io.BytesIO(data), 1_700_000_050, NOW) == len(first)
    assert start_in_flow(io.BytesIO(data), 1_700_000_000, NOW) == 0
    assert start_in_flow(io.BytesIO(data), 1_700_000_200, NOW) is None
    assert start_in_flow(io.BytesIO(b"no time\n" * 500), 0, NOW) is None
    assert start_in_flow(io.BytesIO(b""), 0, NOW) is None


@pytest.mark.parametrize("stray", [b"imported 2020-01-01 00:00:00 rows\n", b"paid 2031-01-01 00:00:00 ahead\n"])
@settings(max_examples=100, deadline=None)
@given(st.integers(1, 6), st.integers(0, 400), st.integers(300, 4000))
def test_a_time_of_another_thing_leads_nowhere_else(stray: bytes, every: int, age: int, window: int) -> None:
    in_zone("UTC")
    now = 1_700_000_000 + 400
    lines = []
    for number in range(400):
        lines.append(time.strftime("%Y-%m-%d %H:%M:%S x\n", time.gmtime(now - 400 + number)).encode())
        if number % (6 * every) == 3:
            lines.append(stray)
    data, cutoff = b"".join(lines), now - age
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "_WINDOW", window)
        found = start_of_time(io.BytesIO(data), len(data), cutoff, now)
    assert found is not None
    # Nothing that is new is left out; what is counted too much ends with the next line that is out of order.
    first_new = time.strftime("%Y-%m-%d %H:%M:%S x\n", time.gmtime(cutoff)).encode()
    wanted = data.find(first_new) if age else len(data)
    assert found <= wanted
    if stray.startswith(b"imported"):
        assert found == wanted
