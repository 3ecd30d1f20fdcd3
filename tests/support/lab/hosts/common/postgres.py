# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database with an owner, reached by password over TCP and by peer login for postgres."""

from __future__ import annotations

import secrets
from pathlib import Path

from .system import file, run, succeeds, wait_until

PASSFILE = "/root/.pgpass"


def psql(sql: str, database: str = "postgres") -> str:
    """Run SQL as the superuser; by standard input, where no process list shows a password."""
    options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    return run(["runuser", "-u", "postgres", "--", "psql", *options, "-d", database], sql.encode()).strip()


def wait_until_ready() -> None:
    wait_until(lambda: succeeds(["pg_isready", "-q"]), 30, "PostgreSQL answers")


def ensure_database(name: str, owner: str, service_user: str) -> bool:
    """Make role and database; say whether the database is new. The password is made here and stays here."""
    password = _known_password(owner) or secrets.token_urlsafe(18)
    if psql(f"SELECT 1 FROM pg_roles WHERE rolname = '{owner}'") != "1":
        psql(f"CREATE ROLE {owner} LOGIN")
    psql(f"ALTER ROLE {owner} PASSWORD '{password}'")
    new = psql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'") != "1"
    if new:
        psql(f"CREATE DATABASE {name} OWNER {owner}")
    entry = f"localhost:5432:*:{owner}:{password}\n127.0.0.1:5432:*:{owner}:{password}\n"
    file(PASSFILE, entry, 0o600)
    file(f"/etc/{name}/pgpass", entry, 0o600, service_user, service_user)
    service = f"[{name}]\nhost=localhost\nport=5432\ndbname={name}\nuser={owner}\n"
    file("/etc/postgresql-common/pg_service.conf", service)
    file("/root/.pg_service.conf", service, 0o600)
    return new


def _known_password(role: str) -> str:
    path = Path(PASSFILE)
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.rsplit(":", 1)[1] for line in lines if line.split(":")[3] == role), "")
