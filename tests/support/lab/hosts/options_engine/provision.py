# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make this machine the host of the options engine, as its operations manual describes it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

from ..common.system import file, folder, mask_generators, run, start, succeeds, timer_ran, units, user, wait_until
from . import database, logs, web

HERE = Path(__file__).resolve().parent
SERVICE_USER = "options-engine"
DOWN = "options-report.service"
UNITS = {
    "options-engine.service": f"""\
[Unit]
Description=Options trading engine
After=network.target postgresql.service redis-server.service
[Service]
User={SERVICE_USER}
ExecStart=/usr/bin/python3 /opt/options_engine/app.py
Restart=on-failure
[Install]
WantedBy=multi-user.target
""",
    DOWN: """\
[Unit]
Description=End-of-day report of the options engine
After=options-engine.service
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /opt/options_engine/report.py
[Install]
WantedBy=multi-user.target
""",
    "options-backup.service": f"""\
[Unit]
Description=Backup of the options engine's database
[Service]
Type=oneshot
User=postgres
ExecStart=/bin/sh -c 'exec pg_dump --format=custom --dbname={database.NAME} \
--file={database.BACKUPS}/{database.NAME}_$$(date +%%Y%%m%%d_%%H%%M%%S).dump'
""",
    "options-backup.timer": """\
[Unit]
Description=Nightly backup of the options engine's database
[Timer]
OnCalendar=*-*-* 02:00:00
Persistent=true
[Install]
WantedBy=timers.target
""",
}
CONFIGURATION = {
    "database.yaml": "host: localhost\nname: options_engine\npassfile: /etc/options_engine/pgpass\n",
    "api.yaml": "timeout: 30\nretries: 3\nbatch: 100\nupstreams: [api.tradier.com, finance.yahoo.com]\n",
    "risk.yaml": "margin_buffer: 0.15\nmax_exposure: 2500000\n",
    "alerts.yaml": "mail: ops@example.com\nsubject_prefix: 'Options Engine Alert:'\n",
    "features.yaml": "surface_cache: true\n",
}
# The one file with a wrong mode that the manual's permission check is to find.
OFFENDER = "features.yaml"
METRICS = {
    "performance": {"p50_ms": 48.2, "p95_ms": 312.6, "p99_ms": 688.1},
    "api_response_times": {"tradier": 182.4, "yahoo": 241.9},
    "avg_response_time": 0.086,
    "error_rate": 0.8,
    "cache_hit_rate": 93.7,
    "active_connections": 37,
    "requests_per_second": 412.5,
    "orders_today": 1284,
}


def main() -> None:
    mask_generators()
    folder("/etc/options_engine", 0o755)
    _users()
    _files()
    logs.write(socket.gethostname())
    database.provide()
    web.provide()
    _services()
    _firewall()


def _users() -> None:
    user(SERVICE_USER, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
    user("opsadmin", "--create-home", "--shell", "/bin/bash", "--groups", "sudo")
    user("departed", "--create-home", "--shell", "/bin/bash", "--expiredate", "1")
    run(["usermod", "--lock", "departed"])


def _files() -> None:
    folder("/opt/options_engine/engine")
    for name in ("app.py", "report.py"):
        file(f"/opt/options_engine/{name}", (HERE / name).read_text())
    for name in ("__init__", "pricing", "surface", "market_data"):
        file(f"/opt/options_engine/engine/{name}.py", f'"""Module {name} of the options engine."""\n')
    for name, text in CONFIGURATION.items():
        mode = 0o644 if name == OFFENDER else 0o600
        file(f"/etc/options_engine/{name}", text, mode, SERVICE_USER, SERVICE_USER)
    folder("/var/log/options_engine", 0o750, SERVICE_USER, "adm")
    folder("/var/lib/options_engine/history", 0o755, SERVICE_USER, SERVICE_USER)
    metrics = "/var/lib/options_engine/metrics.json"
    if not Path(metrics).exists():
        file(metrics, json.dumps(METRICS, indent=2) + "\n", 0o644, SERVICE_USER, SERVICE_USER)
    rows = "".join(f"2026,{number},{100 + number % 37}.{number % 100:02d}\n" for number in range(8000))
    for symbol in logs.SYMBOLS:
        file(f"/var/lib/options_engine/history/{symbol}.csv", rows, 0o644, SERVICE_USER, SERVICE_USER)


def _services() -> None:
    changed = units(UNITS)
    app = "options-engine.service"
    start(app, restart=app in changed)
    for timer, hour in (("options-backup.timer", 2), ("logrotate.timer", 0)):
        start(timer, restart=timer_ran(timer, hour) or timer in changed)
    run(["systemctl", "enable", "--quiet", DOWN])
    if not succeeds(["systemctl", "is-failed", DOWN]):
        # Its failure is what we are after, so its exit status tells nothing.
        subprocess.run(["systemctl", "start", DOWN], capture_output=True, check=False)
    wait_until(lambda: succeeds(["systemctl", "is-failed", DOWN]), 10, f"{DOWN} has failed")
    wait_until(_healthy, 10, "the application is healthy")


def _healthy() -> bool:
    code = "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health', timeout=2).read()"
    return succeeds(["python3", "-c", code])


def _firewall() -> None:
    rules = run(["ufw", "show", "added"])
    for port in ("22/tcp", "80/tcp", "443/tcp"):
        if f"ufw allow {port}" not in rules:
            run(["ufw", "allow", port])
    if "Status: active" not in run(["ufw", "status"]):
        # The container's kernel log is the machine's.
        run(["ufw", "logging", "off"])
        run(["ufw", "--force", "enable"])


if __name__ == "__main__":
    os.umask(0o022)
    shutil.rmtree("/var/www/html", ignore_errors=True)
    main()
