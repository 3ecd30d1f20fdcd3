# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report over 1,000 hosts of 50 checks: its own process, so that memory is its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile

from bench.measure import ROOT, Figure


def run() -> list[Figure]:
    script = ROOT / "tests" / "support" / "sample_run.py"
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, str(script), "--hosts", "1000", "--checks", "50", "--report", folder]
        done = subprocess.run(
            argv, env={"PYTHONPATH": str(ROOT / ".collections")}, capture_output=True, text=True, check=True
        )
    match = re.search(r"([\d.]+) s, peak (\d+) MiB", done.stdout)
    if match is None:
        raise RuntimeError(done.stdout)
    return [
        Figure("report, 1,000 hosts x 50 checks", float(match.group(1)), 20, "build, render and write all files", "s"),
        Figure("its memory", float(match.group(2)), 1000, "peak, the sample included", "MB"),
    ]
