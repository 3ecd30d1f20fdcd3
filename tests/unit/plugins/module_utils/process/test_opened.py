# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether somebody has a file open, asked with processes that have."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process import opened
from ansible_collections.day2.ops.plugins.module_utils.process.opened import InUse, open_files, unused

OPEN = "import sys; stream = open(sys.argv[1], sys.argv[2]); print(flush=True); sys.stdin.read()"


@contextmanager
def held(path: Path, mode: str) -> Iterator[int]:
    """Another process has it open."""
    argv = [sys.executable, "-c", OPEN, str(path), mode]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdin
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "a log"
    path.write_text("line\n")
    yield path


def is_unused(path: Path, writing: bool) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with unused(descriptor, writing):
            return True
    except InUse:
        return False
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("leases", [True, False])
@pytest.mark.parametrize(
    ("mode", "unwritten", "free"), [("r", True, False), ("a", False, False), ("r+", False, False), ("w", False, False)]
)
def test_who_writes_and_who_reads(
    log: Path, mode: str, unwritten: bool, free: bool, leases: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not leases:

        def refused(_descriptor: int, _command: int, _kind: int) -> None:
            raise OSError("this file system has none")

        monkeypatch.setattr(fcntl, "fcntl", refused)
    # Not every root may look at all processes of its machine.
    monkeypatch.setattr(opened, "pids", lambda: iter(()))
    assert is_unused(log, writing=True) and is_unused(log, writing=False)
    with held(log, mode) as pid:
        monkeypatch.setattr(opened, "pids", lambda: iter([pid]))
        assert is_unused(log, writing=True) is unwritten and is_unused(log, writing=False) is free
        status = log.stat()
        seen = [(status.st_dev, status.st_ino) in open_files(os.getpid(), writing) for writing in (True, False)]
        assert seen == [not unwritten, True]
    assert is_unused(log, writing=False)


def test_who_opens_it_meanwhile_waits_and_ends_nobody(log: Path) -> None:
    descriptor = os.open(log, os.O_RDONLY)
    with unused(descriptor):
        writer = subprocess.Popen([sys.executable, "-c", OPEN, str(log), "a"], stdin=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            writer.wait(1.5)
    os.close(descriptor)
    writer.communicate(timeout=20)
    assert writer.returncode == 0
