# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make this machine the host of Snowflake Analytics, as its operations manual describes it."""

from __future__ import annotations

import gzip
import os
import random
import shutil
import socket
from datetime import timedelta
from pathlib import Path

from ..common import certificates, postgres, system_logs
from ..common.history import Entry, Kind, entries, now, write_rotated
from ..common.system import (
    aged,
    file,
    folder,
    mask_generators,
    run,
    start,
    succeeds,
    timer_ran,
    units,
    user,
    wait_until,
)

HERE = Path(__file__).resolve().parent
HOME, USER, DATABASE, OWNER = "/opt/analytics", "analytics", "analytics", "analytics_user"
DAYS = 8
BACKUP_DAYS = 10
CERTIFICATE = certificates.Certificate(
    certificate="/etc/ssl/certs/analytics.pem",
    key="/etc/ssl/private/analytics.key",
    authority="/etc/ssl/certs/analytics-ca.pem",
    names=("analytics-1", "analytics.example.com", "localhost"),
    days=80,
)
SITE = f"""\
server {{
    listen 443 ssl;
    server_name {" ".join(CERTIFICATE.names)};
    ssl_certificate {CERTIFICATE.certificate};
    ssl_certificate_key {CERTIFICATE.key};
    access_log /var/log/nginx/analytics_access.log;
    location /dashboard/ {{ proxy_pass http://127.0.0.1:8501/; }}
    location / {{ proxy_pass http://127.0.0.1:8000; }}
}}
"""
_SERVICE = """\
[Unit]
Description=Snowflake Analytics {part}
After=network.target postgresql.service redis-server.service
[Service]
User={user}
ExecStart=/usr/bin/python3 {home}/service.py {part}
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
UNITS = {
    **{
        f"analytics-{part}.service": _SERVICE.format(part=part, user=USER, home=HOME)
        for part in ("api", "worker", "scheduler")
    },
    "analytics-backup.service": f"""\
[Unit]
Description=Backup of the database
[Service]
Type=oneshot
User=postgres
ExecStart=/bin/sh -c 'set -o pipefail 2>/dev/null; f={HOME}/backups/{DATABASE}_$$(date +%%Y%%m%%d).sql.gz; \
pg_dump {DATABASE} | gzip > $$f.part && mv $$f.part $$f'
""",
    "analytics-backup.timer": """\
[Unit]
Description=Nightly backup of the database
[Timer]
OnCalendar=*-*-* 02:00:00
Persistent=true
[Install]
WantedBy=timers.target
""",
}
SCHEMA = f"""
SET ROLE {OWNER};
CREATE TABLE events (at timestamptz NOT NULL, kind text NOT NULL, amount numeric) PARTITION BY RANGE (at);
CREATE TABLE events_past PARTITION OF events FOR VALUES FROM (MINVALUE) TO ('2026-01-01');
CREATE TABLE events_now PARTITION OF events DEFAULT;
CREATE INDEX events_at ON events (at);
CREATE TABLE reports (id integer PRIMARY KEY, title text NOT NULL, made timestamptz NOT NULL);
CREATE INDEX reports_by_title ON reports (title);
INSERT INTO events SELECT now() - n * interval '2 minutes', 'kind ' || n % 7, n % 900 FROM generate_series(1, 30000) n;
INSERT INTO reports SELECT n, 'report ' || n, now() - n * interval '1 hour' FROM generate_series(1, 2000) n;
ANALYZE;
"""
KINDS = (
    Kind(600, "INFO", "etl", "loaded {} rows in {} ms", lambda r: (r.randint(100, 9000), r.randint(80, 2500))),
    Kind(300, "INFO", "api", "GET /api/v1/metrics 200 {} ms", lambda r: (r.randint(4, 180),)),
    Kind(25, "WARNING", "etl", "query took {} ms", lambda r: (r.randint(2000, 9000),)),
    Kind(8, "ERROR", "etl", "warehouse answered 503, retry {} of 3", lambda r: (r.randint(1, 3),)),
    Kind(3, "ERROR", "api", "report {} could not be made: template is missing", lambda r: (r.randint(1, 2000),)),
)


def main() -> None:
    mask_generators()
    user(USER, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin")
    user("analyst", "--create-home", "--shell", "/bin/bash")
    for name in ("", "/logs", "/config"):
        folder(f"{HOME}{name}", 0o755, USER, USER)
    folder(f"/etc/{DATABASE}", 0o755)
    file(f"{HOME}/service.py", (HERE / "service.py").read_text())
    file(f"{HOME}/config/settings.yaml", "warehouse: analytics_wh\nworkers: 4\n", 0o640, USER, USER)
    _logs()
    _database()
    _web()
    _services()
    if "Status: active" not in run(["ufw", "status"]):
        for port in ("22/tcp", "443/tcp"):
            run(["ufw", "allow", port])
        run(["ufw", "logging", "off"])
        run(["ufw", "--force", "enable"])


def _logs() -> None:
    end = now()
    cuts = [end - timedelta(days=2), end - timedelta(days=5)]
    log = entries(KINDS, 4000, DAYS, end - timedelta(minutes=1), seed=30)
    write_rotated(f"{HOME}/logs/application.log", log, cuts, USER, "adm")
    system_logs.write(socket.gethostname(), end, cuts, DAYS, ("analytics-backup", "analytics-api"))
    chance = random.Random(31)
    ages = sorted((chance.random() * DAYS * 86400 for _number in range(3000)), reverse=True)
    access = []
    for age in ages:
        moment = end - timedelta(minutes=1, seconds=age)
        status = chance.choices((200, 304, 404, 502), weights=(900, 60, 25, 6))[0]
        # Documentation addresses (RFC 5737): they are nobody's.
        client = f"198.51.100.{chance.randint(1, 60)}"
        request = '"GET /api/v1/metrics HTTP/1.1"'
        line = f'{client} - - [{moment:%d/%b/%Y:%H:%M:%S %z}] {request} {status} {chance.randint(90, 9000)} "-" "-"'
        access.append(Entry(moment, "", line.encode() + b"\n"))
    write_rotated("/var/log/nginx/analytics_access.log", access, cuts, "www-data", "adm")


def _database() -> None:
    preload = "/etc/postgresql/15/main/conf.d/statements.conf"
    if file(preload, "shared_preload_libraries = 'pg_stat_statements'\n"):
        run(["systemctl", "restart", "postgresql@15-main.service"])
    postgres.wait_until_ready()
    if postgres.ensure_database(DATABASE, OWNER, USER):
        postgres.psql("CREATE EXTENSION pg_stat_statements", DATABASE)
        postgres.psql(SCHEMA, DATABASE)
        postgres.psql("SELECT kind, sum(amount) FROM events GROUP BY kind;" * 3, DATABASE)
    if run(["redis-cli", "EXISTS", "queue:reports"]).strip() == "0":
        run(["redis-cli", "RPUSH", "queue:reports", *map(str, range(12))])
    _backups()


def _backups() -> None:
    """Dumps of the last nights, each a little larger than the one before."""
    backups = f"{HOME}/backups"
    folder(backups, 0o750, "postgres", "postgres")
    dump = run(["runuser", "-u", "postgres", "--", "pg_dump", DATABASE]).encode()
    newest = now().replace(hour=2, minute=1, second=12, microsecond=0)
    newest -= timedelta(days=1) if newest + timedelta(minutes=9) > now() else timedelta(0)
    for number in range(BACKUP_DAYS):
        moment = newest - timedelta(days=number)
        path = f"{backups}/{DATABASE}_{moment:%Y%m%d}.sql.gz"
        if not Path(path).exists():
            note = b"-- night %d\n" % number * (BACKUP_DAYS - number) * 40
            file(path, gzip.compress(note + dump, mtime=0), 0o640, "postgres", "postgres")
        aged(path, moment.timestamp())


def _web() -> None:
    changed = certificates.ensure(CERTIFICATE)
    Path("/etc/nginx/sites-enabled/default").unlink(missing_ok=True)
    if file("/etc/nginx/sites-enabled/analytics", SITE) or changed:
        run(["nginx", "-t", "-q"])
        changed = True
    start("nginx.service", restart=changed)


def _services() -> None:
    changed = units(UNITS)
    for part in ("api", "worker", "scheduler"):
        start(f"analytics-{part}.service", restart=f"analytics-{part}.service" in changed)
    timer = "analytics-backup.timer"
    start(timer, restart=timer_ran(timer, 2) or timer in changed)
    code = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=2).read()"
    wait_until(lambda: succeeds(["python3", "-c", code]), 10, "the API is healthy")


if __name__ == "__main__":
    os.umask(0o022)
    shutil.rmtree("/var/www/html", ignore_errors=True)
    main()
