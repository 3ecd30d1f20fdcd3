# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe log on files of this machine, compared with what grep and friends count."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
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


# Groups


def test_errors_of_a_day_by_message(tmp_path: Path) -> None:
    chance = random.Random(3)
    templates = ["connection to 10.0.0.{} failed after {} ms"] * 42 + ['order "{}" lost at step {}'] * 7 + ["full"]
    chance.shuffle(templates)
    log = tmp_path / "app.log"
    with log.open("w") as file:
        file.write(f"{stamp(30 * HOUR)} ERROR connection to 10.0.0.9 failed after 1 ms\n")
        for number, template in enumerate(templates):
            message = template.format(chance.randrange(250), chance.randrange(10**6))
            file.write(f"{stamp(HOUR - number)} ERROR {message}\n{stamp(HOUR - number)} INFO fine {number}\n")
    check = {"path": str(log), "pattern": "ERROR", "since": "24h"}
    results = answers(
        {"id": "count", "group": True, **check},
        {"id": "groups", "metric": "groups", "warning": "> 2", **check},
        {"id": "plain", **check},
    )
    assert results["count"]["value"] == results["plain"]["value"] == 50
    assert results["count"]["evidence"] == [
        "42 × ERROR connection to <ip> failed after <n> ms",
        " 7 × ERROR order <quoted> lost at step <n>",
        " 1 × ERROR full",
    ]
    assert "3 different messages" in results["count"]["message"]
    assert (results["groups"]["value"], results["groups"]["status"]) == (3, "warning")
    assert results["groups"]["evidence"] == results["count"]["evidence"]


def test_a_million_different_messages_and_addresses_in_bounded_memory(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with log.open("w") as file:
        for number in range(1_000_000):
            address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            word = "".join(chr(97 + int(digit)) for digit in str(number))
            file.write(f"{address} said {word} {'y' * 150}\n")
            if number % 5 == 0:
                file.write("192.0.2.7 said hello\n")
    # A child of its own, so that nobody else's memory is measured.
    program = (
        "import json, resource, sys; sys.path.insert(0, sys.argv[1]);"
        "from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist;"
        "outcome = run_checklist(json.loads(sys.argv[2]), deadline=200);"
        "peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024;"
        "print(json.dumps([outcome['results'], peak]))"
    )
    common = {"title": "T", "probe": "log", "path": str(log), "timeout": 150}
    checks = [
        {"id": "groups", "metric": "groups", **common},
        {"id": "share", "metric": "top_share", "pattern": r"^(\S+) ", **common},
    ]
    root = Path(__file__).resolve().parents[2] / ".collections"
    done = subprocess.run([sys.executable, "-c", program, root, json.dumps(checks)], capture_output=True, check=True)
    (groups, share), peak = json.loads(done.stdout)
    assert peak < 100
    assert abs(groups["value"] / 1_000_001 - 1) < 0.01 and "about" in groups["message"]
    assert groups["evidence"][0] == "200000 × <ip> said hello"
    assert groups["evidence"][-1].endswith("other messages")
    assert share["value"] == pytest.approx(100 * 200_000 / 1_200_000, abs=1e-4)
    assert share["message"].startswith("192.0.2.7: 200000 of 1200000 matching lines") and len(share["evidence"]) == 10


# Shares


def test_shares_of_an_access_log(tmp_path: Path) -> None:
    chance, log, seen = random.Random(4), tmp_path / "access.log", Counter()
    with log.open("w") as file:
        for _number in range(5000):
            address = "10.0.0.7" if chance.random() < 0.4 else f"10.1.0.{chance.randrange(90)}"
            seen[address] += 1
            status = chance.choice([200] * 8 + [404, 503])
            when = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
            file.write(f'{address} - - [{when}] "GET / HTTP/1.1" {status} 12 "-" "curl"\n')
    path = str(log)
    results = answers(
        {"id": "bad", "path": path, "metric": "percent", "pattern": '" [45]\\d\\d ', "warning": "> 10%"},
        {"id": "top", "path": path, "metric": "top_share", "pattern": r"^(\S+)", "since": "1h", "critical": "> 30%"},
        {"id": "rate", "path": path, "metric": "rate", "pattern": "GET", "since": "1h", "warning": "> 60/min"},
        {"id": "group", "path": path, "metric": "percent", "pattern": '" 503 ', "group": True},
    )
    expected = grep("-cE", '" [45][0-9][0-9] ', path)
    assert results["bad"]["value"] == pytest.approx(100 * expected / 5000) and results["bad"]["unit"] == "%"
    assert f"{expected} of 5000 lines match" in results["bad"]["message"] and results["bad"]["status"] == "warning"
    assert results["top"]["value"] == pytest.approx(100 * seen["10.0.0.7"] / 5000)
    assert results["top"]["status"] == "critical"
    expected_evidence = [f"{count:>4} × {address}" for address, count in seen.most_common(10)]
    assert sorted(results["top"]["evidence"]) == sorted(expected_evidence) or (
        results["top"]["evidence"][:1] == expected_evidence[:1] and len(results["top"]["evidence"]) == 10
    )
    assert results["rate"]["value"] == pytest.approx(5000 / 3600, abs=1e-5) and results["rate"]["status"] == "warning"
    gone = grep("-c", '" 503 ', path)
    folded = '<ip> - - [<time>] "GET / HTTP/<n>" <n> <n> <quoted> <quoted>'
    assert results["group"]["evidence"] == [f"{gone} × {folded}"]


def test_a_share_of_nothing_is_unknown(tmp_path: Path) -> None:
    empty = tmp_path / "empty.log"
    empty.write_text("")
    some = tmp_path / "some.log"
    some.write_text("fine\n")
    results = answers(
        {"id": "percent", "path": str(empty), "metric": "percent", "pattern": "x"},
        {"id": "none", "path": str(some), "metric": "percent", "pattern": "x"},
        {"id": "top", "path": str(some), "metric": "top_share", "pattern": "(x)"},
        {"id": "optional", "path": str(some), "metric": "top_share", "pattern": "fine(x)?"},
        {"id": "groups", "path": str(empty), "metric": "groups"},
    )
    assert [results[name]["status"] for name in results] == ["unknown", "ok", "unknown", "unknown", "ok"]
    assert results["none"]["value"] == 0 and results["groups"]["value"] == 0
    assert "no lines" in results["percent"]["message"]


@pytest.mark.parametrize(
    ("check", "field", "words"),
    [
        ({"metric": "top_share", "pattern": "x"}, "pattern", "no capture group"),
        ({"metric": "top_share", "pattern": "(?:x)"}, "pattern", "no capture group"),
        ({"metric": "top_share"}, "pattern", "is missing"),
        ({"metric": "percent"}, "pattern", "is missing"),
        ({"metric": "rate", "pattern": "x"}, "since", "is missing"),
        ({"metric": "top_share", "pattern": "(x)", "group": True}, "group", "does not go with"),
        ({"group": "perhaps"}, "group", "neither true nor false"),
    ],
)
def test_what_makes_no_sense_is_refused(check: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(CheckError, match=f"field '{field}': .*{words}"):
        answer(path="/var/log/x", **check)


@pytest.mark.parametrize("order", ["01/02/2026", "13/02/2026"])
def test_a_log_whose_day_and_month_cannot_be_told_apart_is_unknown(tmp_path: Path, order: str) -> None:
    log = rotate(tmp_path, ("app.log", f"{order} 10:00:00 ERROR x\n" * 50))
    assert answer(path=str(log), pattern="ERROR", since="24h")["status"] == "unknown"
    assert answer(path=str(log), pattern="ERROR")["value"] == 50


def test_all_lines_of_a_large_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "app.log"
    old, new = f"{stamp(2 * HOUR)} INFO {'x' * 200}\n", f"{stamp(HOUR / 2)} INFO {'y' * 200}\n"
    for ending in ("", "no end"):
        log.write_text(old * 60_000 + new * 120_000 + ending)
        more = bool(ending)
        for arguments, wanted in (
            ({}, 180_000 + more),
            ({"since": "1h"}, 120_000 + more),
            ({"last_lines": 100_000}, 100_000),
        ):
            result = answer(path=str(log), **arguments)
            assert result["value"] == wanted, (arguments, ending)
            assert result["evidence"][-1] == (ending or new.strip())
            assert len(result["evidence"]) > 10 and "cut" not in result["message"]
            with monkeypatch.context() as patch:
                patch.setenv("PATH", "/nowhere")
                assert answer(path=str(log), **arguments)["value"] == wanted
    both = answers({"id": "all", "path": str(log)}, {"id": "new", "path": str(log), "pattern": "y{200}"})
    assert (both["all"]["value"], both["new"]["value"]) == (180_001, 120_000)


def test_all_lines_of_a_large_log_that_grows(tmp_path: Path) -> None:
    log, stop = tmp_path / "app.log", threading.Event()
    log.write_text(("z" * 99 + "\n") * 300_000)

    def grow() -> None:
        with log.open("a") as file:
            while not stop.is_set():
                file.write("z" * 99 + "\n")

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        result = answer(path=str(log))
    finally:
        stop.set()
        thread.join()
    assert 300_000 <= result["value"] <= grep("-c", "", str(log)) and result["status"] == "ok"
