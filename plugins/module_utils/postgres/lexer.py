# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SQL text as statements of tokens, by PostgreSQL's lexical rules ("SQL Syntax, Lexical Structure"). Pure.

A line of a text is not a statement: a comment, a setting or a name may have any text in it, with line breaks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error


class LexerError(Day2Error):
    """Text that ends within a token, or has what PostgreSQL's programs do not write."""


class Kind(Enum):
    """`WORD` is a keyword, a number or a name without quotes, `NAME` one in quotes, `STRING` a literal's value."""

    WORD = "word"
    NAME = "name"
    STRING = "string"
    SYMBOL = "symbol"


@dataclass(frozen=True)
class Token:
    """`text` is what the token stands for: without quotes, escapes replaced; a word as it is written."""

    kind: Kind
    text: str

    def is_word(self, *words: str) -> bool:
        return self.kind is Kind.WORD and self.text.upper() in words


_SKIPPED = re.compile(r"\s+|--[^\n]*")
_WORD = re.compile(r"[A-Za-z0-9_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*")
_NAME = re.compile(r'"((?:[^"]|"")*)"')
_PLAIN = re.compile(r"'((?:[^']|'')*)'")
_ESCAPED = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_DOLLAR = re.compile(r"\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$")
_COMMENT = re.compile(r"/\*|\*/")
# A program's own command, which psql takes outside statements only.
_COMMAND = re.compile(r"\\[^\n]*")
_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))|''", re.DOTALL)
_NAMED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_WHERE = 40


def statements(text: str) -> Iterator[list[Token]]:
    """The tokens of each statement, without its semicolon; LexerError for text that is not whole."""
    current: list[Token] = []
    position, end, escapes = 0, len(text), False
    while position < end:
        position, token = _next(text, position, escapes)
        if token is None:
            continue
        if token == Token(Kind.SYMBOL, ";"):
            escapes = _escapes(current, escapes)
            yield current
            current = []
        elif token == Token(Kind.SYMBOL, "\\") and not current:
            command = _COMMAND.match(text, position - 1)
            position = command.end() if command else position
        else:
            current.append(token)
    if current:
        raise LexerError(f"the text ends within a statement: {' '.join(token.text for token in current)[:_WHERE]!r}")


def _escapes(statement: list[Token], before: bool) -> bool:
    """Whether a backslash in a plain literal escapes (standard_conforming_strings) after this statement."""
    words = [token.text.lower() for token in statement]
    if words[:2] == ["set", "standard_conforming_strings"] and words:
        return words[-1] in ("off", "false", "0", "no")
    return before


def _next(text: str, position: int, escapes: bool) -> tuple[int, Token | None]:
    """The end of the token at this place, and the token; None: what is there means nothing."""
    skipped = _SKIPPED.match(text, position)
    if skipped:
        return skipped.end(), None
    if text.startswith("/*", position):
        return _after_comment(text, position), None
    first = text[position]
    if first == '"':
        found = _found(_NAME, text, position, "a quoted name")
        return found.end(), Token(Kind.NAME, found[1].replace('""', '"'))
    if first == "'":
        return _string(text, position, escapes)
    prefix = text[position : position + 2].upper()
    if prefix == "E'":
        return _string(text, position + 1, True)
    if prefix in ("B'", "X'", "N'"):
        return _string(text, position + 1, False)
    if prefix == "U&" and text[position + 2 : position + 3] in ("'", '"'):
        raise LexerError(f"a literal with Unicode escapes is not understood: {text[position : position + _WHERE]!r}")
    if first == "$":
        return _dollar(text, position)
    word = _WORD.match(text, position)
    if word:
        return word.end(), Token(Kind.WORD, word[0])
    return position + 1, Token(Kind.SYMBOL, first)


def _found(pattern: re.Pattern[str], text: str, position: int, what: str) -> re.Match[str]:
    found = pattern.match(text, position)
    if not found:
        raise LexerError(f"the text ends within {what}: {text[position : position + _WHERE]!r}")
    return found


def _string(text: str, position: int, escapes: bool) -> tuple[int, Token]:
    found = _found(_ESCAPED if escapes else _PLAIN, text, position, "a literal")
    value = _ESCAPE.sub(_unescaped, found[1]) if escapes else found[1].replace("''", "'")
    return found.end(), Token(Kind.STRING, value)


def _unescaped(match: re.Match[str]) -> str:
    octal, short, four, eight, other = match.groups()
    if octal:
        return chr(int(octal, 8) & 0xFF)
    for digits in (short, four, eight):
        if digits:
            return chr(int(digits, 16))
    return "'" if other is None else _NAMED.get(other, other)


def _dollar(text: str, position: int) -> tuple[int, Token]:
    opening = _DOLLAR.match(text, position)
    if not opening:
        return position + 1, Token(Kind.SYMBOL, "$")
    end = text.find(opening[0], opening.end())
    if end < 0:
        raise LexerError(f"the text ends within a literal: {text[position : position + _WHERE]!r}")
    return end + len(opening[0]), Token(Kind.STRING, text[opening.end() : end])


def _after_comment(text: str, position: int) -> int:
    """Comments nest."""
    depth = 0
    for match in _COMMENT.finditer(text, position):
        depth += 1 if match[0] == "/*" else -1
        if depth == 0:
            return match.end()
    raise LexerError(f"the text ends within a comment: {text[position : position + _WHERE]!r}")
