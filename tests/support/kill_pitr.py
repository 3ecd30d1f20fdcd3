# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of physical restores and drills, in a host.

`kill_pitr.py note STEP at|done ARGUMENTS` kills pg_restore where its journal names a step: when that is written down
and not begun, or when it is done and the next one is not written down. `kill_pitr.py seen PATTERN MODULE ARGUMENTS`
kills a module as soon as a file of that pattern is there. Both end with 0 when it was killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from glob import glob
from typing import Any

from kill_runs import module, session

_LIMIT = 120.0


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def patched(step: str, when: str, arguments: dict[str, Any]) -> None:
    """In the process that is to be killed."""
    from ansible_collections.day2.ops.plugins.module_utils.pgbackrest import in_place

    note, forget = in_place.note, in_place.forget
    reached: list[str] = []

    def noted(data: str, journal: Any) -> None:
        if when == "done" and reached[-1:] == [step]:
            _die()
        note(data, journal)
        reached.append(journal.step.name.lower())
        if when == "at" and reached[-1] == step:
            _die()

    def forgotten(data: str) -> None:
        if when == "done" and reached[-1:] == [step]:
            _die()
        forget(data)

    in_place.note, in_place.forget = noted, forgotten
    module("pg_restore", arguments)


def main(argv: Sequence[str]) -> int:
    if argv[0] == "patched":
        patched(argv[1], argv[2], json.loads(argv[3]))
        return 1
    if argv[0] == "note":
        running = _started("patched", *argv[1:])
    else:
        running = _started("module", *argv[2:], script="kill_runs.py")
        while running.poll() is None and not glob(argv[1]):
            time.sleep(0.002)
        running.kill()
    said, _nothing = running.communicate()
    end = time.monotonic() + _LIMIT
    while session(running.pid):
        if time.monotonic() > end:
            print("processes of the killed run are still there", file=sys.stderr)
            return 1
        time.sleep(0.02)
    if running.returncode == -signal.SIGKILL:
        return 0
    print(f"it was not killed: {said[-2000:]}", file=sys.stderr)
    return 1


def _started(*argv: str, script: str = "kill_pitr.py") -> subprocess.Popen[str]:
    place = os.path.join(os.path.dirname(os.path.abspath(__file__)), script)
    return subprocess.Popen(
        [sys.executable, place, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
