# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A service that writes numbered lines, 10,000 a second, and reopens its log only when it is told to (SIGHUP).

`log_writer.py LOG PIDFILE`; SIGTERM ends it, and how many lines it wrote is its last word.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

_RATE, _BATCH = 10_000, 50


def _open(log: str) -> int:
    return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)


def main(log: str, pid_file: str) -> None:
    told = {"reopen": False, "end": False}

    def tell(what: str) -> Any:
        def handler(_signal: int, _frame: object) -> None:
            told[what] = True

        return handler

    signal.signal(signal.SIGHUP, tell("reopen"))
    signal.signal(signal.SIGTERM, tell("end"))
    descriptor, number, begun = _open(log), 0, time.monotonic()
    with open(pid_file, "w") as written:
        written.write(str(os.getpid()))
    while not told["end"]:
        if told["reopen"]:
            told["reopen"] = False
            os.close(descriptor)
            descriptor = _open(log)
        for _line in range(_BATCH):
            os.write(descriptor, b"%d of the orders was placed\n" % number)
            number += 1
        ahead = begun + number / _RATE - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    os.close(descriptor)
    print(number, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
