# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook does, as a process that may be killed or fall asleep at every call: it alone calls the planner."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Optional, Protocol

from .clock import Process, Steps, Wait
from .looking import NOBODY
from .world import World


class Planner(Protocol):
    """The core as the action uses it. Steps and judgements are mappings here: the test translates."""

    def next_step(self, request: Mapping[str, Any], entries: list[dict[str, Any]], facts: Any) -> dict[str, Any]:
        """What is done next."""

    def judge(
        self,
        request: Mapping[str, Any],
        entries: list[dict[str, Any]],
        facts: Any,
        step: dict[str, Any],
        answers: list[dict[str, Any]],
    ) -> dict[str, Any]:
        """What the answers come to."""

    def facts(
        self,
        views: Mapping[str, Any],
        liveness: Mapping[str, Mapping[str, str]],
        promised: Mapping[str, Any],
        seen: int,
        looked: int,
    ) -> Any:
        """What was observed, as the core takes it."""


# After these the next step is taken at once.
_SERVING = ("promote", "application", "verify")


class Killed(Exception):
    """The controller is gone."""


@dataclass
class Fate:
    """What befalls a controller at its n-th call: killed or asleep; before it is sent, under way, or after it."""

    call: int = 0
    when: str = "before"
    asleep: float = 0.0
    step: str = ""  # at the orders of this step, instead of at a call


@dataclass
class Run:
    run: str
    place: str
    began: float
    outcome: str = "at work"  # finished | refused | killed | superseded | no majority | stuck
    message: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    epoch: int = 0
    served: tuple[str, ...] = ()  # primaries that the application could write to when it began
    overridden: set[str] = field(default_factory=set)  # codes of rules that somebody answers for
    confirmed: bool = True
    steps: list[str] = field(default_factory=list)
    ended: float = 0.0


class Driver:
    def __init__(self, world: World, plan: dict[str, Any], planner: Planner, record: Run, **more: Any) -> None:
        self.world, self.plan, self.planner, self.record = world, plan, planner, record
        self.request: dict[str, Any] = more.get("request", {})
        self.fates: list[Fate] = more.get("fates", [])
        self.on_step: Any = more.get("on_step", lambda *_: None)
        self.on_fate: Any = more.get("on_fate", lambda *_: None)
        self.on_liveness: Any = more.get("on_liveness", lambda *_: None)
        self.seen_at_work: Any = more.get("seen_at_work", lambda: None)
        self.fresh: float = more.get("fresh", 1.0)
        # As the playbook: an outcome is written with the next intent, points are asked once, claims are not repeated,
        # and members are not looked at again while applications wait, and nobody can have sent anything.
        self.brief: bool = more.get("brief", False)
        self.unwritten: Optional[tuple[Run, dict[str, Any], str]] = None
        self.found_running = False
        self.facts: Any = None
        self.views: dict[str, dict[str, Any]] = {}
        self.seen = self.looked = -1
        self.calls = 0
        self.process: Optional[Process] = None
        self.entries: list[dict[str, Any]] = []
        self.liveness: dict[str, dict[str, str]] = {}
        self.members = [entry if isinstance(entry, str) else entry["host"] for entry in plan["members"]]
        named = [layer.get("host") for layer in [*plan["fence"], *plan["traffic"]]]
        hosts = [*self.members, *plan["journal_hosts"], *plan["vantage_points"], *named]
        self.hosts = list(dict.fromkeys(host for host in hosts if host and host != "controller"))

    # calls

    def start(self) -> Run:
        self.process = self.world.clock.spawn(self._guarded(), f"run {self.record.run}")
        return self.record

    def _guarded(self) -> Steps:
        record = self.record
        try:
            yield from self._run()
        except Killed:
            record.outcome = "killed"
        record.ended = self.world.clock.now
        self.world.say(f"run {record.run}: {record.outcome}. {record.message}")

    def _call(self, tasks: list[tuple[str, str, dict[str, Any]]], step: str = "?", target: str = "") -> Steps:
        """One task of the playbook on some hosts at once; their answers in order."""
        self.calls += 1
        fate = next((each for each in self.fates if each.call == self.calls or each.step == step), None)
        if fate is not None:
            self.fates.remove(fate)
            self.on_fate(target)
        if fate is not None and fate.when == "before":
            yield from self._meet(fate)
        place = self.record.place
        asked = [
            self.world.clock.spawn(
                self.world.ask(place, place if host == "controller" else host, module, arguments),
                f"fork of {self.record.run}",
            )
            for host, module, arguments in tasks
        ]
        if fate is not None and fate.when == "under way":
            yield self.world.random.random() * 2
            yield from self._meet(fate)
        answers = []
        for fork in asked:
            answer = yield Wait(fork.result, 200.0)
            answers.append(answer or {"unreachable": True, "ok": False, "result": {}})
        if fate is not None and fate.when == "after":
            yield from self._meet(fate)
        return answers

    def _meet(self, fate: Fate) -> Steps:
        name = self.record.run
        if not fate.asleep:
            self.world.say(f"the controller of run {name} is killed ({fate.when} call {self.calls})")
            raise Killed
        self.world.say(f"the controller of run {name} falls asleep ({fate.when} call {self.calls})")
        yield fate.asleep
        self.world.say(f"the controller of run {name} wakes up")

    # journal

    def _journal(self, state: str, **more: Any) -> Steps:
        """Answers by host, and whether a majority of the journal hosts accepted."""
        if state != "read":
            more = {"epoch": self.record.epoch, "run": self.record.run, **more}
        answers = yield from self._call([(host, "dr_journal", {"state": state, **more}) for host in self.hosts])
        found = {host: answer["result"] for host, answer in zip(self.hosts, answers) if answer["ok"]}
        counted = [host for host in self.plan["journal_hosts"] if host in found]
        if state != "read":
            counted = [host for host in counted if found[host]["accepted"]]
        return found, len(counted) > len(self.plan["journal_hosts"]) // 2

    def _claim(self) -> Steps:
        found, _majority = yield from self._journal("read")
        self.record.epoch = 1 + max([(each["promised"] or NOBODY)["epoch"] for each in found.values()], default=0)
        for _try in range(3):
            found, majority = yield from self._journal("claimed")
            others = [each["promised"]["epoch"] for each in found.values() if not each["accepted"]]
            if not majority or not others:
                break
            self.record.epoch = 1 + max(others)  # who has the majority needs the hosts that act, too
        if not majority:
            return False
        counted = [found[host] for host in self.plan["journal_hosts"] if host in found and found[host]["accepted"]]
        none: dict[str, Any] = {"written": None, "entries": []}
        latest = max([none, *counted], key=lambda each: ((each["written"] or NOBODY)["epoch"], len(each["entries"])))
        self.entries = [dict(entry) for entry in latest["entries"]]
        self.promised = {host: each["promised"] for host, each in found.items()}
        return (yield from self._write())

    def _write(self) -> Steps:
        copies = [dict(entry) for entry in self.entries]
        _found, majority = yield from self._journal("written", entries=copies)
        return majority

    def _add(self, step: dict[str, Any], phase: str, about: dict[str, Any]) -> Steps:
        self._append(step, phase, about)
        acknowledged = yield from self._write()
        if acknowledged and self.unwritten is not None:
            self.on_step(*self.unwritten)
            self.unwritten = None
        return acknowledged

    def _append(self, step: dict[str, Any], phase: str, about: dict[str, Any]) -> None:
        now = int(self.world.clock.now)
        entry = {
            "n": len(self.entries) + 1, "epoch": self.record.epoch, "run": self.record.run, "step": step["step"],
            "phase": phase, "host": step.get("host"), "about": about,
            "at": f"2026-11-30T{now // 3600:02d}:{now // 60 % 60:02d}:{now % 60:02d}Z",
        }  # fmt: skip
        self.entries.append(entry)

    # the run

    def _observe(self) -> Steps:
        asked = yield from self._call([(host, "pg_standby_info", {}) for host in self.members])
        self.views = views = {
            host: {**answer["result"], "reachable": True} if answer["ok"] else {"reachable": False}
            for host, answer in zip(self.members, asked)
        }
        if not self.liveness or (not self.brief and self.world.random.random() < 0.2):
            points = self.plan["vantage_points"]
            options = {"targets": self.members, **self.plan.get("liveness", {})}
            asked = yield from self._call([(point, "pg_liveness", options) for point in points])
            self.liveness = {
                point: {target["address"]: target["verdict"] for target in answer["result"]["targets"]}
                for point, answer in zip(points, asked)
                if answer["ok"]
            }
            for point, found in self.liveness.items():
                self.on_liveness(point, found)
            told = ", ".join(f"{point} {found}" for point, found in self.liveness.items())
            self.world.say(f"run {self.record.run}: liveness {told}")
        self.seen, majority = len(self.entries), True
        if not self.brief:
            found, majority = yield from self._journal("claimed")
            self.promised = {host: each["promised"] for host, each in found.items()}
        return self.planner.facts(views, self.liveness, self.promised, len(self.entries), self.looked), majority

    def _looks(self) -> bool:
        """Whether members are looked at again before the next step."""
        last = self.entries[-1] if self.entries else {"step": "", "phase": "", "host": ""}
        if not self.brief:
            return last["step"] == "fence" or self.world.random.random() < self.fresh
        view = self.views.get(last["host"] or "", {})
        ended = last["step"] == "fence" and view.get("reachable", False) and view.get("state") == "stopped"
        ended = ended and not self.found_running
        return last["phase"] != "done" or not (ended or last["step"] in _SERVING)

    def _end(self, outcome: str, message: str = "", detail: Optional[dict[str, Any]] = None) -> None:
        self.record.outcome, self.record.message, self.record.detail = outcome, message, detail or {}

    def _run(self) -> Steps:
        if not (yield from self._claim()):
            return self._end("no majority", "the epoch was not accepted by a majority")
        self.world.say(f"run {self.record.run} has epoch {self.record.epoch} and {len(self.entries)} entries")
        request = {**self.request, "run": self.record.run, "epoch": self.record.epoch}
        for _step in range(60):
            if self.facts is None or self._looks():
                self.facts, majority = yield from self._observe()
                if not majority:
                    return self._end("no majority", "the majority is lost")
            step = self.planner.next_step({**request, "seen": self.seen_at_work()}, self.entries, self.facts)
            if step["kind"] == "look":
                self.facts, self.liveness, self.looked = None, {}, len(self.entries)
                continue
            if step["kind"] != "orders":
                done = "finish" in self.record.steps and step["kind"] in ("healthy", "degraded")
                return self._end("finished" if done else step["kind"], step.get("message", ""), step)
            if step["step"] == "finish" and self.seen != len(self.entries):
                self.facts = None  # nobody says that all is well without a look
                continue
            if not (yield from self._do(request, self.facts, step)):
                return None
        return self._end("stuck", "60 steps, and no end")

    def _do(self, request: dict[str, Any], facts: Any, step: dict[str, Any]) -> Steps:
        self.record.steps.append(step["step"])
        self.world.say(f"run {self.record.run}: step {step['step']} {step.get('host') or ''}")
        for entry in step.get("first", []):
            self.record.overridden |= set(entry["about"]["codes"])
            if not (yield from self._add({**step, **entry}, entry["phase"], entry["about"])):
                self._end("no majority", "an entry was not acknowledged")
                return False
        if not (yield from self._add(step, "intent", step["about"])):
            self._end("no majority", f"the intent of {step['step']} was not acknowledged")
            return False
        guard = {"system": "analytics", "epoch": self.record.epoch, "run": self.record.run}
        self.on_step(self.record, step, "sent")
        answers = []
        if step["orders"]:
            tasks = [(each["host"], each["module"], {**each["arguments"], **guard}) for each in step["orders"]]
            got = yield from self._call(tasks, step["step"], step.get("host") or "")
            answers = [
                {"host": host, "module": module, **answer} for (host, module, _arguments), answer in zip(tasks, got)
            ]
        self.found_running = any(answer["result"].get("found_running") is not False for answer in answers)
        judged = self.planner.judge(request, self.entries, facts, step, answers)
        self.world.say(f"run {self.record.run}: step {step['step']}: {judged['phase']}. {judged.get('message', '')}")
        if judged["phase"] == "again":
            if judged.get("refuse"):
                self._end("refused", judged["refuse"])
                return False
            yield 2.0
            self.facts = None
            return True
        if self.brief and not judged.get("refuse") and step["step"] not in ("finish", "abort"):
            self._append(step, judged["phase"], judged["about"])
            self.unwritten = (self.record, {**step, "judged": judged}, judged["phase"])
            return True
        acknowledged = yield from self._add(step, judged["phase"], judged["about"])
        if not acknowledged:
            self._end("no majority", f"the outcome of {step['step']} was not acknowledged")
            return False
        self.on_step(self.record, {**step, "judged": judged}, judged["phase"])
        if judged.get("refuse"):
            self._end("refused", judged["refuse"])
            return False
        return True
