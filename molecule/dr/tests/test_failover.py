# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an application saw of a failover, what is left of its numbers, and what the reports say of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import testinfra

_LAB = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".lab" / "molecule-dr"
_REPORTS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports"
PSQL = "runuser -u postgres -- psql -XAtq -d analytics -c"


def host(name: str) -> Any:
    return testinfra.get_host(f"ssh://{name}", ssh_config=str(_LAB / "ssh_config"))


@pytest.fixture(scope="module")
def application() -> Any:
    return host("app-1")


@pytest.fixture(scope="module")
def seen(application: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in application.check_output("cat /root/acknowledged.jsonl").split("\n")]


def rows(run: str) -> dict[str, dict[str, Any]]:
    """By id; the hosts share none but what is the same of all."""
    report = json.loads((_REPORTS / run / "report.json").read_text())
    return {row["id"]: row for entry in report["hosts"] for row in entry["results"]}


def test_one_standby_is_the_primary_and_the_other_follows_it() -> None:
    roles = {
        name: host(name).check_output(f"{PSQL} 'SELECT pg_is_in_recovery()'") for name in ("analytics-2", "analytics-3")
    }
    assert sorted(roles.values()) == ["f", "t"], roles
    (primary,) = (name for name, said in roles.items() if said == "f")
    assert host(primary).check_output(f"{PSQL} 'SELECT timeline_id FROM pg_control_checkpoint()'") in ("1", "2")
    assert host(primary).check_output(f"{PSQL} 'SELECT count(*) FROM pg_stat_replication'") == "1"


def test_numbers_that_were_acknowledged_are_there(application: Any, seen: list[dict[str, Any]]) -> None:
    acknowledged = {line["n"] for line in seen if "server" in line}
    servers = {line["server"] for line in seen if "server" in line}
    assert len(servers) == 2, servers
    asked = (
        "PGPASSWORD=fictional psql -XAtq -h 127.0.0.1 -p 6432 -U client -d analytics -c 'SELECT n FROM acknowledged'"
    )
    there = {int(number) for number in application.check_output(asked).split("\n")}
    # Standbys streamed within milliseconds; what the last ones had not received is what the report calls the loss.
    missing = sorted(acknowledged - there)
    before = max(line["n"] for line in seen if line.get("server") == seen[0]["server"])
    assert all(before - number < 5 for number in missing), (missing, before)


def test_no_number_went_to_the_old_primary_after_the_new_one_had_one(seen: list[dict[str, Any]]) -> None:
    served = [line["server"] for line in seen if "server" in line]
    new = served.index(next(server for server in served if server != served[0]))
    assert set(served[new:]) == {served[new]}


def test_haproxy_leads_to_the_new_primary_too(application: Any) -> None:
    asked = (
        "PGPASSWORD=fictional psql -XAtq -h 127.0.0.1 -p 5000 -U client -d analytics -c 'SELECT pg_is_in_recovery()'"
    )
    assert application.check_output(asked) == "f"


def test_a_name_in_route_53_leads_to_the_new_primary_as_the_resolver_says_it(application: Any) -> None:
    new = application.check_output(
        "PGPASSWORD=fictional psql -XAtq -h 127.0.0.1 -p 6432 -U client -d analytics"
        " -c 'SELECT host(inet_server_addr())'"
    )
    asked = (
        "import socket, struct; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5);"
        " name = b''.join(bytes([len(part)]) + part for part in b'db.analytics.test'.split(b'.'));"
        " s.sendto(struct.pack('>HHHHHH', 7, 256, 1, 0, 0, 0) + name + bytes(1) + struct.pack('>HH', 1, 1),"
        " ('127.0.0.1', 5353)); print(socket.inet_ntoa(s.recv(512)[-4:]))"
    )
    assert application.run("python3 -c %s", asked).stdout.strip() == new


def test_the_reports_say_what_happened() -> None:
    refused = rows("refused")["dr-refused"]["message"]
    assert "nobody can prove that analytics-1 is off" in refused and "A. Person may approve" in refused
    assert "is the primary" in rows("ready")["dr-assessed"]["message"]
    found = rows("failover")
    assert "has replaced analytics-1" in found["dr-outcome"]["message"], found["dr-outcome"]
    assert "A. Person, its power is cut" in found["dr-outcome"]["message"], found["dr-outcome"]
    assert (
        "analytics-1 has to become a standby again, by playbook dr_rejoin (nobody has proven that it is off"
        in found["dr-left"]["message"]
    )
    assert "traffic" in found["dr-rto"]["message"] and found["dr-rto"]["status"] == "ok"
    assert "may be lost" in found["dr-loss"]["message"]
    assert "dr-promote" not in rows("again")


def test_the_journal_has_the_run_that_was_killed() -> None:
    journal = json.loads(host("analytics-2").check_output("cat /var/lib/day2/dr/snowflake_analytics.json"))
    promotions = [entry for entry in journal["entries"] if entry["step"] == "promote"]
    assert [entry["phase"] for entry in promotions].count("done") == 1
    assert len({entry["run"] for entry in journal["entries"]}) == 2
