# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Scenarios by seed: what is drawn, and how often. Every fault of the brief may befall every cluster, at any time."""

from __future__ import annotations

import random
from typing import Any, Callable

from .acting import promoted_by_hand
from .driver import Fate, Planner
from .scenario import FAILS, HEALED, HELP, Scenario, Site

DEAD = ("silent", "refused", "unreachable")


LAYERS = [("pgbouncer", "haproxy")] * 3 + [("pgbouncer",), ("pgbouncer", "hosts_entry"), ("haproxy", "route53")]
FENCES = [("service",), ("service", "command"), ("command",), ("service", "proxy", "command"), ("service", "proxy")]
JOURNALS = [("app1", "app2", "db2"), ("j1", "j2", "j3"), ("db2", "j1", "app1", "app2", "j2"), ("db1", "db2", "app1")]
POINTS = [
    ("app1", "app2", "controller"),
    ("app1", "app2"),
    ("app1", "db2", "controller"),
    ("db1", "app1", "app2", "controller"),
]


def site(draw: random.Random) -> Site:
    members = draw.choice((2, 3, 3, 3, 4))
    layers = draw.choice(LAYERS)
    pooled = not {"hosts_entry", "route53"} & set(layers)
    fences = [*FENCES, ("proxy",), ("service", "proxy"), ("service", "proxy")] if pooled else FENCES
    return Site(
        members=members,
        synchronous=draw.random() < 0.35,
        layers=layers,
        fence=draw.choice(fences),
        vantage_points=draw.choice(POINTS),
        journal_hosts=draw.choice(JOURNALS),
        nofailover=("db2",) if members > 2 and draw.random() < 0.12 else (),
        cascading=members > 2 and draw.random() < 0.12,
        broken_command=draw.random() < 0.25,
        reads_wal=draw.random() < 0.6,
        whole=draw.random() < 0.3,
        fresh=draw.choice((1.0, 1.0, 0.5, 0.1)),
        stays_dead=draw.random() < 0.5,
    )


def fails(it: Scenario, draw: random.Random) -> None:
    """What becomes of the primary; one time in ten nothing at all."""
    world, primary = it.world, it.world.servers["db1"]
    others = [name for name in world.hosts if name != "db1"]
    ways: list[tuple[int, Callable[[], None]]] = [
        (1, lambda: None),
        (5, lambda: world.server_stops(primary, draw.random() < 0.3, "it crashes")),
        (3, lambda: world.host_dies("db1")),
        (3, lambda: hangs(it, "db1", False)),
        (2, lambda: hangs(it, "db1", True)),
        (3, lambda: cut(it, ["db1"], others)),
        (3, lambda: cut(it, ["db1"], draw.sample(others, draw.randint(1, len(others) - 1)))),
        (4, lambda: sides(it, draw)),
        (4, lambda: misled(it, draw)),
        (1, lambda: echo(it, draw)),
        (1, lambda: full(it, "db1")),
    ]
    way = draw.choices([each for _weight, each in ways], [weight for weight, _each in ways])[0]
    it.at(FAILS, way)


def sides(it: Scenario, draw: random.Random) -> None:
    """Two sides of a network that know nothing of each other; applications may be on both."""
    hosts = list(it.world.hosts)
    ours = ["db1", *(name for name in hosts if name != "db1" and draw.random() < 0.3)]
    cut(it, ours, [name for name in hosts if name not in ours])


def misled(it: Scenario, draw: random.Random) -> None:
    """The primary serves, and controllers (and some that they ask) do not see it."""
    points = [name for name in it.site.vantage_points if name not in ("controller", "db1")]
    blind = ["control1", "control2", *(name for name in points if draw.random() < 0.3)]
    it.world.servers["db1"].mute = draw.random() < 0.3
    if draw.random() < 0.3:
        it.world.lies[("db1", "db1")] = draw.choice(DEAD)
    cut(it, blind, ["db1", *(name for name in points if name not in blind and draw.random() < 0.5)])


def echo(it: Scenario, draw: random.Random) -> None:
    """The primary serves; one point, and one on its own host, say that it does not, and nobody else can be asked."""
    points = [name for name in it.site.vantage_points if name not in ("controller", "db1")]
    it.world.servers["db1"].mute = True
    it.world.lies[("db1", "db1")] = it.world.lies[(points[0], "db1")] = draw.choice(DEAD)
    for controller in ("control1", "control2"):
        it.world.lies[(controller, "db1")] = "unresolved"
    cut(it, ["control1", "control2"], points[1:])


def hangs(it: Scenario, name: str, disk: bool) -> None:
    server = it.world.servers[name]
    if server.state == "running":
        server.disturbed_at = it.world.clock.now
        if disk:
            server.disk_hung = True
        else:
            server.state = "hung"
        it.world.say(f"{'the file system' if disk else 'PostgreSQL (SIGSTOP)'} of {name} hangs")


def full(it: Scenario, name: str) -> None:
    it.world.servers[name].disk_full = True
    it.world.servers[name].disturbed_at = it.world.clock.now
    it.world.say(f"the disk of {name} is full")


def cut(it: Scenario, ones: list[str], others: list[str], one_way: bool = False) -> None:
    for one in ones:
        for other in others:
            it.world.cut.add((one, other))
            if not one_way:
                it.world.cut.add((other, one))
    way = ("from", "to") if one_way else ("between", "and")
    it.world.say(f"links cut {way[0]} {', '.join(ones)} {way[1]} {', '.join(others)}")


def mend(it: Scenario) -> None:
    it.world.cut.clear()
    it.world.say("all links are mended")


def noise(it: Scenario, draw: random.Random) -> Callable[[], Any]:
    """One more thing that goes wrong."""
    world = it.world
    members, hosts = list(world.servers), list(world.hosts)
    name, other = draw.choice(members), draw.choice(hosts)
    standby = draw.choice(members[1:])
    server = world.servers[standby]
    pair = draw.sample(hosts, 2)
    ways: list[Callable[[], Any]] = [
        lambda: world.host_returns("db1"),
        lambda: world.start_against_all(world.servers["db1"]),
        lambda: it.resume("db1"),
        lambda: mend(it),
        lambda: cut(it, [pair[0]], [pair[1]], draw.random() < 0.3),
        lambda: cut(it, [pair[0]], [each for each in hosts if each != pair[0]]),
        lambda: promoted_by_hand(world, server),
        lambda: world.server_stops(server, False, "it crashes"),
        lambda: world.start(server),
        lambda: hangs(it, name, draw.random() < 0.3),
        lambda: it.resume(name),
        lambda: world.host_dies(other),
        lambda: world.host_returns(other),
        lambda: full(it, standby),
        lambda: setattr(world.hosts[other], "disk_full", True),
        lambda: world.forget_journal(draw.choice(it.site.journal_hosts)),
        lambda: setattr(draw.choice(world.layers), "broken", True),
        lambda: setattr(server, "promotes", False),
        lambda: world.slow.update({(pair[0], pair[1]): draw.random() * 8}),
    ]
    return draw.choice(ways)


def standbys(it: Scenario, draw: random.Random) -> None:
    """How well the standbys keep up before anything fails."""
    for name, server in it.world.servers.items():
        if name == "db1" or draw.random() < 0.75:
            continue
        what = draw.choice(("pause", "delay", "late"))
        if what == "pause":
            it.at(draw.random() * 6, setattr, server, "paused", True)
        elif what == "delay":
            server.apply_delay = 60.0
        else:
            it.at(draw.random() * 6, cut, it, [name], ["db1"])


def fates(draw: random.Random) -> list[Fate]:
    if draw.random() < 0.45:
        return []
    when = draw.choice(("before", "under way", "after"))
    asleep = 0.0 if draw.random() < 0.6 else draw.choice((3.0, 20.0, 60.0, 180.0))
    if draw.random() < 0.5:
        return [Fate(when=when, asleep=asleep, step=draw.choice(("fence", "promote", "promote", "traffic", "follow")))]
    return [Fate(draw.randint(1, 32), when, asleep)]


def doubt(it: Scenario, draw: random.Random) -> Callable[[str], None]:
    """Whose order was under way when a controller was lost: it may be lost, too, just then."""

    def befalls(target: str) -> None:
        if target not in it.world.servers or draw.random() < 0.5:
            return
        others = [name for name in it.world.hosts if name != target]
        ways: list[Callable[[], Any]] = [
            lambda: hangs(it, target, draw.random() < 0.3),
            lambda: it.world.host_dies(target),
            lambda: it.world.server_stops(it.world.servers[target], False, "it crashes"),
            lambda: cut(it, [target], others),
            lambda: cut(it, [target], ["control1", "control2"]),
            lambda: setattr(it.world.servers[target], "mute", True),
        ]
        it.world.clock.after(draw.random() * 5, draw.choice(ways))

    return befalls


def asked(draw: random.Random) -> dict[str, Any]:
    """What a run is called with: mostly confirmed, sometimes approved, or by somebody who may not."""
    request: dict[str, Any] = {"confirmed": draw.random() > 0.03}
    if draw.random() < 0.25:
        some, most = ("fence", "majority"), ("ahead", "archive", "one_point", "rpo", "unjudged", "unreached")
        who, codes = draw.choice(
            (("ada", (*some, *most)), ("ada", (*some, *most)), ("ada", some), ("eve", (*some, *most)), ("", some))
        )
        request |= {"approved_by": who, "approves": codes, "reason": "the site burns"}
    return request


def scenario(seed: int, planner: Callable[[dict[str, Any], list[str]], Planner]) -> Scenario:
    draw = random.Random(seed * 7919 + 1)
    drawn = site(draw)
    drawn.brief = seed % 2 == 0
    it = Scenario(seed, drawn, planner)
    standbys(it, draw)
    fails(it, draw)
    if draw.random() < 0.4:
        it.world.lost_answers = draw.choice((0.02, 0.1, 0.3))
    for _time in range(draw.choice((0, 0, 1, 1, 2, 3, 5))):
        it.at(FAILS + draw.random() * 90, noise(it, draw))
    for _time in range(draw.choice((0, 0, 0, 1, 1, 2, 4))):
        point = draw.choice(["app1", "app2", "control1", *it.world.servers])
        it.world.lies[(point, draw.choice(list(it.world.servers)))] = draw.choice((*DEAD, "answers"))
    if draw.random() < 0.03:
        manager = draw.choice(("patroni", "repmgrd", "pacemaker", "pg_auto_failover"))
        for server in it.world.servers.values():
            server.managed_by = manager
    if draw.random() < 0.03 and len(it.world.servers) > 2:
        it.world.servers[list(it.world.servers)[-1]].system = "7309999999999999999"
    it.on_fate = doubt(it, draw)
    # Before it fails, and in the middle, where a primary that nobody else reaches may still be at work.
    for when in (seed % 16 / 2, FAILS + seed % 7 * 9):
        it.at(when, it.assessed)
    it.helped(HELP, "control1", fates(draw), asked(draw))
    for _time in range(draw.choice((0, 0, 1, 1, 2))):
        it.helped(HELP + draw.random() * 80, draw.choice(("control1", "control2")), fates(draw), asked(draw))
    assert HELP < HEALED
    return it
