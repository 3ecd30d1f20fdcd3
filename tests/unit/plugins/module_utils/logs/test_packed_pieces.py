# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probes on logs whose pieces a policy renamed, compressed and encrypted, by zstd and age."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.logs import files
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import piece_name

HOUR = 3600.0
FAILED = "Failed password for root from 192.0.2.7 port 22 ssh2"


@pytest.fixture(scope="module")
def recipient(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("age") / "key"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    done = subprocess.run(["age-keygen", "-y", path], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def answer(path: Path, since: str, probe: str = "log", **more: Any) -> dict[str, Any]:
    check = {"id": "x", "title": "x", "probe": probe, "path": str(path), "since": since, "timeout": 60, **more}
    (result,) = run_checklist([check], deadline=120)["results"]
    return dict(result)


def lines(begin: float, end: float, said: str = "ERROR failed") -> str:
    """A line in the middle of each minute between so many hours ago."""
    ages = [begin * HOUR - 60 * (number + 0.5) for number in range(int((begin - end) * 60))]
    stamps = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age)) for age in ages)
    return "".join(f"{stamp} host sshd[71]: {said}\n" for stamp in stamps)


def packed(path: Path, recipient: str = "") -> None:
    """As a policy leaves it: compressed, encrypted, with the time of its last line."""
    status, data = path.stat(), path.read_bytes()
    data = subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout
    if recipient:
        data = subprocess.run(["age", "-e", "-r", recipient], input=data, capture_output=True, check=True).stdout
    made = Path(f"{path}.zst{'.age' if recipient else ''}")
    made.write_bytes(data)
    os.utime(made, ns=(status.st_atime_ns, status.st_mtime_ns))
    path.unlink()


def piece(folder: Path, begin: float, end: float, form: str = "", name: str = "app.log", said: str = "ERROR x") -> Path:
    """A piece with the lines between so many hours ago, and renamed at their end. `form`: a recipient, or `zst`."""
    moment = time.time() - end * HOUR
    path = folder / piece_name(name, moment)
    path.write_text(lines(begin, end, said))
    os.utime(path, (moment, moment))
    if form:
        packed(path, form.replace("zst", ""))
    return path


def test_lines_are_counted_in_compressed_pieces(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text(lines(6, 0))
    for begin, end, form in ((60, 48, "zst"), (48, 30, "zst"), (30, 18, "zst"), (18, 6, "")):
        piece(tmp_path, begin, end, form)
    (tmp_path / ".app.log-20261130-1764527000.day2-packing").write_text(lines(2, 0))
    found = {since: answer(log, f"{since}h", pattern="ERROR") for since in (3, 8, 24, 40)}
    assert {since: result["value"] for since, result in found.items()} == {since: since * 60 for since in found}
    assert "and 3 rotated files" in found[40]["message"]


def test_an_encrypted_piece_of_the_range_makes_it_unknown(tmp_path: Path, recipient: str) -> None:
    log = tmp_path / "app.log"
    log.write_text(lines(2, 0))
    piece(tmp_path, 50, 26, recipient)
    within = piece(tmp_path, 26, 10, recipient)
    piece(tmp_path, 10, 2, "zst")
    for since in (1, 5, 9):
        assert answer(log, f"{since}h", pattern="ERROR")["value"] == since * 60
    for since in (11, 24):
        result = answer(log, f"{since}h", pattern="ERROR")
        assert (result["status"], result["value"]) == ("unknown", None)
        assert (
            f"{within}.zst.age is needed, and is encrypted" in result["message"]
            and "where its key is" in result["message"]
        )
    # Where no rotated file is asked for, none is needed.
    assert answer(log, "24h", pattern="ERROR", rotated=False)["value"] == 120


def test_a_file_that_was_touched_later_than_its_rotation_is_not_taken_for_older(tmp_path: Path, recipient: str) -> None:
    log = tmp_path / "app.log"
    log.write_text(lines(2, 0))
    path = piece(tmp_path, 40, 30, recipient)
    assert answer(log, "24h", pattern="ERROR")["value"] == 120
    os.utime(f"{path}.zst.age", (time.time() - 20 * HOUR,) * 2)
    assert answer(log, "24h", pattern="ERROR")["status"] == "unknown"


def test_an_encrypted_file_named_itself_is_no_log_without_lines(tmp_path: Path, recipient: str) -> None:
    path = piece(tmp_path, 3, 1, recipient)
    result = answer(Path(f"{path}.zst.age"), "24h", pattern="ERROR")
    assert result["status"] == "unknown" and "is encrypted" in result["message"]


def test_failed_logins_over_pieces(tmp_path: Path, recipient: str) -> None:
    log = tmp_path / "auth.log"
    log.write_text(lines(2, 0, FAILED))
    piece(tmp_path, 12, 2, "zst", "auth.log", FAILED)
    piece(tmp_path, 36, 12, recipient, "auth.log", FAILED)
    assert answer(log, "10h", "failed_logins")["value"] == 600
    result = answer(log, "24h", "failed_logins")
    assert result["status"] == "unknown" and ".zst.age is needed, and is encrypted" in result["message"]


def test_the_days_of_postgresql_are_one_log(tmp_path: Path) -> None:
    log = tmp_path / "postgresql-Tue.log"
    log.write_text(lines(2, 0))
    piece(tmp_path, 26, 2, "zst", "postgresql-Mon.log")
    piece(tmp_path, 50, 26, "zst", "postgresql-Sun.log")
    assert answer(log, "24h", pattern="ERROR")["value"] == 24 * 60


def test_what_is_encrypted_while_it_is_open_is_counted_once(
    tmp_path: Path, recipient: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "app.log"
    log.write_text(lines(2, 0))
    parts = [piece(tmp_path, 6, 4), piece(tmp_path, 4, 2)]
    listed, real = [0], os.listdir

    def listdir(folder: str) -> list[str]:
        if folder == str(tmp_path):
            listed[0] += 1
            if listed[0] == 2:
                # After the first look, which has opened all of them.
                for path in parts:
                    packed(path, recipient)
        return real(folder)

    monkeypatch.setattr(files.os, "listdir", listdir)
    assert answer(log, "5h", pattern="ERROR")["value"] == 300
    assert all(Path(f"{path}.zst.age").exists() for path in parts)
    # From now on nobody can count them.
    monkeypatch.undo()
    assert answer(log, "5h", pattern="ERROR")["status"] == "unknown"
