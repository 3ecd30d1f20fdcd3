# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd units: stopped or paused in order, kept from starting, and back in the other order to what they were.

What stops with a unit (Requires=, BindsTo=, PartOf= …) and what would start it (its socket, path or timer) is stopped,
kept from starting and brought back as well; the mode is entered once all of them have ended. Paused ones are kept from
starting too: after a reboot they would run without their pause.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from typing import Any, ClassVar, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.checks.masking import mask, secret_words
from ansible_collections.day2.ops.plugins.module_utils.checks.secret_shapes import MASK
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import drop_ins, graph, systemd
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import execute
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import (
    OptionError,
    Record,
    Target,
    TargetError,
    seconds,
)
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.drain import drain
from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

_NAME = re.compile(r"[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*")
# What the role `maintenance_page` installs its configuration for.
_PAGE = "nginx.service"
_PATIENCE = 90.0
# Seconds that a unit has to go on running after its start, where the record has none.
_STABLE = 3.0
# `static` ones are not among them, although `systemctl is-enabled` succeeds for those.
_AT_BOOT = ("enabled", "enabled-runtime", "generated")
_WAYS = ("pause", "resume")
# What is ordered before these cannot wait for the unit that looks at leases at boot.
_TOO_EARLY = {"local-fs-pre.target", "local-fs.target"}


class Units(Target):
    """`flag` is the file whose presence keeps the units from starting, at boot too."""

    meaning = "stopped or paused, and kept from starting"
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "units": {"type": "list", "elements": "raw", "default": []},
        "units_timeout": {"type": "str", "default": "90s"},
        "units_stable": {"type": "str", "default": "3s"},
    }
    remembers = True

    @classmethod
    def config(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "units": [read_unit(entry) for entry in params["units"]],
            "timeout": seconds(params, "units_timeout"),
            "stable": seconds(params, "units_stable"),
            "page": "web" in params["targets"],
        }

    @classmethod
    def commands(cls, params: Mapping[str, Any]) -> list[list[str]]:
        entries = params["units"] if isinstance(params.get("units"), list) else []
        given = [entry[way] for entry in entries if isinstance(entry, dict) for way in _WAYS if entry.get(way)]
        return [list(map(str, argv)) if isinstance(argv, list) else [str(argv)] for argv in given]

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        entries = [self._entry(raw) for raw in config.get("units") or ()]
        if not entries:
            raise TargetError("units: no unit is named ('units')")
        units, jobs = systemd.show([entry["name"] for entry in entries]), systemd.jobs()
        for entry, unit in zip(entries, units):
            if unit.properties["LoadState"] != "loaded":
                raise TargetError(f"units: {entry['name']} is {unit.properties['LoadState']} on this host")
            entry.update(name=unit.name, **_as_now(unit, jobs))
        names = {entry["name"] for entry in entries}
        if len(names) != len(entries):
            raise TargetError("units: a unit is named twice")
        host = systemd.neighbourhood(units)
        stopped = [entry["name"] for entry in entries if not entry["pause"]]
        others = graph.affected(host, stopped)
        free = graph.triggers(host, names)
        no_page = _no_page(stopped, others) if config.get("page") else None
        refusal = graph.refusal(host, stopped, list(others)) or no_page
        if refusal:
            raise TargetError(f"units: {refusal}")
        return {
            "flag": self._flag,
            "units": entries,
            "timeout": float(config.get("timeout") or _PATIENCE),
            "stable": float(_STABLE if config.get("stable") is None else config["stable"]),
            "others": [_other(host[name], why, jobs) for name, why in others.items() if name not in names],
            # Of paused units: left alone, but one that failed in the mode is brought back.
            "free": [_other(host[name], why, jobs) for name, why in free.items() if name not in (*names, *others)],
            "idle": graph.pulled_in(host, [*names, *others]),
        }

    def _entry(self, raw: str | Mapping[str, Any]) -> dict[str, Any]:
        entry = {"name": raw} if isinstance(raw, str) else dict(raw)
        name = str(entry.get("name") or "")
        if not _NAME.fullmatch(name):
            raise TargetError(f"units: {name!r} is no name of a unit")
        if bool(entry.get("pause")) != bool(entry.get("resume")):
            raise TargetError(f"units: {name}: 'pause' and 'resume' go together")
        full = name if "." in name else f"{name}.service"
        return {"name": full, **{way: [str(word) for word in entry.get(way) or ()] for way in ("pause", "resume")}}

    def steps(self, record: Record) -> list[str]:
        done = [
            f"run {_shown_command(unit['pause'])}" if unit["pause"] else f"stop {unit['name']}"
            for unit in record["units"]
            if unit["ran"]
        ] or ["keep the units stopped, which do not run"]
        others = record.get("others", ())
        done += [f"stop {unit['name']} with it ({unit['why']})" for unit in others if unit["ran"]]
        return done + [f"keep {unit['name']} from starting ({unit['why']})" for unit in others if not unit["ran"]]

    def enter(self, record: Record) -> list[str]:
        others = list(record.get("others", ()))
        for unit in [*record["units"], *others]:
            drop_ins.hold(self._service, record["flag"], unit)
        drop_ins.write(record["flag"], f"{self._service} is in maintenance: day2ctl maintenance status\n", 0o644)
        execute(["systemctl", "daemon-reload"], "units", "systemd", record["timeout"])
        # What would start them stops first; what stops with them is asked for afterwards.
        first = [{**unit, "pause": []} for unit in others if unit["name"].endswith(graph.TRIGGERS)]
        for unit in [*first, *record["units"]]:
            if unit["ran"]:
                argv = unit["pause"] or ["systemctl", "stop", unit["name"]]
                execute(argv, "units", unit["name"], record["timeout"])
        _end([unit["name"] for unit in [*record["units"], *others] if not unit.get("pause")], record["timeout"])
        return self.steps(record)

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        held = {unit["name"] for unit in record["units"]}
        entries = [self._entry(raw) for raw in config.get("units") or ()]
        asked = [unit.name for unit in systemd.show([entry["name"] for entry in entries])]
        lacking = [name for name in asked if name not in held]
        return f"units: {', '.join(lacking)} would go on running (held: {', '.join(sorted(held))})" if lacking else None

    def leave(self, record: Record) -> None:
        others = list(record.get("others", ()))
        try:
            _unlink(record["flag"])
            # Also of units that only an earlier maintenance of the service held, by a release that forgot them.
            for name in {*(unit["name"] for unit in [*record["units"], *others]), *drop_ins.held_units(self._service)}:
                drop_ins.remove(self._service, name)
            sweep(record["flag"])
        except OSError as exc:
            raise TargetError(f"units: {exc.filename}: {exc.strerror}") from exc
        execute(["systemctl", "daemon-reload"], "units", "systemd", record["timeout"])
        started, wrong = dict[str, str](), list[str]()
        for unit in _in_order_of_start(record["units"], [*others, *record.get("free", ())]):
            try:
                if unit["ran"]:
                    started.update(self._back(unit, record["timeout"]))
            except TargetError as exc:
                # One that does not come back keeps no other from it.
                wrong.append(str(exc))
        wrong += [f"units: {fault}" for fault in systemd.faults(self._watched(started, record).items())]
        wrong += self._stop_again(record.get("idle", ()), record["timeout"])
        if wrong:
            raise TargetError("; ".join(wrong))

    def _watched(self, started: Mapping[str, str], record: Record) -> dict[str, str]:
        """A unit that failed again and again before is back to what it was when it does so again."""
        ill = {unit["name"] for unit in [*record["units"], *record.get("others", ())] if unit.get("restarting")}
        well = {name: invocation for name, invocation in started.items() if name not in ill}
        return systemd.watch(well, float(record.get("stable", _STABLE))) if well else {}

    def _stop_again(self, idle: Sequence[str], limit: float) -> list[str]:
        """What did not run before and was started along (Wants=), also by attempts to start what is held."""
        wrong = []
        for unit in systemd.show(idle):
            if unit.properties.get("ActiveState") == "active":
                try:
                    execute(["systemctl", "stop", unit.name], "units", unit.name, limit)
                except TargetError as exc:
                    wrong.append(str(exc))
        return wrong

    def _back(self, unit: Mapping[str, Any], limit: float) -> dict[str, str]:
        """Start it; its name and invocation, where it is to be watched."""
        name, resume = unit["name"], unit.get("resume") or []
        (before,) = systemd.show([name])
        if before.properties["LoadState"] == "not-found":
            # What somebody has removed meanwhile cannot come back.
            return {}
        # A paused one may have been restarted, or the host: then it was kept from starting.
        if not before.runs:
            if before.properties["ActiveState"] == "failed":
                # A socket that could not start its service in the mode does not start again otherwise.
                execute(["systemctl", "reset-failed", name], "units", name, limit)
            execute(["systemctl", "start", name], "units", name, limit)
        if resume:
            # Also of one that has started afresh: a pause may outlive it.
            execute(resume, "units", name, limit)
        (after,) = systemd.show([name])
        # One that does not run may be unloaded at any moment, and is not judged then: others hold it by a file.
        is_judged = after.properties.get("ConditionTimestampMonotonic", "0") != "0"
        is_kept = is_judged and after.properties.get("ConditionResult") == "no"
        if not after.runs and (is_kept or drop_ins.holders(name)):
            raise TargetError(f"units: {name} is kept from starting {self._by_whom(name)}")
        return {name: after.properties.get("InvocationID", "")}

    def _by_whom(self, unit: str) -> str:
        services = drop_ins.holders(unit)
        if not services:
            return f"by a condition of its own (systemctl status {unit})"
        return f"by the maintenance of {services[0]}; it starts when that ends"

    def boot(self) -> None:
        _unlink(self._flag)

    def salvaged(self) -> list[str]:
        return [_freed(unit, resume) for unit, resume in drop_ins.held_units(self._service).items()]

    def salvage(self) -> list[str]:
        """As after a boot: those start that are enabled, and those are resumed that were paused."""
        held = drop_ins.held_units(self._service)
        units = [
            {"name": unit, "pause": [], "resume": resume or [], "ran": _is_enabled(unit) or _is_paused(unit, resume)}
            for unit, resume in held.items()
        ]
        failed = [f"nobody knows how {unit} is resumed" for unit, resume in held.items() if resume is None]
        try:
            self.leave({"flag": self._flag, "units": units, "timeout": _PATIENCE})
        except TargetError as exc:
            if drop_ins.held_units(self._service):
                raise
            failed.append(str(exc))
        return failed


def read_unit(entry: object) -> dict[str, Any]:
    """A unit by its name, or with the commands that pause and resume it."""
    if isinstance(entry, str):
        return {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        # What has no name may have a command with a secret.
        found = "a mapping without a name" if isinstance(entry, dict) else repr(entry)
        raise OptionError(f"'units' has {found}: the name of a unit, or a mapping of name, pause and resume")
    name = entry["name"]
    unknown = [key for key in entry if key not in ("name", *_WAYS)]
    if unknown:
        raise OptionError(f"'units': {name}: '{unknown[0]}' is no option; {meant(unknown[0], ('name', *_WAYS))}")
    for way in _WAYS:
        argv = entry.get(way)
        if argv is not None and not (isinstance(argv, list) and all(isinstance(word, (str, int)) for word in argv)):
            raise OptionError(
                f"'units': {name}: '{way}' is a list of words, such as [redis-cli, save]: no shell runs it"
            )
    return dict(entry)


def _end(names: Sequence[str], limit: float) -> None:
    """Stop what has not ended, and wait for it: a stop waits for the unit that it names, not for what stops with it."""
    ending = [unit for unit in systemd.show(names) if not unit.has_ended]
    refusing = [unit.name for unit in ending if unit.properties.get("CanStop") == "no"]
    for unit in ending:
        if unit.name not in refusing:
            execute(["systemctl", "stop", unit.name], "units", unit.name, limit)

    def left() -> dict[str, str]:
        return {unit.name: unit.properties["ActiveState"] for unit in systemd.show(refusing) if not unit.has_ended}

    # Those stop with others, and systemd refuses to be asked for it.
    late = left() if refusing and drain(limit, lambda: frozenset(left())).left else {}
    if late:
        states = ", ".join(f"{name} is still {state}" for name, state in late.items())
        raise TargetError(f"units: {states} after {format_duration(limit)}, and refuses to be stopped by hand")


def _no_page(stopped: Sequence[str], others: Mapping[str, str]) -> str | None:
    """That nobody would see the page, with the unit whose stop takes nginx along."""
    if _PAGE not in (*stopped, *others):
        return None
    why = f" ({others[_PAGE]})" if _PAGE in others else ""
    return (
        f"{_PAGE} would stop{why}, and it shows the page (target web): users would see neither. Take it out of the"
        " units, or web out of the targets"
    )


def _other(unit: graph.Unit, why: str, jobs: Mapping[str, str]) -> dict[str, Any]:
    return {"name": unit.name, "why": why, **_as_now(unit, jobs)}


def _as_now(unit: graph.Unit, jobs: Mapping[str, str]) -> dict[str, bool]:
    ran = unit.runs or unit.starts_again(jobs.get(unit.name, ""))
    return {"ran": ran, "restarting": unit.is_restarting, "early": _is_early(unit)}


def _in_order_of_start(units: list[dict[str, Any]], others: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sockets first (systemd refuses one whose service runs), what was named, what needs it, timers and paths."""
    every = [*reversed(units), *others]
    sockets = [unit for unit in every if unit["name"].endswith(".socket")]
    rest = [unit for unit in every if unit not in sockets]
    return [*sockets, *sorted(rest, key=lambda unit: unit["name"].endswith(graph.TRIGGERS))]


def _is_early(unit: graph.Unit) -> bool:
    return unit.name.endswith(".mount") or bool(unit.names("Before") & _TOO_EARLY)


def _freed(unit: str, resume: list[str] | None) -> str:
    """What salvage does with a unit, in words."""
    if resume is None:
        return f"let {unit} start (its drop-in is damaged: resume it by hand if it was paused)"
    then = f" by {_shown_command(resume)}" if resume else ""
    if _is_paused(unit, resume):
        return f"resume {unit}{then}"
    if _is_enabled(unit):
        return f"start {unit}" + (f" and resume it{then}" if resume else "")
    return f"let {unit} start (it is not enabled" + (f"; once it runs, resume it{then})" if resume else ")")


def _is_paused(unit: str, resume: list[str] | None) -> bool:
    return bool(resume) and systemd.show([unit])[0].runs


def _is_enabled(unit: str) -> bool:
    """Whether it would start at boot."""
    return systemd.show([unit])[0].properties["UnitFileState"] in _AT_BOOT


def _unlink(flag: str) -> None:
    """Let the units start again; it starts none."""
    with suppress(FileNotFoundError):
        os.unlink(flag)


def _shown_command(argv: list[str]) -> str:
    """A command in a message, without what looks like a secret in it."""
    text = " ".join(argv)
    for word in secret_words(argv):
        text = text.replace(word, MASK)
    return mask(text)
