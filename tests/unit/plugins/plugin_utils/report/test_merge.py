# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a run become one report: what is kept, which of two counts, what is refused."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sample_run
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.plugin_utils.report import json as as_json
from ansible_collections.day2.ops.plugins.plugin_utils.report import write
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import parse
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, build
from ansible_collections.day2.ops.plugins.plugin_utils.report.merge import MergeError, find, merge

SCHEMA = json.loads((Path(__file__).resolve().parents[5] / "docs" / "report-schema.json").read_text())
KNOWN = {"id": "root-disk", "owner": "A. Owner", "reason": "moved", "until": "2199-12-31"}


def part(directory: Path, name: str | None, values: dict[str, Any], minutes: int = 0, **about: Any) -> Report:
    """The report of a part that ended so many minutes after the first."""
    run = Run("night", about.pop("title", "Daily"), part=name, cadence="daily", **about)
    moment = sample_run.STARTED + timedelta(minutes=minutes)
    report = build(run, list(values.items()), moment, {host: parse([KNOWN]) for host in values})
    write.write(report, directory)
    return report


def test_parts_become_one_report(tmp_path: Path) -> None:
    night = sample_run.night()
    names = list(night)
    slices = [{name: night[name] for name in names[place::3]} for place in range(3)]
    parts = [part(tmp_path, str(place), hosts, place, system=f"s{place % 2}") for place, hosts in enumerate(slices)]
    joined = merge(find([tmp_path], "night"), "critical")
    whole = build(
        Run("night", "Daily", cadence="daily"), list(night.items()), joined.finished, {n: parse([KNOWN]) for n in night}
    )
    document = json.loads(as_json.render(joined))
    jsonschema.validate(document, SCHEMA)
    assert document["summary"] == whole.summary and document["joined"] and document["part"] is None
    assert document["system"] == "s0, s1" and joined.finished == parts[2].finished
    assert {host.host: host.to_dict()["results"] for host in joined.hosts} == {
        host.host: host.to_dict()["results"] for part in parts for host in part.hosts
    }
    assert joined.refused == whole.refused and joined.failing and joined.acknowledged == whole.acknowledged > 0
    assert [host.host for host in joined.hosts if not host.reachable] == ["db2.example.net"]


def test_of_a_host_in_several_parts_the_last_counts(tmp_path: Path) -> None:
    part(tmp_path, "b", {"a": sample_run.checklist(["ok"])}, 5)
    part(tmp_path, "a", {"a": sample_run.checklist(["critical"])}, 1)
    joined = merge(find([tmp_path], "night"), "critical")
    assert [host.status for host in joined.hosts] == [Status.OK]
    assert joined.notes == ["a is in several parts; the last one counts"]


def test_a_part_that_comes_late_is_joined_too(tmp_path: Path) -> None:
    part(tmp_path, "1", {"a": sample_run.checklist(["ok"])})
    write.write(merge(find([tmp_path], "night"), "never"), tmp_path)
    part(tmp_path, "2", {"b": sample_run.checklist(["ok"])}, 1)
    with pytest.raises(write.ReportError, match="already"):
        write.write(merge(find([tmp_path], "night"), "never"), tmp_path)
    joined = merge(find([tmp_path], "night"), "never")
    write.write(joined, tmp_path, again=True)
    assert len(json.loads((tmp_path / "night" / "report.json").read_text())["hosts"]) == 2
    assert (tmp_path / "latest").resolve().name == "night"


def test_other_runs_are_left_alone_and_files_are_taken(tmp_path: Path) -> None:
    for name in ("one", "two"):
        part(tmp_path / name, None, {name: sample_run.checklist(["ok"])})
    other = build(Run("other", "Daily"), [("x", sample_run.checklist(["ok"]))], sample_run.STARTED)
    write.write(other, tmp_path / "one")
    both = find([tmp_path / "one", tmp_path / "two" / "night" / "report.json"], "night")
    assert [host.host for host in merge(both, "never").hosts] == ["one", "two"]


def test_what_is_no_part_is_not_looked_at(tmp_path: Path) -> None:
    part(tmp_path, "1", {"a": sample_run.checklist(["ok"])})
    for name, content in ((".partial-night.2-77", "{"), ("older", "{"), ("night.old-schema", None)):
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / "report.json").write_text(content)
    assert [host.host for host in merge(find([tmp_path], "night"), "never").hosts] == ["a"]


def test_what_cannot_be_joined_is_named(tmp_path: Path) -> None:
    part(tmp_path, "1", {"a": sample_run.checklist(["ok"])})
    part(tmp_path, "2", {"b": sample_run.checklist(["ok"])}, 1, title="Weekly")
    with pytest.raises(MergeError, match="another title: 'Daily' and 'Weekly'"):
        merge(find([tmp_path], "night"), "never")
    with pytest.raises(MergeError, match="no report of run dusk in"):
        find([tmp_path], "dusk")
    with pytest.raises(MergeError, match="neither a report nor a directory"):
        find([tmp_path / "nowhere"], "night")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read"), ("[]", "is no report"), ('{"schema_version": "2.0"}', "follows schema 2.0"),
        ('{"schema_version": "1.1", "run_id": "night"}', "has no 'title'"),
    ],
)  # fmt: skip
def test_a_malformed_part_is_named(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    with pytest.raises(MergeError, match=words) as caught:
        find([tmp_path], "night")
    assert str(path) in str(caught.value)
