# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A figure out of Prometheus, by a PromQL expression."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Callable

from ansible_collections.day2.ops.plugins.module_utils.checks.json_query import parse_json
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import http
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    format_bytes,
    format_number,
    format_quantity,
)


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    http.check_arguments(args)


SPEC = ProbeSpec(
    doc="Asks a Prometheus server. An expression that finds nothing is `unknown`; of several series the largest counts"
    " unless `pick` says otherwise. A stretch of time is PromQL's business: `min_over_time(… [5m])`.",
    arguments={
        "url": Argument("str", "The server's address, such as `http://localhost:9090`.", required=True),
        "query": Argument("str", "The expression; it has to give a number or an instant vector.", required=True),
        "pick": Argument(
            "str", "Which of several series is the value.", default="max", choices=("max", "min", "sum", "only")
        ),
        **http.ARGUMENTS,
    },
    metrics={
        "value": Metric("What the expression gives; its unit is the check's `unit`.", None),
        "series": Metric("How many series it finds; none is no fault here.", "series"),
    },
    default_metric="value",
    connection=("url", *http.ARGUMENTS),
    validate=_validate,
)
_PATH = "/api/v1/query"
_PICK: dict[str, Callable[[list[float]], float]] = {"max": max, "min": min, "sum": math.fsum}
_SHOWN = 20


def source_key(check: Check) -> object:
    return (*http.identity(check.args), check.args["query"])


def prepare() -> None:
    http.prepare()


def open_source(checks: list[Check], _progress: object) -> Answer:
    from urllib.parse import quote

    args = checks[0].args
    return http.fetch(http.request_of(args, url=f"{args['url'].rstrip('/')}{_PATH}?query={quote(args['query'])}"))


def observe(answer: Answer, check: Check) -> Observation:
    server = check.args["url"]
    if answer.error is not None:
        raise Undetermined(f"{server} does not answer: {answer.error}")
    if answer.fault is not None or not answer.whole:
        reason = answer.fault or f"its body of {format_bytes(answer.size)} cannot be read whole"
        raise Undetermined(f"{server} answered HTTP {answer.status}, but {reason}")
    found = read(answer, server)
    series = found.series
    evidence = [f"{labels}: {format_number(number)}" for labels, number in series[:_SHOWN]] + found.notes
    if found.partial:
        # A figure of some of the data may be on the good side only because the rest is missing.
        seen = _figure(series, check, evidence)
        return replace(seen, text=f"{seen.text}, of partial data: {found.partial[0]}", status=Status.UNKNOWN)
    return _figure(series, check, evidence)


def _figure(series: list[tuple[str, float]], check: Check, evidence: list[str]) -> Observation:
    query = check.args["query"]
    if check.metric.name == "series":
        return Observation(len(series), f"{query} finds {len(series)} series", evidence=evidence)
    if not series:
        reason = "a name or a label may be wrong, or nothing was measured"
        raise Undetermined(f"{query} finds no series: {reason}", evidence)
    numbers = [number for _labels, number in series]
    pick = check.args["pick"]
    if pick == "only" and len(numbers) > 1:
        raise Undetermined(f"{query} finds {len(numbers)} series and should find one", evidence)
    value = _PICK[pick](numbers) if pick in _PICK else numbers[0]
    if not math.isfinite(value):
        raise Undetermined(f"{query} is {value}: nothing to divide by, most often", evidence)
    unit = check.metric.unit
    shown = format_quantity(value, unit) if unit is not None else format_number(value)
    which = "" if len(numbers) == 1 else f" ({pick} of {len(numbers)} series)"
    alone = len(series) == 1 and len(evidence) == 1
    return Observation(value, f"{query} is {shown}{which}", evidence=[] if alone else evidence)


@dataclass(frozen=True)
class Found:
    """Labels and value of each series. `notes` are what the server says about the answer, for a person.

    `partial` are those notes that say that data is missing. Prometheus marks its remarks on the expression itself
    ("PromQL info: …", "PromQL warning: …"); what else stands in `warnings` comes from stores that did not answer
    (Prometheus' remote read, Thanos' and Mimir's partial responses).
    """

    series: list[tuple[str, float]]
    notes: list[str] = field(default_factory=list)
    partial: list[str] = field(default_factory=list)


def read(answer: Answer, server: str) -> Found:
    """What an instant query found (Prometheus HTTP API)."""
    document, data = _document(answer, server)
    warnings, infos = ([str(word) for word in document.get(name) or ()] for name in ("warnings", "infos"))
    partial = [word for word in warnings if not word.startswith("PromQL ")]
    notes = [f"warning: {word}" for word in warnings] + [f"info: {word}" for word in infos]
    try:
        if data["resultType"] in ("scalar", "string"):
            return Found([("", float(data["result"][1]))], notes, partial)
        if data["resultType"] != "vector":
            raise Undetermined(f"the query gives a {data['resultType']}; an instant vector or a number is needed")
        series = [(_labels(entry["metric"]), float(entry["value"][1])) for entry in data["result"]]
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise Undetermined(f"the answer of {server} is not Prometheus's") from exc
    return Found(series, notes, partial)


def _document(answer: Answer, server: str) -> tuple[dict[str, Any], Any]:
    """The whole answer of a query that succeeded, and its `data`."""
    if answer.status >= 500 and not answer.body.lstrip().startswith(b"{"):
        raise Undetermined(f"{server} answered HTTP {answer.status}")
    document = parse_json(answer.body, f"the answer of {server}")
    if not isinstance(document, dict) or document.get("status") != "success":
        reason = document.get("error") if isinstance(document, dict) else None
        raise Undetermined(f"{server} refuses the query: {reason or f'HTTP {answer.status}'}")
    return document, document.get("data") or {}


def _labels(metric: dict[str, str]) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(metric.items()) if name != "__name__")
    return f"{metric.get('__name__', '')}{{{inner}}}"
