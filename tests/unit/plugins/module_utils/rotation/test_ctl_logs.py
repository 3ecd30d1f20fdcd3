# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl logs` at a host: what it says of logs and seals, and the code with which it ends."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.ctl import logs as ctl
from ansible_collections.day2.ops.plugins.module_utils.ctl.main import main
from ansible_collections.day2.ops.plugins.module_utils.probes import log_seal
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist
from ansible_collections.day2.ops.plugins.module_utils.rotation import place as places
from ansible_collections.day2.ops.plugins.module_utils.rotation import verifying
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import tend
from rotated_logs import policy

Run = Callable[..., tuple[int, str, str]]
DAY = 86400.0


@pytest.fixture(autouse=True)
def timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that says of every unit what this file has."""
    state, program = tmp_path / "state-of-timer", tmp_path / "bin" / "systemctl"
    state.write_text("active\n")
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat {state}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return state


@pytest.fixture
def day2ctl(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setattr(places, "Place", lambda: place)
    monkeypatch.setattr(ctl, "Policies", lambda: place.policies)
    monkeypatch.setattr(log_seal, "Place", lambda: place)

    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["logs", *arguments], "0")
        return code, *capsys.readouterr()

    return run


def audit(folder: Path, recipient: str, **values: Any) -> Any:
    return policy(folder, **{"name": "audit", "log_class": "audit", "encrypt_to": (recipient,), **values})


@pytest.fixture
def sealed(place: Place, folder: Path, recipient: str) -> Path:
    """The older one of two pieces that are sealed, and long so."""
    place.policies.save(audit(folder, recipient, max_age=365 * DAY))
    now = int(time.time())
    for age in (2, 1):
        (folder / f"app.log-20261101-{now - age * 86400}").write_text("who did what\n" * 100)
    (folder / "app.log").write_text("and now\n")
    done = tend(place)
    assert not done.faults
    return Path(done.packed[0].path)


def test_all_is_well(day2ctl: Run, sealed: Path) -> None:
    code, said, _wrong = day2ctl("status")
    assert code == 0 and "FAULT" not in said and "not verified yet: day2ctl logs verify" in said
    code, said, _wrong = day2ctl("verify")
    assert code == 0 and "audit: 2 sealed files" in said
    code, said, _wrong = day2ctl("status")
    assert code == 0 and "FAULT" not in said
    assert "verified last " in said and "record 2 was the last, all as it was sealed" in said


def _same_size(path: Path) -> None:
    data, status = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (_same_size, "other bytes than were sealed"),
        (lambda path: os.truncate(path, 100), "has 100 bytes and had"),
        (os.unlink, "is gone, and no record says that it was removed"),
        (lambda path: path.with_name(path.name.replace("20261101-1", "20261101-2")).write_bytes(b"x"), "in no record"),
    ],
)
@pytest.mark.parametrize("verified", [False, True])
def test_a_tampered_piece_shows_before_all_is_read(
    day2ctl: Run, sealed: Path, monkeypatch: pytest.MonkeyPatch, tamper: Callable[[Path], None], said: str,
    verified: bool,
) -> None:  # fmt: skip
    # So that these pieces count as sealed a while ago.
    monkeypatch.setattr(verifying, "_PUBLISHED", 0.0 if not verified else 10.0)
    if verified:
        assert day2ctl("verify")[0] == 0
        monkeypatch.setattr(verifying, "_PUBLISHED", -1e9)
    tamper(sealed)
    code, shown, _wrong = day2ctl("status")
    assert code == 3 and said in shown, shown
    assert json.loads(day2ctl("status", "--json")[1])["logs"][0]["seal"]


def test_what_a_verification_found_stays_until_another_one(day2ctl: Run, sealed: Path) -> None:
    before = sealed.read_bytes()
    _same_size(sealed)
    code, _said, wrong = day2ctl("verify", "audit")
    assert code == 3 and "other bytes than were sealed" in wrong
    sealed.write_bytes(before)
    code, said, _wrong = day2ctl("status")
    assert code == 3 and "verified last" in said and ": 1 fault" in said and "FAULT" in said
    assert day2ctl("verify")[0] == 0 and day2ctl("status")[0] == 0


def test_a_status_reads_no_piece_that_nobody_changed(
    day2ctl: Run, sealed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(path: str) -> Any:
        raise AssertionError(f"{path} is read")

    monkeypatch.setattr(verifying.packing, "digest_of", read)
    assert day2ctl("status")[0] == 0


@pytest.mark.parametrize("away", ["/nosuch/place", "s3://bucket/logs"])
def test_a_repository_that_is_away_hides_no_verdict(
    day2ctl: Run, sealed: Path, place: Place, folder: Path, recipient: str, away: str
) -> None:
    """As is one whose file system is not mounted."""
    copied: Any = away
    if away.startswith("s3"):
        copied = {"url": away, "endpoint": "http://127.0.0.1:9", "access_key": "a", "secret_key": "hidden"}
    place.policies.save(audit(folder, recipient, max_age=365 * DAY, copy_to=copied))
    code, said, wrong = day2ctl("verify")
    assert code == 1 and "as sealed; record" in said and "in 'copy_to'" in wrong
    code, shown, _wrong = day2ctl("status")
    assert code == 1 and "in 'copy_to'" in shown and "hidden" not in shown + wrong
    check = {"id": "x", "title": "x", "probe": "log_seal", "name": "audit"}
    row = run_checklist([check], deadline=60)["results"][0]
    assert row["status"] == "warning" and row["value"] == 0 and "in 'copy_to'" in row["message"]
    sealed.unlink()
    code, _said, wrong = day2ctl("verify")
    assert code == 3 and "is gone" in wrong.splitlines()[0] and "in 'copy_to'" in wrong.splitlines()[1]
    row = run_checklist([check], deadline=60)["results"][0]
    assert row["status"] == "critical" and "is gone" in row["message"]


def test_a_head_that_was_altered_in_the_repository_hides_no_other(
    place: Place, sealed: Path, folder: Path, recipient: str, tmp_path: Path
) -> None:
    (tmp_path / "away").mkdir()
    copied = audit(folder, recipient, max_age=365 * DAY, copy_to=str(tmp_path / "away"), host="db1")
    place.policies.save(copied)
    assert not tend(place).faults
    heads = tmp_path / "away" / "db1" / "audit" / "heads"
    (heads / "000000001-x.json").write_text("nonsense")
    verdict = verifying.verify(copied, place)
    (fault,) = verdict.faults
    assert "000000001-x.json" in fault and "was altered there" in fault
    assert verdict.anchor == verdict.head and not verdict.unreached


def test_a_log_that_cannot_be_verified_hides_no_other(
    day2ctl: Run, sealed: Path, place: Place, folder: Path, recipient: str
) -> None:
    place.policies.save(audit(folder, recipient, name="a", paths=(f"{folder}/*.txt",)))
    Path(place.policies.path("a")).write_text("nonsense")
    code, said, wrong = day2ctl("verify")
    assert code == 1 and "audit: 2 sealed files" in said and "a.json cannot be read" in wrong
    code, said, _wrong = day2ctl("status")
    assert code == 1 and "audit (audit): 2 packed pieces" in said and "FAULT" in said and "a.json" in said


@pytest.mark.parametrize(
    ("state", "ago", "said"),
    [
        ("inactive", 60.0, "FAULT day2-logs.timer does not run (inactive)"),
        ("failed", 60.0, "FAULT day2-logs.timer does not run (failed)"),
        ("active", 30 * 3600.0, "FAULT nothing has tended them for 1 d 6 h"),
        ("active", None, "FAULT nothing has tended them yet"),
    ],
)
def test_logs_that_nobody_tends_are_a_fault(
    day2ctl: Run, sealed: Path, place: Place, timer: Path, state: str, ago: float | None, said: str
) -> None:
    timer.write_text(f"{state}\n")
    os.unlink(place.status)
    if ago is not None:
        place.remember(time.time() - ago, [], [], [])
    code, shown, _wrong = day2ctl("status")
    assert code == 1 and said in shown, shown


def test_what_the_last_run_could_not_do_is_a_fault(day2ctl: Run, sealed: Path, place: Place) -> None:
    place.remember(time.time(), ["audit: the disk is full"], ["class audit has much"], [])
    code, said, _wrong = day2ctl("status")
    assert code == 1 and "FAULT audit: the disk is full" in said and "FAULT class audit has much" in said


def test_a_host_without_policies_is_well(day2ctl: Run, timer: Path) -> None:
    timer.write_text("inactive\n")
    assert day2ctl("status")[:2] == (0, "no log of this host has a policy\n")
