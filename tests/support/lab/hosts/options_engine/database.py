# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database and the cache of the options engine, with content and a week's backups."""

from __future__ import annotations

import shutil
import socket
from datetime import timedelta
from pathlib import Path

from ..common import postgres
from ..common.history import now
from ..common.system import aged, folder, run

NAME, OWNER, SERVICE_USER = "options_engine", "options_engine_user", "options-engine"
BACKUPS = "/var/backups/options_engine"
BACKUP_DAYS = 9
PREFIX = "options_engine:"

SCHEMA = f"""
SET ROLE {OWNER};
BEGIN;
SELECT setseed(0.42);
CREATE TABLE accounts (id integer PRIMARY KEY, name text NOT NULL, margin numeric NOT NULL);
CREATE TABLE option_chains (
    id bigint PRIMARY KEY, symbol text NOT NULL, expiry date NOT NULL,
    strike numeric NOT NULL, kind char(1) NOT NULL);
CREATE TABLE quotes (
    chain_id bigint NOT NULL REFERENCES option_chains, seen timestamptz NOT NULL, bid numeric, ask numeric);
CREATE TABLE positions (
    account_id integer NOT NULL REFERENCES accounts, chain_id bigint NOT NULL REFERENCES option_chains,
    quantity integer NOT NULL, PRIMARY KEY (account_id, chain_id));
INSERT INTO accounts
    SELECT n, 'account ' || n, (random() * 100000)::numeric(12, 2) FROM generate_series(1000, 1099) n;
INSERT INTO option_chains
    SELECT n, (ARRAY['AAPL', 'AMD', 'AMZN', 'GOOG', 'MSFT', 'NVDA', 'QQQ', 'SPY', 'TSLA'])[1 + n % 9],
           current_date + 7 * (1 + n % 52), 50 + 5 * (n % 60), CASE WHEN n % 2 = 0 THEN 'C' ELSE 'P' END
    FROM generate_series(1, 5000) n;
INSERT INTO quotes
    SELECT 1 + n % 5000, now() - n * interval '3 seconds',
           (random() * 20)::numeric(8, 2), (20 + random())::numeric(8, 2)
    FROM generate_series(1, 20000) n;
INSERT INTO positions
    SELECT 1000 + n % 100, 1 + n, (random() * 20)::integer FROM generate_series(1, 2000) n;
CREATE INDEX quotes_by_chain ON quotes (chain_id, seen);
COMMIT;
ANALYZE;
"""
# Reads by index and by scan, so that hit rates and scan counts are those of a database in use.
READS = """
SELECT count(*) FROM generate_series(1, 300) n, LATERAL (SELECT * FROM quotes WHERE chain_id = n LIMIT 3) q;
SELECT count(*) FROM quotes WHERE bid > 10;
SELECT count(*) FROM option_chains JOIN positions ON chain_id = id WHERE symbol = 'SPY';
"""


def provide() -> None:
    postgres.wait_until_ready()
    if postgres.ensure_database(NAME, OWNER, SERVICE_USER):
        postgres.psql(SCHEMA, NAME)
        postgres.psql(READS * 3, NAME)
    _fill_cache()
    _backups()


def _fill_cache() -> None:
    """Keys with and without an end, and reads of which some miss."""
    symbols = [f"SYM{number:03d}" for number in range(300)]
    commands = [f"SET {PREFIX}quote:{symbol} {100 + len(symbol)} EX 86400" for symbol in symbols]
    commands += [f"SET {PREFIX}session:{number:04d} open" for number in range(120)]
    commands += [f"GET {PREFIX}quote:{symbol}" for symbol in symbols * 3]
    commands += [f"GET {PREFIX}quote:GONE{number}" for number in range(60)]
    with socket.create_connection(("127.0.0.1", 6379), timeout=5) as connection:
        connection.sendall("".join(f"{command}\r\n" for command in [*commands, "QUIT"]).encode())
        while connection.recv(65536):
            continue


def _backups() -> None:
    """One real archive, under the names and at the times of the nightly runs."""
    folder(BACKUPS, 0o750, "postgres", "postgres")
    moment = now()
    newest = moment.replace(hour=2, minute=0, second=0, microsecond=0)
    if newest + timedelta(minutes=9) > moment:
        newest -= timedelta(days=1)
    nights = [newest - timedelta(days=days) for days in range(BACKUP_DAYS)]
    times = [night + timedelta(minutes=1 + night.day % 8, seconds=night.day) for night in nights]
    wanted = {Path(BACKUPS) / f"{NAME}_{time:%Y%m%d_%H%M%S}.dump": time.timestamp() for time in times}
    present = [path for path in wanted if path.exists()]
    archive = present[0] if present else Path(BACKUPS) / ".making"
    if not present:
        command = ["pg_dump", "--format=custom", f"--dbname={NAME}", f"--file={archive}"]
        run(["runuser", "-u", "postgres", "--", *command])
    for path, time in wanted.items():
        if not path.exists():
            shutil.copyfile(archive, path)
        path.chmod(0o640)
        shutil.chown(path, "postgres", "postgres")
        aged(str(path), time)
    (Path(BACKUPS) / ".making").unlink(missing_ok=True)
