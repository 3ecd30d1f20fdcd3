# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which names a block of an extension's script wants of the database it runs in. Pure.

Only where `current_database()` itself is compared with a literal or a setting it is about the name. Elsewhere it finds
the database's row in the catalogue, for its encoding or owner.
"""

from __future__ import annotations

import re
from typing import Mapping

from ansible_collections.day2.ops.plugins.module_utils.postgres.lexer import Kind, LexerError, Token, statements

# Of the text that `_canonical` makes: single blanks, words in lower case, `$3` for the third literal.
_CAST = r"(?: : : \w+)?"
_VALUE = rf"(?:(?:current_setting \( )?\$\d+(?: , \w+)?(?: \))?{_CAST})"
_DATABASE = (
    rf"(?:(?<!\| \| )(?<!\S)current_database \( \){_CAST}"
    rf"|(?:(?<=if )|(?<=and )|(?<=or )|(?<=not )|(?<=when ))\( current_database \( \){_CAST} \))"
)
_DIFFERS = r"(?:< >|! =|is distinct from)"
_COMPARED = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{_DATABASE} {_DIFFERS} (?P<values>{_VALUE})",
        rf"(?P<values>{_VALUE}) {_DIFFERS} {_DATABASE}",
        rf"not (?:\( )?{_DATABASE} = (?P<values>{_VALUE})",
        rf"not (?:\( )?(?P<values>{_VALUE}) = {_DATABASE}",
        rf"{_DATABASE} not in \( (?P<values>{_VALUE}(?: , {_VALUE})*) \)",
        rf"not (?:\( )?{_DATABASE} in \( (?P<values>{_VALUE}(?: , {_VALUE})*) \)",
    )
)
_SETTING = re.compile(r"current_setting \( \$(\d+)")
_LITERAL = re.compile(r"\$(\d+)")


def names_wanted(body: str, settings: Mapping[str, str]) -> set[str] | None:
    """Names that the block compares the database's name with, where another one is an error; None: with none.

    `settings` are values of the server's parameters; the value of an unknown one is no name.
    """
    text, literals = _canonical(body)
    compared = [match["values"] for pattern in _COMPARED for match in pattern.finditer(text)]
    if not compared:
        return None
    names = set[str]()
    for values in compared:
        named = {int(number) for number in _SETTING.findall(values)}
        for number in {int(number) for number in _LITERAL.findall(values)}:
            name = settings.get(literals[number]) if number in named else literals[number]
            names |= {name} if name is not None else set()
    return names


def _canonical(body: str) -> tuple[str, list[str]]:
    """The block's tokens with a blank between them, and its literals; nothing where it cannot be read."""
    try:
        tokens: list[Token] = [token for statement in statements(f"{body};") for token in statement]
    except LexerError:
        return "", []
    words, literals = list[str](), list[str]()
    for token in tokens:
        if token.kind is Kind.STRING:
            words.append(f"${len(literals)}")
            literals.append(token.text)
        elif token.kind is Kind.NAME:
            words.append(token.text if token.text.isidentifier() else '""')
        else:
            words.append(token.text.lower())
    return " ".join(words).replace("pg_catalog . ", ""), literals
