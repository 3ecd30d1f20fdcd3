# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Acknowledged findings: which they concern, when they end, what is refused."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sample_run
from ansible_collections.day2.ops.plugins.plugin_utils.report import html, junit, prometheus, terminal
from ansible_collections.day2.ops.plugins.plugin_utils.report import json as as_json
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import AcknowledgementError, parse
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, build, verdict

ROOT = Path(__file__).resolve().parents[5]
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=timezone.utc)
ENTRY = {"id": "c0", "host": "a", "owner": "A. Owner", "reason": "disk <is> ordered", "until": "2026-11-21"}


def report(
    entries: list[dict[str, Any]], statuses: tuple[str, ...] = ("critical", "ok"), fail_on: str = "warning"
) -> Report:
    checks = sample_run.checklist(list(statuses))
    for number, row in enumerate(checks["results"]):
        row["id"] = f"c{number}"
    return build(Run("r", "T", fail_on=fail_on), [("a", checks)], NOW, {"a": parse(entries)})


def test_acknowledged_finding_is_shown_and_does_not_fail() -> None:
    made = report([ENTRY])
    assert not made.failing and made.status.value == "ok" and made.acknowledged == 1
    assert made.summary["critical"] == 0 and made.summary["ok"] == 1
    assert made.hosts[0].results[0].status.value == "critical"
    assert verdict(made) == "no findings: 1 ok on 1 host; 1 acknowledged"
    document = json.loads(as_json.render(made))
    jsonschema.validate(document, json.loads((ROOT / "docs" / "report-schema.json").read_text()))
    (row,) = [row for row in document["hosts"][0]["results"] if row["id"] == "c0"]
    assert row["acknowledged"] == {"owner": "A. Owner", "reason": "disk <is> ordered", "until": "2026-11-21"}
    assert "cknowledged by A. Owner until 2026-11-21: disk &lt;is&gt; ordered" in html.render(made)
    assert "Findings (" not in html.render(made)
    assert "acknowledged by A. Owner" in terminal.render(made, "p")
    assert "<skipped" in junit.render(made) and "<failure" not in junit.render(made)
    assert 'day2_check_acknowledged{host="a",check="c0"} 1' in prometheus.render(made)


@pytest.mark.parametrize(
    "change",
    [{"id": "c1"}, {"host": "b"}, {"until": "2026-11-20"}, {"until": "2026-11-21T11:59:00+00:00"}, {"id": "c"}],
)
def test_others_and_those_that_have_ended_count(change: dict[str, str]) -> None:
    made = report([{**ENTRY, **change}])
    assert made.failing and made.acknowledged == 0 and made.status.value == "critical"
    told = "which is over" in made.hosts[0].results[0].message
    assert told == ("until" in change)


@pytest.mark.parametrize(
    "change", [{"id": "c*"}, {"host": "*"}, {"host": None}, {"until": "2026-11-21T13:30:00+01:00"}]
)
def test_patterns_and_times(change: dict[str, str | None]) -> None:
    assert report([{**ENTRY, **change}]).acknowledged == 1


def test_of_several_the_longest_counts() -> None:
    made = report([{**ENTRY, "until": "2026-11-01"}, {**ENTRY, "owner": "Second", "until": "2026-12-01"}])
    assert made.hosts[0].results[0].acknowledged["owner"] == "Second"


def test_what_is_fine_needs_none() -> None:
    made = report([ENTRY], ("ok", "ok"))
    assert made.acknowledged == 0 and "acknowledged" not in as_json.render(made).replace('"acknowledged": 0', "")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ("all", "not a list"),
        (["x"], "entry 1 is not a mapping"),
        ([{**ENTRY, "until": "soon"}], "entry 1 ('c0'): 'until' is 'soon'"),
        ([{**ENTRY, "until": "2026-02-30"}], "'until'"),
        ([{**ENTRY, "until": "2026-11-21T10:00:00"}], "with its zone"),
        ([{**ENTRY, "owner": " "}], "'owner' is missing"),
        ([ENTRY, {"id": "x"}], "entry 2 ('x'): 'owner' is missing"),
        ([{**ENTRY, "untill": "2026-01-01"}], "'untill' is no field"),
    ],
)
def test_malformed_entries_are_refused_by_name(entries: Any, words: str) -> None:
    with pytest.raises(AcknowledgementError) as refused:
        parse(entries)
    assert words in str(refused.value)


LEASE = {"service": "shop", "owner": "weekly-window", "reason": "updates", "until": "2026-11-21T14:00:00Z"}


def in_maintenance(leases: object, probe: str = "tcp", status: str = "critical") -> Report:
    checks = sample_run.checklist([status, "ok"])
    checks["results"][0]["probe"] = probe
    return build(Run("r", "T", fail_on="warning"), [("a", {**checks, "maintenance": leases})], NOW)


def test_a_lease_acknowledges_what_checks_of_its_host_find() -> None:
    made = in_maintenance([LEASE])
    assert not made.failing and made.acknowledged == 1
    assert made.hosts[0].results[0].acknowledged == {
        "owner": "weekly-window", "reason": "shop is in maintenance: updates", "until": "2026-11-21T14:00:00Z",
    }  # fmt: skip


@pytest.mark.parametrize("probe", ["maintenance", "step", "steps", "backup", "certificate", "disk", "schedule"])
def test_a_lease_excuses_no_more_than_a_service_that_is_down(probe: str) -> None:
    assert in_maintenance([LEASE], probe).failing


@pytest.mark.parametrize("leases", [None, [], "x", [3], [{**LEASE, "until": "soon"}], [{**LEASE, "until": None}]])
def test_what_is_no_lease_excuses_nothing(leases: object) -> None:
    assert in_maintenance(leases).failing


def test_a_lease_that_has_ended_is_told() -> None:
    made = in_maintenance([{**LEASE, "until": "2026-11-21T11:00:00Z"}])
    assert made.failing and "acknowledged by weekly-window until" in made.hosts[0].results[0].message
