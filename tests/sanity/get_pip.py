# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-test runs to get pip into a new environment: the one that Python brings along."""

from __future__ import annotations

import subprocess
import sys

# ensurepip's pip does not know these options of the download that this stands in for.
_UNKNOWN = ("--no-setuptools", "--no-wheel")

if __name__ == "__main__":
    # In a process of its own: it takes pip's settings away from the one that it runs in.
    subprocess.run([sys.executable, "-m", "ensurepip"], check=True)
    wanted = [word for word in sys.argv[1:] if word not in _UNKNOWN]
    subprocess.run([sys.executable, "-m", "pip", "install", *wanted], check=True)
