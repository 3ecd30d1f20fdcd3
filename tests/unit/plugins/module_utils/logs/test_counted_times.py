# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times that are numbers, and dates in words: read, or said to be unreadable. Identifiers are neither."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs.timestamps import line_time, why_unreadable

MOMENT = 1796011614.0
NOW = MOMENT + 60
_AT = int(MOMENT)


@pytest.mark.parametrize(
    "line",
    [
        "ERROR {} x",
        "ERROR: {}.123 x",
        "error {} x",
        "[ERROR] {} x",
        "ERROR [{}] x",
        "ERROR | {} | x",
        "<3>{} x",
        "E {} x",
        "10.0.0.1 - - [{}] x",
        "web | {}.5 x",
        "app[7]: {}.123 x",
        "WARN 4711 {}: x",
        "ERROR {}123 x",
        "INFO {}123456 x",
        '{{"unix_timestamp":{}}}',
        '{{"unixTime":{}}}',
        '{{"timestampSeconds":{}}}',
        '{{"timestamp_ms":{}123}}',
        '{{"timestamp":{{"seconds":{},"nanos":0}}}}',
        '{{"epoch":"{}"}}',
        '{{"timestamp":{{"nanos":900000000,"seconds":{}}}}}',
        '{{"timeUnixNano":"{}000000000"}}',
        '{{"level":"error","epoch_millis":{}000}}',
    ],
)
def test_a_number_is_read(line: str) -> None:
    found = line_time(line.format(_AT).encode(), NOW)
    assert found is not None and int(found) == _AT


@pytest.mark.parametrize(
    "line",
    [
        '{"when":1796011614}',
        "when=1796011614 level=error",
        '{"level":"error","logged":1796011614123}',
        '{"x":{"stamp":"1796011614"}}',
        '{"at":1796011614.5,"msg":"x"}',
        "level=error at=1796011614 msg=x",
        "Nov 30 4:6:54 h ERROR",
        "Nov 30 04:6:54 h ERROR",
        "30.11.2026 4:6:54 x",
        "Monday 30th of November 2026 04:06:54 AM",
        "Monday, November 30th, 2026 04:06:54 AM x",
        "30th Nov 2026 04:06 x",
        "20261130T0406",
        "20261130T0406Z ERROR x",
        "20261130T0406+0100 x",
        "20261130 0406 ERROR",
        "20261130T04Z x",
        "2026-11-30T04Z",
        "2026-11-30T04Z ERROR x",
        "2026-11-30T04+01:00 x",
        "2026-11-30 4 AM x",
        "Nov 30 2026 4 p.m. x",
        "ERROR 20261130T0406 x",
    ],
)
def test_what_a_person_dates_is_said_to_be_unreadable(line: str) -> None:
    assert line_time(line.encode(), NOW) is None and why_unreadable(line.encode(), NOW)


@pytest.mark.parametrize(
    "line",
    [
        "order 1796011614 created",
        "ERROR id 1796011614 x",
        "Caused by: order 1796011614",
        "total 1796011614",
        "INFO 1796011614-abc",
        "INFO 1796011614/x",
        "ERROR /tmp/1796011614 x",
        "ERROR 10.0.0.1:1796011614",
        "ERROR 1234567890 x",
        "ERROR 17960116141 x",
        "ERROR 1896011614 x",
        "ERROR 2147483647 x",
        "BUILD=1796011614",
        "level=error id=1796011614 msg=x",
        "level=error size=1796011614 msg=x",
        '{"id":1796011614}',
        '{"userId":1796011614}',
        '{"request_id":1796011614,"x":1}',
        '{"bytes":1796011614}',
        '{"n":1234567890}',
        '{"n":1896011614}',
        '{"msg":"took 1796011614"}',
        '{"inode":1796011614,"rss":1796011614}',
        "release 20261130 x",
        "4 of 6 parts",
        "    at java.base/x(1796011614)",
    ],
)
def test_other_numbers_are_no_times(line: str) -> None:
    assert (line_time(line.encode(), NOW), why_unreadable(line.encode(), NOW)) == (None, None)


def test_the_moment_of_these_tests() -> None:
    assert datetime.fromtimestamp(MOMENT, timezone.utc).isoformat() == "2026-11-30T04:06:54+00:00"
