# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A figure out of Prometheus, by a PromQL expression."""

from __future__ import annotations

import math
from typing import Any, Callable

from ansible_collections.day2.ops.plugins.module_utils.checks.json_query import parse_json
from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_number, format_quantity
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import http
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer


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
    return http.fetch({**args, "url": f"{args['url'].rstrip('/')}{_PATH}?query={quote(args['query'])}"})


def observe(answer: Answer, check: Check) -> Observation:
    server, query = check.args["url"], check.args["query"]
    if answer.error is not None:
        raise Undetermined(f"{server} does not answer: {answer.error}")
    series = read(answer, server)
    evidence = [f"{labels}: {format_number(number)}" for labels, number in series[:_SHOWN]]
    if check.metric.name == "series":
        return Observation(len(series), f"{query} finds {len(series)} series", evidence=evidence)
    if not series:
        raise Undetermined(f"{query} finds no series: a name or a label may be wrong, or nothing was measured")
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
    return Observation(value, f"{query} is {shown}{which}", evidence=evidence if len(series) > 1 else [])


def read(answer: Answer, server: str) -> list[tuple[str, float]]:
    """Labels and value of each series (Prometheus HTTP API, instant queries)."""
    if answer.status >= 500 and not answer.body.lstrip().startswith(b"{"):
        raise Undetermined(f"{server} answered HTTP {answer.status}")
    document = parse_json(answer.body, f"the answer of {server}")
    if not isinstance(document, dict) or document.get("status") != "success":
        reason = document.get("error") if isinstance(document, dict) else None
        raise Undetermined(f"{server} refuses the query: {reason or f'HTTP {answer.status}'}")
    try:
        data = document["data"]
        if data["resultType"] in ("scalar", "string"):
            return [("", float(data["result"][1]))]
        if data["resultType"] != "vector":
            raise Undetermined(f"the query gives a {data['resultType']}; an instant vector or a number is needed")
        return [(_labels(entry["metric"]), float(entry["value"][1])) for entry in data["result"]]
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise Undetermined(f"the answer of {server} is not Prometheus's") from exc


def _labels(metric: dict[str, str]) -> str:
    inner = ", ".join(f'{name}="{value}"' for name, value in sorted(metric.items()) if name != "__name__")
    return f"{metric.get('__name__', '')}{{{inner}}}"
