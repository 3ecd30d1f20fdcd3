# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A URL: whether it answers well, how quickly, and a figure in its JSON. Checks of one URL share one request."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.json_query import check_query, parse_json, select
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
from ansible_collections.day2.ops.plugins.module_utils.network.body import text_of
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    counted,
    format_bytes,
    format_duration,
    format_quantity,
)


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
    doc="Requests a URL. No answer, a status of 400 or more, a body that is cut or does not match, and redirects that"
    " do not end or lead to another scheme than http and https are critical.",
    arguments={
        "url": Argument(
            "str", "The address. A user and password in it are sent as basic authentication.", required=True
        ),
        "method": Argument("str", "The method.", default="GET", choices=("GET", "HEAD", "OPTIONS", "POST")),
        "query": Argument("str", "A dotted path or JMESPath: the value is what it finds in the JSON body."),
        "body": Argument("regex", "A regular expression that the body has to match somewhere."),
        "status_code": Argument("integers", "The statuses that are good; without it every one below 400 is."),
        "follow_redirects": Argument(
            "bool", "Whether redirects are followed, ten at most; otherwise their own status counts.", default=True
        ),
        **http.ARGUMENTS,
    },
    metrics={
        "latency": Metric("Time until the whole answer was there.", "ms", elapsed=True),
        "status": Metric("The HTTP status.", ""),
        "size": Metric("Size of the body, decoded where its Content-Encoding is gzip or deflate.", "B"),
        "query": Metric("What `query` finds; its unit is the check's `unit`.", None),
    },
    default_metric="latency",
    connection=("url", *http.ARGUMENTS),
    validate=_validate,
    choose_metric=lambda args: "query" if args["query"] is not None else "latency",
)


def source_key(check: Check) -> object:
    return (*http.identity(check.args), check.args["method"], check.args["follow_redirects"])


def prepare() -> None:
    http.prepare()


def open_source(checks: list[Check], _progress: object) -> Answer:
    args = checks[0].args
    return http.fetch(http.request_of(args, method=args["method"], follow_redirects=args["follow_redirects"]))


def observe(answer: Answer, check: Check) -> Observation:
    name, url = check.metric.name, answer.url
    if answer.error is not None:
        where = f" (after {counted(len(answer.redirects), 'redirect')})" if answer.redirects else ""
        if name == "query":
            raise Undetermined(f"{url} does not answer: {answer.error}{where}", answer.redirects)
        return Observation(None, "", failure=f"{url} does not answer: {answer.error}{where}", evidence=answer.redirects)
    evidence = [*answer.redirects, f"HTTP {answer.status} {answer.reason}".strip()]
    if answer.fault is not None:
        return Observation(
            None, "", failure=f"{url} answered HTTP {answer.status}, but {answer.fault}", evidence=evidence
        )
    allowed = check.args["status_code"]
    good = answer.status in allowed if allowed else answer.status < 400
    wanted = f"expected {' or '.join(map(str, allowed))}" if allowed else "expected a status below 400"
    if not good:
        evidence += _text_lines(answer)
        if name != "status":
            return Observation(None, "", failure=f"{url} answered HTTP {answer.status}, {wanted}", evidence=evidence)
    if check.args["body"] is not None:
        missing = _mismatch(answer, check.args["body"])
        if missing is not None:
            evidence += _text_lines(answer)
            return Observation(None, "", failure=f"{url} answered, but {missing}", evidence=evidence)
    if name == "status":
        seen = Observation(answer.status, f"{url} answered HTTP {answer.status}", evidence=evidence)
        seen.unexpected = None if good else wanted
        return seen
    if name == "size":
        return _size(answer, evidence)
    if name == "query":
        return _query(answer, check, evidence)
    text = f"{url} answered HTTP {answer.status} in {format_duration(answer.latency)}"
    return Observation(round(answer.latency * 1000, 3), text, evidence=evidence)


def _size(answer: Answer, evidence: list[str]) -> Observation:
    if answer.endless:
        raise Undetermined(f"{answer.url} sends more than {format_bytes(answer.size)}: the rest was not read", evidence)
    encoded = f" (encoded with {answer.opaque}, as it came)" if answer.opaque is not None else ""
    return Observation(
        answer.size, f"{answer.url} answered with {format_bytes(answer.size)}{encoded}", evidence=evidence
    )


def _mismatch(answer: Answer, pattern: str) -> str | None:
    """Why the body does not match; None when it does. Undetermined where what was not read may match."""
    _refuse_opaque(answer)
    text, trouble = text_of(answer.body, answer.content_type, answer.whole)
    if re.search(pattern, text, re.MULTILINE) is not None:
        return None
    if not answer.whole:
        raise Undetermined(
            f"the first {format_bytes(len(answer.body))} of the body of {answer.url} do not match '{pattern}';"
            " the rest was not searched"
        )
    return f"its body does not match '{pattern}'" + (f" ({trouble})" if trouble is not None else "")


def _refuse_opaque(answer: Answer) -> None:
    if answer.opaque is not None:
        raise Undetermined(
            f"{answer.url} answered, but its body is encoded with {answer.opaque}, which cannot be decoded here"
        )


def _query(answer: Answer, check: Check, evidence: list[str]) -> Observation:
    _refuse_opaque(answer)
    if not answer.whole:
        raise Undetermined(
            f"the body of {answer.url} has more than the {format_bytes(len(answer.body))} that are read as JSON"
        )
    query = check.args["query"]
    text, trouble = text_of(answer.body, answer.content_type)
    if trouble is not None:
        evidence = [*evidence, f"the body: {trouble}"]
    # Zeros are those of UTF-16 and UTF-32 without a mark, which the parser knows by itself.
    document = parse_json(answer.body if b"\0" in answer.body[:4] else text.encode(), f"the body of {answer.url}")
    value = select(document, query)
    unit = check.metric.unit
    if unit is not None and isinstance(value, (int, float)) and not isinstance(value, bool):
        return Observation(value, f"{query} is {format_quantity(value, unit)}", evidence=evidence)
    return Observation(value, f"{query} is {value}", evidence=evidence)


def _text_lines(answer: Answer) -> list[str]:
    if answer.opaque is not None:
        return [f"the body is encoded with {answer.opaque}"]
    text, trouble = text_of(answer.body[:4096], answer.content_type, answer.size <= 4096)
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    return lines + ([f"the body: {trouble}"] if trouble is not None else [])
