# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eight days of the options engine's logs, and of the system's."""

from __future__ import annotations

import random
from datetime import timedelta

from ..common import system_logs
from ..common.history import Kind, entries, now, write_rotated
from ..common.system import file

FOLDER = "/var/log/options_engine"
OWNER, GROUP = "options-engine", "adm"
DAYS = 8
SYMBOLS = ("AAPL", "AMD", "AMZN", "GOOG", "MSFT", "NVDA", "QQQ", "SPY", "TSLA")

TRACEBACK = b"""
Traceback (most recent call last):
  File "/opt/options_engine/engine/pricing.py", line 118, in price_chain
    surface = self.surfaces[chain.symbol].interpolate(chain.strikes, chain.expiry)
  File "/opt/options_engine/engine/surface.py", line 64, in interpolate
    raise ValueError(f"expiry {expiry} lies outside the surface")
ValueError: expiry 2031-01-17 lies outside the surface"""
LATIN_1 = b" note='R\xfcckfrage M\xfcnchen, caf\xe9'"


def _symbol(chance: random.Random) -> str:
    return chance.choice(SYMBOLS)


KINDS = (
    Kind(900, "INFO", "api.server", "GET /v1/chains/{} 200 {} ms", lambda r: (_symbol(r), r.randint(8, 240))),
    Kind(
        500,
        "INFO",
        "market_data",
        "quotes refreshed: {} symbols in {} ms",
        lambda r: (r.randint(40, 400), r.randint(90, 700)),
    ),
    Kind(300, "INFO", "pricing", "priced {} contracts of {}", lambda r: (r.randint(20, 900), _symbol(r))),
    Kind(120, "INFO", "cache", "evicted {} expired keys", lambda r: (r.randint(1, 60),)),
    Kind(12, "INFO", "orders", "order {} accepted", lambda r: (r.randint(10000, 99999),), LATIN_1),
    Kind(40, "DEBUG", "risk", "exposure of {} recomputed", lambda r: (_symbol(r),)),
    Kind(
        26,
        "WARN",
        "database",
        "slow query: {} ms, SELECT * FROM option_chains WHERE symbol = '{}'",
        lambda r: (r.randint(1100, 9000), _symbol(r)),
    ),
    Kind(
        16,
        "WARN",
        "market_data",
        "timeout of {} s from tradier, retry {} of 3",
        lambda r: (30, r.randint(1, 3)),
    ),
    Kind(
        9,
        "WARN",
        "pricing",
        "memory of worker {} at {} MB, above 80 % of its limit",
        lambda r: (r.randint(1, 8), r.randint(820, 990)),
    ),
    Kind(22, "WARN", "risk", "margin of account {} below its buffer", lambda r: (r.randint(1000, 1099),)),
    Kind(
        14,
        "ERROR",
        "market_data",
        "API error: tradier answered 503 for /v1/markets/quotes?symbols={}",
        lambda r: (_symbol(r),),
    ),
    Kind(
        6,
        "ERROR",
        "market_data",
        "API rate limit exceeded: yahoo answered 429 for {}",
        lambda r: (_symbol(r),),
    ),
    Kind(9, "ERROR", "database", "database connection lost: server closed the connection unexpectedly"),
    Kind(
        4,
        "ERROR",
        "database",
        "deadlock detected in database transaction {}",
        lambda r: (r.randint(100000, 999999),),
    ),
    Kind(
        7,
        "ERROR",
        "data_quality",
        "data quality: {} has a bid above its ask in {} contracts",
        lambda r: (_symbol(r), r.randint(1, 40)),
    ),
    Kind(3, "ERROR", "pricing", "pricing of {} failed", lambda r: (_symbol(r),), TRACEBACK),
)

LOGROTATE = f"""\
{FOLDER}/*.log {{
    daily
    rotate 14
    missingok
    notifempty
    compress
    delaycompress
    create 0640 {OWNER} {GROUP}
    sharedscripts
}}
"""


def write(host: str) -> None:
    end = now()
    # The freshest line is a minute old: nobody else writes here, and "now" stays true for an hour.
    log = entries(KINDS, 5200, DAYS, end - timedelta(minutes=1), seed=20)
    errors = [entry for entry in log if entry.level == "ERROR"]
    # Two days are in the file itself, so that "the last 24 hours" are never across a rotation.
    cuts = [end - timedelta(days=2), end - timedelta(days=5)]
    write_rotated(f"{FOLDER}/app.log", log, cuts, OWNER, GROUP)
    write_rotated(f"{FOLDER}/error.log", errors, cuts, OWNER, GROUP)
    file("/etc/logrotate.d/options_engine", LOGROTATE)
    system_logs.write(host, end, cuts, DAYS, ("options-backup", "options-engine"))
