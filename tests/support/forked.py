# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A call in a fork of this process, which has everything loaded already: half of a short run is the loading."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def call_in_fork(action: Callable[[], object], stdout: int, stderr: int, stdin: int | None = None) -> int:
    """The exit status of `action`, as of a program; what it loads or changes ends with its fork.

    `stdout`, `stderr` and `stdin` (by default nothing) are file descriptors. Negative: the number of the signal that
    ended it.
    """
    child = os.fork()
    if child == 0:
        code = 250
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin, 0)
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            action()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            if code == 250:
                traceback.print_exc()
            sys.stdout.flush()
            sys.stderr.flush()
            # The parent's files and temporary directories are not this one's to end.
            os._exit(code)
    _pid, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
