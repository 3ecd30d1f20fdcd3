# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The closing lines of `make demo-dr`: what the application met, and what the report of the failover says of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / ".lab" / "demo-dr"
PSQL = "PGPASSWORD=fictional psql -XAtq -h 127.0.0.1 -p 6432 -U client -d analytics -c"


def on_application(command: str) -> str:
    ssh = ["ssh", "-F", str(LAB / "ssh_config"), "app-1", command]
    return subprocess.run(ssh, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL).stdout


def gap(lines: Sequence[dict[str, Any]]) -> tuple[float, int]:
    """Seconds between the last answer of the old primary and the first of the new one, and tries without an answer."""
    served = [line for line in lines if "server" in line]
    first = next(line for line in served if line["server"] != served[0]["server"])
    last = max(line["at"] for line in served if line["server"] == served[0]["server"])
    return first["at"] - last, sum("error" in line and last <= line["at"] <= first["at"] for line in lines)


def main() -> None:
    lines = [json.loads(line) for line in on_application("cat /root/acknowledged.jsonl").splitlines()]
    there = {int(number) for number in on_application(f"{PSQL} 'SELECT n FROM acknowledged'").split()}
    missing = {line["n"] for line in lines if "server" in line} - there
    newest = max((ROOT / "day2-reports").glob("demo-dr-*/report.json"), key=lambda path: path.stat().st_mtime)
    report = json.loads(newest.read_text())
    rows = {row["id"]: row for host in report["hosts"] for row in host["results"]}
    seconds, errors = gap(lines)
    print(
        f"\nThe application could not write for {seconds:.1f} s (from the kill on, with two assessments and a plan"
        f" before the failover; {errors} errors).",
        f"Of {len(there) + len(missing)} numbers that were acknowledged to it, {len(missing)} are lost.",
        *(f"{rows[name]['title']}: {rows[name]['message']}" for name in ("dr-rto", "dr-loss", "dr-left")),
        f"Report:  {newest.parent / 'report.html'}",
        "Look:    tests/support/lab/lab exec demo-dr app-1 -- tail -f /root/acknowledged.jsonl",
        "Again:   ansible-playbook day2.ops.dr_assess -i inventories/lab_dr",
        "Remove:  make demo-down",
        sep="\n",
    )


if __name__ == "__main__":
    main()
