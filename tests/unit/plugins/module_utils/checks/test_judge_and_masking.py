# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.json_query import parse_json, select
from ansible_collections.day2.ops.plugins.module_utils.checks.judge import judge
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import (
    clip_evidence,
    has_secret,
    mask,
    printable,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import (
    Observation,
    Result,
    Status,
    summarise,
    worst,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.secret_shapes import MASK
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec


def judged(seen: Observation, **check: Any) -> Result:
    subject = {} if "probe" in check else {"probe": "disk", "path": "/"}
    entry = {"id": "a", "title": "A", **subject, **check}
    (parsed,) = parse_checks([entry], find_spec, registry.PROBES, 10.0)
    return judge(parsed, seen, started=0.0, duration=0.25)


def test_the_message_says_what_triggered() -> None:
    result = judged(Observation(91.3, "91.3 % of / used"), warning="> 80%", critical="> 90%")
    assert (result.status, result.message) == (Status.CRITICAL, "91.3 % of / used, critical above 90 %")
    assert (result.value, result.unit, result.warning, result.started) == (
        91.3,
        "%",
        "> 80%",
        "1970-01-01T00:00:00.000Z",
    )


@pytest.mark.parametrize(("value", "status"), [(50, "ok"), (85, "warning"), (95, "critical")])
def test_critical_outranks_warning(value: float, status: str) -> None:
    assert judged(Observation(value, "x"), warning="> 80%", critical=["> 99%", "> 90%"]).status.value == status


def test_values_are_converted_to_the_wished_unit() -> None:
    result = judged(Observation(5 * 10**9, "5 GB free"), metric="free", unit="GB", warning="< 6")
    assert (result.value, result.unit, result.status) == (5, "GB", Status.WARNING)


def test_an_expectation_is_critical_unless_the_check_says_critical_itself() -> None:
    seen = Observation("inactive", "x is inactive", unexpected="it should be active")
    service = {"probe": "service", "name": "x"}
    assert judged(seen, **service).status is Status.CRITICAL
    assert judged(seen, **service, warning="!= active").status is Status.CRITICAL
    assert judged(seen, **service, warning="!= active", critical="== failed").status is Status.WARNING
    assert judged(seen, **service, critical="== failed").status is Status.OK


def test_a_failure_is_critical_whatever_the_thresholds_are() -> None:
    result = judged(Observation(None, "", failure="no connection"), warning="> 1%", critical="> 2%")
    assert (result.status, result.message) == (Status.CRITICAL, "no connection")


@pytest.mark.parametrize(
    "thresholds", [{}, {"warning": "> 80%"}, {"critical": "> 90%"}, {"critical": "> 90%", "warning": "> 1%"}]
)
@pytest.mark.parametrize("value", [5.0, 85.0, 99.0, None, "a word"])
def test_a_threshold_on_the_value_never_silences_a_fault_beside_it(thresholds: dict[str, str], value: Any) -> None:
    result = judged(Observation(value, "5 days left", fault="it is not valid before tomorrow"), **thresholds)
    assert (result.status, result.message) == (Status.CRITICAL, "5 days left, it is not valid before tomorrow")


@pytest.mark.parametrize(
    ("value", "threshold", "words"),
    [
        ("1.1", "!= 1.10", "unless 1.10"),
        ("1.10", "== 1.10", "when 1.10"),
        ("7", "!= 007", "unless 007"),
        ("2", "!= 2.0", "unless 2.0"),
        (1.2, "!= 1.10", "unless 1.1"),
        (7, "!= 007", None),
    ],
)
def test_a_text_is_compared_and_described_as_a_text(value: Any, threshold: str, words: str | None) -> None:
    plugin = {"probe": "command", "argv": ["x"], "format": "regex", "pattern": "(.*)"}
    result = judged(Observation(value, "version"), **plugin, critical=threshold)
    assert result.message == ("version" if words is None else f"version, critical {words}")


def test_no_value_is_unknown_and_never_ok() -> None:
    assert judged(Observation(None, "nothing"), warning="> 80%").status is Status.UNKNOWN
    assert judged(Observation("many", "many"), warning="> 80%").status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("status", "thresholds", "expected"),
    [
        ("critical", {"warning": "> 2s"}, "critical"),
        ("critical", {"critical": "> 9s"}, "critical"),
        ("critical", {"warning": "> 2s", "critical": "> 9s"}, "critical"),
        ("critical", {"warning": "> 0.1s"}, "critical"),
        ("critical", {}, "critical"),
        ("warning", {}, "warning"),
        ("warning", {"critical": "> 9s"}, "warning"),
        ("warning", {"critical": "> 0.1s"}, "critical"),
        ("warning", {"warning": "> 2s"}, "warning"),
        ("unknown", {"critical": "> 9s"}, "unknown"),
        ("unknown", {"warning": "> 0.1s"}, "unknown"),
        ("unknown", {"critical": "> 0.1s"}, "critical"),
        ("ok", {"warning": "> 0.1s"}, "warning"),
        ("ok", {"warning": "> 2s"}, "ok"),
    ],
)
def test_thresholds_make_a_plugins_verdict_worse_never_better(
    status: str, thresholds: dict[str, str], expected: str
) -> None:
    plugin = {"probe": "command", "argv": ["x"], "format": "nagios"}
    seen = Observation(0.5, "db", unit="s", status=Status(status))
    assert judged(seen, **plugin, **thresholds).status.value == expected
    if status != "ok":
        without = Observation(None, "db", status=Status(status))
        assert judged(without, **plugin).status.value == status


@pytest.mark.parametrize(
    ("status", "thresholds", "expected"),
    [
        ("warning", {}, "warning"),
        ("warning", {"warning": "> 90"}, "ok"),
        ("warning", {"critical": "> 90"}, "ok"),
        ("critical", {"warning": "> 90"}, "critical"),
        ("critical", {"critical": "> 90"}, "ok"),
    ],
)
def test_thresholds_take_the_place_of_a_probes_own_opinion(
    status: str, thresholds: dict[str, str], expected: str
) -> None:
    seen = Observation(50, "50 %", status=Status(status), is_default=True)
    assert judged(seen, **thresholds).status.value == expected


def test_worst_first_and_zeros_included() -> None:
    assert [status.value for status in Status] == ["critical", "unknown", "warning", "ok", "skipped"]
    assert worst([Status.OK, Status.UNKNOWN, Status.WARNING]) is Status.UNKNOWN
    assert worst([]) is Status.SKIPPED
    assert summarise([Status.OK]) == {"ok": 1, "warning": 0, "critical": 0, "unknown": 0, "skipped": 0}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("postgres://app:s3cretpw@db/x", "s3cretpw"),
        ("password=hunter22 rest", "hunter22"),
        ('{"api_key": "abcdef123456"}', "abcdef123456"),
        ("PGPASSWORD: 'hunter22'", "hunter22"),
        ("Authorization: Bearer abc.def-ghi", "abc.def-ghi"),
        ("mysql --password hunter22 -u x", "hunter22"),
        ("key AKIAABCDEFGHIJKLMNOP used", "AKIAABCDEFGHIJKLMNOP"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "eyJhbGciOiJIUzI1NiJ9"),
        ("AGE-SECRET-KEY-1QQPQYQSZ", "1QQPQYQSZ"),
        ("https://hooks.slack.com/services/T0/B0/xyz", "T0/B0/xyz"),
        ("ghp_abcdefghijklmnopqrstuvwxyz", "ghp_abc"),
    ],
)
def test_secrets_of_known_shape_are_masked(text: str, secret: str) -> None:
    assert secret not in mask(text) and MASK in mask(text) and has_secret(text)


@pytest.mark.parametrize(
    "text", ["91.3 % of / used", "https://example.com/a?b=c", "key not found", "token bucket is full", "5 lines"]
)
def test_harmless_text_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_given_secrets_are_masked_but_not_the_shortest() -> None:
    assert mask("login as bob failed: correcthorse", ["correcthorse"]) == f"login as bob failed: {MASK}"
    assert mask("ok: 1", ["ok", "1"]) == "ok: 1"


def test_evidence_is_capped() -> None:
    assert len(clip_evidence(["x"] * 100)) == 20
    clipped = clip_evidence(["é" * 3000, "second"])
    assert sum(len(line.encode()) for line in clipped) <= 4096 and clipped[0].endswith("…")


def test_control_characters_are_shown_not_sent() -> None:
    assert printable("a\x00b\x1b[31mc\ud800\td") == "a\\x00b\\x1b[31mc\\ud800\td"


DOCUMENT = {"a": {"b": [{"c": 1.5}, "12", "v1.2"], "n": None, "d-e": True}, "list": [1], "nan": float("nan")}


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("a.b[0].c", 1.5),
        ("a.b[1]", 12),
        (".a.b[-1]", "v1.2"),
        ("a.d-e", True),
        ('a."d-e"', True),
        ("length(list)", 1),
        ("a.b[?c].c | [0]", 1.5),
    ],
)
def test_queries(query: str, value: object) -> None:
    assert select(DOCUMENT, query) == value


@pytest.mark.parametrize("query", ["a.x", "a.n", "list", "a", "a.b[9]", "a.b.c", "nan", "list.x"])
def test_a_query_without_one_value_is_undetermined(query: str) -> None:
    with pytest.raises(Undetermined):
        select(DOCUMENT, query)


def test_what_is_no_json_is_undetermined_and_shown() -> None:
    with pytest.raises(Undetermined, match="not valid JSON") as caught:
        parse_json(b"<html>oops", "the body")
    assert caught.value.evidence == ["<html>oops"]
    with pytest.raises(Undetermined, match="nested"):
        parse_json(b"[" * 200000, "the body")
