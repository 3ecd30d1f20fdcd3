# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validate checks before anything runs: every fault is named with its check and its field."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import mask
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import (
    COMMON,
    ArgumentError,
    Check,
    ProbeSpec,
    ReadMetric,
    read_metric,
)
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import (
    Threshold,
    ThresholdError,
    parse_thresholds,
)
from ansible_collections.day2.ops.plugins.module_utils.errors import CheckError
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import NO_UNIT, QuantityError

# Metrics whose value is whatever a query of the check's own finds.
_READ_BY_QUERY = ("query", "value", "info")
UNRESOLVED = "was not resolved: that is done on the controller, where day2_connections is known"

FindSpec = Callable[[str], ProbeSpec]


class _Faults:
    """Collects what is wrong, in the words `check 'root-disk', field 'path': …`."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.check = ""

    def add(self, field: str, message: object) -> None:
        # The message alone: behind the name of a secret field its first word would be taken for the secret.
        self.problems.append(f"{mask(self.check)}, field '{field}': {mask(str(message))}")


def parse_checks(raw: Sequence[object], find_spec: FindSpec, probes: Sequence[str], timeout: float) -> list[Check]:
    """Typed checks in the order of `raw`; CheckError names all that is wrong with all of them.

    `find_spec` loads a probe's declaration and is called only for a name in `probes`.
    """
    faults = _Faults()
    seen: dict[str, int] = {}
    checks = []
    for index, entry in enumerate(raw):
        if not isinstance(entry, dict):
            faults.problems.append(f"check {index + 1} is {_kind(entry)}, not a mapping of fields such as id and probe")
            continue
        name = entry.get("id")
        faults.check = f"check '{name}'" if isinstance(name, str) and name else f"check {index + 1}{_called(entry)}"
        if name not in (None, ""):
            first = seen.setdefault(str(name), index)
            if first != index:
                faults.add("id", f"is also the id of check {first + 1}")
        check = _parse_check(index, entry, find_spec, probes, timeout, faults)
        if check is not None:
            checks.append(check)
    if faults.problems:
        raise CheckError(faults.problems)
    return checks


def _kind(entry: object) -> str:
    """What an entry is instead of a check. It may hold a secret, and is not shown."""
    if entry is None:
        return "empty"
    return {str: "text", list: "a list", bool: "true or false"}.get(type(entry), "a single value")


def _called(entry: Mapping[str, Any]) -> str:
    title = entry.get("title")
    return f" ('{title}')" if isinstance(title, str) and title else ""


def _parse_check(
    index: int, entry: Mapping[str, Any], find_spec: FindSpec, probes: Sequence[str], timeout: float, faults: _Faults
) -> Check | None:
    before = len(faults.problems)
    common = _read_common(entry, faults)
    probe = entry.get("probe")
    if isinstance(probe, str) and probe and probe not in probes:
        faults.add("probe", f"'{probe}' is unknown; {meant(probe, probes)}")
    if probe not in probes or not isinstance(probe, str):
        return None
    spec = find_spec(probe)
    if entry.get("connection") is not None:
        faults.add("connection", UNRESOLVED)
    args = _read_arguments(spec, entry, faults)
    metric = _read_metric(spec, entry, args, faults) if len(faults.problems) == before else None
    warning = _read_thresholds("warning", entry, metric, faults)
    critical = _read_thresholds("critical", entry, metric, faults)
    if len(faults.problems) > before or metric is None:
        return None
    return Check(
        index=index,
        id=common["id"],
        title=common["title"],
        probe=probe,
        metric=metric,
        args=args,
        timeout=common["timeout"] or timeout,
        warning=warning,
        critical=critical,
        raw_warning=entry.get("warning"),
        raw_critical=entry.get("critical"),
        run_as=common["run_as"],
        enabled=common["enabled"],
        ref=list(common["ref"] or ()),
        sustained=common["sustained"],
    )


def _read_common(entry: Mapping[str, Any], faults: _Faults) -> dict[str, Any]:
    common: dict[str, Any] = {}
    for field, argument in COMMON.items():
        common[field] = argument.default
        value = entry.get(field)
        if value is None:
            if argument.required:
                faults.add(field, "is missing")
        elif field not in ("warning", "critical", "unit"):
            try:
                common[field] = argument.read(value)
            except ArgumentError as exc:
                faults.add(field, exc)
    return common


def _read_arguments(spec: ProbeSpec, entry: Mapping[str, Any], faults: _Faults) -> dict[str, Any]:
    for field in entry:
        if field not in COMMON and field not in spec.arguments:
            known = [*spec.arguments, *COMMON]
            faults.add(str(field), f"is no argument of probe '{entry['probe']}'; {meant(str(field), known)}")
    args: dict[str, Any] = {}
    # What a connection would have given is not known.
    connected = spec.connection if entry.get("connection") is not None else ()
    for name, argument in spec.arguments.items():
        args[name] = argument.default
        value = entry.get(name)
        if value is None:
            if argument.required and name not in connected:
                faults.add(name, f"is missing; probe '{entry['probe']}' needs it")
            continue
        try:
            args[name] = argument.read(value)
        except ArgumentError as exc:
            faults.add(name, "cannot be read" if argument.secret else exc)
    if not connected:
        _check_combination(spec, args, entry.get("metric"), faults)
    return args


def _check_combination(spec: ProbeSpec, args: dict[str, Any], metric: str | None, faults: _Faults) -> None:
    given = [name for name in spec.one_of if args.get(name) is not None]
    if spec.one_of and len(given) != 1:
        names = " or ".join(f"'{name}'" for name in spec.one_of)
        faults.add(given[-1] if given else spec.one_of[0], f"exactly one of {names} is needed, {len(given)} given")
    for first, second in spec.exclusive:
        if args.get(first) is not None and args.get(second) is not None:
            faults.add(second, f"does not go with '{first}'")
    if spec.validate is not None:
        try:
            spec.validate(args, metric)
        except FieldError as exc:
            faults.add(exc.field, exc)


class FieldError(ArgumentError):
    """What a probe's own `validate` raises: the field and what is wrong with it."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        super().__init__(message)


def _read_metric(spec: ProbeSpec, entry: Mapping[str, Any], args: dict[str, Any], faults: _Faults) -> ReadMetric | None:
    name = entry.get("metric")
    if name is None:
        name = spec.choose_metric(args) if spec.choose_metric else spec.default_metric
    metric = spec.metrics.get(name) or spec.metrics.get("*")
    if metric is None:
        faults.add("metric", f"'{name}' is no metric of probe '{entry['probe']}'; it has {', '.join(spec.metrics)}")
        return None
    try:
        # Probe log has an argument of that name: the systemd unit.
        return read_metric(name, metric, None if "unit" in spec.arguments else entry.get("unit"))
    except (QuantityError, ArgumentError) as exc:
        faults.add("unit", exc)
        return None


def _read_thresholds(
    field: str, entry: Mapping[str, Any], metric: ReadMetric | None, faults: _Faults
) -> tuple[Threshold, ...]:
    try:
        thresholds = parse_thresholds(entry.get(field))
        if metric is not None:
            for threshold in thresholds:
                _check_fit(threshold, metric)
    except ThresholdError as exc:
        faults.add(field, exc)
        return ()
    return thresholds


def _check_fit(threshold: Threshold, metric: ReadMetric) -> None:
    if metric.words:
        if threshold.word is None:
            raise ThresholdError(f"'{threshold.text}': metric '{metric.name}' is a word; compare it with == or !=")
        return
    if metric.unit is None:
        # Only the answer knows its unit; a threshold that has one must not be compared with a bare number.
        if threshold.unit is not None and metric.name in _READ_BY_QUERY:
            symbol = threshold.unit.symbol
            raise ThresholdError(f"'{threshold.text}' has a unit and the value has none: add `unit: {_quote(symbol)}`")
        return
    if threshold.number is None:
        raise ThresholdError(f"'{threshold.text}': metric '{metric.name}' is a number, not a word")
    threshold.check_unit(metric.unit or NO_UNIT)


def _quote(symbol: str) -> str:
    return f"'{symbol}'" if symbol in ("%",) else symbol
