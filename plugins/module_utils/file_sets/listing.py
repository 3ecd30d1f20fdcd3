# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contents of an archive, from tar's own listing. Pure.

The listing is made by `LISTER`: tar, because tar also unpacks the archive; with block numbers, which show the size of
sparse files; with names quoted as in C, so that names cannot be mistaken for other fields.
"""

from __future__ import annotations

import os
import posixpath
import re
from dataclasses import dataclass, field
from typing import Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

LISTER = (
    "tar", "--list", "--verbose", "--block-number", "--numeric-owner", "--full-time", "--utc", "--quoting-style=c",
    "--file=-",
)  # fmt: skip
_BLOCK = 512
# Minimum size of an entry on disk: a block of the usual file systems.
_CLUSTER = 4096
_LINE = re.compile(
    rb"block (?P<block>\d+): (?P<mode>\S{10})\S* +(?P<owner>\d+/\d+) +(?P<size>\d+|\d+,\s*\d+) +"
    rb"(?P<time>\S+ \d\d:\d\d:\d\d(?:\.\d+)?) +"
    rb'"(?P<name>(?:[^"\\]|\\.)*)"(?:(?: -> | link to )"(?P<link>(?:[^"\\]|\\.)*)")?'
)
_END = re.compile(rb"block (\d+): \*\* Block of NULs \*\*")
_CUT = re.compile(rb"block \d+: \*\* End of File \*\*")
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_NAMED = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class Unfit(Day2Error):
    """An archive that must not be unpacked: it is incomplete, or an entry would be written outside its directory."""


@dataclass(frozen=True)
class Entry:
    """One file of a tree as a diff compares it: `mode` as ls prints it, `time` as `moment` does, in UTC."""

    mode: str
    owner: str
    size: int
    time: str
    link: str | None = None


@dataclass
class Listing:
    """The listing read so far. `root` is the name that all names begin with; `detailed` keeps entries."""

    root: str
    detailed: bool = False
    count: int = 0
    size: int = 0
    blocks: int = 0
    ended: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    _links: set[str] = field(default_factory=set)
    _left: bytes = b""

    def feed(self, piece: bytes) -> None:
        """Read a piece of the listing. Unfit names an entry that must not be unpacked."""
        lines = (self._left + piece).split(b"\n")
        self._left = lines.pop()
        for line in lines:
            self._line(line)

    def finish(self) -> None:
        if self._left:
            self._line(self._left)
        if not self.ended:
            raise Unfit(f"the archive of /{self.root} does not end as tar's archives do: it is not whole")
        if self.count == 0:
            raise Unfit(f"the archive of /{self.root} is empty: everything was excluded when the set was made")

    @property
    def needs(self) -> int:
        """Maximum bytes on disk: the data rounded up for each entry, without holes of sparse files."""
        return self.blocks * _BLOCK + self.count * _CLUSTER

    def _line(self, line: bytes) -> None:
        ends = _END.fullmatch(line)
        if ends:
            self.ended, self.blocks = True, int(ends[1])
            return
        if _CUT.fullmatch(line):
            # A failure before tar is reported by the program that failed, or at the end.
            return
        match = _LINE.fullmatch(line)
        if match is None:
            raise Unfit(f"tar lists something in the archive of /{self.root} that is not understood: {line[:200]!r}")
        mode, name = match["mode"].decode("ascii", "replace"), _name(match["name"])
        link = None if match["link"] is None else _name(match["link"])
        self._check(mode[0], name, link)
        self.count += 1
        size = int(match["size"]) if mode[0] == "-" else 0
        self.size += size
        if self.detailed:
            # A hard link has the attributes of the entry that it links to.
            same = self.entries.get(self._relative(link)) if mode[0] == "h" and link is not None else None
            entry = Entry(mode, match["owner"].decode(), size, moment(match["time"].decode()), link)
            self.entries[self._relative(name)] = same or entry

    def _check(self, kind: str, name: str, link: str | None) -> None:
        """Refuse entries outside the directory: tar would skip them, but such an archive is not unpacked at all."""
        plain = name.rstrip("/")
        if not self._below(plain):
            raise Unfit(f"the archive of /{self.root} has {name!r}, which lies elsewhere")
        if kind == "h" and (link is None or not self._below(link)):
            raise Unfit(f"the archive of /{self.root} has {name!r}, a hard link to {link!r}, which lies elsewhere")
        if self._links and _above(plain, self.root) & self._links:
            raise Unfit(f"the archive of /{self.root} has {name!r} below a link")
        if kind == "l":
            self._links.add(plain)

    def _relative(self, name: str) -> str:
        return name.rstrip("/")[len(self.root) :].lstrip("/")

    def _below(self, name: str) -> bool:
        return posixpath.normpath(name) == name and (name == self.root or name.startswith(self.root + "/"))


def _above(name: str, root: str) -> set[str]:
    """The names of all parent directories of a name, from the root on."""
    found = set()
    while len(name) > len(root):
        name = posixpath.dirname(name)
        found.add(name)
    return found


def moment(text: str) -> str:
    """A time in a normal form: tar sometimes omits trailing zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _name(quoted: bytes) -> str:
    def plain(match: re.Match[bytes]) -> bytes:
        word = match[1]
        return bytes([int(word, 8) & 0xFF]) if len(word) == 3 else _NAMED.get(word, word)

    return os.fsdecode(_ESCAPE.sub(plain, quoted))


def differences(archive: Mapping[str, Entry], live: Mapping[str, Entry], cap: int = 200) -> list[str]:
    """What a restore would change: `+ name`, `- name`, `~ name`. Sizes and times of directories do not count."""
    lines = []
    for name in sorted({*archive, *live}):
        new, old = archive.get(name), live.get(name)
        if new == old or (new and old and _same(new, old)):
            continue
        lines.append(f"{'+' if old is None else '-' if new is None else '~'} {name or '.'}")
    over = len(lines) - cap
    return lines if over <= 0 else [*lines[:cap], f"… and {over} more"]


def _same(new: Entry, old: Entry) -> bool:
    if (new.mode, new.owner, new.link) != (old.mode, old.owner, old.link):
        return False
    return new.mode[0] != "-" or (new.size, new.time) == (old.size, old.time)
