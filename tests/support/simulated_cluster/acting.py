# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules do that change something: fence, promote, follow, traffic, and what else a plan may name."""

from __future__ import annotations

from typing import Any, Optional

from .clock import Steps
from .looking import guarded
from .postgres import Server, text
from .world import ARCHIVE, Host, Layer, World


def _acted(world: World, host: Host, module: str, run: Optional[str], epoch: Optional[int], what: str) -> None:
    act = {"at": world.clock.now, "host": host.name, "module": module, "run": run, "epoch": epoch, "what": what}
    world.acts.append(act)
    world.say(f"{host.name}: {what} (epoch {epoch} of {run})")
    world.on_act(act)


def dr_fence(world: World, host: Host, kind: str, epoch: int = 0, run: str = "", **options: Any) -> Steps:
    def act() -> Steps:
        if kind == "service":
            return (yield from _fence_service(world, host, run, epoch))
        if kind == "command":
            return (yield from _fence_command(world, host, run, epoch, options))
        return {"failed": True, "changed": False, "proven": False, "msg": f"kind {kind} is none of a fence here"}

    return (yield from guarded(world, host, epoch, run, act))


def _fence(proven: bool, layer: str, changed: bool, msg: str, server: Optional[Server] = None) -> dict[str, Any]:
    answer = {
        "changed": changed,
        "proven": proven,
        "layer": layer,
        "survives_reboot": proven,
        "evidence": [msg],
        "msg": msg,
    }
    return answer if proven else {**answer, "failed": True}


def _fence_service(world: World, host: Host, run: str, epoch: int) -> Steps:
    alive = host.servers[0].alive
    answer = yield from _stop_and_mask(world, host, run, epoch)
    return {**answer, "found_running": alive}


def _stop_and_mask(world: World, host: Host, run: str, epoch: int) -> Steps:
    server = host.servers[0]
    if server.masked and not server.alive:
        return _fence(True, "service", False, f"{server.unit} is masked and nothing runs on {server.data}", server)
    if not server.masked:
        _acted(world, host, "dr_fence", run, epoch, f"fence {server.name}: unit masked")
        server.masked, server.enabled = True, False
    yield 0.3 + world.random.random()
    if server.disk_hung:
        yield 8.0
        if server.disk_hung:
            return _fence(False, "service", True, "the postmaster is in uninterruptible sleep and outlives SIGKILL")
    if server.state == "hung":
        yield 6.0
    if server.alive:
        _acted(world, host, "dr_fence", run, epoch, f"fence {server.name}: postmaster ended")
        world.server_stops(server, server.state != "hung", "it is fenced", by_world=False)
        server.fenced_by = "service"
    return _fence(True, "service", True, f"{server.unit} is masked and nothing runs on {server.data}", server)


def _fence_command(world: World, host: Host, run: str, epoch: int, options: dict[str, Any]) -> Steps:
    """The site's command cuts the power of the host that its arguments name, by a network of its own."""
    server = world.servers[(options.get("old") or {"host": "db1"})["host"]]
    yield 0.5 + world.random.random() * 2
    if options["argv"][0] == "broken":
        return _fence(False, "command", False, "the command failed with status 1")
    if server.fenced_by != "power":
        _acted(world, host, "dr_fence", run, epoch, f"fence {server.name}: power cut")
        server.fenced_by = "power"
        world.host_dies(server.name)
        return _fence(True, "command", True, f"the check says that {server.name} has no power")
    return _fence(True, "command", False, f"the check says that {server.name} has no power")


def pg_promote(world: World, host: Host, epoch: int = 0, run: str = "", **options: Any) -> Steps:
    return (yield from guarded(world, host, epoch, run, lambda: _promote(world, host, run, epoch, options)))


def _no(msg: str, changed: bool = False) -> dict[str, Any]:
    return {"failed": True, "changed": changed, "msg": msg}


def _promote(world: World, host: Host, run: str, epoch: int, options: dict[str, Any]) -> Steps:
    server = host.servers[0]
    yield 0.1
    if server.state != "running" or server.disk_hung:
        return _no(f"the server of {server.name} does not run")
    if str(options.get("system_identifier", server.system)) != server.system:
        return _no(f"{server.name} is another system")
    if server.role == "primary":
        if server.promoted_by != run:
            return _no(f"{server.name} is a primary already, promoted by {server.promoted_by}")
        return (yield from _first_write(world, server, run, False))
    if options.get("expected_timeline") not in (None, server.timeline):
        return _no(f"timeline {server.timeline}, expected {options['expected_timeline']}")
    server.looked_at = world.clock.now
    if server.timeline + 1 in world.archive and world.connected(server.name, ARCHIVE):
        return _no(f"{server.timeline + 1:08X}.history is archived already: somebody else has promoted")
    if (server.paused or server.apply_delay) and not options.get("resume_replay"):
        return _no("its replay is paused or delayed")
    if server.disk_full:
        return _no("no space left on device")
    names = options.get("synchronous_standby_names")
    if names is not None:
        server.synchronous = tuple(name for name in world.servers if name in str(names))
    yield 0.3 + world.random.random() * 2
    if not server.promotes:
        return _no("it is still in recovery after the limit", changed=names is not None)
    if server.state != "running" or server.role != "standby":
        return _no("the server has changed meanwhile")
    server.become_primary(server.timeline + 1, world.clock.now)
    server.promoted_by = run
    world.archive_history(server)
    _acted(world, host, "pg_promote", run, epoch, f"promote {server.name}: timeline {server.timeline}")
    return (yield from _first_write(world, server, run, True))


def _first_write(world: World, server: Server, run: str, changed: bool) -> Steps:
    began = world.clock.now
    done = yield from world.commit(server, f"proof of {run}", 6.0)
    fork = text(server.forks[-1][1]) if server.forks else None
    answer = {"changed": changed, "timeline": server.timeline, "lsn": text(server.end), "fork_lsn": fork,
              "first_write_seconds": world.clock.now - began, "msg": "promoted"}  # fmt: skip
    return answer if done else {**answer, "failed": True, "msg": "the first write was not acknowledged"}


def promoted_by_hand(world: World, server: Server) -> None:
    if server.role == "standby" and server.state == "running" and not server.disk_full:
        server.disturbed_at = world.clock.now
        server.become_primary(server.timeline + 1, world.clock.now)
        world.archive_history(server)
        server.synchronous = ()
        world.say(f"{server.name} is promoted by hand: timeline {server.timeline}")


def pg_follow(
    world: World, host: Host, primary: dict[str, Any], epoch: int = 0, run: str = "", **options: Any
) -> Steps:
    def act() -> Steps:
        server, leader = host.servers[0], world.servers[primary["host"]]
        yield 0.1
        if server.state != "running" or server.role != "standby" or server.disk_hung:
            return _no(f"{server.name} is no running standby")
        if not world.connected(server.name, leader.name) or leader.state != "running":
            return _no(f"{leader.name} does not answer {server.name}")
        if options.get("expected_timeline") not in (None, leader.timeline):
            return _no(f"{leader.name} is on timeline {leader.timeline}")
        if not server.continues(leader):
            ahead = server.ahead_of(leader)
            return {"changed": False, "diverged": True, "ahead_bytes": ahead, "msg": "it is ahead of the fork"}
        changed = server.upstream != leader.name
        if changed:
            server.upstream = leader.name
            _acted(world, host, "pg_follow", run, epoch, f"follow {server.name}: {leader.name}")
        for _try in range(8):
            yield 0.5
            world.stream(server)
            if world.streams(server, leader) and server.timeline == leader.timeline:
                return {"changed": changed, "diverged": False, "ahead_bytes": 0, "timeline": server.timeline,
                        "msg": f"it streams from {leader.name}"}  # fmt: skip
        return _no(f"it does not stream from {leader.name}", changed)

    return (yield from guarded(world, host, epoch, run, act))


def dr_traffic(world: World, host: Host, kind: str, epoch: int = 0, run: str = "", **options: Any) -> Steps:
    def act() -> Steps:
        (layer,) = (each for each in world.layers if each.kind == kind and each.host == host.name)
        yield 0.1 + world.random.random() * 0.4
        if layer.broken:
            return _no("its control socket does not answer")
        target = None if options.get("cut") else options["primary"]["host"]
        strangers = layer.pooled and any(held != target for held in layer.sessions.values())
        if layer.target == target and not strangers:
            return _pointed(layer, False)
        _acted(world, host, "dr_traffic", run, epoch, f"traffic {kind} of {host.name}: {target}")
        layer.target = target
        yield 0.1 + world.random.random() * 0.4
        if layer.pooled:
            layer.sessions = {client: held for client, held in layer.sessions.items() if held == target}
        return _pointed(layer, True)

    return (yield from guarded(world, host, epoch, run, act))


def _pointed(layer: Layer, changed: bool) -> dict[str, Any]:
    where = {"host": layer.target, "port": 5432} if layer.target else None
    return {"changed": changed, "points_to": where, "cut": layer.target is None, "proven": True,
            "msg": f"{layer.kind} points to {layer.target}"}  # fmt: skip


def role(world: World, host: Host, **_options: Any) -> Steps:
    """An entry point of a role, a check of the plan, a backup: what a step runs that this world has no model of."""
    yield 0.5 + world.random.random()
    return {"changed": True, "msg": "done"}


MODULES = {
    "dr_fence": dr_fence,
    "pg_promote": pg_promote,
    "pg_follow": pg_follow,
    "dr_traffic": dr_traffic,
    "role": role,
    "checklist": role,
}
