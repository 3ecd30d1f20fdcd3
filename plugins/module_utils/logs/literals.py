# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the texts that a regular expression cannot match without.

Searching for a fixed text is many times faster than matching an expression, so a log is searched for these and only
lines that have one are matched. What cannot be decided here costs time, never a wrong count.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any, Iterator, Sequence

if sys.version_info >= (3, 11):
    from re import _constants as _sre  # type: ignore[attr-defined]
    from re import _parser as _sre_parse  # type: ignore[attr-defined]
else:
    import sre_constants as _sre
    import sre_parse as _sre_parse


_REPEATS = (_sre.MAX_REPEAT, _sre.MIN_REPEAT)
_KNOWN_WITHIN_LINE = (_sre.AT, _sre.BRANCH, _sre.SUBPATTERN, *_REPEATS)
_CONSUMING = (_sre.LITERAL, _sre.NOT_LITERAL, _sre.ANY, _sre.IN)


@dataclass(frozen=True)
class Needles:
    """How a bytes pattern is searched.

    One of `texts` is in every match (empty: none is known). `exact`: a line that has one matches, and nothing else
    does. `within_line`: every match has a width, and none can reach over a line break. `line_bound`: the expression
    asks for the ends of the text or looks around, so lines have to be cut out for it.
    """

    texts: tuple[bytes, ...]
    ignore_case: bool
    exact: bool
    within_line: bool
    line_bound: bool


def find_needles(pattern: bytes) -> Needles:
    """Take a bytes pattern apart."""
    tree = _sre_parse.parse(pattern)
    flags = tree.state.flags
    ignore_case = bool(flags & re.IGNORECASE)
    sequence = list(tree)
    texts = _of_sequence(sequence, ignore_case) or ()
    if any(b"\n" in text for text in texts):
        # No line holds one: such a pattern is left to the slow way, which knows.
        texts = ()
    operations = list(_walk(sequence))
    return Needles(
        texts,
        ignore_case,
        exact=bool(texts) and _is_plain(sequence),
        # An empty match has no place that belongs to one line only.
        within_line=tree.getwidth()[0] > 0
        and not any(_takes_newline(operation, argument, flags) for operation, argument in operations),
        line_bound=any(_is_line_bound(operation, argument) for operation, argument in operations),
    )


def _walk(sequence: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    """Every operation of an expression, however deep."""
    for operation, argument in sequence:
        yield operation, argument
        if operation is _sre.SUBPATTERN:
            yield from _walk(list(argument[3]))
        elif operation is _sre.BRANCH:
            for branch in argument[1]:
                yield from _walk(list(branch))
        elif operation in _REPEATS:
            yield from _walk(list(argument[2]))
        elif operation in (_sre.ASSERT, _sre.ASSERT_NOT):
            yield from _walk(list(argument[1]))


def _takes_newline(operation: Any, argument: Any, flags: int) -> bool:
    if operation is _sre.LITERAL:
        return bool(argument == 10)
    if operation is _sre.ANY:
        return bool(flags & re.DOTALL)
    if operation is _sre.IN:
        return any(_set_takes_newline(part, value) for part, value in argument)
    # What is not known here might: the answer only costs time.
    return operation not in _KNOWN_WITHIN_LINE


def _set_takes_newline(part: Any, value: Any) -> bool:
    if part is _sre.LITERAL:
        return bool(value == 10)
    if part is _sre.RANGE:
        return bool(value[0] <= 10 <= value[1])
    if part is _sre.CATEGORY:
        return value not in (_sre.CATEGORY_DIGIT, _sre.CATEGORY_WORD, _sre.CATEGORY_NOT_SPACE)
    return True


def _is_line_bound(operation: Any, argument: Any) -> bool:
    if operation is _sre.AT:
        return argument in (_sre.AT_BEGINNING_STRING, _sre.AT_END_STRING)
    return operation in (_sre.ASSERT, _sre.ASSERT_NOT) or operation not in (*_KNOWN_WITHIN_LINE, *_CONSUMING)


def _is_plain(sequence: Sequence[Any]) -> bool:
    """Whether the expression is nothing but its texts."""
    if all(operation is _sre.LITERAL for operation, _argument in sequence):
        return True
    if len(sequence) != 1:
        return False
    operation, argument = sequence[0]
    if operation is _sre.SUBPATTERN:
        _group, added, removed, inner = argument
        return not added and not removed and _is_plain(list(inner))
    if operation is _sre.BRANCH:
        return all(all(part is _sre.LITERAL for part, _value in branch) for branch in argument[1])
    return False


def _of_sequence(sequence: Sequence[Any], ignore_case: bool) -> tuple[bytes, ...] | None:
    """The best choice of texts in a sequence: the longest ones, and few of them."""
    choices: list[tuple[bytes, ...]] = []
    run = bytearray()
    for operation, argument in sequence:
        if operation is _sre.LITERAL and argument < 256:
            run.append(argument)
            continue
        if run:
            choices.append((bytes(run),))
            run = bytearray()
        inner = _of_part(operation, argument, ignore_case)
        if inner is not None:
            choices.append(inner)
    if run:
        choices.append((bytes(run),))
    if ignore_case:
        choices = [tuple(text.lower() for text in texts) for texts in choices]
    return max(choices, key=lambda texts: (min(len(text) for text in texts), -len(texts)), default=None)


def _of_part(operation: Any, argument: Any, ignore_case: bool) -> tuple[bytes, ...] | None:
    if operation is _sre.SUBPATTERN:
        _group, added, removed, inner = argument
        return _of_sequence(list(inner), ignore_case) if not added and not removed else None
    if operation is _sre.BRANCH:
        found: list[bytes] = []
        for branch in argument[1]:
            texts = _of_sequence(list(branch), ignore_case)
            if texts is None:
                return None
            found += texts
        return tuple(dict.fromkeys(found)) if len(found) <= 8 else None
    if operation in _REPEATS:
        least, _most, inner = argument
        return _of_sequence(list(inner), ignore_case) if least >= 1 else None
    return None
