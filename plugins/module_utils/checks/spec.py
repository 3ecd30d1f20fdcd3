# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe declares about itself: its arguments and its metrics. Checks are validated against it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.sustained import parse as parse_sustained
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    NO_UNIT,
    QuantityError,
    Unit,
    parse_duration,
    parse_lifetime,
    parse_unit,
)


class ArgumentError(ValueError):
    """A value that an argument cannot take."""


@dataclass(frozen=True)
class Argument:
    """One argument of a probe. `kind` names one of the readers below.

    A `secret` is masked wherever it shows. What `may_hold` one is, like a secret, kept out of logs and the invocation;
    of a mapping with declared `entries` only where one of these is.
    """

    kind: str
    doc: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    secret: bool = False
    may_hold: bool = False
    entries: Mapping[str, Argument] | None = None

    def read(self, value: object) -> Any:
        """The typed value, or an ArgumentError that says what is expected."""
        result = _READERS[self.kind](value)
        if self.choices and result not in self.choices:
            raise ArgumentError(f"{value!r} is none of {', '.join(self.choices)}")
        return result


@dataclass(frozen=True)
class Metric:
    """One quantity a probe can report.

    `unit` None means that the check says it (`unit:`) or the answer does. `words` marks values that are text,
    `elapsed` the time until an answer: when none came in time, it is at least the check's time-out.
    """

    doc: str
    unit: str | None = ""
    words: bool = False
    elapsed: bool = False


@dataclass(frozen=True)
class ProbeSpec:
    """A probe's declaration. A metric named `*` stands for names that only the answer knows."""

    doc: str
    arguments: Mapping[str, Argument]
    metrics: Mapping[str, Metric]
    default_metric: str
    # The arguments that say how something is reached: a check may name a connection that has them.
    connection: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, str], ...] = ()
    # Given the typed arguments and the metric that the check names, if any; raises FieldError.
    validate: Callable[[dict[str, Any], str | None], None] | None = None
    choose_metric: Callable[[dict[str, Any]], str] | None = None


@dataclass(frozen=True)
class ReadMetric:
    """The metric a check asked for, with the units of the answer and of the result."""

    name: str
    source_unit: Unit | None
    unit: Unit | None
    words: bool = False
    elapsed: bool = False


def read_metric(name: str, metric: Metric, unit_text: object) -> ReadMetric:
    """Settle the unit of a check's result; QuantityError when `unit` does not fit the metric."""
    wanted = parse_unit(_text(unit_text)) if unit_text not in (None, "") else None
    if metric.words:
        if wanted is not None:
            raise QuantityError(f"metric '{name}' is a word and has no unit")
        return ReadMetric(name, NO_UNIT, NO_UNIT, words=True)
    if metric.unit is None:
        return ReadMetric(name, wanted, wanted)
    natural = parse_unit(metric.unit)
    if wanted is not None and not wanted.fits(natural):
        raise QuantityError(f"'{wanted.symbol}' does not fit metric '{name}', which is in '{natural.symbol}'")
    return ReadMetric(name, natural, wanted or natural, elapsed=metric.elapsed)


def _text(value: object) -> str:
    if isinstance(value, bool):
        raise ArgumentError(
            f"{value} is not text: YAML reads yes, no, on and off as true and false, so put it in quotes"
        )
    if not isinstance(value, (str, int, float)):
        raise ArgumentError(f"{value!r} is not text")
    return str(value)


def _filled(value: object) -> str:
    text = _text(value)
    if not text:
        raise ArgumentError("is empty")
    return text


def _path(value: object) -> str:
    text = _filled(value)
    if not text.startswith("/"):
        raise ArgumentError(f"'{text}' is not an absolute path")
    return text


def _integer(value: object) -> int:
    if isinstance(value, bool) or re.fullmatch(r"\s*[+-]?\d{1,18}\s*", str(value)) is None:
        raise ArgumentError(f"{value!r} is not a whole number")
    return int(str(value))


def _count(value: object) -> int:
    number = _integer(value)
    if number < 1:
        raise ArgumentError(f"{number} is less than 1")
    return number


def _port(value: object) -> int:
    number = _integer(value)
    if not 0 < number < 65536:
        raise ArgumentError(f"{number} is not a port (1 to 65535)")
    return number


def _boolean(value: object) -> bool:
    text = str(value).strip().lower()
    if text in ("true", "yes", "on", "1"):
        return True
    if text in ("false", "no", "off", "0"):
        return False
    raise ArgumentError(f"{value!r} is neither true nor false")


def _duration(value: object, read: Callable[[object], float] = parse_duration) -> float:
    try:
        seconds = read(value)
    except QuantityError as exc:
        raise ArgumentError(str(exc)) from exc
    if seconds <= 0:
        raise ArgumentError(f"{value!r} is not longer than nothing")
    return seconds


def _regex(value: object) -> str:
    text = _filled(value)
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as exc:
        raise ArgumentError(f"'{text}' is not a regular expression: {exc}") from exc
    return text


def _strings(value: object) -> tuple[str, ...]:
    entries = value if isinstance(value, (list, tuple)) else [value]
    if not entries:
        raise ArgumentError("is an empty list")
    return tuple(_text(entry) for entry in entries)


def _argv(value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise ArgumentError("is not a list: write the program and each argument as an entry (no shell takes part)")
    words = _strings(value)
    if not words[0]:
        raise ArgumentError("names no program")
    return words


def _check(value: object) -> dict[str, Any]:
    if not isinstance(value, dict) or not isinstance(value.get("probe"), str):
        raise ArgumentError("is not a check: a mapping of `probe` and its arguments")
    return dict(value)


def _sustained(value: object) -> str:
    try:
        parse_sustained(_filled(value))
    except QuantityError as exc:
        raise ArgumentError(str(exc)) from exc
    return _filled(value)


def _mode(value: object) -> str:
    # YAML reads an unquoted 0640 as the number 416.
    if not isinstance(value, str) or not re.fullmatch(r"[0-7]{3,4}", value):
        raise ArgumentError(f'{value!r} is not a file mode: four octal digits in quotes, such as "0640"')
    return value.zfill(4)


def _integers(value: object) -> tuple[int, ...]:
    entries = value if isinstance(value, (list, tuple)) else [value]
    return tuple(_integer(entry) for entry in entries)


def _mappings(value: object) -> tuple[dict[str, Any], ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(entry, dict) for entry in value):
        raise ArgumentError(f"{value!r} is not a list of mappings")
    return tuple(dict(entry) for entry in value)


def _mapping(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ArgumentError(f"{value!r} is not a mapping")
    return {_text(key): _text(entry) for key, entry in value.items()}


def _place(value: object) -> Any:
    return dict(value) if isinstance(value, dict) else _filled(value)


_READERS: dict[str, Callable[[object], Any]] = {
    "str": _filled,
    "path": _path,
    "int": _integer,
    "count": _count,
    "port": _port,
    "bool": _boolean,
    "duration": _duration,
    "lifetime": lambda value: _duration(value, parse_lifetime),
    "regex": _regex,
    "argv": _argv,
    "strings": _strings,
    "integers": _integers,
    "mapping": _mapping,
    "str or mapping": _place,
    "mappings": _mappings,
    "sustained": _sustained,
    "mode": _mode,
    "check": _check,
}

# The fields that every check may have, whatever its probe.
COMMON: dict[str, Argument] = {
    "id": Argument("str", "A name that is unique in the call.", required=True),
    "title": Argument("str", "What an operator reads.", required=True),
    "probe": Argument("str", "The probe that answers the check.", required=True),
    "warning": Argument("str", "One threshold or a list of them; any match is a warning."),
    "critical": Argument("str", "One threshold or a list of them; any match is critical. Outranks `warning`."),
    "sustained": Argument(
        "sustained",
        "How long a threshold has to be met before it counts, by the history of runs: `5m`, or `3 runs`.",
    ),
    "metric": Argument("str", "Which of the probe's metrics is the value."),
    "unit": Argument("str", "The unit of the result; for a value read by a query, what the number means."),
    "connection": Argument(
        "str", "A name in `day2_connections`, whose fields fill the arguments that say how a server is reached."
    ),
    "timeout": Argument("duration", "Seconds, or a duration such as `2s`; overrides the call's."),
    "run_as": Argument("str", "The user the check runs as, a PostgreSQL peer login for instance. Needs root."),
    "enabled": Argument("bool", "Whether the check runs; one that does not is `skipped`.", default=True),
    "ref": Argument("strings", "The ids in the operations manual that the check answers."),
}


@dataclass(frozen=True)
class Check:
    """A validated check: everything is typed, and nothing in it can be refused any more."""

    index: int
    id: str
    title: str
    probe: str
    metric: ReadMetric
    args: Mapping[str, Any]
    timeout: float
    warning: tuple[Any, ...] = ()
    critical: tuple[Any, ...] = ()
    raw_warning: Any = None
    raw_critical: Any = None
    run_as: str | None = None
    enabled: bool = True
    ref: list[str] = field(default_factory=list)
    sustained: str | None = None
