# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A URL: whether it answers well, how quickly, and a figure in its JSON. Checks of one URL share one request."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.json_query import check_query, parse_json, select
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import (
    BYTES,
    Unit,
    format_duration,
    format_quantity,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import (
    Argument,
    ArgumentError,
    Check,
    Metric,
    ProbeSpec,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import http
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer


def _validate(args: dict[str, Any], metric: str | None) -> None:
    if metric == "query" and args["query"] is None:
        raise FieldError("query", "is missing; metric 'query' needs it")
    http.check_arguments(args)
    if args["query"] is not None:
        try:
            check_query(args["query"])
        except ArgumentError as exc:
            raise FieldError("query", str(exc)) from exc


SPEC = ProbeSpec(
    doc="Requests a URL. No answer, a status of 400 or more, or a body that does not match is critical.",
    arguments={
        "url": Argument(
            "str", "The address. A user and password in it are sent as basic authentication.", required=True
        ),
        "method": Argument("str", "The method.", default="GET", choices=("GET", "HEAD", "OPTIONS", "POST")),
        "query": Argument("str", "A dotted path or JMESPath: the value is what it finds in the JSON body."),
        "body": Argument("regex", "A regular expression that the body has to match somewhere."),
        "status_code": Argument("integers", "The statuses that are good; without it every one below 400 is."),
        "follow_redirects": Argument("bool", "Whether redirects are followed.", default=True),
        **http.ARGUMENTS,
    },
    metrics={
        "latency": Metric("Time until the whole answer was there.", "ms", elapsed=True),
        "status": Metric("The HTTP status.", ""),
        "size": Metric("Size of the body.", "B"),
        "query": Metric("What `query` finds; its unit is the check's `unit`.", None),
    },
    default_metric="latency",
    validate=_validate,
    choose_metric=lambda args: "query" if args["query"] is not None else "latency",
)


def source_key(check: Check) -> object:
    return (*http.identity(check.args), check.args["method"], check.args["follow_redirects"])


def prepare() -> None:
    http.prepare()


def open_source(checks: list[Check], _progress: object) -> Answer:
    return http.fetch(checks[0].args)


def observe(answer: Answer, check: Check) -> Observation:
    name, url = check.metric.name, answer.url
    if answer.error is not None:
        if name == "query":
            raise Undetermined(f"{url} does not answer: {answer.error}")
        return Observation(None, "", failure=f"{url} does not answer: {answer.error}")
    evidence = [f"HTTP {answer.status} {answer.reason}".strip()]
    allowed = check.args["status_code"]
    good = answer.status in allowed if allowed else answer.status < 400
    wanted = f"expected {' or '.join(map(str, allowed))}" if allowed else "expected a status below 400"
    if not good:
        evidence += _text_lines(answer.body)
        if name != "status":
            return Observation(None, "", failure=f"{url} answered HTTP {answer.status}, {wanted}", evidence=evidence)
    if check.args["body"] is not None and not re.search(check.args["body"], _text(answer.body), re.MULTILINE):
        evidence += _text_lines(answer.body)
        return Observation(
            None, "", failure=f"{url} answered, but its body does not match '{check.args['body']}'", evidence=evidence
        )
    if name == "status":
        seen = Observation(answer.status, f"{url} answered HTTP {answer.status}", evidence=evidence)
        seen.unexpected = None if good else wanted
        return seen
    if name == "size":
        size = format_quantity(len(answer.body), Unit("B", BYTES))
        return Observation(len(answer.body), f"{url} answered with {size}", evidence=evidence)
    if name == "query":
        return _query(answer, check, evidence)
    text = f"{url} answered HTTP {answer.status} in {format_duration(answer.latency)}"
    return Observation(round(answer.latency * 1000, 3), text, evidence=evidence)


def _query(answer: Answer, check: Check, evidence: list[str]) -> Observation:
    query = check.args["query"]
    value = select(parse_json(answer.body, f"the body of {answer.url}"), query)
    unit = check.metric.unit
    if unit is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
        return Observation(value, f"{query} is {format_quantity(value, unit)}", evidence=evidence)
    return Observation(value, f"{query} is {value}", evidence=evidence)


def _text(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _text_lines(body: bytes) -> list[str]:
    return [line.rstrip() for line in _text(body[:4096]).split("\n") if line.strip()]
