# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The section [databases] of pgbouncer.ini: where its lines lead, and a line that leads elsewhere. Pure.

As PgBouncer reads it (libusual's cfparser.c, parse_database of loader.c): names may stand in double quotes, values of a
connection string in single quotes, comments are whole lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterator

_SECTION = re.compile(r"\s*\[([^\]]*)\]")
_INCLUDE = re.compile(r"\s*%include\s+(\S.*?)\s*$")
_ENTRY = re.compile(r"\s*(?:\"((?:[^\"]|\"\")*)\"|([\w.*-]+))\s*=[ \t]*")
_PART = re.compile(r"(\w+)\s*=\s*(?:'((?:[^']|'')*)'|([^\s']*))")


@dataclass(frozen=True)
class Line:
    """One database. `begin` and `end` are where its connection string stands in the text."""

    name: str
    begin: int
    end: int
    parts: dict[str, tuple[str, int, int]]

    def value(self, key: str, default: str) -> str:
        return self.parts[key][0] if key in self.parts else default

    @property
    def host(self) -> str:
        """Empty: the server's socket on PgBouncer's own host."""
        return self.value("host", "")

    @property
    def port(self) -> int:
        number = self.value("port", "5432")
        return int(number) if number.isdigit() else 0


def lines(text: str) -> list[Line]:
    """The databases, in their order; of two with one name the last counts for PgBouncer."""
    found, section, place = [], "", 0
    for raw in text.splitlines(keepends=True):
        bare = raw.rstrip("\r\n")
        opened = _SECTION.match(bare)
        if opened:
            section = opened[1].strip()
        elif section == "databases" and not bare.lstrip().startswith((";", "#", "%")):
            entry = _ENTRY.match(bare)
            if entry:
                name = entry[1].replace('""', '"') if entry[1] is not None else entry[2]
                end = place + len(bare.rstrip())
                found.append(Line(name, place + entry.end(), end, dict(_parts(text, place + entry.end(), end))))
        place += len(raw)
    return found


def includes(text: str) -> list[str]:
    """Files that are read where their names stand."""
    found = (_INCLUDE.match(raw) for raw in text.splitlines())
    return [match[1] for match in found if match is not None]


def led_to(text: str, name: str, host: str, port: int) -> str:
    """The text with every line of that name leading there; nothing else of it changes."""
    for line in reversed(lines(text)):
        if line.name == name:
            value = text[line.begin : line.end]
            for key, wanted in (("port", str(port)), ("host", host)):
                value = _with(value, key, wanted)
            text = text[: line.begin] + value + text[line.end :]
    return text


def _parts(text: str, begin: int, end: int) -> Iterator[tuple[str, tuple[str, int, int]]]:
    place = begin
    while place < end:
        part = _PART.search(text, place, end)
        if part is None:
            return
        value = part[2].replace("''", "'") if part[2] is not None else part[3]
        yield part[1], (value, part.start() - begin, part.end() - begin)
        place = part.end()


def _with(value: str, key: str, wanted: str) -> str:
    known = dict(_parts(value, 0, len(value)))
    if key not in known:
        return f"{key}={wanted} {value}".rstrip()
    _old, begin, end = known[key]
    return f"{value[:begin]}{key}={wanted}{value[end:]}"
