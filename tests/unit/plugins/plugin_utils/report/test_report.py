# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every file of a report says the same, and is what its readers accept."""

from __future__ import annotations

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sample_run
from ansible_collections.day2.ops.plugins.plugin_utils.report import html, junit, prometheus, terminal, write
from ansible_collections.day2.ops.plugins.plugin_utils.report import json as as_json
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, Steps, build, verdict

ROOT = Path(__file__).resolve().parents[5]
NOW = datetime(2026, 11, 21, 3, 16, tzinfo=timezone.utc)
NASTY = "<script>alert(1)</script> & \x00\x1b[31m ]]> \"'` \ud800 {{ 1 }} é"


def report(values: dict[str, Any] | None = None, **about: Any) -> Report:
    run = Run(run_id="run-1", title="Daily checklist", system="options_engine", cadence="daily", **about)
    return build(run, (values if values is not None else sample_run.night()).items(), NOW)


def nasty() -> Report:
    value = sample_run.checklist(["critical", "ok"])
    value["results"][0].update(title=NASTY, message=NASTY, evidence=[NASTY], value=float("nan"), id=NASTY, ref=[NASTY])
    return report({NASTY: value})


def test_hosts_and_results_come_worst_first() -> None:
    made = report()
    assert made.hosts[0].status.value == "critical" and not made.hosts[0].reachable
    order = ["critical", "unknown", "warning", "ok", "skipped"]
    for host in made.hosts:
        places = [order.index(row.status.value) for row in host.results]
        assert places == sorted(places)
    assert [order.index(host.status.value) for host in made.hosts] == sorted(
        order.index(h.status.value) for h in made.hosts
    )


def test_hosts_without_results_stand_in_the_report() -> None:
    values = {"far": dict(sample_run.UNREACHABLE), "bad": dict(sample_run.REFUSED), "lost": None, "odd": {"results": 5}}
    hosts = {host.host: host for host in report(values).hosts}
    assert (hosts["far"].status.value, hosts["far"].results[0].id) == ("critical", "reachable")
    assert (hosts["bad"].status.value, hosts["bad"].results[0].id) == ("unknown", "checklist")
    assert "dsik" in hosts["bad"].message
    assert hosts["lost"].status.value == hosts["odd"].status.value == "unknown"
    assert report(values).refused == {"bad": hosts["bad"].message}


def _step(status: str) -> dict[str, Any]:
    return {"id": "backup-x", "title": "Backup", "probe": "step", "status": status, "message": "made"}


def test_steps_stand_in_the_report() -> None:
    steps = {"a": Steps([_step("ok")]), "b": Steps([_step("ok")], "Back up: no room"), "c": Steps(["nonsense"])}
    nothing = {"results": [], "duration": 0.1}
    values = {**dict.fromkeys("abcd", nothing), "e": {"unreachable": True, "msg": "gone"}}
    made = build(Run(run_id="r", title="T"), values.items(), NOW, steps={**steps, "e": Steps([_step("ok")])})
    rows = {host.host: [(row.id, row.status.value) for row in host.results] for host in made.hosts}
    assert rows == {
        "a": [("backup-x", "ok")],
        "b": [("steps", "critical"), ("backup-x", "ok")],
        "c": [("checklist", "unknown")],
        "d": [("checklist", "unknown")],
        "e": [("reachable", "critical"), ("backup-x", "ok")],
    }


@pytest.mark.parametrize(
    ("statuses", "failing"),
    [
        (["ok", "skipped"], {"never": False, "critical": False, "warning": False}),
        (["warning"], {"never": False, "critical": False, "warning": True}),
        (["unknown"], {"never": False, "critical": True, "warning": True}),
        (["critical"], {"never": False, "critical": True, "warning": True}),
    ],
)
def test_what_makes_a_run_fail(statuses: list[str], failing: dict[str, bool]) -> None:
    for fail_on, expected in failing.items():
        assert report({"a": sample_run.checklist(statuses)}, fail_on=fail_on).failing is expected


def test_a_refused_checklist_fails_even_with_never() -> None:
    assert report({"a": dict(sample_run.REFUSED)}, fail_on="never").failing


def test_the_verdict_is_one_sentence() -> None:
    text = verdict(report({"a": sample_run.checklist(["critical", "ok"]), "b": sample_run.checklist(["ok"])}))
    assert text == "1 critical on 1 of 2 hosts"


@pytest.mark.parametrize("make", [report, nasty, lambda: report({})])
def test_json_follows_its_schema(make: Any) -> None:
    schema = json.loads((ROOT / "docs" / "report-schema.json").read_text(encoding="utf-8"))
    document = json.loads(as_json.render(make()))
    jsonschema.Draft202012Validator(schema).validate(document)


def test_junit_is_xml_whatever_the_results_hold() -> None:
    assert ET.fromstring(junit.render(nasty()).encode("utf-8")).tag == "testsuites"
    made = report({"a": sample_run.checklist(["critical", "unknown", "warning", "ok", "skipped"])})
    cases = ET.fromstring(junit.render(made).encode()).findall(".//testcase")
    outcomes = sorted(child.tag for case in cases for child in case if child.tag in ("failure", "error", "skipped"))
    assert len(cases) == 5 and outcomes == ["error", "failure", "skipped"]
    strict = report({"a": sample_run.checklist(["warning"])}, fail_on="warning")
    assert ET.fromstring(junit.render(strict).encode()).find(".//failure") is not None


@pytest.mark.parametrize("make", [report, nasty])
def test_promtool_accepts_the_metrics(make: Any) -> None:
    text = prometheus.render(make())
    checked = subprocess.run(
        [ROOT / ".cache" / "tools" / "promtool", "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))


def test_html_is_one_file_and_escapes_everything() -> None:
    page = html.render(nasty())
    assert "<script>alert" not in page and "\x00" not in page and "\x1b" not in page
    page.encode("utf-8")
    page = html.render(report())
    sources = re.findall(r"(?:src|href)=\"([^\"#]*)", page) + re.findall(r"url\(([^)]*)\)", page)
    assert all(not source.startswith(("http:", "https:", "//")) for source in sources)
    assert "app1.example.net" in page and "Look at first" in page


def test_html_asks_nothing_of_any_network() -> None:
    """The policy forbids all but what is in the file; no element of ours would ask for more."""
    page = html.render(report())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy and policy.group(1).startswith("default-src 'none'; ") and "http" not in policy.group(1)
    assert page.count("<script>") == page.count("<style>") == 1
    assert not re.search(r"<(?:link(?! rel=\"icon\" href=\"data:)|img|iframe|object|embed|audio|video|base)\b", page)
    addresses = {address for address in re.findall(r'\bhref="([^"#]+)"', page) if not address.startswith("data:")}
    assert addresses == {"report.json", "report.xml", "report.prom"}
    assert "@import" not in page and "url(" not in page


@pytest.mark.parametrize("make", [html.render, as_json.render, junit.render])
def test_no_control_character_of_a_result_is_written(make: Any) -> None:
    text = make(nasty())
    assert "\x00" not in text and "\x1b" not in text
    assert text.encode("utf-8").decode("utf-8") == text


def test_one_id_twice_is_one_series() -> None:
    value = sample_run.checklist(["ok", "critical"])
    for row in value["results"]:
        row["id"] = "same"
    lines = [line for line in prometheus.render(report({"a": value})).splitlines() if 'check="same"' in line]
    statuses = [line for line in lines if line.startswith("day2_check_status{")]
    assert len(statuses) == 1 and statuses[0].endswith(" 2")


def test_values_are_in_base_units() -> None:
    rows = [(84.2, "%"), (1500, "ms"), (2, "GiB"), (412.5, "/s"), (7, "lines"), ("active", None)]
    value = sample_run.checklist(["ok"] * len(rows))
    for number, (row, (amount, unit)) in enumerate(zip(value["results"], rows)):
        row.update(id=f"c{number}", value=amount, unit=unit)
    text = prometheus.render(report({"a": value}))
    found = dict(re.findall(r'^(day2_check_value\w*)\{.*check="c\d".*\} (.*)$', text, re.MULTILINE))
    assert found == {
        "day2_check_value_ratio": "0.842",
        "day2_check_value_seconds": "1.5",
        "day2_check_value_bytes": "2147483648",
        "day2_check_value_per_second": "412.5",
        "day2_check_value": "7",
    }


def test_the_terminal_shows_the_worst_first_and_the_place_last() -> None:
    text = terminal.render(report(), "/reports/report.html")
    lines = [line for line in text.splitlines() if line.strip()]
    words = [line.split()[0] for line in lines if line.startswith(("CRITICAL", "UNKNOWN", "WARNING", "OK"))]
    assert words[0] == "CRITICAL" and words.index("OK") > words.index("CRITICAL")
    assert lines[-1].endswith("/reports/report.html")
    assert "\x1b" not in terminal.render(nasty(), "x")


def test_messages_are_cut_to_a_terminals_width_and_never_elsewhere() -> None:
    value = sample_run.checklist(["critical"])
    value["results"][0]["message"] = "much to say " * 40
    made = report({"a": value})
    row = next(line for line in terminal.render(made, "x", width=100).splitlines() if line.startswith("  CRITICAL"))
    assert len(row) <= 100 and row.endswith("…  [engine-unit]")
    assert ("much to say " * 40).strip() in terminal.render(made, "x")


@pytest.mark.parametrize(("checks", "everything"), [(1998, True), (1999, False)])
def test_two_thousand_lines_are_still_printed_whole(checks: int, everything: bool) -> None:
    text = terminal.render(report({"a": sample_run.checklist(["critical"] + ["ok"] * (checks - 1))}), "x")
    assert any(line.startswith("  OK") for line in text.splitlines()) is everything
    assert ("only findings" in text) is not everything
    assert sum(line.startswith("  CRITICAL") for line in text.splitlines()) == 1


def test_a_huge_run_prints_findings_only_and_says_so() -> None:
    text = terminal.render(report(sample_run.sample_run(100, 50)), "x")
    assert len(text.splitlines()) < 2000 and "only findings" in text.lower()
    assert not any(line.startswith("  OK") for line in text.splitlines())


def test_files_appear_together_and_latest_names_them(tmp_path: Path) -> None:
    for run_id in ("first", "second"):
        made = build(Run(run_id=run_id, title="T"), sample_run.night().items(), NOW)
        places = write.write(made, tmp_path)
        assert sorted(path.name for path in (tmp_path / run_id).iterdir()) == [
            "report.html",
            "report.json",
            "report.prom",
            "report.xml",
        ]
        assert (tmp_path / "latest").resolve() == (tmp_path / run_id).resolve()
        assert all(Path(place).exists() for place in places.values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "latest", "second"]


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = write._write_file

    def full(path: Path, content: str) -> None:
        if path.name == "report.prom":
            raise OSError(28, "No space left on device")
        real(path, content)

    monkeypatch.setattr(write, "_write_file", full)
    with pytest.raises(write.ReportError, match="No space left"):
        write.write(report(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(write.ReportError, match="day2_report_dir") as caught:
        write.write(report(), tmp_path / "file" / "reports")
    assert str(tmp_path / "file") in str(caught.value)


def test_a_run_that_was_reported_is_not_overwritten(tmp_path: Path) -> None:
    write.write(report(), tmp_path)
    with pytest.raises(write.ReportError, match="already"):
        write.write(report(), tmp_path)


def test_others_may_not_read_a_report(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write.write(report(), tmp_path / "reports")
    finally:
        os.umask(before)
    run = tmp_path / "reports" / "run-1"
    assert [path.stat().st_mode & 0o777 for path in (run.parent, run)] == [0o750, 0o750]
    assert {path.stat().st_mode & 0o777 for path in run.iterdir()} == {0o640}


def test_nothing_of_a_run_is_visible_before_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, seen = write._write_file, []

    def watch(path: Path, content: str) -> None:
        real(path, content)
        seen.append([entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")])

    monkeypatch.setattr(write, "_write_file", watch)
    write.write(report(), tmp_path)
    assert seen == [[]] * len(write.FILES)


def test_what_a_killed_run_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".partial-old-1", tmp_path / ".partial-young-2"
    for directory in (old, young):
        directory.mkdir()
        (directory / "report.json").write_text("{")
    os.utime(old, (0, 0))
    write.write(report(), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".partial-young-2", "latest", "run-1"]
