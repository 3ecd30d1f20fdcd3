# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A controller that is killed: `killed.py SSH_CONFIG HOST COMMAND …` runs the command, and kills it with all it has
started once the journal on the host says that a promotion is about to be done.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

JOURNAL = "/var/lib/day2/dr/snowflake_analytics.json"
LIMIT = 300.0


def promoting(config: str, host: str) -> bool:
    done = subprocess.run(
        ["ssh", "-F", config, host, "cat", JOURNAL],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    entries = json.loads(done.stdout)["entries"] if done.returncode == 0 else []
    return any(entry["step"] == "promote" for entry in entries)


def main(config: str, host: str, *command: str) -> None:
    with subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL) as controller:
        end = time.monotonic() + LIMIT
        while not promoting(config, host):
            if controller.poll() is not None or time.monotonic() > end:
                sys.exit(f"the controller ended with {controller.poll()} before a promotion was about to be done")
            time.sleep(0.05)
        os.killpg(controller.pid, signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
