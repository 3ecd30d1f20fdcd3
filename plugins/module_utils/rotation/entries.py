# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a configuration file of logrotate says: its entries, and what it includes. Pure.

Read as logrotate's own parser does (config.c of 3.14 to 3.21): patterns of several lines, comments between them,
quotes, scripts. What its options mean is logrotate's alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Sequence

# Names of files that it does not read in a directory that is included, as long as no `tabooext` says otherwise.
TABOO = tuple(
    f"*{ending}"
    for ending in (
        ",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new", ".dpkg-old",
        ".dpkg-tmp", ".new", ".old", ".orig", ".pacnew", ".pacorig", ".pacsave", ".rhn-cfg-tmp-*", ".rpmnew",
        ".rpmorig", ".rpmsave", ".swp", ".ucf-dist", ".ucf-new", ".ucf-old", "~",
    )
)  # fmt: skip
_SCRIPTS = ("prerotate", "postrotate", "firstaction", "lastaction", "preremove")
# These end with their word; whatever else has an argument, to the end of its line.
_FLAGS = re.compile(
    r"(?:no)?(?:compress|delaycompress|shred|allowhardlink|sharedscripts|copytruncate|renamecopy|copy|dateext"
    r"|dateyesterday|datehourago|missingok|createolddir)|ifempty|notifempty|nocreate|nosu|noolddir|mailfirst|maillast"
    r"|nomail|hourly|daily|monthly|yearly|ignoreduplicates"
)
_WORD = re.compile(r"[A-Za-z]+")


class SyntaxFault(ValueError):
    """A file that logrotate would skip; the message has the line."""


@dataclass(frozen=True)
class Entry:
    """Patterns of paths and the options for them. `begin`, `brace` and `end` are where it is in the text."""

    patterns: tuple[str, ...]
    line: int
    begin: int
    brace: int
    end: int


@dataclass
class File:
    """`steps` are, in their order, what is included and what changes the names that are not read."""

    entries: list[Entry] = field(default_factory=list)
    steps: list[tuple[str, str]] = field(default_factory=list)
    # Options outside of all entries.
    common: list[str] = field(default_factory=list)


def parse(text: str) -> File:
    """SyntaxFault where logrotate would not take it either."""
    return _Parser(text).run()


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.found = text, 0, File()
        self.header: tuple[int, int, tuple[str, ...]] | None = None

    def run(self) -> File:
        while self.at < len(self.text):
            char = self.text[self.at]
            word = _WORD.match(self.text, self.at)
            if char.isspace():
                self.at += 1
            elif char == "#":
                self._rest_of_line()
            elif word is not None:
                self._option(word.group(), word.end())
            elif char in "/\"'~":
                self._patterns()
            elif char == "}":
                self._close()
            else:
                self._rest_of_line()
        if self.header is not None:
            raise SyntaxFault(f"line {self._line(self.header[0])}: an entry has no end")
        return self.found

    def _line(self, place: int) -> int:
        return self.text.count("\n", 0, place) + 1

    def _rest_of_line(self) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        rest, self.at = self.text[self.at : end], end
        return rest

    def _option(self, word: str, end: int) -> None:
        self.at = end
        if self.header is None:
            self.found.common.append(word)
        if word in _SCRIPTS:
            self._rest_of_line()
            script = re.compile(r"^[ \t]*endscript\b[^\n]*", re.MULTILINE).search(self.text, self.at)
            if script is None:
                raise SyntaxFault(f"line {self._line(self.at)}: {word} has no endscript")
            self.at = script.end()
        elif not _FLAGS.fullmatch(word):
            value = self._rest_of_line().strip().lstrip("=").strip()
            if word in ("include", "tabooext", "taboopat"):
                self.found.steps.append((word, value))

    def _patterns(self) -> None:
        if self.header is not None:
            raise SyntaxFault(f"line {self._line(self.at)}: a path within an entry")
        begin, kept = self.at, []
        while self.at < len(self.text):
            line_end = self.text.find("\n", self.at)
            line_end = len(self.text) if line_end < 0 else line_end + 1
            line = self.text[self.at : line_end]
            if not line.lstrip().startswith("#"):
                before, brace, _rest = line.partition("{")
                if "}" in before:
                    break
                kept.append(before)
                if brace:
                    self.at += len(before) + 1
                    self.header = (begin, self.at, words("".join(kept)))
                    return
            self.at = line_end
        raise SyntaxFault(f"line {self._line(begin)}: no '{{' after the paths")

    def _close(self) -> None:
        if self.header is None:
            raise SyntaxFault(f"line {self._line(self.at)}: a '}}' without a '{{'")
        begin, brace, patterns = self.header
        self.at += 1
        self.header = None
        self.found.entries.append(Entry(patterns, self._line(begin), begin, brace, self.at))


def words(text: str) -> tuple[str, ...]:
    """As popt's poptParseArgvString has them, in the pattern language of `fnmatch`: no backslash escapes anything."""
    found: list[str] = []
    current: list[str] | None = None
    quote, place = "", 0
    while place < len(text):
        char = text[place]
        if quote:
            if char == quote:
                quote = ""
            elif char == "\\":
                place += 1
                char = text[place : place + 1]
                current = [*(current or []), char if char == quote else f"\\{char}"]
            else:
                current = [*(current or []), char]
        elif char.isspace():
            found += ["".join(current)] if current is not None else []
            current = None
        elif char in "\"'":
            quote, current = char, current or []
        else:
            if char == "\\":
                place += 1
                char = text[place : place + 1]
            current = [*(current or []), char]
        place += 1
    if current is not None:
        found.append("".join(current))
    return tuple(re.sub(r"\\(.)", lambda match: f"[{match[1]}]" if match[1] in "*?[" else match[1], word)
                 for word in found)  # fmt: skip


def quoted(pattern: str) -> str:
    """A pattern of `fnmatch` as a word of logrotate's, in whose patterns a backslash escapes."""
    return '"' + pattern.replace("\\", "\\\\").replace('"', '\\"') + '"'


def taboo(known: Sequence[str], directive: str, value: str) -> tuple[str, ...]:
    """The patterns of names that are not read, after a `tabooext` or `taboopat`."""
    adds = value.startswith("+")
    listed = [word for word in re.split(r"[\s,]+", value.lstrip("+").strip()) if word]
    patterns = [f"*{word}" if directive == "tabooext" else word for word in listed]
    return (*(known if adds else ()), *patterns)


def is_taboo(known: Sequence[str], name: str) -> bool:
    return name in (".", "..") or any(fnmatchcase(name, pattern) for pattern in known)


def without(text: str, entries: Sequence[tuple[Entry, Sequence[str]]]) -> str:
    """The text without these patterns of these entries; an entry that has no other goes as a whole."""
    for entry, gone in sorted(entries, key=lambda pair: -pair[0].begin):
        left = [pattern for pattern in entry.patterns if pattern not in gone]
        head = "\n".join(map(quoted, left)) + " {" if left else ""
        text = text[: entry.begin] + head + text[entry.brace if left else entry.end :]
    return text
