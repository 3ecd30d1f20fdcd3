# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs whose times or bytes are written in unusual ways: counted rightly, or unknown and said; never a false 0."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist

DAY = 86400


def answer(path: Path, **check: Any) -> dict[str, Any]:
    entry = {"id": "x", "title": "X", "probe": "log", "path": str(path), "pattern": "ERROR", "since": "1h", **check}
    (result,) = run_checklist([entry], deadline=120)["results"]
    assert isinstance(result, dict)
    return result


def at(age: float, shape: str) -> str:
    return time.strftime(shape, time.localtime(time.time() - age))


def padded(age: float) -> str:
    """As MariaDB writes a time: the hour has no leading zero, but a blank."""
    return at(age, "%Y-%m-%d %k:%M:%S")


def counted_or_unknown(result: dict[str, Any], wanted: int, words: str = "") -> None:
    assert (result["status"], result["value"]) == ("ok", wanted) or result["status"] == "unknown", result
    assert words in result["message"]


OLD = "%Y-%m-%d %H:%M:%S 0 [Note] ready\n"


def test_an_hour_that_is_padded_with_a_blank(tmp_path: Path) -> None:
    log = tmp_path / "error.log"
    lines = [at(DAY, OLD), *(f"{padded(60 * n)} 0 [ERROR] page corrupt\n" for n in range(50, 0, -10))]
    log.write_text("".join(lines))
    result = answer(log)
    assert (result["status"], result["value"]) == ("ok", 5)


# Times of the last hour in forms that are not read, after a line in one that is.
UNREAD = {
    "American": "%m/%d/%Y %I:%M:%S %p",
    "dots": "%Y-%m-%d %H.%M.%S",
    "time of day": "%H:%M:%S",
    "unknown zone": "%Y-%m-%d %H:%M:%S XYT",
    "ambiguous zone": "%Y-%m-%d %H:%M:%S IST",
    "Japanese": "%Y\u5e74%m\u6708%d\u65e5 %H:%M:%S",
}
PLACES = ["between", "at the end", "from the beginning", "everywhere"]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("form", UNREAD)
def test_lines_whose_time_cannot_be_read_are_not_of_an_older_one(tmp_path: Path, form: str, where: str) -> None:
    log = tmp_path / "app.log"
    old = at(DAY, OLD) * 3000
    unread = "".join(f"{at(60 * n, UNREAD[form])} ERROR lost {n}\n" for n in range(50, 0, -10))
    new = at(30, OLD)
    log.write_text(
        {
            "between": old + unread + new,
            "at the end": old + unread,
            "from the beginning": unread + new,
            "everywhere": unread,
        }[where]
    )
    result = answer(log)
    assert result["status"] == "unknown" and result["value"] is None
    assert "lost" in result["message"] and "cannot be answered" in result["message"]
    # Without a stretch of time nothing has to be dated.
    assert answer(log, since=None)["value"] == 5


def test_a_time_behind_words_may_be_the_lines_own(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    old = at(DAY, OLD) * 50
    for words, age, status in (("web app", 60, "unknown"), ("order of", 60, "unknown"), ("order of", 2 * DAY, "ok")):
        lines = f"{words} {at(age, '%Y-%m-%d %H:%M:%S')} ERROR lost\n" * 5
        log.write_text(old + lines)
        assert answer(log)["status"] == status
        log.write_text(old + lines + at(30, OLD))
        assert answer(log)["status"] == status
        log.write_text(old + lines + at(DAY, OLD) + at(30, OLD) + lines)
        assert (answer(log)["status"], answer(log)["value"]) == ("ok", 5)


def test_unread_times_within_what_is_old_or_new_anyway(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    odd = "11/12/2026 10:00:00 ERROR odd\n"
    log.write_text((at(DAY, OLD) + odd) * 2000 + at(DAY, OLD) + (at(60, OLD) + odd) * 7)
    result = answer(log)
    assert (result["status"], result["value"]) == ("ok", 7)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_log_whose_times_cannot_be_read(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    name = {gzip.compress: "gz", bz2.compress: "bz2", lzma.compress: "xz"}[pack]
    log = tmp_path / f"app.log.{name}"
    unread = f"{at(60, UNREAD['American'])} ERROR lost\n" * 5
    log.write_bytes(pack((at(DAY, OLD) * 9 + unread).encode()))
    assert answer(log)["status"] == "unknown"
    log.write_bytes(pack((at(DAY, OLD) * 9 + unread + at(2 * 3600, OLD) + f"{at(60, OLD)}ERROR\n").encode()))
    assert answer(log)["value"] == 1


def test_a_rotated_file_that_begins_with_times_that_cannot_be_read(tmp_path: Path) -> None:
    log, rotated = tmp_path / "app.log", tmp_path / "app.log.1"
    unread = f"{at(5000, UNREAD['American'])} ERROR lost\n"
    rotated.write_text(unread + at(4000, OLD))
    log.write_text(at(1000, OLD))
    result = answer(log, since="3h")
    assert result["status"] == "unknown" and "app.log.1" in result["message"]
    older = tmp_path / "app.log.2"
    older.write_text(at(DAY, OLD))
    assert answer(log, since="3h")["status"] == "unknown"
    # What the older file ends with counts, and so does what comes after it.
    older.write_text(at(DAY, OLD) + at(6000, OLD))
    assert answer(log, since="3h")["value"] == 1


def test_a_date_of_an_event_is_not_the_lines(tmp_path: Path) -> None:
    log = tmp_path / "app.json"
    record = {"event": {"date": "2019-01-01T00:00:00Z"}, "level": "ERROR", "@timestamp": ""}
    lines = []
    for age in (DAY, 50 * 60, 40 * 60, 30 * 60):
        record["@timestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))
        lines.append(json.dumps(record) + "\n")
    log.write_text("".join(lines))
    assert answer(log)["value"] == 3


WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32"]


@pytest.mark.parametrize("encoding", WIDE)
def test_logs_of_two_bytes_a_character(tmp_path: Path, encoding: str) -> None:
    log = tmp_path / "errorlog"
    text = at(DAY, "%Y-%m-%d %H:%M:%S.12 Logon       ERROR: 18456\r\n") * 300
    text += at(60, "%Y-%m-%d %H:%M:%S.12 Logon       ERROR: 18456, f\u00fcr \u20ac\r\n") * 7
    log.write_bytes(text.encode(encoding))
    assert answer(log)["value"] == 7
    whole = answer(log, since=None)
    assert whole["value"] == 307 and "f\u00fcr \u20ac" in whole["evidence"][-1]
    assert answer(log, since=None, pattern="f\u00fcr .$")["value"] == 7
    assert answer(log, since=None, pattern=None)["value"] == 307
    last = answer(log, since=None, last_lines=5)
    assert last["status"] == "unknown" and "read from its end" in last["message"]
    (tmp_path / "errorlog.1.gz").write_bytes(gzip.compress((at(90, OLD) + "ERROR too\n").encode(encoding)))
    log.write_bytes(at(60, "%Y-%m-%d %H:%M:%S.12 ERROR\r\n").encode(encoding))
    assert answer(log)["value"] == 2


@pytest.mark.parametrize(
    "head", [b"\0" * 5000, b"\xff\x00\x12\x00\x7f" * 300, "Ã\u00e4 \u20ac".encode() * 40, b"a\0b", b""]
)
def test_what_is_not_of_two_bytes_a_character_is_searched_as_it_is(tmp_path: Path, head: bytes) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(head + b"\nERROR x\n")
    assert answer(log, since=None)["value"] == 1
