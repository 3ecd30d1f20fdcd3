# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe log on logs that were rotated: renamed, copied, compressed, here and by logrotate on a real host."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist

HOUR = 3600


def answers(*checks: dict[str, Any], **call: Any) -> dict[str, dict[str, Any]]:
    whole = [{"title": check["id"], "probe": "log", "timeout": 60, **check} for check in checks]
    return {result["id"]: result for result in run_checklist(whole, deadline=120, **call)["results"]}


def answer(**check: Any) -> dict[str, Any]:
    return answers({"id": "x", **check})["x"]


def grep(*arguments: str) -> int:
    return int(subprocess.run(["grep", *arguments], capture_output=True, text=True, check=False).stdout)


def stamp(age: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age))


def lines(begin: float, end: float, step: float = 60, word: str = "ERROR") -> str:
    """A line in the middle of each `step` seconds, from so many seconds ago to so many seconds ago."""
    ages = [begin - step * (number + 0.5) for number in range(int((begin - end) / step))]
    return "".join(f"{stamp(age)} {word} request {number}\n" for number, age in enumerate(ages))


PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".bz2": bz2.compress}
PACKERS[".xz"] = lzma.compress
if shutil.which("zstd"):
    PACKERS[".zst"] = lambda data: subprocess.run(["zstd", "-c"], input=data, capture_output=True, check=True).stdout


def rotate(folder: Path, *parts: tuple[str, str]) -> Path:
    """Files of a log; the first one is written to. Compressed by their names."""
    for name, text in parts:
        packer = PACKERS.get(Path(name).suffix, bytes)
        (folder / name).write_bytes(packer(text.encode()))
    return folder / parts[0][0]


# Rotated files


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize(
    "names",
    [
        ("app.log.1", "app.log.2"),
        ("app.log-20261120", "app.log-20261119"),
        ("app.log.2026-11-20", "app.log.2026-11-19"),
        ("app.1.log", "app.2.log"),
    ],
)
def test_a_range_reaches_back_into_rotated_files(tmp_path: Path, packing: str, names: tuple[str, str]) -> None:
    newer, older = names
    log = rotate(
        tmp_path,
        ("app.log", lines(6 * HOUR, 0)),
        (newer + (packing if packing == ".bz2" else ""), lines(12 * HOUR, 6 * HOUR)),
        (older + packing, lines(48 * HOUR, 12 * HOUR)),
        # Another log, and one that ends before the range: neither matters.
        ("app.log.other", lines(2 * HOUR, 0)),
        ("app2.log.1", lines(2 * HOUR, 0)),
    )
    results = answers(
        {"id": "day", "path": str(log), "pattern": "ERROR", "since": "24h"},
        {"id": "ten", "path": str(log), "pattern": "ERROR", "since": "10h"},
        {"id": "five", "path": str(log), "pattern": "ERROR", "since": "5h"},
        {"id": "alone", "path": str(log), "pattern": "ERROR", "since": "24h", "rotated": False},
        {"id": "whole", "path": str(log), "pattern": "ERROR"},
        {"id": "share", "path": str(log), "pattern": "request 1", "metric": "percent", "since": "24h"},
    )
    assert {name: result["value"] for name, result in results.items() if name != "share"} == {
        "day": 24 * 60,
        "ten": 600,
        "five": 300,
        "alone": 360,
        "whole": 360,
    }
    assert "app.log and 2 rotated files (last 1 d)" in results["day"]["message"]
    assert "app.log and 1 rotated file (last 10 h)" in results["ten"]["message"]
    assert "rotated" not in results["five"]["message"] + results["alone"]["message"]
    assert " of 1440 lines match" in results["share"]["message"]
    # What people see last is what happened last.
    assert results["day"]["evidence"][-1] == log.read_text().splitlines()[-1]


@pytest.mark.parametrize("packing", [name for name in PACKERS if name])
def test_a_compressed_file_may_be_named_itself(tmp_path: Path, packing: str) -> None:
    rotate(tmp_path, (f"app.log.1{packing}", lines(30 * HOUR, 2 * HOUR)))
    path = str(tmp_path / f"app.log.1{packing}")
    found = answers(
        {"id": "all", "path": path, "pattern": "ERROR"},
        {"id": "part", "path": path, "pattern": "ERROR", "since": "12h"},
        {"id": "none", "path": path, "pattern": "ERROR", "since": "1h"}, {"id": "last", "path": path, "last_lines": 5},
    )  # fmt: skip
    assert (found["all"]["value"], found["part"]["value"], found["none"]["value"]) == (28 * 60, 10 * 60, 0)
    assert found["last"]["status"] == "unknown" and "is compressed" in found["last"]["message"]


def test_dates_that_cannot_be_told_apart_say_so(tmp_path: Path) -> None:
    (tmp_path / "app.log").write_text("05/11/2026 10:00:01 ERROR x\n")
    result = answer(path=str(tmp_path / "app.log"), pattern="ERROR", since="1h")
    assert result["status"] == "unknown" and "05/11/2026 begins with the day or with the month" in result["message"]


def test_a_log_that_is_younger_than_the_range_says_so(tmp_path: Path) -> None:
    log = rotate(tmp_path, ("app.log", lines(2 * HOUR, 0)))
    result = answer(path=str(log), since="24h")
    assert result["value"] == 120 and "the log begins only 1 h 59 min ago" in result["message"]
    assert "begins" not in answer(path=str(log), since="1h")["message"]


def test_an_empty_log_after_its_rotation(tmp_path: Path) -> None:
    log = rotate(tmp_path, ("app.log", ""), ("app.log.1", lines(30 * HOUR, 1 * HOUR)), ("app.log.2.gz", ""))
    assert answer(path=str(log), pattern="ERROR", since="24h")["value"] == 23 * 60
    quiet = rotate(tmp_path, ("quiet.log", ""), ("quiet.log.1", lines(50 * HOUR, 40 * HOUR)))
    result = answer(path=str(quiet), pattern="ERROR", since="24h")
    assert (result["value"], result["status"]) == (0, "ok") and "begins" not in result["message"]


def test_a_traceback_over_the_rotation(tmp_path: Path) -> None:
    trace = "Traceback:\n  File x ERROR\n"
    log = rotate(
        tmp_path,
        ("app.log", "  still ERROR\n" + lines(HOUR, 0)),
        ("app.log.1.gz", lines(3 * HOUR, HOUR) + trace),
    )
    assert answer(path=str(log), pattern="ERROR", since="2h")["value"] == 120 + 1 + 1
    # Where the range begins later, the rest of the older line is not in it.
    assert answer(path=str(log), pattern="ERROR", since="3540s")["value"] == 59


def test_a_copy_is_not_counted_twice(tmp_path: Path) -> None:
    text = lines(20 * HOUR, HOUR)
    log = rotate(tmp_path, ("app.log", lines(HOUR, 0)), ("app.log.1", text), ("app.log.2.gz", text))
    shutil.copy(log, tmp_path / "app.log.0")
    os.link(tmp_path / "app.log.1", tmp_path / "app.log.3")
    (tmp_path / "app.log.1.gz").write_bytes(b"\x1f\x8b half of it")
    assert answer(path=str(log), pattern="ERROR", since="24h")["value"] == 20 * 60


def test_rotated_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    log = rotate(tmp_path, ("app.log", lines(HOUR, 0)))
    rotated = tmp_path / "app.log.1.gz"
    whole = gzip.compress(lines(20 * HOUR, HOUR, 1).encode())
    for data, words in (
        (b"no archive", "cannot be read"),
        (whole[:-4000], "not whole"),
        (gzip.compress(b"no time in here\n"), "no line shows a time"),
    ):
        rotated.write_bytes(data)
        check = {"path": str(log), "pattern": "ERROR"}
        results = answers(
            {"id": "day", **check, "since": "24h"},
            {"id": "alone", **check, "since": "24h", "rotated": False},
            {"id": "whole", **check},
            {"id": "half", **check, "since": "30min"},
        )
        message = results["day"]["message"]
        assert results["day"]["status"] == "unknown" and "app.log.1.gz" in message and words in message
        # What does not need the file is answered all the same.
        assert [results[name]["value"] for name in ("alone", "whole", "half")] == [60, 60, 30]
    rotated.unlink()
    (tmp_path / "app.log.1.zst").write_bytes(b"no archive")
    assert "app.log.1.zst" in answer(path=str(log), pattern="ERROR", since="24h")["message"]


def test_without_the_program_that_unpacks_it_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = rotate(tmp_path, ("app.log", lines(HOUR, 0)))
    (tmp_path / "app.log.1.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    monkeypatch.setenv("PATH", "/nowhere")
    result = answer(path=str(log), since="24h")
    assert result["status"] == "unknown" and "zstdcat is not installed" in result["message"]


def test_a_log_that_is_rotated_again_and_again_while_it_is_read(tmp_path: Path) -> None:
    """Files are renamed and compressed by the rotation; each line is counted once, whatever its file is called."""
    log = rotate(
        tmp_path,
        ("app.log", lines(HOUR, 0, 2)),
        *[(f"app.log.{number}", lines((number + 1) * HOUR, number * HOUR, 2)) for number in range(1, 6)],
    )
    stop = threading.Event()

    def rotation() -> None:
        # Only renames and compression: no line comes or goes.
        for round_ in range(40):
            if stop.is_set():
                return
            numbers = sorted((int(path.name.split(".")[2]), path) for path in tmp_path.glob("app.log.*"))
            for number, path in reversed(numbers):
                target = tmp_path / path.name.replace(f".{number}", f".{number + 1}", 1)
                os.rename(path, target)
                if round_ % 3 == 2 and target.suffix != ".gz":
                    packed = tmp_path / (target.name + ".tmp")
                    packed.write_bytes(gzip.compress(target.read_bytes(), 1))
                    os.rename(packed, tmp_path / (target.name + ".gz"))
                    target.unlink()

    thread = threading.Thread(target=rotation)
    thread.start()
    try:
        values = {answer(path=str(log), pattern="ERROR", since="19800s")["value"] for _number in range(6)}
    finally:
        stop.set()
        thread.join()
    # The clock goes on between the readings.
    assert all(2.75 * HOUR - 60 <= value <= 2.75 * HOUR for value in values), values


# A real host


def test_what_logrotate_leaves_on_a_real_host(lab_host: Any) -> None:
    """Renamed, compressed, and copied by logrotate itself, between lines that the host's own tools count."""
    script = r"""
    set -e
    rm -rf /tmp/rotated; mkdir /tmp/rotated; cd /tmp/rotated
    # chunk HOURS-AGO-BEGIN HOURS-AGO-END FILE: a line each 30 s, the newest last.
    chunk() {
        now=$(date +%s); at=$((now - $1 * 3600 + 15)); end=$((now - $2 * 3600))
        while [ $at -lt $end ]; do echo $at; at=$((at + 30)); done |
            awk '{ print strftime("%Y-%m-%d %H:%M:%S", $1) (NR % 7 ? " INFO served " : " ERROR failed ") NR }' >>$3
    }
    write() { for log in plain.log copied.log; do chunk $1 $2 $log; done; }
    cat >conf <<END
    /tmp/rotated/plain.log { rotate 9
      su root root
      compress
      delaycompress
      nodateext
    }
    /tmp/rotated/copied.log { rotate 9
      su root root
      compress
      copytruncate
      dateext
      dateformat -%Y%m%d-%s
    }
END
    write 40 20; /usr/sbin/logrotate -f -s state conf; sleep 1.1
    write 20 10; /usr/sbin/logrotate -f -s state conf; sleep 1.1
    write 10 5; /usr/sbin/logrotate -f -s state conf
    write 5 0
    ls
    """
    listing = lab_host.run("sh", "-c", script).split()
    assert {"plain.log.1", "plain.log.2.gz", "plain.log.3.gz"} <= set(listing)
    assert sum(name.startswith("copied.log-") and name.endswith(".gz") for name in listing) == 3
    checks = [
        {"id": f"{log}-{hours}", "probe": "log", "path": f"/tmp/rotated/{log}.log", "pattern": "ERROR", "group": True}
        for log in ("plain", "copied")
        for hours in (3, 8, 24)
    ]
    results = lab_host.checks(*[{**check, "since": check["id"].split("-")[1] + "h"} for check in checks])
    for name, result in results.items():
        log, hours = name.split("-")
        command = f'zcat -f /tmp/rotated/{log}.log* | awk -v from="$(date -d "{hours} hours ago" "+%F %T")" '
        counted = lab_host.run("sh", "-c", command + "'/ERROR/ && $1 \" \" $2 >= from' | wc -l")
        # The clock goes on between the two.
        assert abs(result["value"] - int(counted)) <= 1 and result["value"] > 50, (name, result)
        assert result["evidence"] == [f"{result['value']} × ERROR failed <n>"]
    assert "rotated file" not in results["plain-3"]["message"]
    assert "and 1 rotated file (" in results["plain-8"]["message"]
    assert "and 3 rotated files (" in results["copied-24"]["message"]


def test_the_journal_by_message(lab_host: Any) -> None:
    for number in range(5):
        lab_host.run("systemd-run", "--quiet", "--wait", "--unit", "chatty", "echo", f"order {number} failed")
    check = {"probe": "log", "unit": "chatty", "pattern": r"\]: order", "since": "10min"}
    grouped = lab_host.checks(
        {"id": "x", **check, "group": True},
        {"id": "share", **check, "metric": "percent"},
    )
    assert grouped["x"]["value"] == 5 and len(grouped["x"]["evidence"]) == 1
    assert grouped["x"]["evidence"][0].startswith("5 × ") and grouped["x"]["evidence"][0].endswith("order <n> failed")
    assert 0 < grouped["share"]["value"] <= 100
