# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text that came from a host: nothing in it may break a file, a terminal or a reader's eyes."""

from __future__ import annotations

import re
import unicodedata

_SURROGATE = re.compile("[\ud800-\udfff]")

# Controls move the cursor, bidirectional overrides make a line read as what it is not.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff]"
)
_SPACES = re.compile(r"\s+")


def plain(value: object) -> str:
    """An ordinary str that UTF-8 can hold; a byte that was not UTF-8 is shown as `\\xff`."""
    # ansible's strings are subclasses of str, and slower ones
    text = str.__str__(value) if isinstance(value, str) else str(value)
    if text.isascii():
        return text
    return _SURROGATE.sub(_show_surrogate, text)


def _show_surrogate(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """The text with controls shown as pictures (`\N{SYMBOL FOR ESCAPE}`); tab and newline stay."""
    return _INVISIBLE.sub(_show_invisible, text)


def _show_invisible(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


def one_line(text: str) -> str:
    return visible(_SPACES.sub(" ", text).strip())


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns_of(character) for character in text)


def _columns_of(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def pad(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


def shorten(text: str, width: int) -> str:
    """At most `width` columns; what is cut off is marked with an ellipsis."""
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _columns_of(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"
