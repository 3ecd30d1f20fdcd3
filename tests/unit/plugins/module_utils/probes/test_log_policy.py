# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe log_policy on real files, with writers that have them open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.probes import log_policy
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import piece_name
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import WRITER, Hold, Policies, Policy
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import tend

DAY = 86400.0
WRITE = "import sys; stream = open(sys.argv[1], 'a'); print(flush=True); sys.stdin.read()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    trust = Trust(os.geteuid(), str(tmp_path))
    place = Place(Policies(str(tmp_path / "policies"), trust), str(tmp_path / "state"), trust, threads=1)
    monkeypatch.setattr(log_policy, "Place", lambda: place)
    return place


def keep(place: Place, folder: Path, name: str = "shop", log_class: str = "application", **values: Any) -> Policy:
    usual = {"max_age": 30 * DAY, "max_size": 100_000, "paths": (f"{folder}/{name}.log",)}
    policy = Policy(name, log_class, **{**usual, **values})
    place.policies.save(policy)
    return policy


def piece(folder: Path, days: float, size: int = 1000, form: str = ".zst", log: str = "shop.log") -> Path:
    path = folder / (piece_name(log, time.time() - days * DAY) + form)
    path.write_bytes(b"x" * size)
    return path


def answer(metric: str, **fields: Any) -> dict[str, Any]:
    check = {"id": "x", "title": "x", "probe": "log_policy", "metric": metric, "timeout": 30, **fields}
    (result,) = run_checklist([check], deadline=60)["results"]
    return dict(result)


@pytest.fixture
def writer(folder: Path) -> Iterator[Any]:
    started = []

    def start(path: Path) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-c", WRITE, str(path)]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_limit_is_of_the_class_and_counts_all_files_of_it_once(place: Place, folder: Path) -> None:
    keep(place, folder)
    keep(place, folder, "pay", renamed_by=WRITER, paths=(f"{folder}/pay-*.log",))
    keep(place, folder, "audit", "audit", max_size=1000, paths=(f"{folder}/audit.log",))
    (folder / "shop.log").write_bytes(b"x" * 10_000)
    (folder / "pay-Mon.log").write_bytes(b"x" * 20_000)
    (folder / "other.log").write_bytes(b"x" * 50_000)
    piece(folder, 1, 5_000)
    for fields in ({"log_class": "application"}, {"name": "pay"}):
        result = answer("size", **fields)
        assert (result["value"], result["unit"], result["status"]) == (35, "%", "ok"), result
        assert "class application has 34.2 KiB, 35 % of 97.7 KiB" in result["message"]
        assert result["evidence"] == ["19.5 KiB pay", "14.6 KiB shop"]
    # The worst class of all; audit beyond its limit is critical, the others are a warning.
    piece(folder, 1, 2_000, ".zst.age", "audit.log")
    assert (answer("size")["value"], answer("size")["status"]) == (200, "critical")
    piece(folder, 2, 90_000)
    assert answer("size", name="shop")["status"] == "warning"
    assert answer("size", name="shop", warning="> 150 %")["status"] == "ok"


def test_the_oldest_piece_against_its_age(place: Place, folder: Path) -> None:
    keep(place, folder)
    assert (answer("age")["value"], answer("age")["status"]) == (0, "ok")
    for days in (1, 15):
        oldest = piece(folder, days)
    result = answer("age")
    assert result["value"] == pytest.approx(50, abs=0.1) and result["evidence"] == [str(oldest)]
    late = piece(folder, 32)
    assert answer("age")["status"] == "critical"
    # What a hold keeps is held, and not late.
    keep(place, folder, holds=(Hold(late.name, time.time() + DAY, "a case"),))
    assert answer("age")["status"] == "ok"
    held = answer("held")
    assert (held["value"], held["evidence"], held["status"]) == (1, [str(late)], "ok")


def test_days_until_the_limit(place: Place, folder: Path) -> None:
    keep(place, folder, max_size=20_000)
    piece(folder, 0.5)
    result = answer("days_left")
    assert result["status"] == "unknown" and "no rotations of two days yet" in result["message"]
    for days in range(1, 10):
        piece(folder, days + 0.5)
    result = answer("days_left", critical="< 14 d")
    assert result["value"] == pytest.approx(10, abs=0.01) and result["status"] == "critical", result
    # It never has more than thirty of them.
    keep(place, folder, max_size=40_000)
    result = answer("days_left", critical="< 14 d")
    assert (result["value"], result["status"]) == (30, "ok") and "as much goes as comes" in result["message"]


def test_pieces_that_wait_and_pieces_that_are_written_to(place: Place, folder: Path, writer: Any) -> None:
    keep(place, folder)
    (folder / "shop.log").write_text("x")
    fresh, late = piece(folder, 0.0, form=""), piece(folder, 0.1, form="")
    writer(fresh)
    writer(folder / "shop.log")
    waiting = answer("waiting")
    assert (waiting["value"], waiting["status"]) == (1, "warning") and str(late) in waiting["evidence"][0]
    # Whoever has a minute to reopen it is not late.
    assert answer("writers")["value"] == 0
    process = writer(late)
    written = answer("writers")
    assert (written["value"], written["status"]) == (1, "warning")
    assert f"(process {process.pid})" in written["evidence"][0] and str(late) in written["evidence"][0]


def test_what_a_writer_has_closed_itself_waits(place: Place, folder: Path, writer: Any) -> None:
    keep(place, folder, renamed_by=WRITER, paths=(f"{folder}/pg-*.log",))
    for name in ("pg-Mon.log", "pg-Tue.log"):
        (folder / name).write_text("x")
    writer(folder / "pg-Tue.log")
    for name in ("pg-Mon.log", "pg-Tue.log"):
        os.utime(folder / name, (time.time() - 2 * 3600,) * 2)
    result = answer("waiting")
    assert result["value"] == 1 and "pg-Mon.log: rotated 2 h" in result["evidence"][0]
    assert answer("writers")["value"] == 0


def test_when_logs_were_tended_and_what_was_left(place: Place, folder: Path) -> None:
    keep(place, folder)
    keep(place, folder, "audit", "audit")
    for metric in ("tended", "faults"):
        result = answer(metric)
        assert result["status"] == "critical" and "nothing has tended the logs" in result["message"]
    piece(folder, 0.1, form="", log="audit.log")
    tend(place)
    result = answer("tended", warning="> 26h")
    assert result["status"] == "ok" and result["value"] < 60 and result["unit"] == "s"
    found = {name: answer("faults", name=name) for name in ("shop", "audit")}
    assert (found["shop"]["value"], found["shop"]["status"]) == (0, "ok")
    assert (found["audit"]["value"], found["audit"]["status"]) == (1, "critical")
    assert "there is no recipient" in found["audit"]["message"] and answer("faults")["value"] == 1
    status = Path(place.status)
    said = json.loads(status.read_text())
    status.write_text(json.dumps({**said, "at": time.time() - 30 * 3600}))
    assert answer("tended", warning="> 26h")["status"] == "warning"
    # A clock that was set back makes no negative age.
    status.write_text(json.dumps({**said, "at": time.time() + 3600}))
    assert answer("tended")["value"] == 0
    for text in ("", "[]", "{}", '{"at": "x", "faults": [], "over": []}'):
        status.write_text(text)
        assert answer("tended")["status"] == "unknown"


def test_a_policy_that_is_not_there_is_critical_and_one_that_cannot_be_read_unknown(place: Place, folder: Path) -> None:
    assert "there is no policy of any log on this host" in answer("size")["message"]
    keep(place, folder)
    for fields, said in (({"name": "pay"}, "of a log 'pay'"), ({"log_class": "audit"}, "of class audit")):
        result = answer("size", **fields)
        assert result["status"] == "critical" and said in result["message"] and "there are: shop" in result["message"]
    Path(place.policies.path("pay")).write_text("{")
    Path(place.policies.path("pay")).chmod(0o600)
    assert answer("size", name="pay")["status"] == answer("size")["status"] == "unknown"
    assert answer("size", name="shop")["status"] == "ok"
    os.chmod(place.policies.directory, 0o777)
    result = answer("size", name="shop")
    assert result["status"] == "unknown" and "can be written by others" in result["message"]


def test_policies_are_for_root_to_read(place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep(place, folder)

    def refused(*_arguments: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ansible_collections.day2.ops.plugins.module_utils.rotation.policy.read_text", refused)
    with pytest.raises(NeedsRoot, match=r"shop\.json cannot be read"):
        place.policies.load("shop")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    result = answer("size")
    assert result["status"] == "skipped" and "needs root" in result["message"]
