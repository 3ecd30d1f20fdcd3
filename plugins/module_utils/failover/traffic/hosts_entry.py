# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name in a file of hosts: it gets another address; other names, comments and lines stay as they are."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar, Mapping

from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import (
    Kind,
    Seen,
    TrafficError,
    check_reach,
    content,
    rewrite,
)
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import wait_until

_FILE = "/etc/hosts"
# Seconds that resolving a name may take.
_RESOLVE = 10.0
_MARK = "# day2.ops: where traffic leads"


class HostsEntry(Kind):
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "name": {"type": "str"},
        "file": {"type": "path"},
    }
    needs = ("name",)

    def __init__(self, options: Mapping[str, Any], wish: Any) -> None:
        super().__init__(options, wish)
        self.name: str = options["name"].rstrip(".").lower()
        self.path: str = options["file"] or _FILE
        if wish.primary is not None and wish.primary.host.rstrip(".").lower() == self.name:
            raise TrafficError(f"hosts_entry: 'primary' is {self.name} itself: its address has to be given")

    def observe(self) -> Seen:
        text = content(self.path)
        here, wanted = addresses_of(text, self.name), self._address()
        resolved = self._resolved()
        is_done = here == [wanted] and (self.path != _FILE or resolved == wanted)
        leads = f"{self.name} at {', '.join(here) or 'nothing'} in {self.path}"
        if self.path == _FILE and resolved not in here:
            leads += f"; programs get {resolved or 'nothing'}"
        return Seen(leads, is_done, self.cannot_cut() if self.wish.cut else "", [], {"text": text, "address": wanted})

    def steps(self, seen: Seen) -> list[str]:
        return [f"lead {self.name} to {seen.more['address']} in {self.path}"]

    def act(self, seen: Seen) -> list[str]:
        check_reach(self.wish.target)
        new = led_to(seen.more["text"], self.name, seen.more["address"])
        whole = new == seen.more["text"] or rewrite(self.path, new)
        if self.path == _FILE and not wait_until(lambda: self._resolved() == seen.more["address"], self.wish.limit):
            raise TrafficError(
                f"hosts_entry: {self.path} has {self.name} at {seen.more['address']}, and programs get"
                f" {self._resolved() or 'nothing'}: a cache (nscd), or /etc/nsswitch.conf asks something else before"
            )
        said = [f"{self.name} leads to {seen.more['address']}"]
        if not whole:
            said.append(f"{self.path} is mounted by itself and was written in place")
        return said

    def cannot_cut(self) -> str:
        return "kind hosts_entry cannot cut a server off: programs keep connections, and addresses that they know"

    def _address(self) -> str:
        return self.wish.target.addresses()[0]

    def _resolved(self) -> str:
        """The address that programs of this host get first."""
        said = bytearray()
        # 2: nobody knows the name.
        program = Program(["getent", "ahosts", self.name], accepted=(0, 2))
        try:
            run_pipeline([program], said.extend, timeout=_RESOLVE)
        except PipelineError as exc:
            raise TrafficError(f"hosts_entry: {self.name}: {exc}") from exc
        words = said.decode("utf-8", "replace").split()
        return words[0] if words else ""


def addresses_of(text: str, name: str) -> list[str]:
    """The addresses that a name has in a file of hosts, in their order. Pure."""
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if name in [word.lower() for word in words[1:]] and _is_address(words[0]):
            found.append(words[0])
    return found


def led_to(text: str, name: str, address: str) -> str:
    """The text with that name at one address. Its own line is kept; of a shared one the others stay. Pure."""
    kept, is_there = [], False
    for line in text.splitlines():
        bare, hash_sign, comment = line.partition("#")
        words = bare.split()
        if name not in [word.lower() for word in words[1:]] or not _is_address(words[0]):
            kept.append(line)
            continue
        others = [word for word in words[1:] if word.lower() != name]
        if others:
            kept.append(f"{words[0]}\t{' '.join(others)}{f' {hash_sign}{comment}' if hash_sign else ''}")
            continue
        if not is_there:
            kept.append(line.replace(words[0], address, 1))
        is_there = True
    if not is_there:
        kept.append(f"{address}\t{name} {_MARK}")
    return "\n".join(kept) + "\n"


def _is_address(word: str) -> bool:
    try:
        ipaddress.ip_address(word.partition("%")[0])
    except ValueError:
        return False
    return True
