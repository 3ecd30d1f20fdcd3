# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts, the links between them, servers, the layers that traffic goes through, clients: and what befalls them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from .clock import Clock, Future, Steps, Wait
from .postgres import Server

ARCHIVE = "archive"
GIVES_UP = 4.0  # seconds after which ssh says that a host is unreachable
HOPELESS = {"unreachable": True, "ok": False, "result": {}}


@dataclass
class Host:
    name: str
    up: bool = True
    stuck: bool = False  # reachable, but nothing that is started there gets on
    servers: list[Server] = field(default_factory=list)
    holder: Optional[object] = None  # who holds the lock of the state-changing modules
    journal: dict[str, Any] = field(default_factory=lambda: {"promised": None, "written": None, "entries": []})
    cached: Optional[dict[str, Any]] = None  # written, not yet on the disk
    disk_full: bool = False


@dataclass
class Layer:
    """What clients reach the primary through. `pooled`: it holds the connections itself, so that it can end them."""

    kind: str
    host: str
    target: Optional[str]
    sessions: dict[str, str] = field(default_factory=dict)  # client -> server
    broken: bool = False  # answers of its control socket fail
    resolved: dict[str, tuple[Optional[str], float]] = field(default_factory=dict)  # names that clients have cached
    ttl: float = 0.0

    @property
    def pooled(self) -> bool:
        return self.kind in ("pgbouncer", "haproxy")


@dataclass
class Write:
    at: float
    server: str
    timeline: int
    transaction: str
    layer: int


class World:
    def __init__(self, seed: int) -> None:
        self.clock = Clock(seed)
        self.random = self.clock.random
        self.hosts: dict[str, Host] = {}
        self.servers: dict[str, Server] = {}
        self.layers: list[Layer] = []
        self.clients: dict[str, tuple[str, int]] = {}  # name -> (host, layer)
        self.cut: set[tuple[str, str]] = set()
        self.slow: dict[tuple[str, str], float] = {}
        self.lost_answers = 0.0
        self.lies: dict[tuple[str, str], str] = {}
        self.archive: set[int] = set()  # timelines whose .history is archived
        self.acknowledged: list[Write] = []
        self.history: list[tuple[float, str]] = []
        self.acts: list[dict[str, Any]] = []
        self.modules: dict[str, Callable[..., Steps]] = {}
        self.busy = True
        self.journal_forgotten = False
        self.undone_at: Optional[float] = None  # when somebody undid a fence by hand
        self.on_act: Callable[[dict[str, Any]], None] = lambda act: None

    def say(self, text: str) -> None:
        self.history.append((self.clock.now, text))

    # hosts and links

    def add_host(self, name: str) -> Host:
        return self.hosts.setdefault(name, Host(name))

    def add_server(self, name: str) -> Server:
        server = Server(name)
        self.add_host(name).servers.append(server)
        self.servers[name] = server
        return server

    def passes(self, source: str, target: str) -> bool:
        return source == target or (source, target) not in self.cut

    def connected(self, source: str, target: str) -> bool:
        return self.hosts[target].up and all(self.passes(*way) for way in ((source, target), (target, source)))

    def delay(self, source: str, target: str) -> float:
        return 0.01 + self.random.random() * 0.2 + self.slow.get((source, target), 0.0)

    def ask(self, source: str, target: str, module: str, arguments: dict[str, Any], limit: float = 90.0) -> Steps:
        """One task of Ansible on one host: unreachable, or what the module answered, or done and never heard of."""
        if not self.connected(source, target):
            yield GIVES_UP
            return HOPELESS
        yield self.delay(source, target)
        host = self.hosts[target]
        mute = module == "pg_standby_info" and host.servers[0].mute
        if mute or not self.connected(source, target):
            yield GIVES_UP
            return HOPELESS
        answer = Future()

        def body() -> Steps:
            answer.give((yield from self.modules[module.rpartition(".")[2]](self, host, **arguments)))

        self.clock.spawn(body(), target)
        result = yield Wait(answer, limit)
        lost = self.random.random() < self.lost_answers
        if result is None or lost or not self.connected(source, target):
            if result is not None:
                self.say(f"answer of {module} from {target} to {source} is lost")
            yield GIVES_UP
            return HOPELESS
        yield self.delay(source=target, target=source)
        failed = bool(result.get("failed"))
        return {"unreachable": False, "ok": not failed, "result": result}

    # what befalls hosts and servers

    def forget_journal(self, name: str) -> None:
        """What a host restored from an old image does: beyond what a majority can bear, if it is one of it."""
        self.say(f"host {name} forgets its journal")
        self.journal_forgotten = True
        self.hosts[name].journal = {"promised": None, "written": None, "entries": []}

    def host_dies(self, name: str) -> None:
        host = self.hosts[name]
        if not host.up:
            return
        self.say(f"host {name} dies")
        host.up, host.cached, host.holder = False, None, None
        self.clock.kill_place(name)
        for server in host.servers:
            server.disturbed_at = self.clock.now
            if server.state != "stopped":
                server.stop(clean=False)
            server.disk_hung = False
        self.end_sessions(name)

    def host_returns(self, name: str) -> None:
        host = self.hosts[name]
        if host.up or any(server.fenced_by == "power" for server in host.servers):
            return
        self.say(f"host {name} returns")
        host.up, host.holder = True, None
        for server in host.servers:
            server.disturbed_at = self.clock.now
            self.start(server)

    def start(self, server: Server) -> None:
        """What systemd does at boot, or an operator by hand: nothing, when the unit is masked."""
        if not self.hosts[server.name].up or server.masked or not server.enabled or server.state != "stopped":
            return
        server.state = "running"
        server.disturbed_at = self.clock.now
        if server.role == "primary":
            server.started_primary_at = self.clock.now
        self.say(f"PostgreSQL of {server.name} starts as {server.role} of timeline {server.timeline}")

    def start_against_all(self, server: Server) -> None:
        """An operator who finds the unit masked, and does not ask why."""
        if server.fenced_by != "power":
            server.masked, server.enabled, server.fenced_by = False, True, None
            self.undone_at = self.clock.now
            self.say(f"somebody unmasks the unit of {server.name}, and starts it")
            self.start(server)

    def archive_history(self, server: Server) -> None:
        """The archiver takes the .history of a new timeline along, when it comes to it, and where it can."""
        timeline = server.timeline

        def archived() -> None:
            if server.state == "running" and self.connected(server.name, ARCHIVE):
                self.archive.add(timeline)

        self.clock.after(self.random.random() * 4, archived)

    def server_stops(self, server: Server, clean: bool, why: str, by_world: bool = True) -> None:
        if server.state == "stopped":
            return
        if clean:  # a shutdown in order waits until its standbys have everything
            for standby in self.servers.values():
                if standby.upstream == server.name:
                    self.stream(standby)
        server.stop(clean)
        if by_world:
            server.disturbed_at = self.clock.now
        self.say(f"PostgreSQL of {server.name} stops: {why}")
        self.end_sessions(server.name)

    def end_sessions(self, server: str) -> None:
        for layer in self.layers:
            layer.sessions = {client: held for client, held in layer.sessions.items() if held != server}

    # replication

    def stream(self, standby: Server) -> None:
        upstream = self.servers.get(standby.upstream or "")
        if upstream is None or standby.role != "standby" or standby.state != "running" or standby.disk_full:
            return
        if upstream.state == "running" and not upstream.disk_hung and self.connected(standby.name, upstream.name):
            standby.receive(upstream, self.clock.now)

    def streams(self, standby: Server, upstream: Server) -> bool:
        return (
            standby.role == "standby"
            and standby.upstream == upstream.name
            and standby.state == upstream.state == "running"
            and not standby.disk_hung
            and not upstream.disk_hung
            and self.connected(standby.name, upstream.name)
            and standby.continues(upstream)
        )

    def replicate(self) -> Steps:
        while self.busy:
            for server in self.servers.values():
                self.stream(server)
            yield 0.7

    def confirmed(self, server: Server, end: int) -> bool:
        """Whether a synchronous standby (any one of those named) has flushed up to there."""
        if not server.synchronous:
            return True
        named = [self.servers[name] for name in server.synchronous]
        return any(self.streams(standby, server) and standby.end >= end for standby in named)

    def commit(self, server: Server, transaction: str, limit: float) -> Steps:
        """True when acknowledged; False when nothing says whether it is there."""
        record = server.append(transaction, self.random.randrange(60, 9000), self.clock.now)
        for standby in self.servers.values():
            if standby.upstream == server.name and self.random.random() < 0.6:
                self.clock.after(self.delay(server.name, standby.name), lambda each=standby: self.stream(each))
        waited = 0.0
        while not self.confirmed(server, record.end):
            yield 0.3
            waited += 0.3
            if waited >= limit:
                return False
        return server.writes and record in server.wal[-50:]

    # clients

    def route(self, client: str, layer: Layer) -> Optional[str]:
        held = layer.sessions.get(client)
        if held is not None:
            return held
        if layer.kind != "route53":
            return layer.target
        name, until = layer.resolved.get(client, (None, -1.0))
        if until <= self.clock.now:
            name = layer.target
            layer.resolved[client] = (name, self.clock.now + layer.ttl)
        return name

    def reaches(self, client: str, server: str) -> bool:
        """Whether the next write of this client can arrive at the server."""
        place, index = self.clients[client]
        layer = self.layers[index]
        if not self.hosts[place].up:
            return False
        held = layer.sessions.get(client)
        cached, until = layer.resolved.get(client, (None, -1.0))
        known = [held] if held is not None else [cached] if until > self.clock.now else [layer.target]
        return server in known and self.path(place, layer, server)

    def path(self, place: str, layer: Layer, server: str) -> bool:
        if layer.pooled:
            return self.connected(place, layer.host) and self.connected(layer.host, server)
        return self.connected(place, server)

    def client(self, name: str, every: float) -> Steps:
        place, index = self.clients[name]
        layer = self.layers[index]
        number = 0
        while self.busy:
            yield every * (0.5 + self.random.random())
            if not self.hosts[place].up:
                continue
            target = self.route(name, layer)
            server = self.servers.get(target or "")
            if server is None or server.state == "stopped" or not self.path(place, layer, server.name):
                if self.random.random() < 0.3:  # a broken connection is noticed after a while
                    layer.sessions.pop(name, None)
                continue
            layer.sessions[name] = server.name
            if not server.writes:
                if server.role != "primary":
                    layer.sessions.pop(name, None)
                continue
            number += 1
            done = yield from self.commit(server, f"{name}-{number}", 4.0)
            if done and layer.sessions.get(name) == server.name and self.path(place, layer, server.name):
                self.acknowledged.append(Write(self.clock.now, server.name, server.timeline, f"{name}-{number}", index))
