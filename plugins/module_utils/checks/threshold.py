# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Thresholds: `> 90%`, `< 10GB`, `!= active`. Parsed before anything runs, judged afterwards."""

from __future__ import annotations

import math
import operator
import re
from dataclasses import dataclass
from typing import Callable, Union

from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    NO_UNIT,
    QuantityError,
    Unit,
    convert,
    describe_unit,
    format_number,
    format_quantity,
    parse_quantity,
    singular,
)

Value = Union[float, int, str, bool, None]

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_WORDS = {">": "above", ">=": "at or above", "<": "below", "<=": "at or below", "==": "when", "!=": "unless"}
_SHAPE = re.compile(r"(>=|<=|==|!=|>|<)\s*(.*)", re.DOTALL)
_NUMERIC = re.compile(r"[+-]?\.?\d", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_WHOLE = re.compile(r"0|-?[1-9]\d{0,17}", re.ASCII)


class ThresholdError(ValueError):
    """A threshold that cannot be read, or cannot be applied to a value."""


@dataclass(frozen=True)
class Threshold:
    """One comparison. `number` is what to compare numbers with, `word` what to compare text with."""

    text: str
    operator: str
    number: float | None = None
    unit: Unit | None = None
    word: str | None = None

    def check_unit(self, value_unit: Unit) -> None:
        """Refuse a threshold whose unit can never be compared with the metric's."""
        if self.unit is not None and not self.unit.fits(value_unit):
            raise ThresholdError(
                f"'{self.text}' has the unit {describe_unit(self.unit)}, the value is {describe_unit(value_unit)}"
            )

    def matches(self, value: Value, value_unit: Unit) -> bool:
        """Whether the value triggers; an unlike value is a ThresholdError, never a silent no."""
        if isinstance(value, str) and self.word is not None and self.unit is None:
            # Words stay words: version 1.1 is not 1.10, and 007 is not 7.
            return (as_word(value) == self.word) is (self.operator == "==")
        number = as_number(value)
        if self.number is None or (number is None and self.word is not None):
            same = as_word(value) == self.word
            return same if self.operator == "==" else not same
        if number is None:
            raise ThresholdError(f"{value!r} is not a number, the threshold '{self.text}' needs one")
        limit = self.number
        if self.unit is not None:
            try:
                limit = convert(limit, self.unit, value_unit)
            except QuantityError as exc:
                raise ThresholdError(f"threshold '{self.text}': {exc}") from exc
        return _compare(self.operator, number, limit)

    @property
    def needs_number(self) -> bool:
        """Whether only a number can be compared with it."""
        return self.word is None or self.unit is not None

    def describe(self, value_unit: Unit, value: Value = None) -> str:
        """The words of a message: `above 90 %`. With the value, as it was compared: `unless 1.10` for a text."""
        words = _WORDS[self.operator]
        if self.number is None or (isinstance(value, str) and self.word is not None and self.unit is None):
            return f"{words} {self.word}"
        if self.unit is None:
            return f"{words} {format_quantity(self.number, value_unit)}"
        gap = "" if self.unit.symbol.startswith("/") else " "
        one = abs(self.number) == 1 and self.unit.is_label
        symbol = singular(self.unit.symbol) if one else self.unit.symbol
        return f"{words} {format_number(self.number)}{gap}{symbol}"


def _compare(symbol: str, number: float, limit: float) -> bool:
    # 0.3 s and 300 ms are the same limit, whatever the conversion's last bit says.
    if math.isclose(number, limit, rel_tol=1e-9, abs_tol=1e-12):
        return symbol in ("==", ">=", "<=")
    return _OPERATORS[symbol](number, limit)


def as_number(value: Value) -> float | None:
    """The value as a finite number, or None. Of texts only plain decimals are one: no `inf`, `nan`, `1_000`, `0x1f`."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        if _DECIMAL.fullmatch(value.strip(" \t\r\n")) is None:
            return None
        value = float(value)
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def read_text(text: str) -> int | str:
    """A value that a program or a document wrote as text: a whole number where nothing is lost by it, else the text."""
    return int(text) if _WHOLE.fullmatch(text) is not None else text


def as_word(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return format_number(value)
    return "" if value is None else str(value).strip()


def parse_thresholds(raw: object) -> tuple[Threshold, ...]:
    """Read one threshold or a list of them; None means there is none."""
    if raw is None:
        return ()
    entries = raw if isinstance(raw, (list, tuple)) else [raw]
    if not entries:
        raise ThresholdError("an empty list is not a threshold: leave the field out, or write one such as '> 80%'")
    return tuple(parse_threshold(entry) for entry in entries)


def parse_threshold(raw: object) -> Threshold:
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        raise ThresholdError(
            'is empty: YAML takes an unquoted > for the start of a text block; put quotes around it, as in "> 80%"'
        )
    if not isinstance(raw, str):
        raise ThresholdError(f"{raw!r} has no operator: write for instance '> {raw}'")
    text = raw.strip()
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ThresholdError(
            f"'{text}' does not start with an operator (> >= < <= == !=): write for instance '> 80%' or '!= active'"
        )
    symbol, operand = match.group(1), match.group(2).strip().strip("'\"").strip()
    if not operand:
        raise ThresholdError(f"'{text}' has nothing after the operator")
    if _NUMERIC.match(operand):
        try:
            number, unit = parse_quantity(operand)
        except QuantityError as exc:
            if symbol in ("==", "!="):
                return Threshold(text, symbol, word=operand)
            raise ThresholdError(f"'{text}': {exc}") from exc
        if symbol in ("==", "!=") and unit is not None and unit.is_label and not re.search(r"\s", operand):
            # 12ab34 is a commit, 0x10 no number of things called x10.
            return Threshold(text, symbol, word=operand)
        return Threshold(text, symbol, number, unit, word=operand if symbol in ("==", "!=") else None)
    if symbol not in ("==", "!="):
        raise ThresholdError(f"'{text}': {symbol} needs a number, '{operand}' is a word (words take == or !=)")
    if operand[0] in "<>=!":
        raise ThresholdError(f"'{text}' has more than one operator")
    return Threshold(text, symbol, word=operand)


def first_match(thresholds: tuple[Threshold, ...], value: Value, unit: Unit | None) -> Threshold | None:
    """The first threshold that the value triggers."""
    for threshold in thresholds:
        if threshold.matches(value, unit or NO_UNIT):
            return threshold
    return None
