# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module of the collection, in a host: `run_module.py NAME [SECONDS]`. It prints what the module prints.

Its arguments are JSON on standard input.

SECONDS is by how much the host's clock is ahead of what it is (behind, where negative): the lab's is the machine's.
"""

from __future__ import annotations

import json
import sys
import time

from kill_runs import module


def main(name: str, shift: str = "0") -> None:
    real, seconds = time.time, float(shift)
    time.time = lambda: real() + seconds
    module(name, json.load(sys.stdin))


if __name__ == "__main__":
    main(*sys.argv[1:])
