# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration as `nginx -T` prints it: which servers take part in a maintenance. Pure."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from contextlib import suppress
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Iterator, Mapping, Sequence

_FILE = re.compile(r"^# configuration file (.+):$", re.MULTILINE)
_TOKEN = re.compile(r"""\s+|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{};]|(?:\\.|\$\{|[^\s;{}"'\\])+""", re.DOTALL)
# Where a server has no `listen`; nginx takes 8000 where it does not run as root.
_DEFAULT_LISTEN = ("*:80",)


@dataclass
class Directive:
    """Its name and arguments, and what is in its block."""

    words: list[str]
    block: list[Directive] = field(default_factory=list)


@dataclass(frozen=True)
class Listen:
    """Where a server is reached on this host."""

    address: str
    port: int
    tls: bool
    proxy_protocol: bool
    is_default: bool


@dataclass(frozen=True)
class Server:
    """A server that includes a file; `names` as its configuration has them."""

    names: tuple[str, ...]
    listens: tuple[Listen, ...]


def servers_with(dump: str, snippet: str) -> list[Server]:
    """The servers of a configuration that include a file, themselves or by files that they include."""
    files = _files(dump)
    if not files:
        return []
    main = next(iter(files))
    found = []
    for directive in _walk(_expanded(main, files, posixpath.dirname(main), ()), "server"):
        if any(inner.words == ["#include", snippet] for inner in directive.block):
            found.append(_server(directive.block))
    return found


def _files(dump: str) -> dict[str, str]:
    parts = _FILE.split(dump)
    return dict(zip(parts[1::2], parts[2::2]))


def _expanded(path: str, files: Mapping[str, str], prefix: str, above: Sequence[str]) -> list[Directive]:
    """The directives of a file, with those of the files that it includes in place; a mark says which they were."""
    if path in above:
        return []
    return _fill(_parse(_tokens(files.get(path, ""))), files, prefix, (*above, path))


def _fill(directives: list[Directive], files: Mapping[str, str], prefix: str, above: Sequence[str]) -> list[Directive]:
    found: list[Directive] = []
    for directive in directives:
        if directive.words[:1] == ["include"] and len(directive.words) == 2:
            pattern = posixpath.join(prefix, directive.words[1])
            for path in sorted(name for name in files if name == pattern or _fits(name, pattern)):
                found += [Directive(["#include", path]), *_expanded(path, files, prefix, above)]
        else:
            found.append(Directive(directive.words, _fill(directive.block, files, prefix, above)))
    return found


def _fits(name: str, pattern: str) -> bool:
    return name.count("/") == pattern.count("/") and fnmatch(name, pattern)


def _tokens(text: str) -> Iterator[str]:
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token.strip() and not token.startswith("#"):
            yield token


def _parse(tokens: Iterator[str]) -> list[Directive]:
    found: list[Directive] = []
    words: list[str] = []
    for part in tokens:
        if part == "}":
            break
        if part == "{":
            found.append(Directive(words, _parse(tokens)))
            words = []
        elif part == ";":
            if words:
                found.append(Directive(words))
            words = []
        else:
            words.append(part[1:-1] if part[0] in "\"'" and len(part) > 1 else part)
    return found


def _walk(directives: Sequence[Directive], name: str) -> Iterator[Directive]:
    """Blocks of that name below http; `server` of an upstream has no block."""
    for directive in directives:
        if directive.words == [name] and directive.block:
            yield directive
        elif directive.words[:1] != ["stream"]:
            yield from _walk(directive.block, name)


def _server(block: Sequence[Directive]) -> Server:
    names = [name for directive in block if directive.words[:1] == ["server_name"] for name in directive.words[1:]]
    lines = [
        directive.words[1:] for directive in block if directive.words[:1] == ["listen"] and len(directive.words) > 1
    ]
    listens = [listen for listen in map(_listen, lines or [list(_DEFAULT_LISTEN)]) if listen is not None]
    return Server(tuple(names), tuple(listens))


def _listen(words: Sequence[str]) -> Listen | None:
    """None: a socket in the file system, or QUIC, by which nobody is asked here."""
    where, options = words[0], set(words[1:])
    if where.startswith("unix:") or "quic" in options:
        return None
    address, colon, port = where.rpartition(":")
    if where.startswith("["):
        address, _bracket, rest = where[1:].partition("]")
        port = rest[1:] or "80"
    elif not colon:
        address, port = ("", where) if where.isdigit() else (where, "80")
    if not port.isdigit():
        return None
    if address in ("", "*"):
        address = "127.0.0.1"
    with suppress(ValueError):
        anywhere = ipaddress.ip_address(address)
        if anywhere.is_unspecified:
            address = "127.0.0.1" if anywhere.version == 4 else "::1"
    is_default = bool(options & {"default_server", "default"})
    return Listen(address, int(port), "ssl" in options, "proxy_protocol" in options, is_default)


def unix_upstreams(dump: str) -> set[str]:
    """Sockets in the file system to which requests are passed."""
    passes = re.findall(r"(?:_pass|\bserver)\s+\S*?unix:(/[^\s;:]+)", dump)
    return {path.rstrip("'\"") for path in passes}


def host_name(server: Server) -> str | None:
    """A name by which a server is asked, None where there is none: a regular expression, or a catch-all."""
    for name in server.names:
        if name.startswith("*."):
            return f"day2-maintenance{name[1:]}"
        if name.endswith(".*"):
            return f"{name[:-1]}invalid"
        if name.startswith(".") and len(name) > 1:
            return name[1:]
        if re.fullmatch(r"[A-Za-z0-9.-]*[A-Za-z0-9]", name):
            return name
    return None
