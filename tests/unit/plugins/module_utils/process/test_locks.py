# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One at a time, and a holder that was killed blocks nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked, LockError, file_lock

HOLDER = (
    "import sys, time; sys.path.insert(0, '.collections')\n"
    "from ansible_collections.day2.ops.plugins.module_utils.process.locks import file_lock\n"
    "with file_lock(sys.argv[1], holder='a backup'):\n    print('held', flush=True)\n    sys.stdin.read()"
)


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "lock")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_one_is_refused_and_told_who(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    told = rf"is held by process {holder.pid} on \S+, for .* \(a backup\)"
    with pytest.raises(Locked, match=told), file_lock(str(tmp_path / "lock")):
        raise AssertionError("two hold it")
    holder.communicate()
    with file_lock(str(tmp_path / "lock")):
        pass


def test_waiting_ends_when_the_holder_does(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(Locked), file_lock(str(tmp_path / "lock"), wait=0.3):
        raise AssertionError("two hold it")
    holder.send_signal(signal.SIGKILL)
    with file_lock(str(tmp_path / "lock"), wait=30):
        pass
    holder.wait()


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LockError, match="lock cannot be opened"), file_lock(str(tmp_path / "lock")):
        pass
    assert not (tmp_path / "elsewhere").exists()
