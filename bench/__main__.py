# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run all benchmarks, or those that are named; status 1 when a figure misses its limit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

from bench import (
    backup,
    checklist,
    failover,
    failover_faults,
    faults,
    files,
    history,
    logs,
    maintenance,
    maintenance_faults,
    pitr,
    report,
    restore,
    restore_faults,
    rotation,
)
from bench.measure import ROOT, Figure

BENCHMARKS: dict[str, Callable[[], list[Figure]]] = {
    "files": files.run,
    "logs": logs.run,
    "rotation": rotation.run,
    "report": report.run,
    "history": history.run,
    "backup": backup.run,
    "faults": faults.run,
    "pitr": pitr.run,
    "restore": restore.run,
    "restore_faults": restore_faults.run,
    "maintenance": maintenance.run,
    "maintenance_faults": maintenance_faults.run,
    "failover": failover.run,
    "failover_faults": failover_faults.run,
    "checklist": checklist.run,
}


def main(names: list[str]) -> int:
    unknown = set(names) - set(BENCHMARKS)
    if unknown:
        print(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    figures: list[Figure] = []
    for name in names or BENCHMARKS:
        print(f"{name} …", flush=True)
        for figure in BENCHMARKS[name]():
            figures.append(figure)
            sign = ">=" if figure.at_least else "<="
            verdict = "met" if figure.met else "MISSED"
            limit = f"{sign} {figure.limit:g} {figure.unit}"
            print(
                f"  {verdict:7}{figure.name:34}{figure.value:9.2f} {figure.unit:3} {limit:14} {figure.detail}",
                flush=True,
            )
    results = ROOT / ".build" / "bench.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps([{**vars(figure), "met": figure.met} for figure in figures], indent=2) + "\n")
    return 0 if all(figure.met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
