# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines that other log readers (fail2ban, lnav, Promtail, GoAccess, Filebeat) were reported to read wrongly, rebuilt.

Each is read, or said to be unreadable; a time in a message is nobody's own.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs.place import UnreadableTime, start_of_time
from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time, why_unreadable

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=timezone.utc).timestamp()


@pytest.fixture(autouse=True)
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


READ = [
    # Docker's own time, in UTC, and another in the text that it wraps.
    ('{"log":"[2026-11-30 11:15:02][error] x\\n","stream":"out","time":"2026-11-30T10:15:02.59Z"}', "10:15:02"),
    ('Started GET "/notfound" for 127.0.0.1 at 2026-11-30 15:45:02 +0530', "10:15:02"),
    ("2026-Nov-30 11:15:02.804 app [producer-5]  INFO  Reports - number of pages: 2", "10:15:02"),
    ("ERROR\tserver\tcomment\t2026-11-30\t11:15:02\t-\t-\tx", "10:15:02"),
    ("shop.example.com\t127.0.0.1\tweb.local\t10.0.0.1\t-\t30/Nov/2026:18:15:02 +0800\t/0.js\t738", "10:15:02"),
    ('10.0.0.1 - [10.0.0.1] - - [30/Nov/2026:10:15:02 +0000] "GET / HTTP/1.1" 400 271', "10:15:02"),
    ("[30/Nov/2026:11:15:02] 0.373", "10:15:02"),
    ("[2026-11-30 11:15:02.353073 +0100] me@192.168.0.36 207 repo:/var/x get-log", "10:15:02"),
    ("10.0.0.1 2026-11-30_11:15:02.221+0100 GET /", "10:15:02"),
    ("####<Nov 30, 2026 11:15:02 AM CET> <Error>", "10:15:02"),
    ("####<Nov 29, 2026 11:15:02 PM UTC> <Error>", "23:15:02"),
    ("####<Nov 29, 2026 12:15:02 PM UTC> <Error>", "12:15:02"),
    ("####<Nov 30, 2026 12:15:02 AM UTC> <Error>", "00:15:02"),
    ('{ "@timestamp": "2026-11-30T10:15:02.301Z", "@fields": { "request_time": "0.5" } }', "10:15:02"),
    ('{"@timestamp":"2026-11-30T11:15:02.575+01:00","@version":"1","level_value":10000}', "10:15:02"),
    ('{"@timestamp":"2026-11-30T10:15:02Z","message":"time=\\"14 Jun 2016 15:21:07 UTC\\"","time":"x"}', "10:15:02"),
    ("2026-11-30T10:15:02.347Z warning hostd[33781B70] [Originator@6876 sub=x] VM '8' already registered", "10:15:02"),
    ("2026-11-30T10:15:02+00:00 x", "10:15:02"),
    ("<30>1 2026-11-30T11:15:02.984776+01:00 api dhclient 433 - -  bound to 10.0.0.2", "10:15:02"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "clock"), READ)
def test_lines_that_are_read(line: str, clock: str) -> None:
    moment = line_time(line.encode(), NOW)
    assert moment is not None and why_unreadable(line.encode(), NOW) is None
    assert datetime.fromtimestamp(moment, timezone.utc).strftime("%H:%M:%S") == clock


UNREADABLE = [
    "[11:08:25,829] <webapi-7> INFO  api    - [api] Failed admin login for x from 10.0.0.1",
    "T: 598989803522 (11:31:17) [root-I129: Info] User x from [10.0.0.1] login fail",
    "[19/08/2026-10:56:32] handshake failure:[Errno 8] _ssl.c:510",
    "01/03/26, 02:02:29 AM CST.123456 web_php[12].ERR [10.0.0.1] [Login denied for user x]",
    "####<Nov 30, 2026 12:45:37 PM CST> <Warning>",
    "45282 03:10:01 <... futex resumed>)     = 0",
    "15:32:55.801 - INFO:     Current directory: /hana/shared/x",
    "7/16/2026 11:46:59 AM-0600  ERROR: Patch List 34 not found",
    "11/20/26 18:57:27:414 ERROR Long stack trace....",
    "[15:04:05.000] INFO: listening",
    "web  | [12:00:59.710] INFO: listening",
    '{"timestamp":"30/11/2026 10:00:00","level":"ERROR"}',
]


@pytest.mark.parametrize("line", UNREADABLE)
def test_lines_that_are_not_read_are_said(line: str) -> None:
    assert line_time(line.encode(), NOW) is None and why_unreadable(line.encode(), NOW)
    # After a dated line, such a line would silently be of yesterday.
    data = b"2026-11-29 10:00:00 ready\n" * 99 + line.encode() + b"\n"
    with pytest.raises(UnreadableTime, match="cannot be answered"):
        start_of_time(io.BytesIO(data), len(data), NOW - 3600, NOW)


def test_yearless_lines_of_the_year_before() -> None:
    january = datetime(2027, 1, 1, 1, 0, 0, tzinfo=timezone.utc).timestamp()
    for line in (b"Dec 31 23:59:59 host app: x", b"<30>Dec 31 23:59:59 host app: x", b"[Dec 31 23:59:59] NOTICE: x"):
        assert line_time(line, january) == datetime(2026, 12, 31, 22, 59, 59, tzinfo=timezone.utc).timestamp()


def test_fractions_of_unlike_length_in_one_log() -> None:
    lines = [
        b"2026-11-30T10:00:54.910352+00:00 x",
        b"2026-11-30T10:00:54.918769+00:00 x",
        b"2026-11-30T10:00:55+00:00 x",
    ]
    moments = [line_time(line, NOW) for line in lines]
    assert moments == sorted(moment for moment in moments if moment is not None)
