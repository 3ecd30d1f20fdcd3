# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What playbooks and roles leave to Python: calculations with times, which hosts there are, what results come to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# `now()` may be formatted; its timestamp is wrong by the controller's offset, and facts of time are texts of a host.
_TIME = re.compile(
    r"\.timestamp\(|to_datetime|total_seconds|timedelta|ansible_date_time|strftime\(\s*[^'\"\s]"
    r"|lookup\('(?:day2\.ops\.clock|pipe'\s*,\s*'date)[^}]*?\)\s*(?:\|\s*(?:float|int)\s*)?[-+*/]"
    r"|[-+*/]\s*lookup\('day2\.ops\.clock'|\|\s*strftime|\bnow\([^)]*\)(?!\.strftime\('[^']*'\))"
)
PLACES = sorted(
    [*(ROOT / "playbooks").rglob("*.yml"), *(ROOT / "roles").rglob("*.yml"), *(ROOT / "roles").rglob("*.j2")]
)


# Results that are combined item by item, variables of other hosts, and lines that are there on a condition.
_DECIDES = re.compile(r"\| *zip\(|extract', hostvars\)|\] \* \(|\bselectattr\([^}]*\| *map\(")
# Which files there are, beside each other; variables of hosts that are not in the play; defaults of a role.
_NO_DECISIONS = {
    "roles/maintenance_page/tasks/main.yml", "roles/maintenance_window/defaults/main.yml",
    "roles/maintenance_window/meta/argument_specs.yml", "roles/postgres_backup/tasks/back_up.yml",
    "roles/schedule/tasks/jobs.yml", "roles/schedule/vars/main.yml",
}  # fmt: skip


def faults(text: str) -> list[str]:
    return [
        match[0] for match in _TIME.finditer("\n".join(line for line in text.split("\n") if line.strip()[:1] != "#"))
    ]


@pytest.mark.parametrize("path", PLACES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_template_calculates_with_times(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


def test_no_template_decides() -> None:
    """Filter day2.ops.decide does, whose decisions are tested with every result that tasks have."""
    deciding = {str(path.relative_to(ROOT)) for path in PLACES if _DECIDES.search(path.read_text(encoding="utf-8"))}
    assert deciding == _NO_DECISIONS


@pytest.mark.parametrize(
    "wrong",
    [
        "{{ now(utc=true).timestamp() }}", "{{ deadline - now(utc=true).timestamp() }}", "{{ now() - began }}",
        "{{ (now(utc=true) - (x | to_datetime('%Y'))).total_seconds() }}", "{{ ansible_date_time.epoch | int }}",
        "{{ lookup('day2.ops.clock') | float - 20 }}", "{{ deadline - lookup('day2.ops.clock') }}",
        "{{ '%H' | strftime(lookup('day2.ops.clock')) }}", "{{ lookup('pipe', 'date +%s') | int + 60 }}",
    ],
)  # fmt: skip
def test_what_is_found(wrong: str) -> None:
    assert faults(wrong)


@pytest.mark.parametrize(
    "right",
    [
        "{{ now(utc=true).strftime('%Y%m%dT%H%M%SZ') }}", "{{ lookup('day2.ops.clock') }}",
        "{{ lookup('day2.ops.clock', until=deadline) }}",
        "{{ [lookup('day2.ops.clock', until=x) | float, 1.0] | max }}",
    ],
)  # fmt: skip
def test_what_is_not(right: str) -> None:
    assert not faults(right)


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.stem)
def test_a_playbook_refuses_to_run_over_no_host(path: Path) -> None:
    """Its first play resolves day2_hosts, or it imports a playbook that does, or it is of the controller alone."""
    first = re.search(r"^  (?:hosts|ansible\.builtin\.import_playbook): *(.+)$", path.read_text(), re.MULTILINE)
    assert first is not None
    assert first[1] in (
        "\"{{ lookup('day2.ops.hosts', day2_hosts | default('all')) }}\"",
        "\"{{ lookup('day2.ops.hosts', 'localhost') }}\"",
        "checklist.yml", "recover.yml", "maintenance_procedure.yml",
    )  # fmt: skip
