# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a slow backup is: lines while it runs, nothing of it in the result, and a module that ends as ever."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from lab_host import ROOT, _environment

SETS = "/var/tmp/slow-sets"
SLOW = "/opt/slow"
# A compressor whose output comes in small pieces: the backup of a small database takes some seconds.
ZSTD = """#!/usr/bin/python3
import subprocess, sys, time
real = subprocess.Popen(["/usr/bin/zstd", *sys.argv[1:]], stdout=subprocess.PIPE)
for piece in iter(lambda: real.stdout.read(8192), b""):
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    time.sleep(float(open("/opt/slow/pause").read()))
sys.exit(real.wait())
"""
LEFT = "find /var/tmp /tmp -name '.day2-progress-*'"


@pytest.fixture
def host(lab_host: Any) -> Iterator[Any]:
    lab_host.run("mkdir", "-p", SLOW)
    lab_host.run("sh", "-c", f"cat > {SLOW}/zstd && chmod 755 {SLOW}/zstd", text=ZSTD)
    lab_host.run("sh", "-c", f"echo 0.1 > {SLOW}/pause")
    lab_host.run("rm", "-rf", SETS)
    # A module that was hung up leaves its file for a day, also those of other tests.
    lab_host.run("sh", "-c", f"{LEFT} -delete")
    yield lab_host
    lab_host.run("sh", "-c", f"{LEFT} -delete")
    lab_host.run("rm", "-rf", SETS, SLOW)


BACKUP = {"day2.ops.pg_backup": {"databases": ["options_engine"], "repository": SETS}}
DRILL = {"day2.ops.restore_drill": {"database": "options_engine", "repository": SETS}}


def play_of(host: Any, folder: Path, module: dict[str, Any] | None = None, **more: Any) -> list[str]:
    """The command of a playbook that runs a module slowly and keeps its result in `folder`."""
    task = {
        "name": "Run it slowly",
        **(module or BACKUP),
        "environment": {"PATH": f"{SLOW}:/usr/local/bin:/usr/bin:/bin"},
        "become": True,
        "become_user": "postgres",
        "register": "outcome",
        **more,
    }
    keep = {"keep": {"value": "{{ outcome }}", "file": str(folder / "result.json")}}
    file = folder / "site.json"
    file.write_text(json.dumps([{"hosts": host.name, "gather_facts": False, "tasks": [task, keep]}]))
    variables = json.dumps({"day2_lab_dir": str(host.lab.folder), "day2_progress_interval": 1})
    return ["ansible-playbook", str(file), "-i", str(ROOT / "inventories" / "lab"), "-e", variables]


def with_variables(command: list[str], **more: Any) -> list[str]:
    return [*command[:-1], json.dumps({**json.loads(command[-1]), **more})]


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {**_environment(), **environment}
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, check=False)


def lines(said: str) -> list[str]:
    return [line.split(None, 2)[2] for line in said.split("\n") if line.startswith("working ")]


def until(predicate: Callable[[], bool], limit: float = 180.0) -> None:
    end = time.monotonic() + limit
    while not predicate():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.2)


def test_a_slow_backup_shows_how_far_it_is(host: Any, tmp_path: Path) -> None:
    command = play_of(host, tmp_path)
    done = run(command)
    assert done.returncode == 0, done.stdout + done.stderr
    first = lines(done.stdout)
    assert len(first) > 1 and all(line.startswith(("backup postgresql", "reading back 2")) for line in first), first
    assert any("KiB/s" in line for line in first) and not any(" of about " in line for line in first)
    outcome = json.loads((tmp_path / "result.json").read_text())
    assert outcome["made"] and "progress" not in json.dumps(outcome).lower()
    assert host.run("sh", "-c", LEFT) == ""
    # Now there is a set to compare with.
    again = lines(run(command).stdout)
    assert any(" of about " in line and "left" in line for line in again), again


def test_a_slow_drill_shows_each_phase(host: Any, tmp_path: Path) -> None:
    host.run("sh", "-c", f"echo 0 > {SLOW}/pause")
    assert run(play_of(host, tmp_path)).returncode == 0
    host.run("sh", "-c", f"echo 0.02 > {SLOW}/pause")
    done = run(play_of(host, tmp_path, DRILL))
    assert done.returncode == 0, done.stdout + done.stderr
    shown = lines(done.stdout)
    assert any(line.startswith("restoring options_engine of 2") for line in shown), shown
    assert json.loads((tmp_path / "result.json").read_text())["steps"][0]["status"] == "ok"


def test_standard_output_stays_a_document(host: Any, tmp_path: Path) -> None:
    done = run(play_of(host, tmp_path), ANSIBLE_STDOUT_CALLBACK="ansible.posix.json")
    document = json.loads(done.stdout)
    result = document["plays"][0]["tasks"][0]["hosts"][host.name]
    assert result["made"] and "working" not in done.stdout and "backup postgresql" in done.stderr


@pytest.mark.parametrize(
    "more",
    [{"check_mode": True}, {"vars": {"day2_progress_interval": 0}}, {"async": 120, "poll": 1}],
    ids=["check mode", "switched off", "async"],
)
def test_nothing_is_shown_where_nobody_asks(host: Any, tmp_path: Path, more: dict[str, Any]) -> None:
    done = run(with_variables(play_of(host, tmp_path, **more), **more.get("vars", {})))
    assert done.returncode == 0 and lines(done.stdout) == [], done.stdout + done.stderr
    outcome = json.loads((tmp_path / "result.json").read_text())
    assert outcome["made"]


def test_without_pipelining(host: Any, tmp_path: Path) -> None:
    done = run(with_variables(play_of(host, tmp_path), ansible_pipelining=False))
    assert done.returncode == 0 and len(lines(done.stdout)) > 1, done.stdout + done.stderr


def kill_all(pid: int) -> None:
    """A controller that is gone: its workers are leaders of groups of their own, and each has its ssh."""
    children: dict[int, list[int]] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        # One may end meanwhile.
        with suppress(OSError):
            parent = int(place.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(place.parent.name))
    family = [pid]
    for member in family:
        family += children.get(member, [])
    for member in family:
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)


@pytest.mark.parametrize("is_pipelined", [False, True], ids=["a terminal", "pipelining"])
def test_a_killed_controller_means_to_the_module_what_it_always_meant(
    host: Any, tmp_path: Path, is_pipelined: bool
) -> None:
    """With a terminal on the host the module is hung up; with pipelining there is none, and it ends when it is done."""
    host.run("sh", "-c", f"echo 1 > {SLOW}/pause")
    nowhere = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    command = with_variables(play_of(host, tmp_path), ansible_pipelining=is_pipelined)
    with subprocess.Popen(command, cwd=ROOT, env=_environment(), **nowhere) as controller:
        until(lambda: host.run("pgrep", "-f", f"{SLOW}/zstd", check=False) != "")
        kill_all(controller.pid)
    if is_pipelined:
        host.run("sh", "-c", f"echo 0 > {SLOW}/pause")
        until(lambda: host.run("sh", "-c", f"find {SETS} -name manifest.json") != "")
        until(lambda: host.run("sh", "-c", LEFT) == "")
        return
    until(lambda: host.run("pgrep", "-f", f"{SLOW}/zstd", check=False) == "")
    assert host.run("sh", "-c", f"find {SETS} -name manifest.json") == ""
    # The next run is not in anybody's way.
    host.run("sh", "-c", f"echo 0 > {SLOW}/pause")
    assert run(play_of(host, tmp_path)).returncode == 0
    assert json.loads((tmp_path / "result.json").read_text())["made"]


def test_a_malformed_interval_is_refused(host: Any, tmp_path: Path) -> None:
    done = run(with_variables(play_of(host, tmp_path), day2_progress_interval="often"))
    assert done.returncode == 2 and "day2_progress_interval is 'often'; it is a number of seconds" in done.stdout
