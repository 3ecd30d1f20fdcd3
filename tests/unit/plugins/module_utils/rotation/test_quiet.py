# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tick that has nothing to do is told so by a few stats, and never one that has."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.rotation.place import Place
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import WRITER, Hold
from ansible_collections.day2.ops.plugins.module_utils.rotation.quiet import nothing_is_due
from ansible_collections.day2.ops.plugins.module_utils.rotation.tending import Outcome, tend
from rotated_logs import DAY, policy

# Directories do not change their times for a test: what happens to them is long ago.
NOW = time.time() + 3600


def whole(place: Place, at: float = NOW) -> Outcome:
    return tend(place, clock=lambda: at)


def packed(folder: Path, age: float = 1.0, size: int = 100) -> Path:
    path = folder / f"app.log-20260921-{int(NOW - age * DAY)}.zst"
    path.write_bytes(b"x" * size)
    return path


@pytest.fixture
def quiet(place: Place, folder: Path) -> Place:
    """A log with a packed piece of a day, and nothing to do."""
    packed(folder)
    (folder / "app.log").write_text("written to\n")
    place.policies.save(policy(folder))
    whole(place)
    return place


def is_quiet(place: Place, at: float = NOW + 60) -> bool:
    return nothing_is_due(place.quiet, at)


def test_the_next_ticks_have_nothing_to_do_and_say_so(quiet: Place) -> None:
    assert is_quiet(quiet) and is_quiet(quiet, NOW + 3600)
    assert quiet.last_run() == pytest.approx(NOW + 3600), "whoever asks sees that the timer runs"
    assert not whole(quiet, NOW + 3700).changed


EVENTS: dict[str, Callable[[Place, Path], object]] = {
    "a piece was renamed": lambda _place, folder: (folder / "app.log").rename(folder / "app.log-20260921-1790000000"),
    "a piece went": lambda _place, folder: next(folder.glob("*.zst")).unlink(),
    "a killed run left something": lambda _place, folder: (folder / ".app.log-1.day2-packing").touch(),
    "a log began": lambda _place, folder: (folder / "other.log").touch(),
    "a log grew over its limit": lambda _place, folder: os.truncate(folder / "app.log", 10**9),
    "a log went": lambda _place, folder: (folder / "app.log").unlink(),
    "a policy changed": lambda place, folder: place.policies.save(policy(folder, max_age=DAY / 2)),
    "a policy was edited": lambda place, _folder: os.truncate(place.policies.path("shop"), 3),
    "a policy came": lambda place, folder: place.policies.save(policy(folder, name="other")),
    "a policy went": lambda place, _folder: place.policies.remove("shop"),
    "the directory is another one": lambda _place, folder: (folder.rename(f"{folder}2"), folder.mkdir()),
    "the directory went": lambda _place, folder: folder.rename(f"{folder}2"),
    "the file is cut": lambda place, _folder: os.truncate(place.quiet, os.path.getsize(place.quiet) - 3),
    "the file is empty": lambda place, _folder: os.truncate(place.quiet, 0),
}


@pytest.mark.parametrize("event", EVENTS)
def test_what_happens_is_not_missed(quiet: Place, folder: Path, event: str) -> None:
    EVENTS[event](quiet, folder)
    assert not is_quiet(quiet)


def test_a_module_tends_the_logs_and_writes_nothing_down(
    place: Place, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own name is one in an archive, and what it would find is not what day2ctl does."""
    archive = folder.parent / "payload.zip"
    archive.write_bytes(b"PK")
    monkeypatch.setattr(sys, "argv", [f"{archive}/ansible_collections/day2/ops/plugins/modules/file_cleanup.py"])
    place.policies.save(policy(folder))
    old = packed(folder, 31)
    assert whole(place).removed and not old.exists()
    assert not whole(place, NOW + 60).changed
    assert not Path(place.quiet).exists()


def test_another_user_is_not_believed(quiet: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert not is_quiet(quiet)


@pytest.mark.parametrize(
    ("age", "hold", "due"),
    [
        (29.9, None, NOW + 0.1 * DAY),
        (31, NOW + 3000, NOW + 3000),
        # Whatever else there may be, a whole run finds it.
        (1, None, NOW + 6 * 3600),
        (31, NOW + DAY, NOW + 6 * 3600),
    ],
    # Without names they would be called by the time of day, and by another one in each worker.
    ids=["its age", "the end of a hold", "nothing is due", "an end of a hold that is far away"],
)
def test_time_is_not_missed(place: Place, folder: Path, age: float, hold: float | None, due: float) -> None:
    packed(folder, age)
    holds = (Hold("app.log-*", hold, "court order 7"),) if hold else ()
    place.policies.save(policy(folder, holds=holds))
    whole(place)
    assert is_quiet(place, due - 60) and not is_quiet(place, due + 1)
    assert not is_quiet(place, due - 120), "a clock that was set back"


NEVER: dict[str, dict[str, Any]] = {
    "its writer renames it": {"renamed_by": WRITER},
    "it has copies": {"copy_to": "/nosuch/repository"},
    "its directories are found": {"paths": ("{folder}*/*.log",)},
    "its name is of two lines": {"paths": ("{folder}/a\nb*.log",)},
    "class audit without a recipient": {"log_class": "audit"},
    "it is over its limit": {"max_size": 5},
}


@pytest.mark.parametrize("why", NEVER)
def test_what_leaves_no_trace_is_looked_at(place: Place, folder: Path, why: str) -> None:
    (folder / "app.log").write_text("written to\n")
    usual = policy(folder)
    paths = tuple(path.format(folder=folder) for path in NEVER[why].get("paths", usual.paths))
    place.policies.save(replace(usual, **{**NEVER[why], "paths": paths}))
    whole(place)
    assert not is_quiet(place)


def test_a_run_that_did_something_or_is_too_near_to_it_is_not_believed(place: Place, folder: Path) -> None:
    place.policies.save(policy(folder))
    old = packed(folder, 31)
    assert whole(place).removed and not old.exists() and not is_quiet(place)
    whole(place, time.time())
    assert not is_quiet(place), (
        "the directory has changed within a second, and may have the same time when it does again"
    )
    whole(place)
    assert is_quiet(place)


def test_a_host_without_policies_is_quiet_until_it_has_one(place: Place, folder: Path) -> None:
    whole(place)
    assert is_quiet(place)
    place.policies.save(policy(folder))
    assert not is_quiet(place)


def test_the_question_loads_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        f"sys.path[:0] = {sys.path!r}\n"
        "import ansible_collections.day2.ops.plugins.module_utils.rotation.quiet\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('ansible_collections')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['__future__']"
