# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answer of a program: its exit status, a figure in its output, or the verdict of a monitoring plugin."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.json_query import check_query, parse_json, select
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import (
    Argument,
    ArgumentError,
    Check,
    Metric,
    ProbeSpec,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import Finished, run

_NAGIOS = (Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN)
# 'label'=value[UOM];warn;crit;min;max (Monitoring Plugins Development Guidelines).
_PERFDATA = re.compile(r"(?:'((?:[^']|'')+)'|([^\s='|]+))=(-?[\d.]+(?:[eE][+-]?\d+)?)([^\s;]*)")
_PERF_UNITS = {
    "": "",
    "c": "",
    "s": "s",
    "ms": "ms",
    "us": "us",
    "%": "%",
    "B": "B",
    "KB": "KiB",
    "MB": "MiB",
    "GB": "GiB",
    "TB": "TiB",
}


def _validate(args: dict[str, Any], metric: str | None) -> None:
    form = args["format"]
    own = _choose_metric(args)
    if metric is not None and form != "nagios" and metric != own:
        raise FieldError("metric", f"'{metric}' does not go with format '{form}', whose value is '{own}'")
    for field, owner in (("pattern", "regex"), ("query", "json")):
        if form == owner and args[field] is None:
            raise FieldError(field, f"is missing; format '{form}' needs it")
        if form != owner and args[field] is not None:
            raise FieldError(field, f"does not go with format '{form}'; write `format: {owner}`")
    if args["query"] is not None:
        try:
            check_query(args["query"])
        except ArgumentError as exc:
            raise FieldError("query", str(exc)) from exc


def _choose_metric(args: dict[str, Any]) -> str:
    return {"exit": "exit_status", "regex": "query", "json": "query"}.get(args["format"], "plugin")


SPEC = ProbeSpec(
    doc="Runs a program that changes nothing, without a shell. An exit status other than 0 is critical"
    " (with `format: nagios` it is the plugin's verdict).",
    arguments={
        "argv": Argument("argv", "The program and its arguments.", required=True),
        "format": Argument(
            "str", "How the answer is read.", default="exit", choices=("exit", "regex", "json", "nagios")
        ),
        "pattern": Argument(
            "regex", "`format: regex`: its first group (or the whole match) in the output is the value."
        ),
        "query": Argument("str", "`format: json`: a dotted path or JMESPath."),
    },
    metrics={
        "exit_status": Metric("The exit status (`format: exit`).", ""),
        "query": Metric("What `pattern` or `query` finds; its unit is the check's `unit`.", None),
        "plugin": Metric("`format: nagios`: the first figure of the performance data.", None),
        "*": Metric("`format: nagios`: the figure of this name in the performance data.", None),
    },
    default_metric="exit_status",
    validate=_validate,
    choose_metric=_choose_metric,
)


def observe(_source: object, check: Check) -> Observation:
    argv, form = check.args["argv"], check.args["format"]
    answer = run(argv)
    if answer.code in (126, 127) and form != "exit":
        raise Undetermined(f"{argv[0]} cannot run: {answer.complaint}", _lines(answer))
    if form == "nagios":
        return _nagios(check, answer)
    unexpected = None if answer.code == 0 else f"it should exit with 0{_because(answer)}"
    if form == "exit":
        text = (
            f"{argv[0]} exited with {answer.code}"
            if answer.code >= 0
            else f"{argv[0]} was killed by signal {-answer.code}"
        )
        return Observation(answer.code, text, evidence=_lines(answer), unexpected=unexpected)
    try:
        value = _match(answer, check.args["pattern"]) if form == "regex" else _json(answer, check.args["query"])
    except Undetermined:
        if unexpected is not None and not check.critical:
            return Observation(
                None, "", failure=f"{argv[0]} exited with {answer.code}, {unexpected}", evidence=_lines(answer)
            )
        raise
    text = f"{argv[0]} says {value}{' ' + check.metric.unit.symbol if check.metric.unit else ''}"
    if unexpected is not None:
        text += f" and exited with {answer.code}"
    return Observation(value, text, evidence=_lines(answer), unexpected=unexpected)


def _because(answer: Finished) -> str:
    return f" ({answer.complaint})" if answer.stderr.strip() else ""


def _lines(answer: Finished) -> list[str]:
    text = (answer.stdout + b"\n" + answer.stderr).decode("utf-8", "replace")
    return [line.rstrip() for line in text.split("\n") if line.strip()]


def _number(text: str) -> float | int | str:
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def _match(answer: Finished, pattern: str) -> float | int | str:
    match = re.search(pattern, answer.stdout.decode("utf-8", "replace"), re.MULTILINE)
    if match is None:
        raise Undetermined("the output does not match the pattern", _lines(answer))
    found = match.group(1) if match.re.groups else match.group(0)
    if found is None:
        raise Undetermined("the pattern's first group took no part in the match", _lines(answer))
    return _number(found.strip())


def _json(answer: Finished, query: str) -> Any:
    return select(parse_json(answer.stdout, "the output"), query)


def _nagios(check: Check, answer: Finished) -> Observation:
    lines = _lines(answer)
    first, _bar, _rest = (lines[0] if lines else "").partition("|")
    if not 0 <= answer.code < len(_NAGIOS):
        raise Undetermined(f"{check.args['argv'][0]} exited with {answer.code}, no monitoring plugin's status", lines)
    figures = {
        (quoted or plain): (float(number), _PERF_UNITS.get(unit, ""))
        for line in lines
        if "|" in line
        for quoted, plain, number, unit in _PERFDATA.findall(line.partition("|")[2])
    }
    text = first.strip() or f"the plugin exited with {answer.code} and said nothing"
    wanted = check.metric.name
    if wanted == "plugin":
        value, unit = next(iter(figures.values()), (None, None))
    elif wanted in figures:
        value, unit = figures[wanted]
    else:
        raise Undetermined(
            f"the plugin's performance data has no '{wanted}' (it has {', '.join(figures) or 'none'})", lines
        )
    return Observation(value, text, unit=unit or None, evidence=lines, status=_NAGIOS[answer.code])
