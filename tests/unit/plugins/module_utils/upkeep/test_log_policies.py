# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A clean-up asks the policies of logs which files may go; a full disk gets room in the order of their classes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Trust
from ansible_collections.day2.ops.plugins.module_utils.rotation import emergency as order
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import Owners, Piece, piece_name
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import (
    WRITER,
    Hold,
    LogPolicyError,
    Policies,
    Policy,
    parse_size,
)
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import Outcome, tend
from ansible_collections.day2.ops.plugins.module_utils.upkeep import cleanup, emergency

NOW, DAY = 1_790_000_000.0, 86400.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "site" / "logs").mkdir(parents=True)
    return tmp_path / "site" / "logs"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    trust = Trust(os.geteuid(), str(tmp_path))
    return Place(Policies(str(tmp_path / "policies"), trust), str(tmp_path / "state"), trust, threads=1)


def policy(folder: Path, name: str = "shop", log_class: str = "application", **values: Any) -> Policy:
    usual: dict[str, Any] = {"max_age": 300 * DAY, "max_size": 10**9, "paths": (f"{folder}/{name}.log",)}
    return Policy(name, log_class, **{**usual, **values})


def old(folder: Path, name: str, days: float = 100, size: int = 8192) -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    os.utime(path, (NOW - days * DAY,) * 2)
    return path


def piece(folder: Path, days: float, log: str = "shop.log", form: str = ".zst", size: int = 8192) -> Path:
    return old(folder, piece_name(log, NOW - days * DAY) + form, days, size)


def wanted(folder: Path, *patterns: str, age: float = 7 * DAY) -> cleanup.Wanted:
    return cleanup.Wanted([str(folder)], patterns or ("*",), age)


def names(folder: Path) -> set[str]:
    return set(os.listdir(folder))


# Who owns a file


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("shop.log", "shop"),
        ("shop.log-20260921-1789990000", "shop"),
        ("shop.log-20260921-1789990000.zst", "shop"),
        ("shop.log-20260921-1789990000.zst.age", "shop"),
        (".shop.log-20260921-1789990000.day2-packing", "shop"),
        ("..shop.log-20260921-1789990000.day2-packing.day2-packing", "shop"),
        ("shop.log.1", "shop"),
        ("shop.log.2.gz", "shop"),
        ("shop.log-20260920", "shop"),
        ("pg-Mon.log", "pg"),
        ("pg-Mon.log-20260921-1789990000.zst", "pg"),
        ("shop.log.bak", None),
        ("shop.log.pos", None),
        ("shopping.log.1", None),
        ("xshop.log.1", None),
        ("pg-Mon.csv", None),
        ("other.log-20260921-1789990000.zst", None),
    ],
)
def test_files_that_belong_to_a_policy(folder: Path, name: str, owner: str | None) -> None:
    owners = Owners([policy(folder), policy(folder, "pg", renamed_by=WRITER, paths=(f"{folder}/pg-*.log",))])
    path = old(folder, name)
    found = owners.of(str(path), path.stat())
    assert (found.name if found else None) == owner
    elsewhere = folder.parent / name
    assert owners.of(str(elsewhere), path.stat()) is None


def test_no_pattern_removes_what_a_policy_keeps(folder: Path) -> None:
    kept = [old(folder, "shop.log"), piece(folder, 100), piece(folder, 99, form=""), old(folder, "shop.log.3.gz")]
    going = [old(folder, "other.log.1"), old(folder, "shop.log.bak")]
    planned = cleanup.clean(wanted(folder), NOW, True, [policy(folder)])
    removed = cleanup.clean(wanted(folder), NOW, False, [policy(folder)])
    assert planned.paths == removed.paths == [str(path) for path in going]
    assert names(folder) == {path.name for path in kept}
    assert sorted(removed.kept) == sorted(f"kept by log policy 'shop': {path}" for path in kept)
    told = cleanup.outcome(removed, wanted(folder), planning=False)
    assert "; files of log policies stay (4)" in told["message"]
    assert f"kept by log policy 'shop': {kept[0]}" in told["evidence"]
    # Its turn comes when nobody keeps it any more.
    assert len(cleanup.clean(wanted(folder), NOW, False, []).paths) == 4


def test_what_tending_did_is_in_the_outcome(folder: Path, place: Place) -> None:
    place.policies.save(policy(folder, max_age=30 * DAY))
    place.policies.save(policy(folder, "audit", "audit"))
    piece(folder, 1, form=""), piece(folder, 31), piece(folder, 1, "audit.log", "")
    said = cleanup.outcome(cleanup.Removed(), wanted(folder), True)
    planned = cleanup.with_tended(said, tend(place, planning=True, clock=lambda: NOW), True)
    assert (
        "of logs with a policy, 2 pieces would be packed and 1 piece would be removed (8.0 KiB)" in planned["message"]
    )
    done = cleanup.with_tended(said, tend(place, clock=lambda: NOW), False)
    assert "1 piece packed and 1 piece removed" in done["message"] and done["status"] == "warning"
    assert "there is no recipient" in done["evidence"][0] and done["value"] == 8192
    assert cleanup.with_tended(said, Outcome(), False) == said


# Room on a full disk


def at(name: str, days: float, form: str = ".zst") -> Piece:
    return Piece(f"/l/{name}-{days}{form}", f"/l/{name}", NOW - days * DAY, form, 100)


def test_the_order_in_which_files_go() -> None:
    policies = [
        Policy("sys", "system", ("/l/sys",), 90 * DAY, 1),
        Policy("app", "application", ("/l/app",), 30 * DAY, 1, holds=(Hold("app-12*", NOW + DAY, "a case"),)),
        Policy("web", "application", ("/l/web",), 30 * DAY, 1, holds=(Hold("web-*", NOW - DAY, "it is over"),)),
        Policy("audit", "audit", ("/l/audit",), 365 * DAY, 1),
    ]
    found = {
        "sys": [at("sys", 80), at("sys", 9), at("sys", 60, "")],
        "app": [at("app", 20), at("app", 12), at("app", 6), at("app", 15, "")],
        "web": [at("web", 25), at("web", 10)],
        "audit": [at("audit", 300, ".zst.age")],
    }
    loose = [order.Candidate("/l/b", NOW - 8 * DAY), order.Candidate("/l/a", NOW - 9 * DAY)]
    said = list(order.in_order(loose, policies, found, 7 * DAY, NOW))
    assert [each.path for each in said] == [
        "/l/a", "/l/b", "/l/web-25.zst", "/l/app-20.zst", "/l/web-10.zst", "/l/sys-80.zst", "/l/sys-9.zst",
    ]  # fmt: skip
    assert [said[0].why, said[2].why] == ["it has no log policy", "a piece of log policy 'web' (class application)"]


@pytest.mark.parametrize(
    ("missing", "growth", "said"),
    [
        (-1, None, "no storage is missing now, and how fast logs grow is not known yet"),
        (0, 2**20, "no storage is missing now; logs grow by 1.0 MiB a day, 30.0 MiB in 30 days"),
        (2**30, 2**20, "1.0 GiB are missing: add at least as much storage; logs grow by 1.0 MiB a day"),
    ],
)
def test_what_storage_to_add(missing: float, growth: float | None, said: str) -> None:
    assert order.storage(missing, growth).startswith(said)


@pytest.fixture
def full(folder: Path, place: Place) -> dict[str, Path]:
    """8 KiB each: a file without a policy, pieces of three classes, and all that never goes."""
    place.policies.save(policy(folder, holds=(Hold("*1789395200*", NOW + DAY, "a case"),)))
    place.policies.save(policy(folder, "sys", "system"))
    place.policies.save(policy(folder, "audit", "audit", encrypt_to=("age1x",)))
    return {
        "loose": old(folder, "other.log.1", 50),
        "application": piece(folder, 20),
        "application-2": piece(folder, 10),
        "system": piece(folder, 90, "sys.log"),
        "audit": piece(folder, 200, "audit.log", ".zst.age"),
        "held": piece(folder, (NOW - 1789395200) / DAY),
        "young": piece(folder, 3),
        "not packed": piece(folder, 40, form=""),
        "current": old(folder, "shop.log", 60),
        "audit by name": old(folder, "auth.log.4", 60),
    }


@pytest.mark.parametrize(
    ("amount", "gone"),
    [
        (1, ["loose"]),
        (8192, ["loose"]),
        (8193, ["loose", "application"]),
        (3 * 8192, ["loose", "application", "application-2"]),
        (10**9, ["loose", "application", "application-2", "system"]),
    ],
)
def test_as_much_goes_as_is_wanted(
    folder: Path, place: Place, full: dict[str, Path], amount: int, gone: list[str]
) -> None:
    before = names(folder)
    planned = emergency.free(wanted(folder, "*.log*"), amount, NOW, True, place)
    assert names(folder) == before and not Path(place.state).exists()
    freed = emergency.free(wanted(folder, "*.log*"), amount, NOW, False, place)
    assert planned.removed.paths == freed.removed.paths == [str(full[name]) for name in gone]
    assert before - names(folder) == {full[name].name for name in gone}
    assert freed.removed.freed == 8192 * len(gone)
    told = emergency.outcome(freed, planning=False)
    assert told["status"] == ("warning" if amount > 4 * 8192 else "ok")
    if amount > 4 * 8192:
        assert "freed 32.0 KiB of 953.7 MiB in 4 files; 953.6 MiB are missing: add at least" in told["message"]
        assert "logs grow by" in told["message"]
    assert f"{full['loose']}: it has no log policy" in told["evidence"]


def test_what_is_open_stays_and_the_next_one_goes(folder: Path, place: Place, full: dict[str, Path]) -> None:
    with open(full["loose"]), open(full["application"]):
        freed = emergency.free(wanted(folder, "*.log*"), 8192, NOW, False, place)
    assert freed.removed.paths == [str(full["application-2"])]
    assert sorted(freed.removed.kept_open) == sorted(str(full[name]) for name in ("loose", "application"))
    assert "open files stay (2)" in emergency.outcome(freed, planning=False)["message"]


def test_pieces_on_another_file_system_do_not_help(
    folder: Path, place: Place, full: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    real: Callable[..., os.stat_result] = os.stat

    def stat(path: Any, **options: Any) -> os.stat_result:
        found = real(path, **options)
        return os.stat_result([*found[:2], 4711, *found[3:]]) if path == str(elsewhere) else found

    monkeypatch.setattr(emergency.os, "stat", stat)
    with pytest.raises(cleanup.CleanupError):
        emergency.free(cleanup.Wanted(["/etc/x"], ("*",), DAY), 1, NOW, False, place)
    freed = emergency.free(wanted(elsewhere, "*.log*"), 10**9, NOW, False, place)
    assert freed.removed.paths == []


def test_growth_is_that_of_the_policies(folder: Path, place: Place) -> None:
    place.policies.save(policy(folder))
    for days in range(10):
        piece(folder, days + 0.5, size=1 << 20)
    freed = emergency.free(wanted(folder, age=30 * DAY), 1 << 30, NOW, False, place)
    assert freed.growth == pytest.approx(1 << 20)
    assert (
        "1.0 GiB are missing: add at least as much storage; logs grow by 1.0 MiB a day, 30.0 MiB in 30 days"
        in (emergency.outcome(freed, planning=False)["message"])
    )


@pytest.mark.parametrize(
    ("text", "said"), [("", "not a quantity"), ("5", "has no unit"), ("5 s", "'free'"), ("-1GB", "less than a byte")]
)
def test_a_size_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(LogPolicyError, match=said):
        parse_size("free", text)
    assert parse_size("free", "5 GB") == 5 * 10**9
