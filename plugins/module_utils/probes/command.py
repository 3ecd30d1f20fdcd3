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
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import read_text
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.process.programs import CAP, Finished, run
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes

_CUT = f"(the output was cut: only its first {format_bytes(CAP)} are looked at)"
_NAGIOS = (Status.OK, Status.WARNING, Status.CRITICAL, Status.UNKNOWN)
# 'label'=value[UOM];warn;crit;min;max (Monitoring Plugins Development Guidelines).
_PERFDATA = re.compile(r"(?:'((?:[^']|'')+)'|([^\s='|]+))=(-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)([^\s;]*)", re.ASCII)
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
    if form == "nagios" and args["success_exit_status"] is not None:
        raise FieldError("success_exit_status", "does not go with format 'nagios', whose exit status is the verdict")
    for name, value in (args["environment"] or {}).items():
        if not name or "=" in name or "\0" in name + value:
            raise FieldError("environment", "has a name that is empty or has = in it, or a zero byte")
    if any("\0" in word for word in args["argv"] or ()):
        raise FieldError("argv", "has a zero byte in it")
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
    doc="Runs a program that changes nothing, without a shell. An exit status other than 0 is critical, whatever"
    " thresholds the check has on the output (with `format: nagios` it is the plugin's verdict, which thresholds only"
    " make worse).",
    arguments={
        "argv": Argument(
            "argv",
            "The program and its arguments. Kept out of logs and of the invocation, but every user of the host can read"
            " it while the program runs: a secret belongs into `environment`.",
            required=True,
            may_hold=True,
        ),
        "environment": Argument(
            "mapping",
            "Variables that are added to the program's environment, such as `PGPASSWORD`. Treated as secret.",
            secret=True,
        ),
        "success_exit_status": Argument(
            "integers", "The exit statuses that are no fault, such as `[0, 1]` for a `grep`. Only 0 unless given."
        ),
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
    answer = run(argv, environment=check.args["environment"])
    if answer.code in (126, 127) and form != "exit":
        raise Undetermined(f"{argv[0]} cannot run: {answer.complaint}", _lines(answer))
    if form == "nagios":
        return _nagios(check, answer)
    ended = _ended(answer)
    wrong = _unexpected(check, answer)
    if form == "exit":
        return Observation(answer.code, f"{argv[0]} {ended}", evidence=_lines(answer), unexpected=wrong)
    try:
        value = _match(answer, check.args["pattern"]) if form == "regex" else _json(answer, check.args["query"])
    except Undetermined:
        if wrong is None:
            raise
        return Observation(None, "", failure=f"{argv[0]} {ended}, {wrong}", evidence=_lines(answer))
    text = f"{argv[0]} says {value}{' ' + check.metric.unit.symbol if check.metric.unit else ''}"
    # A threshold on what it says tells nothing about how it ended.
    return Observation(value, text if wrong is None else f"{text} and {ended}", evidence=_lines(answer), fault=wrong)


def _ended(answer: Finished) -> str:
    return f"exited with {answer.code}" if answer.code >= 0 else f"was killed by signal {-answer.code}"


def _unexpected(check: Check, answer: Finished) -> str | None:
    """What is wrong with the exit status."""
    fine = check.args["success_exit_status"] or (0,)
    if answer.code in fine:
        return None
    return f"it should exit with {' or '.join(map(str, fine))}{_because(answer)}"


def _because(answer: Finished) -> str:
    return f" ({answer.complaint})" if answer.stderr.strip() else ""


def _lines(answer: Finished) -> list[str]:
    text = (answer.stdout + b"\n" + answer.stderr).decode("utf-8", "replace")
    lines = [line.rstrip() for line in text.split("\n") if line.strip()]
    return [_CUT, *lines] if answer.cut else lines


def _match(answer: Finished, pattern: str) -> int | str:
    match = re.search(pattern, answer.stdout.decode("utf-8", "replace"), re.MULTILINE)
    if match is None:
        within = f" within {format_bytes(CAP)}, where it was cut" if answer.cut else ""
        raise Undetermined(f"the output does not match the pattern{within}", _lines(answer))
    found = match.group(1) if match.re.groups else match.group(0)
    if found is None:
        raise Undetermined("the pattern's first group took no part in the match", _lines(answer))
    return read_text(found.strip())


def _json(answer: Finished, query: str) -> Any:
    if answer.cut:
        raise Undetermined(f"the output is longer than {format_bytes(CAP)}: it was cut and is no whole JSON", [_CUT])
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
