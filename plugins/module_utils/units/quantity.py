# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Quantities with units: parse them, convert them, show them.

Sources of the factors: SI prefixes (kB = 10^3 bytes) and IEC 80000-13 prefixes (Ki = 2^10).
A minute is `m` or `min`, a day has 86,400 s, a week seven days.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

PERCENT = "percent"
BYTES = "bytes"
DURATION = "duration"
RATE = "rate"
BYTE_RATE = "bytes a second"
COUNT = "count"

_DURATIONS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "sec": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_BYTES = {"B": 1.0}
for _power, _prefix in enumerate("KMGTPE", start=1):
    _BYTES[f"{_prefix}i"] = _BYTES[f"{_prefix}iB"] = 1024.0**_power
    _BYTES[f"{_prefix}B"] = 1000.0**_power
_BYTES["kB"] = 1000.0

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*)", re.DOTALL | re.ASCII)
_LABEL = re.compile(r"[A-Za-z_µ][\w µ.-]*")


class QuantityError(ValueError):
    """A quantity or a unit that cannot be read, or units that do not convert."""


@dataclass(frozen=True)
class Unit:
    """A symbol, its dimension, and its factor to the dimension's base unit (B, s, /s, 1)."""

    symbol: str
    dimension: str
    factor: float = 1.0

    def fits(self, other: Unit) -> bool:
        return self.dimension == other.dimension

    @property
    def is_label(self) -> bool:
        """Whether it names what is counted (`connections`)."""
        return self.dimension.startswith("count of ")


NO_UNIT = Unit("", COUNT)


def parse_unit(text: str) -> Unit:
    """Read a unit's symbol. A word that is no known unit is a label of a count (`connections`)."""
    symbol = text.strip()
    if not symbol:
        return NO_UNIT
    if symbol == "%":
        return Unit("%", PERCENT)
    if symbol in _BYTES:
        return Unit(symbol, BYTES, _BYTES[symbol])
    if symbol in _DURATIONS:
        return Unit(symbol, DURATION, _DURATIONS[symbol])
    if "/" in symbol:
        return _parse_rate(symbol)
    if symbol in tuple("kKMGTP"):
        raise QuantityError(
            f"'{symbol}' is ambiguous: write {symbol.upper()}B (powers of 1000) or {symbol.upper()}i (powers of 1024)"
        )
    if not _LABEL.fullmatch(symbol):
        raise QuantityError(f"'{symbol}' is not a unit")
    return Unit(symbol, f"count of {symbol}")


def _parse_rate(symbol: str) -> Unit:
    numerator, _slash, denominator = symbol.rpartition("/")
    if denominator.strip() not in _DURATIONS:
        raise QuantityError(f"'{symbol}' is not a rate: what follows / is a time, as in 100/s")
    seconds = _DURATIONS[denominator.strip()]
    if numerator.strip() in _BYTES:
        return Unit(symbol, BYTE_RATE, _BYTES[numerator.strip()] / seconds)
    if numerator.strip() and not _LABEL.fullmatch(numerator.strip()):
        raise QuantityError(f"'{symbol}' is not a rate")
    return Unit(symbol, RATE, 1.0 / seconds)


def parse_quantity(text: str) -> tuple[float, Unit | None]:
    """Split `10GB` into 10.0 and its unit; the unit is None where none is written."""
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise QuantityError(f"'{text}' is not a quantity")
    number, unit = _finite(match.group(1)), match.group(2).strip()
    return number, parse_unit(unit) if unit else None


def _finite(value: float | str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise QuantityError("the number is too large, or none")
    return number


def parse_duration(value: object) -> float:
    """Seconds from a number or from text such as `24h`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise QuantityError(f"{value!r} is not a duration, such as 30s or 24h")
    if isinstance(value, str):
        number, unit = parse_quantity(value)
        if unit is not None and unit.dimension != DURATION:
            raise QuantityError(f"'{value}' is not a duration, such as 30s or 24h")
        return number * (unit.factor if unit is not None else 1.0)
    return _finite(value)


def parse_lifetime(value: object) -> float:
    """A duration after which something is removed or ends: 90 seconds are not what somebody means who writes 90."""
    seconds = parse_duration(value)
    if seconds and parse_quantity(str(value))[1] is None:
        raise QuantityError(f"'{value}' has no unit: write for instance {format_number(seconds)}d")
    return seconds


def convert(number: float, source: Unit, target: Unit) -> float:
    """Express a number of one unit in another of the same dimension."""
    if not source.fits(target):
        raise QuantityError(f"{describe_unit(source)} does not convert to {describe_unit(target)}")
    if source.factor == target.factor:
        return number
    return number * source.factor / target.factor


def describe_unit(unit: Unit) -> str:
    return f"'{unit.symbol}' ({unit.dimension})" if unit.symbol else "a plain number"


def format_number(number: float) -> str:
    """At most four significant digits before the point is lost, and no exponent in daily life."""
    if not math.isfinite(number):
        return str(number)
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    if abs(number) >= 100:
        return f"{number:.1f}".rstrip("0").rstrip(".")
    if abs(number) >= 0.01:
        return f"{number:.2f}".rstrip("0").rstrip(".")
    return f"{number:.3g}"


def format_quantity(number: float, unit: Unit) -> str:
    """Show a quantity as an operator would say it: 91.3 %, 2.4 GiB, 3 d 4 h, 120 ms."""
    if unit.dimension == PERCENT:
        return f"{number:.1f} %" if number != int(number) else f"{int(number)} %"
    if unit.dimension == BYTES:
        return format_bytes(number * unit.factor)
    if unit.dimension == BYTE_RATE:
        return format_bytes(number * unit.factor) + "/s"
    if unit.dimension == DURATION:
        return format_duration(number * unit.factor)
    if unit.dimension == RATE:
        return (
            f"{format_number(number)} {unit.symbol}"
            if not unit.symbol.startswith("/")
            else f"{format_number(number)}{unit.symbol}"
        )
    if abs(number) == 1:
        return f"{format_number(number)} {singular(unit.symbol)}".strip()
    return f"{format_number(number)} {unit.symbol}".strip()


def counted(number: float, noun: str, plural: str | None = None) -> str:
    """A number and what it counts: `1 line`, `2 lines`, `0 processes`. `plural` where it is irregular."""
    if abs(number) == 1:
        return f"{format_number(number)} {noun}"
    return f"{format_number(number)} {plural or _plural(noun)}"


def _plural(noun: str) -> str:
    if re.search(r"(?:s|x|z|ch|sh)$", noun):
        return noun + "es"
    return noun[:-1] + "ies" if re.search(r"[^aeiou]y$", noun) else noun + "s"


def singular(label: str) -> str:
    """One of what a label counts: `updates` is `update`. A label that is no plain plural stays as it is."""
    if re.search(r"(?:ss|x|[nrt]ch|sh)es$", label):
        return label[:-2]
    if re.search(r"[a-z]{2}ies$", label):
        return label[:-3] + "y"
    return label[:-1] if re.search(r"[a-z]{2}[^sui]s$", label) else label


def format_bytes(number: float) -> str:
    """Bytes in binary units: 2.4 GiB."""
    if abs(number) < 1024:
        return f"{format_number(number)} B"
    power = min(5, max(1, int(math.log(abs(number), 1024))))
    return f"{number / 1024**power:.1f} {_BINARY[power]}"


def format_duration(seconds: float) -> str:
    """Two units at most: 2 d 3 h, 4 min 5 s, 120 ms."""
    magnitude = abs(seconds)
    sign = "-" if seconds < 0 else ""
    if magnitude < 1:
        text = f"{magnitude * 1000:.0f} ms" if magnitude >= 0.01 or magnitude == 0 else f"{magnitude * 1000:.2g} ms"
        return sign + text
    if magnitude < 60:
        return f"{sign}{format_number(round(magnitude, 1))} s"
    for big, size, small, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if magnitude >= size:
            whole, rest = divmod(int(magnitude), size)
            return f"{sign}{whole} {big}" + (f" {rest // part} {small}" if rest // part else "")
    raise AssertionError("a magnitude of at least 60 s has a unit")
