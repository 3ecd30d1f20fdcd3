# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What befalls a cluster, by seed: how it is built, how its primary fails, what else goes wrong, who comes to help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Optional

from . import acting, looking
from .driver import Driver, Fate, Planner, Run
from .judge import Judge
from .postgres import text
from .world import ARCHIVE, Layer, World

# What the plan has to say of each traffic layer, and this world does not ask for.
NEEDED: dict[str, dict[str, Any]] = {
    "pgbouncer": {"databases": ["analytics"]},
    "haproxy": {"servers": ["analytics/primary"]},
    "hosts_entry": {"name": "analytics.internal"},
    "route53": {"zone": "internal", "name": "analytics.internal"},
}
FAILS, HELP, HEALED, END = 8.0, 12.0, 200.0, 600.0


@dataclass
class Site:
    """A cluster and its plan; what a story may still change before anything begins."""

    members: int = 3
    synchronous: bool = False
    layers: tuple[str, ...] = ("pgbouncer", "haproxy")
    fence: tuple[str, ...] = ("service", "proxy")
    vantage_points: tuple[str, ...] = ("app1", "app2", "controller")
    journal_hosts: tuple[str, ...] = ("db2", "db3", "app1")
    nofailover: tuple[str, ...] = ()
    cascading: bool = False
    broken_command: bool = False
    automatic: bool = False
    reads_wal: bool = True
    whole: bool = False  # with an application, checks and a backup
    fresh: float = 1.0  # how often the members are looked at again before a step
    brief: bool = False  # controllers do as the playbook does
    stays_dead: bool = False  # what the world did to the first primary is not healed
    liveness: dict[str, Any] = field(default_factory=lambda: {"tries": 3, "over": 6, "timeout": 2})


class Scenario:
    def __init__(self, seed: int, site: Site, planner: Callable[[dict[str, Any], list[str]], Planner]) -> None:
        self.seed, self.site = seed, site
        self.world = World(seed)
        self.random = self.world.random
        self.runs: list[Run] = []
        self.on_fate: Callable[[str], None] = lambda target: None
        self.seen: Optional[dict[str, Any]] = None
        self._build()
        self.judge = Judge(self.world)
        self.judge.runs, self.judge.journal_hosts = self.runs, self.site.journal_hosts
        self.plan = self._plan()
        hosts = [name for name in self.world.hosts if not name.startswith("control") and name != ARCHIVE]
        self.planner = planner(self.plan, hosts)

    def _build(self) -> None:
        world, site = self.world, self.site
        names = [f"db{number}" for number in range(1, site.members + 1)]
        for name in [*names, "app1", "app2", "control1", "control2", ARCHIVE, *site.journal_hosts]:
            world.add_host(name)
        for name in names:
            server = world.add_server(name)
            server.readable = site.reads_wal
            server.upstream = None if name == "db1" else "db1"
            server.nofailover = name in site.nofailover
        world.servers["db1"].role = "primary"
        if site.cascading:
            world.servers["db3"].upstream = "db2"
        if site.synchronous:
            world.servers["db1"].synchronous = tuple(names[1:])
        for number, kind in enumerate(site.layers):
            place = f"app{number + 1}"
            world.layers.append(Layer(kind, place, "db1", ttl=5.0 if kind == "route53" else 0.0))
            world.clients[f"client{number + 1}"] = (place, number)
            world.clock.spawn(world.client(f"client{number + 1}", 1.5), place="client")
        world.modules = {**looking.MODULES, **acting.MODULES}
        world.clock.spawn(world.replicate(), place="replication")

    def _plan(self) -> dict[str, Any]:
        site = self.site
        command = {"kind": "command", "host": "app2", "argv": ["power-off"], "check": ["has-no-power"]}
        if site.broken_command:
            command["argv"] = ["broken"]
        more: dict[str, Any] = {}
        if site.whole:
            more["application"] = {"role": "analytics", "entry_point": "moved", "hosts": ["app1", "app2"]}
            more["backup"] = {"role": "day2.ops.postgres_backup", "entry_point": "backup"}
            more["verify"] = [{"id": "login", "title": "Login", "probe": "postgres"}]
        return {
            **more,
            "database": "analytics",
            "members": [
                {"host": name, "nofailover": True} if name in site.nofailover else name for name in self.world.servers
            ],
            "vantage_points": list(site.vantage_points),
            "journal_hosts": list(site.journal_hosts),
            "fence": [command if kind == "command" else {"kind": kind} for kind in site.fence],
            "traffic": [{"kind": layer.kind, "host": layer.host, **NEEDED[layer.kind]} for layer in self.world.layers],
            "targets": {"rto": "30m", "rpo": "5m"},
            "liveness": site.liveness,
            "automatic": site.automatic,
        }

    # what happens when

    def at(self, when: float, act: Callable[..., Any], *arguments: Any) -> None:
        self.world.clock.at(when, lambda: act(*arguments))

    def helped(
        self, when: float, place: str, fates: Optional[list[Fate]] = None, request: Optional[dict[str, Any]] = None
    ) -> Run:
        """A controller begins at that time."""
        name = f"run-{len(self.runs) + 1}"
        record = Run(name, place, when, confirmed=(request or {}).get("confirmed", True))
        self.runs.append(record)
        driver = Driver(
            self.world,
            self.plan,
            self.planner,
            record,
            request={"confirmed": True, "approvers": ("ada",), **(request or {})},
            fates=list(fates or []),
            on_fate=self.on_fate,
            fresh=1.0 if self.site.brief else self.site.fresh,
            brief=self.site.brief,
            on_step=self.judge.on_step,
            on_liveness=self.judge.told,
            seen_at_work=self.seen_at_work,
        )

        def begin() -> None:
            record.served = self.judge.reachable_primaries()
            driver.start()
            if driver.process is not None:
                driver.process.result.waiting.append(lambda: self.judge.run_ended(record))

        self.at(when, begin)
        return record

    def assessed(self) -> None:
        """Somebody looks at the members, and keeps what is seen of the primary: of an old one, where that is all."""
        reached = [server for server in self.world.servers.values() if self.world.connected("control1", server.name)]
        writing = [server for server in reached if server.writes]
        if len(writing) != 1:
            return
        (primary,) = writing
        self.seen = {
            "at": self.world.clock.now, "primary": primary.name, "system_identifier": primary.system,
            "timeline": primary.timeline, "lsn": text(primary.end), "standbys": {},
        }  # fmt: skip
        self.world.say(f"{primary.name} is seen at work, at {text(primary.end)} of timeline {primary.timeline}")

    def seen_at_work(self) -> Optional[dict[str, Any]]:
        return self.seen and {**self.seen, "age": self.world.clock.now - self.seen["at"]}

    def heal(self) -> None:
        """Everything that the world did is undone, as far as it can be; nothing of what a failover did."""
        world = self.world
        world.say("everything heals: links, hosts, stopped and hung processes")
        world.cut.clear()
        world.slow.clear()
        world.lies.clear()
        world.lost_answers = 0.0
        for host in world.hosts.values():
            host.stuck = host.disk_full = False
            if not (self.site.stays_dead and host.name == "db1"):
                world.host_returns(host.name)
        for server in world.servers.values():
            if self.site.stays_dead and server.name == "db1":
                continue
            self.resume(server.name)
            world.start(server)
        for layer in world.layers:
            layer.broken = False

    def resume(self, name: str) -> None:
        server = self.world.servers[name]
        server.disk_hung = server.disk_full = False
        server.paused, server.promotes, server.mute = False, True, False
        if server.state == "hung":
            server.state = "running"
            self.world.say(f"PostgreSQL of {name} is resumed (SIGCONT)")

    def play(self) -> Scenario:
        world = self.world
        self.at(HEALED, self.heal)
        final = self.helped(HEALED + 4.0, "control2")
        assert final in self.runs

        def over() -> bool:
            """A controller that sleeps longest wakes up when everything else is over; then clients write on a while."""
            return (
                all(run.ended > 0 for run in self.runs) and world.clock.now > max(run.ended for run in self.runs) + 12.0
            )

        world.clock.run(END, over)
        world.busy = False
        self.judge.closing()
        return self

    def tell(self) -> str:
        lines = [f"seed {self.seed}: {self.site}"]
        lines += [f"{when:8.2f} s  {text}" for when, text in self.world.history]
        for run in self.runs:
            lines.append(f"{run.run} of {run.place}: {run.outcome}, steps {', '.join(run.steps)}. {run.message}")
        return "\n".join([*lines, *[f"FAULT: {fault}" for fault in self.judge.faults]])
