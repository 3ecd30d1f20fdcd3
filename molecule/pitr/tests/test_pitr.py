# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live cluster, the scratch cluster and the repository, asked past the modules."""

from __future__ import annotations

import json
from typing import Any

SCRATCH = "/var/lib/postgresql/scratch"
ROW = "SELECT count(*) FROM ledger WHERE id = 4711"


def live(host: Any, query: str, database: str = "options_engine") -> str:
    return str(host.check_output("runuser -u postgres -- psql -XAtq -d %s -c %s", database, query))


def scratch(host: Any, query: str) -> str:
    line = "runuser -u postgres -- psql -XAtq -h %s -p 54329 -d options_engine -c %s"
    return str(host.check_output(line, SCRATCH, query))


def test_the_row_is_in_the_scratch_cluster_only(host: Any) -> None:
    assert scratch(host, ROW) == "1" and live(host, ROW) == "0"
    assert (
        scratch(host, "SELECT count(*) FROM ledger") == "1001" and live(host, "SELECT count(*) FROM ledger") == "1000"
    )


def test_the_scratch_cluster_reaches_nothing(host: Any) -> None:
    assert scratch(host, "SHOW archive_mode") == "off" and scratch(host, "SHOW listen_addresses") == ""
    assert scratch(host, "SELECT pg_is_in_recovery()") == "f"
    assert host.file(SCRATCH).mode == 0o700


def test_the_live_cluster_archives(host: Any) -> None:
    assert live(host, "SHOW archive_mode") == "on" and live(host, "SHOW archive_timeout") == "1min"
    assert live(host, "SELECT failed_count FROM pg_stat_archiver") == "0"
    (stanza,) = json.loads(host.check_output("runuser -u postgres -- pgbackrest info --output=json"))
    assert [each["type"] for each in stanza["backup"]] == ["full", "incr"] and stanza["cipher"] == "aes-256-cbc"
    assert stanza["backup"][1]["annotation"] == {"run-id": "hourly-1"}


def test_the_passphrase_is_closed_to_others(host: Any) -> None:
    configuration = host.file("/etc/pgbackrest/pgbackrest.conf")
    assert (configuration.mode, configuration.user, configuration.group) == (0o640, "root", "postgres")
    assert "molecule's own" not in host.check_output("cat /var/log/pgbackrest/main-backup.log")
