# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made-up results of hosts, always the same ones: for tests, for looking at a report, for the bench.

`sample_run.py --hosts 1000 --checks 50` prints an inventory whose hosts have `day2_checklist` set;
`--report DIR` writes a report of them instead and tells what it took.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import sys
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

Record = dict[str, Any]

STARTED = datetime(2026, 11, 21, 3, 15, 0, tzinfo=timezone.utc)
STATUSES = ("ok", "warning", "critical", "unknown", "skipped")

# id, title, probe, unit, warning, critical, ref, a good value, a bad one, message
CATALOGUE: list[tuple[str, str, str, str | None, str | None, str | None, str, Any, Any, str]] = [
    (
        "engine-unit",
        "Engine unit",
        "service",
        None,
        None,
        None,
        "OE-D01",
        "active",
        "failed",
        "options-engine.service is {}",
    ),
    (
        "postgres-unit",
        "PostgreSQL unit",
        "service",
        None,
        None,
        None,
        "OE-D01",
        "active",
        "inactive",
        "postgresql.service is {}",
    ),
    ("cpu", "CPU usage", "cpu", "%", "> 80%", "> 95%", "OE-D02", 23.4, 97.2, "{} % of 4 CPUs busy over 1 s"),
    ("memory", "Memory usage", "memory", "%", "> 80%", "> 90%", "OE-A02", 61.0, 93.8, "{} % of 7.8 GiB used"),
    ("root-disk", "Root file system", "disk", "%", "> 80%", "> 90%", "OE-A03", 41.3, 91.3, "{} % of / used"),
    ("health", "Application health", "http", None, None, None, "OE-D03", "healthy", "degraded", "status says {}"),
    ("api-p95", "API latency, 95th percentile", "http", "ms", "> 500ms", "> 1s", "OE-D07", 212, 1840, "{} ms"),
    ("request-rate", "Request rate", "http", "/s", "< 100/s", None, "OE-D07", 412.5, 31.0, "{} requests a second"),
    (
        "db-connect",
        "Database accepts the application's user",
        "postgres",
        "s",
        None,
        None,
        "OE-D04",
        0.012,
        3.2,
        "connected as options_engine_user in {} s",
    ),
    ("db-size", "Database size", "postgres", "B", "> 50GB", None, "OE-D04", 8_589_934_592, 61_203_283_968, "{} B"),
    ("errors", "Recent errors", "log", "lines", "> 10", "> 100", "OE-D06", 0, 147, "{} lines match ERROR in error.log"),
    (
        "slow",
        "Performance warnings",
        "log",
        "lines",
        "> 20",
        None,
        "OE-D12",
        4,
        38,
        "{} lines mention slow, timeout or memory",
    ),
    (
        "upstream",
        "Market-data upstream answers",
        "tcp",
        "ms",
        "> 200ms",
        None,
        "OE-D05",
        38,
        5000,
        "connected in {} ms",
    ),
    (
        "backup-age",
        "Age of the newest backup",
        "file",
        "s",
        "> 26h",
        "> 50h",
        "OE-D14",
        11_520,
        201_600,
        "written {} s ago",
    ),
]
LOG_LINES = [
    "2026-11-21 03:02:11,417 ERROR pricing.engine Greeks for <SPX 4500C> failed: division by zero",
    "2026-11-21 03:02:14,002 ERROR db.pool connection refused: host=db1 port=5432 && retry=3",
    '2026-11-21 03:04:40,731 ERROR api.orders 504 upstream "marketdata" did not answer in 5 s',
    "\tTraceback (most recent call last):",
    "2026-11-21 03:11:09,250 ERROR risk.limits notional 12,400,000 exceeds the limit for desk 'vol-arb'",
]


def row(place: int, status: str, started: datetime = STARTED) -> Record:
    """One result; after the catalogue's end it begins again with a number in the id."""
    check, title, probe, unit, warning, critical, ref, good, bad, message = CATALOGUE[place % len(CATALOGUE)]
    again = place // len(CATALOGUE)
    value = bad if status in ("warning", "critical") else good if status == "ok" else None
    text = message.format(value)
    if status == "critical":
        text += f", critical above {critical.lstrip('<> ')}" if critical else ", expected otherwise"
    elif status == "warning":
        text += f", warning at {warning}" if warning else ", expected otherwise"
    elif status == "unknown":
        text = "no answer within 10 s; killed at its deadline"
    elif status == "skipped":
        text = "needs root"
    return {
        "id": f"{check}-{again + 1}" if again else check,
        "title": f"{title} ({again + 1})" if again else title,
        "probe": probe,
        "status": status,
        "value": value,
        "unit": unit,
        "message": text,
        "warning": warning,
        "critical": critical,
        "evidence": LOG_LINES if probe == "log" and value else [],
        "ref": [ref],
        "started": started.isoformat().replace("+00:00", "Z"),
        "duration": round(0.004 + 0.013 * (place % 7), 3),
    }


def checklist(statuses: list[str], started: datetime = STARTED) -> Record:
    """A checklist's result with these statuses, in the order of the catalogue."""
    present = [status for status in ("critical", "unknown", "warning", "ok", "skipped") if status in statuses]
    return {
        "changed": False,
        "status": present[0] if present else "skipped",
        "summary": {status: statuses.count(status) for status in STATUSES},
        "duration": 0.84,
        "results": [row(place, status, started) for place, status in enumerate(statuses)],
    }


def sample_run(hosts: int, checks: int, started: datetime = STARTED) -> dict[str, Record]:
    """Most hosts are entirely ok; the others have what one finds on a bad night."""
    chance = random.Random(f"{hosts}x{checks}")
    run: dict[str, Record] = {}
    for number in range(1, hosts + 1):
        weights = (90, 4, 3, 1, 2) if chance.random() < 0.15 else (98, 0, 0, 0, 2)
        run[f"app{number}.example.net"] = checklist(chance.choices(STATUSES, weights, k=checks), started)
    return run


UNREACHABLE = {
    "changed": False,
    "unreachable": True,
    "msg": "Failed to connect to the host via ssh: ssh: connect to host 192.0.2.17 port 22: Connection timed out",
}
REFUSED = {"changed": False, "failed": True, "msg": "check 'root-disk': unknown probe 'dsik', did you mean 'disk'?"}


def night(started: datetime = STARTED) -> dict[str, Record]:
    """A handful of hosts that show everything a report has to show."""
    ok = ["ok"] * len(CATALOGUE)
    bad = list(ok)
    bad[4], bad[10], bad[6], bad[12], bad[13] = "critical", "critical", "warning", "unknown", "skipped"
    slow = list(ok)
    slow[6], slow[12] = "warning", "unknown"
    return {
        "app1.example.net": checklist(bad, started),
        "app2.example.net": checklist(slow, started),
        "app3.example.net": checklist(ok, started),
        "db1.example.net": checklist(ok, started),
        "db2.example.net": dict(UNREACHABLE),
        "cache1.example.net": dict(REFUSED),
    }


def inventory(run: dict[str, Record]) -> Record:
    hostvars = {host: {"ansible_connection": "local", "day2_checklist": value} for host, value in run.items()}
    return {"_meta": {"hostvars": hostvars}, "all": {"hosts": list(run)}}


def write_report(run: dict[str, Record], directory: Path) -> None:
    """Imports late: the inventory must also come out where ansible cannot be imported."""
    from ansible_collections.day2.ops.plugins.plugin_utils.report import write
    from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Run, build, verdict

    before = time.monotonic()
    now = datetime.now(timezone.utc)
    about = Run(
        run_id=write.new_run_id(now),
        title="Daily checklist",
        system="options_engine",
        cadence="daily",
        versions={"collection": "0.1.0", "ansible": "2.19"},
    )
    report = build(about, run.items(), now)
    places = write.write(report, directory)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(verdict(report), places["html"], f"{time.monotonic() - before:.2f} s, peak {peak:.0f} MiB", sep="\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=0, help="0: the few hosts of one bad night")
    parser.add_argument("--checks", type=int, default=50)
    parser.add_argument("--report", type=Path, help="write a report into this directory")
    parser.add_argument("--list", action="store_true", help="how ansible calls an inventory script")
    arguments = parser.parse_args()
    started = datetime.now(timezone.utc) - timedelta(seconds=5) if arguments.report else STARTED
    run = sample_run(arguments.hosts, arguments.checks, started) if arguments.hosts else night(started)
    if arguments.report:
        write_report(run, arguments.report)
    else:
        json.dump(inventory(run), sys.stdout)


if __name__ == "__main__":
    main()
