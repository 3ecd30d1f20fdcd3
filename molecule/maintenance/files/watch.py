# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user, a monitor and the host's own systemd see, five times a second, a line of JSON each."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

TLS = ssl.create_default_context(cafile="/etc/ssl/certs/options-engine-ca.pem")


# Whoever watches goes on whatever is met: what is no answer is told as such, and the tests judge it.
def status(url: str) -> int | str:
    try:
        with urllib.request.urlopen(url, timeout=30, context=TLS) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return str(error)


def silences() -> int | str:
    try:
        with urllib.request.urlopen("http://127.0.0.1:9093/api/v2/silences", timeout=30) as answer:
            return sum(each["status"]["state"] == "active" for each in json.load(answer))
    except OSError as error:
        return str(error)


def unit(name: str) -> str:
    said = subprocess.run(["systemctl", "is-active", name], capture_output=True, text=True, check=False)
    return said.stdout.strip()


def main() -> None:
    with open(sys.argv[1], "a", encoding="utf-8") as seen:
        while True:
            line = {
                "at": time.time(),
                "web": status("https://localhost/metrics"),
                "unit": unit("options-engine.service"),
                "silences": silences(),
            }
            seen.write(json.dumps(line) + "\n")
            seen.flush()
            time.sleep(0.2)


if __name__ == "__main__":
    main()
