# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every file of a report says the same, and is what its readers accept."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import subprocess
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import sample_run
from ansible_collections.day2.ops.plugins.plugin_utils.report import html, junit, prometheus, terminal
from ansible_collections.day2.ops.plugins.plugin_utils.report import json as as_json
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, Steps, build, verdict
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import plain, visible
from sample_report import NOW, report

ROOT = Path(__file__).resolve().parents[5]
NASTY = "</script></style><script>alert(1)</script> & \x00\x1b[31m ]]> \"'` \ud800 {{ 1 }} é"


def nasty() -> Report:
    value = sample_run.checklist(["critical", "ok"])
    value["results"][0].update(title=NASTY, message=NASTY, evidence=[NASTY], value=float("nan"), id=NASTY, ref=[NASTY])
    return report({NASTY: value})


def everywhere(text: str) -> Report:
    """The text wherever a host or an inventory may have one."""
    value = sample_run.checklist(["critical", "critical", "ok"])
    for row in value["results"]:
        row.update(dict.fromkeys(("title", "message", "value", "id", "unit", "probe", "started", "warning"), text))
        row.update({name: [text, "\n" + text] for name in ("evidence", "ref", "critical")})
    made = report({text: value, f"{text}2": value}, title=text, system=text, cadence=text, versions={text: text})
    made.notes = [text]
    made.hosts[0].results[0].acknowledged = dict.fromkeys(("owner", "reason", "until"), text)
    made.hosts[0].results[1].curves = [{"title": text, "summary": text, "points": [[1, 2.0], [2, 3.0]]}]
    return made


class Page(HTMLParser):
    """What a browser makes of a page: its elements with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


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


@pytest.mark.parametrize(
    ("cadence", "title"),
    [("recovery", "Restore"), ("backup", "Backup"), ("drill", "Restore drill"), ("maintenance", "Maintenance"),
     ("daily", "Steps"), (None, "Steps")],
)  # fmt: skip
def test_what_was_refused_is_titled_by_what_it_is(cadence: str | None, title: str) -> None:
    run = Run(run_id="r", title="T", cadence=cadence)
    made = build(run, [("a", {"results": [], "duration": 0.1})], NOW, steps={"a": Steps([], "Refuse it: no name")})
    ((row,),) = (host.results for host in made.hosts)
    assert (row.id, row.title, row.message) == ("steps", title, "Refuse it: no name")


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
    assert [(step["host"], step["id"]) for step in made.steps] == [
        ("a", "backup-x"), ("b", "backup-x"), ("b", "steps"), ("c", "checklist"), ("e", "backup-x")
    ]  # fmt: skip
    schema = json.loads((ROOT / "docs" / "report-schema.json").read_text())
    document = json.loads(as_json.render(made))
    jsonschema.validate(document, schema)
    assert document["steps"][0]["message"] == "made"


@pytest.mark.parametrize(("fact", "status"), [("none", "skipped"), ("missing", "critical")])
def test_why_there_is_no_step_stands_beside_checks_only(fact: str, status: str) -> None:
    """On a host without checks and steps, "no check is defined" is the finding, and nothing covers it."""
    why = "nothing is backed up on this host: postgres_backup_repository is not set"
    ok = {"results": [{**_step("ok"), "probe": "backup"}], "duration": 0.1}
    values = {"a": ok, "b": {"results": [], "duration": 0.1}, "c": {"unreachable": True, "msg": "gone"}, "d": None}
    made = build(Run(run_id="r", title="T", cadence="backup"), values.items(), NOW,
                 steps=dict.fromkeys(values, Steps(**{fact: why})))  # fmt: skip
    rows = {host.host: [(row.id, row.status.value, row.message) for row in host.results] for host in made.hosts}
    assert sorted(rows["a"]) == [("backup-x", "ok", "made"), ("steps", status, why)]
    assert [row[:2] for row in rows["b"]] == [("checklist", "unknown")] and rows["b"][0][2] == (
        f"{why}; and no check is defined for this host (day2_backup_checks)"
    )
    assert [row[:2] for row in rows["c"]] == [("reachable", "critical")]
    assert sorted(row[:2] for row in rows["d"]) == [("checklist", "unknown"), ("steps", status)]


def test_steps_come_in_the_order_in_which_they_began() -> None:
    times = {"a": ["2026-11-21T03:00:05Z", "2026-11-21T03:00:20Z"], "b": ["2026-11-21T03:00:10Z"]}
    taken = {host: Steps([{**_step("ok"), "started": at} for at in given]) for host, given in times.items()}
    made = build(Run(run_id="r", title="T"), {"a": {"results": []}, "b": {"results": []}}.items(), NOW, steps=taken)
    assert [(step["host"], step["started"]) for step in made.steps] == [
        ("a", times["a"][0]), ("b", times["b"][0]), ("a", times["a"][1])
    ]  # fmt: skip


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
    assert "app1.example.net" in page and "Findings (" in page


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


def test_no_text_becomes_markup() -> None:
    """The same elements and attributes, whatever the texts are; and every text can be read."""
    page, tame = Page(html.render(everywhere(plain(NASTY)))), Page(html.render(everywhere("tame")))
    shapes = [[(tag, list(attributes)) for tag, attributes in made.elements] for made in (page, tame)]
    assert shapes[0] == shapes[1]
    shown = visible(plain(NASTY))
    assert sum(text.count(shown) for text in page.texts) > 40
    assert {"value", "title", "aria-label"} <= {
        name for _tag, attributes in page.elements for name, value in attributes.items() if value and shown in value
    }


def test_the_policy_names_the_style_and_the_script_of_the_page() -> None:
    page = html.render(report())
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in page


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


@pytest.mark.parametrize("width", [60, 80, 200, None])
def test_what_was_refused_says_on_every_terminal_what_to_type(width: int | None) -> None:
    message = (
        "This replaces live data of shop with those of a backup. Say so: -e day2_confirm=shop (--check shows the plan)"
    )
    steps = {
        "a": Steps([_step("critical") | {"message": message}], message),
        "b": Steps([_step("ok") | {"message": message}]),
    }
    made = build(
        Run(run_id="r", title="T"), [("a", {"failed": True, "msg": message}), ("b", {"results": []})], NOW, steps=steps
    )
    lines = terminal.render(made, "x", width=width).splitlines()
    wrong = [line for line in lines if line.lstrip().startswith(("CRITICAL", "UNKNOWN")) and message in line]
    assert len(wrong) == 3
    fine = next(line for line in lines if line.startswith("  OK"))
    assert (message in fine) == (width in (200, None))


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
