# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Baselines on a real host: recorded, changed behind their back, found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

DIRECTORY = "/root/baseline"
SINCE: dict[str, Any] = {"probe": "baseline", "directory": DIRECTORY}
CHECKS: list[dict[str, Any]] = [
    {"id": "accounts", "subject": "accounts", **SINCE},
    {"id": "sudo", "subject": "sudo", **SINCE},
    {"id": "rules", "subject": "firewall", **SINCE},
    {"id": "modes", "subject": "modes", "path": "/etc/options_engine", **SINCE},
    {
        "id": "figure",
        "subject": "figure",
        "of": {"probe": "directory", "path": "/root/figure"},
        "warning": "> 50%",
        **SINCE,
    },
]
VARIABLES = {"day2_weekly_checks_test": [{"title": check["id"], **check} for check in CHECKS]}


def record(lab_host: Any, *options: str, **variables: Any) -> str:
    done = lab_host.playbook("day2.ops.baseline", "-l", lab_host.name, *options, **VARIABLES, **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


@pytest.fixture
def recorded(lab_host: Any) -> Iterator[None]:
    lab_host.run("bash", "-c", "mkdir -p /root/figure; head -c 1000 /dev/zero > /root/figure/f")
    record(lab_host)
    yield
    lab_host.run("rm", "-rf", DIRECTORY, "/root/figure")


def statuses(lab_host: Any) -> dict[str, str]:
    return {check: result["status"] for check, result in lab_host.checks(*CHECKS).items()}


def test_nothing_recorded_is_unknown(lab_host: Any) -> None:
    assert set(statuses(lab_host).values()) == {"unknown"}


def test_check_mode_records_nothing(lab_host: Any) -> None:
    lab_host.run("bash", "-c", "mkdir -p /root/figure; head -c 1000 /dev/zero > /root/figure/f")
    said = record(lab_host, "--check", "--diff")
    assert "changed=1" in said and "+accounts: root uid=0" in said
    assert lab_host.run("ls", DIRECTORY, check=False) == ""


@pytest.mark.usefixtures("recorded")
def test_a_second_record_changes_nothing(lab_host: Any) -> None:
    assert "changed=0" in record(lab_host)
    assert set(statuses(lab_host).values()) == {"ok"}
    assert lab_host.run("stat", "-c", "%a", f"{DIRECTORY}/accounts.json") == "600"


@pytest.mark.usefixtures("recorded")
def test_changes_are_shown(lab_host: Any) -> None:
    changes = """useradd -m intruder; usermod -aG sudo intruder
    echo 'intruder ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/x
    nft add table inet stray; nft add chain inet stray c; nft add rule inet stray c tcp dport 4444 accept
    chmod 0666 /etc/options_engine/api.yaml; head -c 2000 /dev/zero > /root/figure/f"""
    back = """userdel -r intruder 2>/dev/null; rm /etc/sudoers.d/x; nft delete table inet stray
    chmod 0600 /etc/options_engine/api.yaml"""
    lab_host.run("bash", "-ec", changes)
    try:
        results = lab_host.checks(*CHECKS)
        assert {result["status"] for result in results.values()} == {"warning"}, results
        assert any(
            line.startswith("+ intruder uid=") and "groups=sudo" in line for line in results["accounts"]["evidence"]
        )
        assert "+ /etc/sudoers.d/x: intruder ALL=(ALL) NOPASSWD: ALL" in results["sudo"]["evidence"]
        assert any("4444" in line and line.startswith("+") for line in results["rules"]["evidence"])
        assert any("api.yaml: 0666" in line for line in results["modes"]["evidence"])
        assert (results["figure"]["value"], results["figure"]["unit"]) == (100.0, "%")
        hashes = [line.split(":")[1] for line in lab_host.run("cat", "/etc/shadow").splitlines()]
        assert not [h for h in hashes if len(h) > 5 and h in str(results)]
    finally:
        lab_host.run("bash", "-c", back)
    assert {name: status for name, status in statuses(lab_host).items() if name != "figure"} == dict.fromkeys(
        ["accounts", "sudo", "rules", "modes"], "ok"
    )


@pytest.mark.usefixtures("recorded")
def test_damaged_baseline_is_unknown_and_can_be_recorded_again(lab_host: Any) -> None:
    lab_host.run(
        "bash",
        "-c",
        f"head -c 40 {DIRECTORY}/accounts.json > {DIRECTORY}/x; mv {DIRECTORY}/x {DIRECTORY}/accounts.json",
    )
    result = lab_host.checks(CHECKS[0])["accounts"]
    assert result["status"] == "unknown" and "damaged" in result["message"]
    record(lab_host, day2_baseline_only=["accounts"])
    assert lab_host.checks(CHECKS[0])["accounts"]["status"] == "ok"


def test_unknown_name_is_refused(lab_host: Any) -> None:
    done = lab_host.playbook("day2.ops.baseline", "-l", lab_host.name, day2_baseline_only=["nobody"], **VARIABLES)
    assert done.returncode != 0 and "nobody" in done.stdout
