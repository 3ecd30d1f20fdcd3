# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must never be, judged from the world alone: nothing here asks the planner, or believes the journal."""

from __future__ import annotations

from typing import Any, Iterable

from .driver import Run
from .postgres import SYSTEM, Server
from .world import World


class Judge:
    def __init__(self, world: World) -> None:
        self.world = world
        self.faults: list[str] = []
        self.runs: list[Run] = []
        self.journal_hosts: tuple[str, ...] = ()
        self.seen_dead: dict[str, set[str]] = {}  # server -> vantage hosts that were told it does not answer
        self.done: set[tuple[Any, ...]] = set()
        self.promotions: list[dict[str, Any]] = []
        world.clock.after_each = self.look
        world.on_act = self._act

    def fault(self, text: str) -> None:
        if text not in self.faults:
            self.faults.append(text)
            self.world.say(f"*** {text}")

    def answered(self, *codes: str) -> bool:
        """Whether somebody has answered for a rule that was broken: then what comes of it is that person's."""
        undone = self.world.undone_at
        if undone is not None and any(each["at"] < undone + 20.0 for each in self.promotions):
            return True  # after the last look that is possible, a fence was undone by hand
        return any(run.overridden and (not codes or run.overridden & set(codes)) for run in self.runs)

    # at every instant

    def look(self) -> None:
        world = self.world
        writing = [server.name for server in world.servers.values() if server.writes]
        if len(writing) > 1 and not self.answered("fence"):
            reached = [name for name in writing if any(world.reaches(client, name) for client in world.clients)]
            if len(reached) > 1:
                self.fault(f"split brain: applications can write to {' and '.join(reached)}")

    def reachable_primaries(self) -> tuple[str, ...]:
        world = self.world
        names = [server.name for server in world.servers.values() if server.writes]
        return tuple(name for name in names if any(world.reaches(client, name) for client in world.clients))

    def _act(self, act: dict[str, Any]) -> None:
        what, module = act["what"], act["module"]
        run = next(each for each in self.runs if each.run == act["run"])
        if not run.confirmed:
            self.fault(f"{run.run} acts, and nobody has confirmed a failover: {what}")
        managed = [server.name for server in self.world.servers.values() if server.managed_by]
        if managed:
            self.fault(f"{run.run} acts, and somebody else decides on {what_names(managed)}: {what}")
        promised = self.world.hosts[act["host"]].journal["promised"]
        if promised and promised["epoch"] > act["epoch"]:
            self.fault(f"{run.run} acts on {act['host']}, which {promised['run']} has taken over: {what}")
        if not self._intended(act):
            self.fault(f"{run.run} acts before a majority has its intent: {what}")
        if module == "pg_promote":
            self._promoted(self.world.servers[act["host"]], act)
        if module == "dr_traffic" and what.endswith(": None"):
            self._cut_off(act)
        if module == "dr_fence":
            self._fenced(what.split()[1].rstrip(":"), act)

    def _fenced(self, name: str, act: dict[str, Any]) -> None:
        points = self.seen_dead.get(name, set())
        server = self.world.servers[name]
        again = self.world.undone_at is not None  # whoever undoes a fence by hand has it made again
        if server.role == "primary" and len(points) < 2 and not (again or self._off(server) or self.answered()):
            self.fault(
                f"{act['run']} fences {name}, which {len(points)} vantage points found dead: {what_names(points)}"
            )

    def _cut_off(self, act: dict[str, Any]) -> None:
        newest = max(
            (each for each in self.world.servers.values() if each.writes), key=lambda each: each.timeline, default=None
        )
        if newest is None or self.answered() or not any(self.world.reaches(c, newest.name) for c in self.world.clients):
            return
        if len(self.seen_dead.get(newest.name, ())) < 2:
            self.fault(f"{act['run']} cuts applications off from {newest.name}, which serves them")

    def _promoted(self, server: Server, act: dict[str, Any]) -> None:
        for other in self.world.servers.values():
            # By hand, after the last look that is possible.
            late = other.started_primary_at > min(server.looked_at, act["at"] - 20.0)
            if (
                other is not server
                and other.role == "primary"
                and not (late or self.answered("fence") or self._off(other))
            ):
                self.fault(f"{act['run']} promotes {server.name} while {other.name} is a primary and not fenced")
            if other is not server and other.promoted_by and not (self._ended(other) or other.role == "standby"):
                self.fault(f"{act['run']} promotes {server.name}, and {other.name}, promoted before, is not ended")
        if server.nofailover:
            self.fault(f"{act['run']} promotes {server.name}, which the plan says is never to take over")
        self._advanced(server, act)
        if ("promote", server.name) in self.done and not self.world.journal_forgotten:
            self.fault(f"{act['run']} promotes {server.name} again, though its promotion was acknowledged as done")
        fork = server.forks[-1][1]
        known = {id(record) for record in server.wal}
        lost = []
        for write in self.world.acknowledged:
            record = self._record(write.server, write.transaction)
            if record is not None and id(record) not in known:
                lost.append(write)
        self.promotions.append({"at": act["at"], "run": act["run"], "server": server.name, "fork": fork, "lost": lost})

    def _intended(self, act: dict[str, Any]) -> bool:
        hosts = self.journal_hosts
        if self.world.journal_forgotten:
            return True
        having = [
            name
            for name in hosts
            if any(
                entry["phase"] == "intent" and entry["run"] == act["run"]
                for entry in self.world.hosts[name].journal["entries"]
            )
        ]
        return len(having) > len(hosts) // 2

    def _advanced(self, server: Server, act: dict[str, Any]) -> None:
        """Nobody, in reach or not, has long had what this one lacks: that would be lost without need."""
        if server.system != SYSTEM:
            self.fault(f"{act['run']} promotes {server.name}, which is another system")
        if self.answered("unjudged", "ahead", "rpo", "no_candidate"):
            return
        known = {id(record) for record in server.wal}
        for other in self.world.servers.values():
            if other.role != "standby" or other is server or other.nofailover or other.fenced_by or other.masked:
                continue
            more = [each for each in other.wal if id(each) not in known and each.at < act["at"] - 25.0]
            if more:
                self.fault(f"{act['run']} promotes {server.name}, and {other.name} has more, since {more[0].at:.1f} s")

    def _record(self, server: str, transaction: str) -> Any:
        wal = self.world.servers[server].wal
        return next((record for record in reversed(wal) if record.transaction == transaction), None)

    @staticmethod
    def _ended(server: Server) -> bool:
        return server.state == "stopped" and (server.masked or server.fenced_by == "power")

    def _off(self, server: Server) -> bool:
        """Whether nothing can bring an application's write to it, not even a reboot, a SIGCONT or a healed link."""
        layers = self.world.layers
        cut = all(
            layer.pooled and layer.target != server.name and server.name not in layer.sessions.values()
            for layer in layers
        )
        return self._ended(server) or (cut and bool(layers))

    # told by the driver

    def told(self, point: str, verdicts: dict[str, str]) -> None:
        for name, verdict in verdicts.items():
            if verdict in ("silent", "refused", "unreachable", "mixed") and point != name:
                self.seen_dead.setdefault(name, set()).add(point)
            elif verdict == "answers":
                self.seen_dead.setdefault(name, set()).discard(point)

    def on_step(self, run: Run, step: dict[str, Any], phase: str) -> None:
        timeline = max(server.timeline for server in self.world.servers.values()) if step["step"] != "promote" else 0
        key = (
            step["step"],
            timeline,
            *sorted({f"{each['host']} {each['module']}" for each in step["orders"]}),
            step.get("host"),
        )
        current = run.epoch == max(each.epoch for each in self.runs)  # others are refused by the hosts
        again = current and not self.world.journal_forgotten
        if phase == "sent" and step["step"] in ("promote", "application", "backup") and again and key in self.done:
            self.fault(f"{run.run} sends step {step['step']} again, which was acknowledged as done")
        if phase == "done":
            self.done.add(key)
            if step["step"] == "promote":
                self.done.add(("promote", step.get("host")))

    # at the end

    def run_ended(self, run: Run) -> None:
        now = self.reachable_primaries()
        if run.outcome == "refused" and run.served and not now and not self.answered():
            name = run.served[0]
            server = self.world.servers[name]
            mine = [
                act for act in self.world.acts if act["run"] == run.run and act["module"] in ("dr_fence", "dr_traffic")
            ]
            if mine and server.disturbed_at < run.began and len(self.seen_dead.get(name, ())) < 2:
                self.fault(f"{run.run} refuses, and {name} serves nobody any more, which it did when the run began")
        if run.outcome == "finished" and self.promotions and not self.answered("fence"):
            self._finished(run)
        if run.outcome == "stuck":
            self.fault(f"{run.run} comes to no end: {run.steps[-6:]}")

    def _finished(self, run: Run) -> None:
        world = self.world
        promotion = self.promotions[-1]
        primary = world.servers[run.detail.get("primary") or promotion["server"]]
        if primary.disturbed_at >= promotion["at"]:
            return
        self._loss(run, promotion)
        looked = world.clock.now - 20.0  # who is promoted by hand after the last look is seen by nobody
        others = [
            each.name
            for each in world.servers.values()
            if each.writes and each is not primary and each.started_primary_at < looked
        ]
        if not primary.writes:
            self.fault(f"{run.run} says finished, and {primary.name} takes no writes")
        if others and not all(self._off(world.servers[name]) for name in others):
            self.fault(f"{run.run} says finished, and {' and '.join(others)} takes writes beside {primary.name}")
        for layer in world.layers:
            if layer.target != primary.name:
                self.fault(f"{run.run} says finished, and {layer.kind} of {layer.host} points to {layer.target}")

    def _loss(self, run: Run, promotion: dict[str, Any]) -> None:
        """What the run reports, against what the two histories say."""
        told = run.detail.get("loss")
        if told is None or promotion["server"] != run.detail.get("primary"):
            return
        primary, lost = self.world.servers[promotion["server"]], promotion["lost"]
        others = [other for other in self.world.servers.values() if other.role == "primary" and other is not primary]
        size = max((other.ahead_of(primary) for other in others), default=0)
        if told["exact"] and told["most"] != size:
            self.fault(f"{run.run} reports exactly {told['most']} bytes of loss, and it is {size}")
        if told["most"] is not None and size > told["most"]:
            self.fault(f"{run.run} reports at most {told['most']} bytes of loss, and it is {size}")
        if size < told["least"]:
            self.fault(f"{run.run} reports at least {told['least']} bytes of loss, and it is {size}")
        began = min(each.began for each in self.runs)
        if lost and told["seconds"] is not None and lost[0].at < began - told["seconds"] - 5.0:
            self.fault(
                f"{run.run} reports the loss of {told['seconds']:.1f} s, and {lost[0].transaction} is lost,"
                f" acknowledged at {lost[0].at:.1f} s"
            )

    def closing(self) -> None:
        """Acknowledged writes in two histories, the later one on the elder timeline: what an application would see."""
        if self.answered("fence"):
            return
        newest = 0
        first: dict[int, str] = {}
        for write in self.world.acknowledged:
            if write.timeline < newest and first[newest] != write.server:
                self.fault(
                    f"split brain: {write.server} acknowledged {write.transaction} on timeline {write.timeline} at"
                    f" {write.at:.1f} s, after {first[newest]} had on timeline {newest}"
                )
            if write.timeline >= newest:
                newest = write.timeline
                first.setdefault(newest, write.server)
            if write.timeline == newest and first[newest] != write.server:
                self.fault(f"split brain: {write.server} and {first[newest]} both wrote timeline {newest}")


def what_names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
