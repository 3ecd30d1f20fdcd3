# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Check
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.probes import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec

GOOD: dict[str, Any] = {"id": "a", "title": "A", "probe": "disk", "path": "/"}


def parse(*checks: object) -> list[Check]:
    return parse_checks(checks, find_spec, registry.PROBES, 10.0)


def refusal(*checks: object) -> str:
    with pytest.raises(CheckError) as caught:
        parse(*checks)
    return str(caught.value)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("check", "named"),
    [
        ({**GOOD, "probe": "dsik"}, ["check 'a'", "'probe'", "did you mean 'disk'"]),
        ({**without("path"), "paht": "/"}, ["check 'a'", "'paht'", "did you mean 'path'", "'path'", "is missing"]),
        (without("path"), ["check 'a'", "'path'", "is missing"]),
        (without("title"), ["check 'a'", "'title'", "is missing"]),
        (without("id"), ["check 1", "'id'", "is missing"]),
        ({**GOOD, "id": ["x"]}, ["'id'"]),
        ({**GOOD, "warning": "80%"}, ["check 'a'", "'warning'", "operator"]),
        ({**GOOD, "critical": ""}, ["check 'a'", "'critical'", "quotes"]),
        ({**GOOD, "warning": ["> 80%", "> 5ms"]}, ["check 'a'", "'warning'", "ms"]),
        ({**GOOD, "warning": "!= active"}, ["check 'a'", "'warning'", "number"]),
        ({**GOOD, "metric": "usage"}, ["check 'a'", "'metric'", "used_percent"]),
        ({**GOOD, "unit": "ms"}, ["check 'a'", "'unit'", "does not fit"]),
        ({**GOOD, "unit": "GB"}, ["check 'a'", "'unit'", "does not fit"]),
        ({**GOOD, "path": "relative"}, ["check 'a'", "'path'", "absolute"]),
        ({**GOOD, "timeout": "soon"}, ["check 'a'", "'timeout'"]),
        ({**GOOD, "timeout": 0}, ["check 'a'", "'timeout'"]),
        ({**GOOD, "enabled": "perhaps"}, ["check 'a'", "'enabled'"]),
        ({**GOOD, "probe": "log", "pattern": "("}, ["check 'a'", "'pattern'", "regular expression"]),
        ({"id": "a", "title": "A", "probe": "log"}, ["'path' or 'unit'", "0 given"]),
        ({**GOOD, "probe": "log", "unit": "nginx"}, ["'path' or 'unit'", "2 given"]),
        ({"id": "a", "title": "A", "probe": "service", "name": "x", "warning": "> 5"}, ["'warning'", "word"]),
        ({"id": "a", "title": "A", "probe": "tcp", "port": 70000}, ["'port'", "70000"]),
        ({"id": "a", "title": "A", "probe": "http", "url": "ftp://x"}, ["'url'", "http"]),
        ({"id": "a", "title": "A", "probe": "http", "url": "http://x", "query": "a", "warning": "> 5ms"}, ["unit: ms"]),
        ({"id": "a", "title": "A", "probe": "http", "url": "http://x", "metric": "query"}, ["'query'", "is missing"]),
        ({"id": "a", "title": "A", "probe": "postgres", "query": "DELETE FROM x"}, ["'query'", "only reads"]),
        (
            {"id": "a", "title": "A", "probe": "postgres", "query": "SELECT 1; DROP TABLE x"},
            ["'query'", "one statement"],
        ),
        ({"id": "a", "title": "A", "probe": "postgres", "sslmode": "maybe"}, ["'sslmode'", "verify-full"]),
        ({"id": "a", "title": "A", "probe": "command", "argv": "ls -l"}, ["'argv'", "list"]),
        ({"id": "a", "title": "A", "probe": "command", "argv": ["ls"], "format": "json"}, ["'query'", "is missing"]),
        ({"id": "a", "title": "A", "probe": "command", "argv": ["ls"], "metric": "load"}, ["'metric'", "exit"]),
        ("disk", ["check 1", "mapping"]),
    ],
)
def test_a_malformed_check_is_refused_by_name_and_field(check: object, named: list[str]) -> None:
    message = refusal(check)
    for words in named:
        assert words in message


def test_every_fault_of_every_check_is_told_at_once() -> None:
    message = refusal(
        {**GOOD, "id": "first", "path": "x"}, {**GOOD, "id": "second", "warning": "high"}, {**GOOD, "id": "second"}
    )
    assert "check 'first'" in message and "check 'second'" in message and "also the id of check 2" in message
    assert message.startswith("3 problems")


def test_a_secret_argument_is_not_repeated() -> None:
    assert "hunter2" not in refusal({"id": "a", "title": "A", "probe": "postgres", "password": ["hunter2"]})


def test_checks_come_out_typed() -> None:
    (check,) = parse(
        {**GOOD, "timeout": "2s", "ref": "OE-A03", "warning": "> 80%", "metric": "free", "unit": "GB"}
        | {"warning": "< 5"}
    )
    assert (check.timeout, check.ref, check.metric.name, check.enabled) == (2.0, ["OE-A03"], "free", True)
    assert check.metric.unit is not None and check.metric.unit.symbol == "GB"


def test_numbers_that_templating_made_text_are_read() -> None:
    (check,) = parse({"id": 1, "title": "A", "probe": "tcp", "port": "5432", "enabled": "False"})
    assert (check.id, check.args["port"], check.enabled) == ("1", 5432, False)
