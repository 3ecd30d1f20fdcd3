# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs of both systems after rotations by Ansible and by systemd, read by the hosts' own tools."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import testinfra

_LAB = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"]) / ".lab" / "molecule-logs"
_REPORTS = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "reports"


@pytest.fixture(scope="module", params=["options-engine-1", "analytics-1"])
def at(request: pytest.FixtureRequest) -> Any:
    host = testinfra.get_host(f"ssh://{request.param}", ssh_config=str(_LAB / "ssh_config"))
    host.name = request.param
    return host


def numbers(text: str) -> list[int]:
    return sorted(int(line.split()[1]) for line in text.splitlines())


def test_every_line_is_there_once(at: Any) -> None:
    read = "cd /var/log/shop; for f in shop.log-*.zst; do zstd -dcq $f; done; cat shop.log"
    found = numbers(at.check_output(read))
    assert len(found) > 10_000 and found == list(range(1, len(found) + 1))
    assert int(at.check_output("ls /var/log/shop | grep -c 'shop.log-.*zst$'")) >= 3


def test_nothing_waits_and_nothing_is_wrong(at: Any) -> None:
    status = json.loads(at.check_output("day2ctl logs status --json"))
    assert {log["name"]: log["waiting"] for log in status["logs"]} == {"nginx": [], "shop": [], "shop-audit": []}
    assert status["last"]["faults"] == status["last"]["over"] == []


def test_the_audit_log_is_read_with_the_key_that_is_not_there(at: Any) -> None:
    pieces = at.check_output("ls /var/log/shop/audit.log-*").split()
    assert len(pieces) >= 2 and all(piece.endswith(".zst.age") for piece in pieces)
    found: list[int] = []
    for piece in pieces:
        sealed = at.run("base64 -w0 %s", piece).stdout
        sealed_bytes = subprocess.run(["base64", "-d"], input=sealed.encode(), capture_output=True, check=True).stdout
        packed = subprocess.run(
            ["age", "-d", "-i", _REPORTS / "key"], input=sealed_bytes, capture_output=True, check=True
        ).stdout
        plain = subprocess.run(["zstd", "-dcq"], input=packed, capture_output=True, check=True).stdout
        found += numbers(plain.decode())
    found += numbers(at.check_output("cat /var/log/shop/audit.log"))
    assert sorted(found) == list(range(1, len(found) + 1))


def test_the_head_of_the_chain_left_the_host(at: Any) -> None:
    kept = json.loads((_REPORTS / "anchors" / at.name / "shop-audit.json").read_text())
    assert kept["number"] >= 2 and kept["digest"] in at.check_output("day2ctl logs verify shop-audit")


def test_the_rights_of_the_logs_stay(at: Any) -> None:
    assert at.check_output("stat -c %a:%U:%G /var/log/shop/*") == "\n".join(
        ["640:www-data:adm"] * int(at.check_output("ls /var/log/shop | wc -l"))
    )


def test_the_timers_run_and_the_distribution_s_entry_does_not(at: Any) -> None:
    for timer in ("day2-logs.timer", "day2-logrotate.timer"):
        assert at.service(timer).is_enabled and at.service(timer).is_running
    assert at.check_output("cd /etc/logrotate.d; ls | grep nginx") == "day2-nginx\nnginx.day2.disabled"
    said = at.run("logrotate --debug /etc/logrotate.conf")
    assert said.rc == 0 and "error:" not in said.stderr


def test_journald_has_its_limits(at: Any) -> None:
    text = at.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert "SystemMaxUse=200000000" in text and "MaxRetentionSec=2592000s" in text and "Storage=persistent" in text
    assert at.service("systemd-journald").is_running and at.file("/var/log/journal").is_directory
