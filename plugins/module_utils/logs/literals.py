# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the texts that a regular expression cannot match without.

Searching for a fixed text is many times faster than matching an expression, so a log is searched for these and only
lines that have one are matched. What cannot be decided here costs time, never a wrong count: the answer is None.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from typing import Any, Sequence

if sys.version_info >= (3, 11):
    from re import _constants as _sre  # type: ignore[attr-defined]
    from re import _parser as _sre_parse  # type: ignore[attr-defined]
else:
    import sre_constants as _sre
    import sre_parse as _sre_parse


@dataclass(frozen=True)
class Needles:
    """One of `texts` is in every match; `exact`: a line that has one matches, and nothing else does."""

    texts: tuple[bytes, ...]
    ignore_case: bool
    exact: bool


def find_needles(pattern: bytes) -> Needles | None:
    """The texts of a bytes pattern, or None when it has none that it always needs."""
    tree = _sre_parse.parse(pattern)
    ignore_case = bool(tree.state.flags & re.IGNORECASE)
    if tree.state.flags & re.VERBOSE:
        return None
    texts = _of_sequence(list(tree), ignore_case)
    if texts is None:
        return None
    return Needles(texts, ignore_case, exact=_is_plain(list(tree), texts))


def _is_plain(sequence: Sequence[Any], texts: tuple[bytes, ...]) -> bool:
    """Whether the expression is nothing but these texts."""
    if all(operation is _sre.LITERAL for operation, _argument in sequence):
        return True
    if len(sequence) != 1:
        return False
    operation, argument = sequence[0]
    if operation is _sre.SUBPATTERN:
        _group, added, removed, inner = argument
        return not added and not removed and _is_plain(list(inner), texts)
    if operation is _sre.BRANCH:
        return all(all(part is _sre.LITERAL for part, _ in branch) for branch in argument[1])
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
    if operation in (_sre.MAX_REPEAT, _sre.MIN_REPEAT):
        least, _most, inner = argument
        return _of_sequence(list(inner), ignore_case) if least >= 1 else None
    return None
