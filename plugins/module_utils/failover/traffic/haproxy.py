# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy: a server's line gets another address, at once by the runtime socket and in the file for the next start."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from glob import glob
from typing import Any, ClassVar, Mapping

from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import (
    NOWHERE,
    Endpoint,
    Kind,
    Seen,
    TrafficError,
    check_reach,
    content,
    rewrite,
)
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import haproxy_socket
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.haproxy_socket import SOCKET, Server
from ansible_collections.day2.ops.plugins.module_utils.network import sockets
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import wait_until

_CONFIG = "/etc/haproxy/haproxy.cfg"
_PROGRAM = "haproxy"
# Seconds that it may take to read a configuration.
_CHECK = 30.0
_SECTIONS = (
    "global", "defaults", "frontend", "backend", "listen", "peers", "resolvers", "mailers", "userlist", "program",
    "cache", "http-errors", "ring", "fcgi-app", "crt-store", "log-forward", "log-profile", "traces", "acme",
)  # fmt: skip
_WORDS = re.compile(r"\s*(\S+)(?:\s+(\S+))?(?:\s+(\S+))?")


class Haproxy(Kind):
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "servers": {"type": "list", "elements": "str"},
        "config": {"type": "path"},
        "socket": {"type": "path"},
    }
    needs = ("servers",)
    cuts = True

    def __init__(self, options: Mapping[str, Any], wish: Any) -> None:
        super().__init__(options, wish)
        self.names: list[str] = list(dict.fromkeys(options["servers"]))
        self.socket = options["socket"] or SOCKET
        for name in self.names:
            if not all(name.partition("/")):
                raise TrafficError(f"haproxy: 'servers' has {name!r}, which is no backend/server")

    def observe(self) -> Seen:
        files = self._files()
        found = {name: [place for text in files.values() for place in places(text, name)] for name in self.names}
        for name, here in found.items():
            if len(here) != 1:
                said = "no line" if not here else f"{len(here)} lines"
                raise TrafficError(f"haproxy: {', '.join(files)} has {said} for the server {name}; one is needed")
            if here[0].resolvers:
                raise TrafficError(
                    f"haproxy: the address of {name} comes from DNS while HAProxy runs (`resolvers`): its record is"
                    " what has to be led elsewhere (kind route53, or a command)"
                )
        target = str(self.wish.target)
        is_done = all(here[0].address == target for here in found.values())
        known = self._known()
        leads = ", ".join(f"{name} at {_words(here[0].address)}" for name, here in found.items())
        if known is not None:
            leads = ", ".join(f"{name} at {_words(str(Endpoint(known[name].address, known[name].port)))}"
                              for name in self.names)  # fmt: skip
            is_done = is_done and all(self._leads(known[name]) for name in self.names)
        unproven = self._unproven(is_done) if self.wish.cut else ""
        return Seen(leads, is_done, unproven, [], {"files": files, "known": known})

    def steps(self, seen: Seen) -> list[str]:
        named = ", ".join(self.names)
        said = [f"lead {named} to {self.wish.words} in {', '.join(seen.more['files'])}"]
        if seen.more["known"] is not None:
            said += [f"lead {named} to {self.wish.words} at once", "end the sessions that are open at the old server"]
        return said

    def act(self, seen: Seen) -> list[str]:
        known = seen.more["known"]
        if not self.wish.cut:
            check_reach(self.wish.target)
        if known is None and not self.wish.cut:
            raise TrafficError(f"haproxy: HAProxy does not run: nothing reaches {self.wish.words}; start it first")
        address = self.wish.target.addresses()[0]
        if known is not None:
            haproxy_socket.check_access(self.socket)
        if self.wish.cut:
            self._tell(known, address)
            self._write(seen.more["files"])
        else:
            # A file that HAProxy refuses is found before anything has changed.
            self._write(seen.more["files"])
            self._tell(known, address)
        named = ", ".join(self.names)
        if known is None:
            return [f"{named} leads nowhere in {', '.join(seen.more['files'])}; HAProxy does not run"]
        wait_until(lambda: all(self._leads(server) for server in self._servers()), self.wish.limit)
        return [f"{named} leads to {self.wish.words}, and its open sessions are ended"]

    def _tell(self, known: Mapping[str, Server] | None, address: str) -> None:
        for name in self.names if known is not None else ():
            said = haproxy_socket.ask(
                self.socket, f"set server {name} addr {address} port {self.wish.target.port}"
            ).strip()
            # It says what has changed; of an address that it has already, that nothing has.
            if not any(word in said.lower() for word in ("changed", "no need to change")):
                raise TrafficError(f"haproxy: set server {name} addr: {said.splitlines()[0] if said else 'no answer'}")
            if not self.wish.cut:
                haproxy_socket.tell(self.socket, f"set server {name} state {haproxy_socket.READY}")
                # Reached a moment ago: nobody waits for the next checks. One without checks has no health to set.
                haproxy_socket.ask(self.socket, f"set server {name} health up")
            haproxy_socket.tell(self.socket, f"shutdown sessions server {name}")

    def _leads(self, server: Server) -> bool:
        wish = self.wish
        if server.port != wish.target.port or server.address not in wish.target.known_addresses():
            return False
        return wish.cut or server.serves

    def _known(self) -> dict[str, Server] | None:
        """What HAProxy knows of these servers; None where it does not run."""
        try:
            known = haproxy_socket.known_servers(self.socket)
        except haproxy_socket.NotRunning:
            if any(sockets.content(f"/proc/{one}/comm").strip() == _PROGRAM for one in sockets.processes()):
                raise
            return None
        return {name: known[name] for name in haproxy_socket.chosen(self.names, known)}

    def _servers(self) -> list[Server]:
        return list((self._known() or {}).values())

    def _files(self) -> dict[str, str]:
        path = self.given["config"] or _CONFIG
        paths = sorted(glob(f"{path}/*.cfg")) if os.path.isdir(path) else [path]
        if not paths:
            raise TrafficError(f"haproxy: {path} has no *.cfg")
        return {one: content(one) for one in paths}

    def _write(self, files: Mapping[str, str]) -> None:
        changed = {}
        for path, text in files.items():
            new = text
            for name in self.names:
                new = led_to(new, name, str(self.wish.target))
            if new != text:
                changed[path] = new
        _check({**files, **changed})
        for path, text in changed.items():
            rewrite(path, text)

    def _unproven(self, is_done: bool) -> str:
        if not is_done:
            return f"{', '.join(self.names)} is not cut off"
        old = self.wish.old
        if old is None:
            return "'old' is missing: nobody can say whether sessions with it are left"
        addresses = old.known_addresses()
        # A session that is being connected to a machine that is gone is told of no other address: it ends with its last
        # try (`timeout connect`, `retries`).
        wait_until(lambda: not sockets.count_to(_PROGRAM, addresses, old.port), self.wish.limit)
        left = sockets.count_to(_PROGRAM, addresses, old.port)
        return (
            f"HAProxy has {left} connections to {old}: another server of its configuration, or a process from before a"
            " reload whose sessions go on"
            if left
            else ""
        )


@dataclass(frozen=True)
class Place:
    """A server's line: its address and where that stands in the text, and whether DNS gives another while it runs."""

    begin: int
    end: int
    address: str
    resolvers: bool


def places(text: str, name: str) -> list[Place]:
    """The lines of a server, `backend/server`, in a configuration. Pure."""
    backend, _slash, server = name.partition("/")
    found, inside, at = [], False, 0
    for raw in text.splitlines(keepends=True):
        words = _WORDS.match(raw.split("#", 1)[0])
        if words and words[1] in _SECTIONS:
            inside = words[1] in ("backend", "listen") and words[2] == backend
        elif inside and words and words[1] == "server" and words[2] == server and words[3]:
            found.append(Place(at + words.start(3), at + words.end(3), words[3], "resolvers" in raw.split()))
        at += len(raw)
    return found


def led_to(text: str, name: str, address: str) -> str:
    """The text with the server's line leading there; nothing else of it changes. Pure."""
    for place in reversed(places(text, name)):
        text = text[: place.begin] + address + text[place.end :]
    return text


def _words(address: str) -> str:
    return "nowhere" if address == str(NOWHERE) else address


def _check(files: Mapping[str, str]) -> None:
    """TrafficError where HAProxy would not start with these."""
    program = shutil.which(_PROGRAM)
    if program is None:
        return
    with tempfile.TemporaryDirectory(prefix="day2-haproxy-") as folder:
        # Files that they name may stand beside them.
        argv = [program, "-c", "-C", os.path.dirname(next(iter(files))) or "/"]
        for path, text in files.items():
            copy = os.path.join(folder, os.path.basename(path))
            with open(copy, "w", encoding="utf-8", errors="surrogateescape") as stream:
                stream.write(text)
            argv += ["-f", copy]
        try:
            run_pipeline([Program(argv, name="haproxy -c")], lambda _piece: None, timeout=_CHECK)
        except PipelineError as exc:
            raise TrafficError(f"haproxy: with the new address it would not start: {exc}; nothing is changed") from exc
