# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Probe command on real programs: how they end, what they say, and what they may know."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.action.checklist import part_secrets
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import as_number, parse_threshold, read_text
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import run_checklist


def command(script: str, **check: Any) -> dict[str, Any]:
    entry = {"id": "a", "title": "A", "probe": "command", "argv": ["sh", "-c", script], **check}
    shown, secrets = part_secrets([entry])
    (result,) = run_checklist(shown, secrets=secrets)["results"]
    assert isinstance(result, dict)
    return result


REGEX: dict[str, Any] = {"format": "regex", "pattern": r"(\d+) jobs"}
JSON: dict[str, Any] = {"format": "json", "query": "v"}


@pytest.mark.parametrize("form", [REGEX, JSON])
@pytest.mark.parametrize("thresholds", [{}, {"warning": "> 5"}, {"critical": "> 5"}, {"critical": "== 3"}])
@pytest.mark.parametrize("code", [1, 2, 3, 125, "kill -9 $$"])
def test_a_threshold_on_the_output_silences_no_exit_status(code: Any, thresholds: Any, form: dict[str, Any]) -> None:
    end = code if isinstance(code, str) else f"exit {code}"
    result = command(f"""echo '{{"v": 1, "x": "1 jobs"}}'; {end}""", **form, **thresholds)
    assert result["status"] == "critical" and "it should exit with 0" in result["message"]
    assert ("killed by signal 9" if isinstance(code, str) else f"exited with {code}") in result["message"]


@pytest.mark.parametrize("form", [REGEX, JSON])
def test_an_exit_status_that_was_declared_fine(form: dict[str, Any]) -> None:
    script = """echo '{"v": 9, "x": "9 jobs"}'; exit 2"""
    assert command(script, success_exit_status=[0, 2], **form)["status"] == "ok"
    assert command(script, success_exit_status=2, critical="> 5", **form)["status"] == "critical"
    assert command(script, success_exit_status=2, critical="> 9", **form)["status"] == "ok"
    other = command(script, success_exit_status=[0, 1], critical="> 9", **form)
    assert other["status"] == "critical" and "it should exit with 0 or 1" in other["message"]


def test_a_threshold_on_the_exit_status_itself_replaces_what_is_expected_of_it() -> None:
    assert command("exit 2")["status"] == "critical"
    assert command("exit 2", success_exit_status=[0, 2])["status"] == "ok"
    assert command("exit 2", critical="> 2")["status"] == "ok"
    assert command("exit 3", critical="> 2", success_exit_status=3)["status"] == "critical"


def test_no_answer_and_a_wrong_exit_status() -> None:
    for thresholds in ({}, {"critical": "> 5"}):
        assert command("echo nothing; exit 2", **REGEX, **thresholds)["status"] == "critical"
        assert command("echo nothing", **REGEX, **thresholds)["status"] == "unknown"


# What a program or a document says, a threshold, and whether it triggers.
WORDS = [
    ("1.1", "!= 1.10", True),
    ("1.10", "!= 1.10", False),
    ("1.10", "== 1.1", False),
    ("12e4567", "!= 12e4567", False),
    ("12e4567", "== inf", False),
    ("1e3", "== 1000", False),
    ("12e4567", "!= deadbeef", True),
    ("007", "== 7", False),
    ("007", "== 007", True),
    ("12ab34", "!= 12ab34", False),
    ("12ab34", "== 12", False),
    ("5e3a", "== 5e3a", True),
    ("inf", "== inf", True),
    ("Infinity", "!= inf", True),
    ("nan", "!= nan", False),
    ("1_000", "== 1000", False),
    ("0x10", "== 16", False),
    ("0x10", "== 0x10", True),
    ("\u0661\u0662", "== 12", False),
    ("+5", "== 5", False),
    ("v1.2", "!= v1.2", False),
    ("true", "== true", True),
    ("15.0", "!= 15", True),
    ("15", "!= 15", False),
    ("15", "== 15", True),
    (" 5 ", "== 5", True),
    ("2026.10", "!= 2026.1", True),
    ("1.10.0", "!= 1.10.0", False),
]
# With a threshold that needs a number, plain decimals are numbers.
NUMBERS = [
    ("1.10", "> 1.05", "critical"),
    ("007", "> 6", "critical"),
    (" 5 ", "> 4", "critical"),
    ("1e3", "> 999", "critical"),
    ("-0.5", "< 0", "critical"),
    ("5.", ">= 5", "critical"),
    (".5", "> 0.4", "critical"),
    ("12", "> 50", "ok"),
    ("12e4567", "> 5", "unknown"),
    ("inf", "> 5", "unknown"),
    ("nan", "> 5", "unknown"),
    ("1_000", "> 5", "unknown"),
    ("0x10", "> 5", "unknown"),
    ("\u0661\u0662", "> 5", "unknown"),
    ("12 MB", "> 5", "unknown"),
    ("1,5", "> 1", "unknown"),
    ("", "> 1", "unknown"),
]


@pytest.mark.parametrize(("said", "threshold", "triggers"), WORDS)
def test_words_stay_words(said: str, threshold: str, triggers: bool) -> None:
    document = json.dumps({"v": said.strip() if said == " 5 " else said}, ensure_ascii=False)
    for check in (
        {"argv": ["printf", "%s", document], **JSON},
        {"argv": ["printf", "%s", f"<{said}>"], "format": "regex", "pattern": "<(.*)>"},
    ):
        result = command("", critical=threshold, **check)
        assert result["status"] == ("critical" if triggers else "ok"), result
        assert str(result["value"]) == said.strip()


@pytest.mark.parametrize(("said", "threshold", "status"), NUMBERS)
def test_plain_decimals_are_numbers_where_a_threshold_needs_one(said: str, threshold: str, status: str) -> None:
    document = json.dumps({"v": said}, ensure_ascii=False)
    for check in (
        {"argv": ["printf", "%s", document], **JSON},
        {"argv": ["printf", "%s", f"<{said}>"], "format": "regex", "pattern": "<(.*)>"},
    ):
        result = command("", critical=threshold, **check)
        assert result["status"] == status, result
        assert status == "unknown" or isinstance(result["value"], (int, float))


def test_numbers_of_a_document_are_numbers() -> None:
    for said, threshold in (("1.1", "== 1.10"), ("1e3", "== 1000"), ("7", "== 007"), ("15.0", "== 15")):
        assert command(f"""echo '{{"v": {said}}}'""", critical=threshold, **JSON)["status"] == "critical"
    for said in ("Infinity", "NaN", "-Infinity", "1e999"):
        assert command(f"""echo '{{"v": {said}}}'""", critical="> 5", **JSON)["status"] == "unknown"
    huge = command(f"""echo '{{"v": {"9" * 400}}}'""", critical="> 5", **JSON)
    assert huge["status"] == "unknown"


def test_texts_and_numbers() -> None:
    assert [read_text(text) for text in ("17", "-3", "0", "007", "1.5", "", "+1", "9" * 30)] == [
        17, -3, 0, "007", "1.5", "", "+1", "9" * 30,
    ]  # fmt: skip
    assert as_number(10**400) is None and as_number(float("inf")) is None and as_number("1e400") is None
    assert parse_threshold("== \u0661\u0662").word == "\u0661\u0662"


def test_what_the_environment_holds_is_known_to_the_program_alone() -> None:
    said = "echo pw is $PGPASSWORD in $STAGE of $PGHOST; exit 1"
    variables = {"PGPASSWORD": "correct-horse", "STAGE": "prod", "PGHOST": "db.prod.example.com", "N": 5}
    assert "battery-staple" not in str(command("echo $X; exit 1", environment={"X": "battery-staple"}))
    result = command(said, environment=variables)
    assert result["evidence"] == ["pw is ******** in prod of db.prod.example.com"]
    shown, secrets = part_secrets([{"id": "a", "probe": "command", "argv": ["x"], "environment": variables}])
    assert "correct-horse" not in str(shown) and secrets[0]["environment"] == variables
    assert command("echo $HOME$LC_ALL; exit 1", environment={"LC_ALL": "x"})["evidence"][0].endswith("x")


@pytest.mark.parametrize(
    ("check", "field"),
    [
        ({"environment": "PGPASSWORD=correct-horse"}, "environment"),
        ({"environment": ["correct-horse"]}, "environment"),
        ({"environment": {"PGPASSWORD": ["correct-horse"]}}, "environment"),
        ({"environment": {"A=B": "correct-horse"}}, "environment"),
        ({"environment": {"": "correct-horse"}}, "environment"),
        ({"environment": {"A": "correct\0horse"}}, "environment"),
        ({"argv": ["x", "correct\0horse"]}, "argv"),
        ({"success_exit_status": "fine"}, "success_exit_status"),
        ({"format": "nagios", "success_exit_status": 1}, "success_exit_status"),
    ],
)
def test_what_is_refused(check: dict[str, Any], field: str) -> None:
    with pytest.raises(CheckError, match=f"field '{field}'") as caught:
        command("true", **check)
    assert "horse" not in str(caught.value)


def test_output_beyond_what_is_kept_says_so() -> None:
    long = "head -c 2000000 /dev/zero | tr '\\0' x"
    assert "cut" in command(f"{long}; exit 1")["evidence"][0]
    late = command(f"{long}; echo; echo 5 jobs", **REGEX)
    assert late["status"] == "unknown" and "cut" in late["message"]
    document = command(f'echo \'{{"v": 1, "x": "\'; {long}; echo \'"}}\'', **JSON)
    assert document["status"] == "unknown" and "cut" in document["message"]
    many = command("seq 100; exit 1")["evidence"]
    assert many[:19] == [str(number) for number in range(1, 20)] and many[19] == "… and 81 more lines"
    assert command("seq 20; exit 1")["evidence"][19] == "20"
