# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy: its servers get no new sessions, end those that they have, and are in maintenance, by its runtime socket.

community.general.haproxy sets states too, from a playbook. The host's timer leaves the mode without Ansible, so that
the few commands (HAProxy's management guide, 9.3) are given here. HAProxy forgets states when it is reloaded: the
timer sets them again.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import Any, ClassVar, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import haproxy_socket
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import (
    Record,
    Target,
    TargetError,
    mapping,
    seconds,
)
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.drain import drain
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.haproxy_socket import (
    DRAINING,
    MAINT,
    READY,
    SOCKET,
    Load,
    NotRunning,
    chosen,
    loads,
)
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

# Seconds that sessions may take which a server has when the mode begins, and between two looks at them.
_DRAIN, _POLL = 30.0, 0.25


def followers(names: Sequence[str], known: Mapping[str, Load]) -> dict[str, str]:
    """Servers that go where those go, and the ones that they follow, also by way of others."""
    found: dict[str, str] = {}
    leaders = list(names)
    for leader in leaders:
        fresh = [name for name, load in known.items() if load.follows == leader and name not in leaders]
        found.update(dict.fromkeys(fresh, leader))
        leaders += fresh
    return found


class Haproxy(Target):
    """`flag` has the states of before as well, for when the record is lost."""

    meaning = "HAProxy gives these servers no requests; sessions that were open after the drain go on until they end"
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "haproxy": {
            "type": "dict",
            "default": {},
            "options": {
                "socket": {"type": "path", "default": SOCKET},
                "servers": {"type": "list", "elements": "str", "default": []},
                "drain": {"type": "str", "default": "30s"},
            },
        },
    }
    watched = True
    remembers = True

    @classmethod
    def config(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        return {**mapping(params, "haproxy"), "drain": seconds(params, "haproxy.drain")}

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        if not config.get("servers"):
            raise TargetError("haproxy: no server is named ('haproxy.servers')")
        path = str(config.get("socket") or SOCKET)
        haproxy_socket.check_access(path)
        known, busy = haproxy_socket.known_servers(path), loads(haproxy_socket.ask(path, "show stat -1 4 -1"))
        names = chosen(config["servers"], known)
        follow = followers(names, busy)
        backends = {known[name].backend for name in [*names, *follow] if name in known}
        left = {server.backend for server in known.values()
                if server.serves and server.name not in names and server.name not in follow}  # fmt: skip
        return {
            "socket": path,
            "asked": list(config["servers"]),
            "drain": float(_DRAIN if config.get("drain") is None else config["drain"]),
            "servers": {name: {"state": known[name].state, "agent": known[name].agent} for name in names},
            "followers": follow,
            "alone": sorted(backends - left),
        }

    def steps(self, record: Record) -> list[str]:
        steps = [
            f"leave {name} of HAProxy in maintenance, where somebody has put it"
            if before["state"] == MAINT
            else f"drain {name} of HAProxy, and put it into maintenance"
            for name, before in record["servers"].items()
        ]
        steps += [f"{name} goes with {leader} (track)" for name, leader in record["followers"].items()]
        steps += [f"no server of {backend} is left: HAProxy refuses its requests (503)" for backend in record["alone"]]
        if record["drain"]:
            steps.append(f"wait at most {format_duration(record['drain'])} for their sessions")
        return steps

    def enter(self, record: Record) -> list[str]:
        self._keep(record)
        ours = [name for name, before in record["servers"].items() if before["state"] != MAINT]
        for name in ours:
            self._quiet(record, name)
            if record["servers"][name]["state"] == READY:
                haproxy_socket.tell(record["socket"], f"set server {name} state {DRAINING}")
        steps = self.steps({**record, "drain": 0})
        if record["drain"]:
            steps.append(_drained(record["socket"], [*ours, *record["followers"]], record["drain"]))
        self._set(record, dict.fromkeys(ours, MAINT))
        return steps

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        if (config.get("socket") or SOCKET) != record["socket"]:
            return f"haproxy: what is held is at {record['socket']}"
        held = {*record["asked"], *record["servers"]}
        lacking = [name for name in config.get("servers") or () if name not in held]
        return f"haproxy: {', '.join(lacking)} would go on (held: {', '.join(sorted(held))})" if lacking else None

    def prolong(self, record: Record, until: float) -> str | None:
        try:
            known = haproxy_socket.known_servers(record["socket"])
        except NotRunning:
            return None
        held = record["servers"]
        states = {name: about["state"] for name, about in held.items()}
        loose = [server for server in known.values() if server.state != MAINT]
        lost = [server.name for server in loose if states.get(server.name, MAINT) != MAINT]
        for name in lost:
            self._quiet(record, name)
        self._set(record, dict.fromkeys(lost, MAINT))
        # Servers that a backend has got meanwhile, and those that were in maintenance before and would not be by now,
        # are remembered first and set by the next tick: a kill in between would leave them in maintenance for good.
        backends = [entry for entry in record["asked"] if "/" not in entry]
        fresh = [server for server in loose if server.name not in lost
                 and (server.name in held or server.backend in backends)]  # fmt: skip
        held.update({server.name: {"state": server.state, "agent": server.agent} for server in fresh})
        if fresh:
            self._keep(record)
        return f"put {', '.join(lost)} into maintenance again, which HAProxy had forgotten" if lost else None

    def leave(self, record: Record) -> None:
        known = haproxy_socket.known_servers(record["socket"])
        # What somebody has removed meanwhile cannot come back.
        before = {name: about for name, about in record["servers"].items()
                  if name in known and about["state"] != MAINT}  # fmt: skip
        self._set(record, {name: about["state"] for name, about in before.items()
                           if known[name].state != about["state"]})  # fmt: skip
        for name, about in before.items():
            if about["agent"] and not known[name].agent:
                haproxy_socket.tell(record["socket"], f"enable agent {name}")
        try:
            with suppress(FileNotFoundError):
                os.unlink(self._flag)
            sweep(self._flag)
        except OSError as exc:
            raise TargetError(f"haproxy: {self._flag}: {exc.strerror}") from exc

    def salvaged(self) -> list[str]:
        held = self._kept()
        if held is None:
            return ["leave servers of HAProxy as they are: nobody knows which are in maintenance"]
        before = {name: about["state"] for name, about in held.get("servers", {}).items()}
        return [f"make {name} of HAProxy {state} again" for name, state in before.items() if state != MAINT]

    def salvage(self) -> list[str]:
        held = self._kept()
        if held:
            self.leave(held)
        elif held is None:
            with suppress(OSError):
                os.unlink(self._flag)
            return ["nobody knows which servers of HAProxy are in maintenance (`show servers state` at its socket)"]
        return []

    def _keep(self, record: Record) -> None:
        """What salvage needs."""
        text = json.dumps({name: record[name] for name in ("socket", "servers")})
        try:
            write_atomic(self._flag, f"{text}\n", 0o644)
        except OSError as exc:
            raise TargetError(f"haproxy: {self._flag}: {exc.strerror}") from exc

    def _kept(self) -> Record | None:
        """Empty where there is nothing; None where it was damaged."""
        try:
            with open(self._flag, encoding="utf-8") as stream:
                held: Record = json.load(stream)
            return {"socket": str(held["socket"]), "servers": {
                str(name): {"state": about["state"], "agent": about["agent"]}
                for name, about in held["servers"].items()
            }}  # fmt: skip
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _quiet(self, record: Record, name: str) -> None:
        """Have its agent asked no more, where it was."""
        if record["servers"][name]["agent"]:
            haproxy_socket.tell(record["socket"], f"disable agent {name}")

    def _set(self, record: Record, states: Mapping[str, str]) -> None:
        for name, state in states.items():
            haproxy_socket.tell(record["socket"], f"set server {name} state {state}")
        known = haproxy_socket.known_servers(record["socket"]) if states else {}
        wrong = [f"{name} is {known[name].state if name in known else 'gone'}" for name, state in states.items()
                 if name not in known or known[name].state != state]  # fmt: skip
        if wrong:
            raise TargetError(f"haproxy: it was told to change states, and {', '.join(wrong)} all the same")


def _drained(path: str, names: Sequence[str], limit: float) -> str:
    """Wait for the sessions of servers; what came of it, in words."""
    open_ones: dict[str, int] = {}

    def look() -> frozenset[str]:
        busy = loads(haproxy_socket.ask(path, "show stat -1 4 -1"))
        open_ones.clear()
        open_ones.update({name: busy[name].sessions for name in names if name in busy and busy[name].sessions})
        return frozenset(open_ones)

    result = drain(limit, look, pause=lambda _seconds: time.sleep(_POLL))
    if result.left:
        listed = ", ".join(f"{count} of {name}" for name, count in open_ones.items())
        return f"sessions are still open after {format_duration(result.seconds)}: {listed}"
    return "their sessions have ended"
