# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every cadence on both hosts: each answer asked for again, past day2.ops."""

from __future__ import annotations

import re
from typing import Any

import pytest

LOOKS = {
    ("daily", "options-engine-1"): {f"OE-D{number:02d}" for number in range(1, 15)},
    ("weekly", "options-engine-1"): {"OE-W01"} | {f"OE-W{number:02d}" for number in range(5, 11)},
    ("monthly", "options-engine-1"): {"OE-M01", "OE-M02", "OE-M03", "OE-M04", "OE-M08"},
    ("daily", "analytics-1"): {f"SA-D{number:02d}" for number in range(1, 11)},
    ("weekly", "analytics-1"): {"SA-W01"},
    ("monthly", "analytics-1"): {"SA-M01", "SA-M02", "SA-C01", "SA-C03", "SA-C04", "SA-S01", "SA-S02", "SA-S03"},
    ("quarterly", "analytics-1"): {"SA-C01", "SA-C03", "SA-S03"},
}


@pytest.mark.parametrize(("cadence", "name"), LOOKS)
def test_the_manual_is_answered(reports: Any, cadence: str, name: str) -> None:
    refs = {ref for result in reports.results(cadence, name).values() for ref in result["ref"]}
    assert refs >= LOOKS[cadence, name]


# What the hosts have on purpose, and nothing else.
FINDINGS = {
    ("daily", "options-engine-1"): {"unit-options-report": "critical"},
    ("weekly", "options-engine-1"): {"modes-of-configuration": "critical", "suspicious": "warning"},
    ("monthly", "analytics-1"): {
        "security-updates": "unknown", "unused-accounts": "warning", "vulnerability-scan": "warning",
    },
    ("quarterly", "options-engine-1"): {"security-updates": "unknown"},
    ("quarterly", "analytics-1"): {"accuracy-review": "critical"},
}  # fmt: skip
# Depend on how busy this machine is, or on the day.
MOVING = {
    "cpu", "memory", "load", "resources", "root-disk", "slow-statements", "access-review", "audit-log-review",
    "retention-review",
}  # fmt: skip


@pytest.mark.parametrize("cadence", ["daily", "weekly", "monthly", "quarterly"])
@pytest.mark.parametrize("name", ["options-engine-1", "analytics-1"])
def test_nothing_else_is_found(reports: Any, cadence: str, name: str) -> None:
    results = reports.results(cadence, name)
    bad = {check: row["status"] for check, row in results.items() if row["status"] != "ok" and check not in MOVING}
    assert bad == FINDINGS.get((cadence, name), {}), {check: results[check]["message"] for check in bad}


def test_backups_of_the_week(reports: Any, engine: Any) -> None:
    results = reports.results("weekly", "options-engine-1")
    newest = engine.check_output("ls -t /var/backups/options_engine/*.dump | head -n 1").rsplit("/", 1)[1]
    assert newest in results["backup-age"]["message"]
    recent = engine.check_output("find /var/backups/options_engine -name '*.dump' -mtime -7 | wc -l")
    assert results["backups-7d"]["value"] == int(recent)
    assert results["backups-read"]["value"] == 0
    for path in engine.check_output("ls -t /var/backups/options_engine/*.dump | head -n 7").split():
        assert engine.run(f"runuser -u postgres -- pg_restore -l {path}").rc == 0


def test_modes_of_files(reports: Any, engine: Any) -> None:
    results = reports.results("weekly", "options-engine-1")
    wrong = engine.check_output("find /etc/options_engine -name '*.yaml' ! -perm 0600").split()
    assert results["modes-of-configuration"]["value"] == len(wrong) > 0
    assert all(any(path in line for line in results["modes-of-configuration"]["evidence"]) for path in wrong)
    assert engine.check_output("find /opt/options_engine -name '*.py' ! -perm 0644") == ""


def test_firewall_and_certificate(reports: Any, engine: Any) -> None:
    results = reports.results("weekly", "options-engine-1")
    assert engine.check_output("ufw status").startswith("Status: active") and results["firewall"]["status"] == "ok"
    path = "/etc/ssl/certs/options-engine.pem"
    day = engine.check_output(f'date -u -d "$(openssl x509 -enddate -noout -in {path} | cut -d= -f2)" +%F')
    assert day in results["certificate"]["message"]


def test_failed_logins(reports: Any, analytics: Any) -> None:
    results = reports.results("weekly", "analytics-1")
    lines = analytics.check_output("zgrep -h 'Failed password' /var/log/auth.log* | wc -l")
    assert 0 < results["failed-logins-7d"]["value"] <= int(lines)


def test_tables_of_the_database(reports: Any, analytics: Any) -> None:
    results = reports.results("monthly", "analytics-1")

    def sql(query: str) -> str:
        command = "runuser -u postgres -- psql -XAtqc %s analytics"
        answer: str = analytics.check_output(command, query)
        return answer

    # Partitions count as their table.
    largest = sql(
        "SELECT coalesce(pg_partition_root(relid), relid)::regclass FROM pg_stat_user_tables"
        " GROUP BY 1 ORDER BY sum(pg_total_relation_size(relid)) DESC LIMIT 1"
    )
    assert results["table-sizes"]["message"].startswith(f"{largest} is the largest")
    unused = sql(
        "SELECT coalesce(pg_partition_root(indexrelid), indexrelid) FROM pg_stat_user_indexes JOIN pg_index"
        " USING (indexrelid) WHERE NOT indisunique GROUP BY 1 HAVING sum(idx_scan) = 0"
    ).split()
    assert results["unused-indexes"]["value"] == len(unused) > 0
    assert sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_stat_statements'") == "1"
    assert results["slow-statements"]["evidence"]


def test_accounts(reports: Any, analytics: Any) -> None:
    results = reports.results("monthly", "analytics-1")
    roots = analytics.check_output("awk -F: '$3 == 0 {print $1}' /etc/passwd").split()
    assert roots == ["root"] and results["root-accounts"]["status"] == "ok"
    assert analytics.check_output("awk -F: '$2 == \"\"' /etc/shadow") == ""
    shells = analytics.check_output("grep -cvE '(nologin|false|sync)$' /etc/passwd")
    assert results["login-accounts"]["value"] == int(shells)


def test_storage(reports: Any, engine: Any) -> None:
    results = reports.results("monthly", "options-engine-1")
    size = engine.check_output(
        "find /var/backups/options_engine -type f -printf '%s\\n' | awk '{s += $1} END {print s}'"
    )
    assert results["size-of-backups"]["value"] == int(size)


def test_views_have_what_the_runs_found(reports: Any) -> None:
    daily = reports.results("daily", "analytics-1")
    weekly = reports.results("weekly", "analytics-1")
    curves = {curve["title"]: curve["points"] for curve in weekly["performance-7d"]["curves"]}
    assert curves["CPU"][-1][1] == daily["cpu"]["value"] and weekly["performance-7d"]["value"] == 1
    monthly = reports.results("monthly", "options-engine-1")
    listed = " ".join(monthly["findings-30d"]["evidence"])
    assert re.search(r"Unit options-report: 1 critical, of 1 run", listed)
    assert "Modes of the configuration" in listed
