# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fence an old primary: on its own host, by its unit and its processes, or by a site's command that proves it."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.failover.liveness import Target, Verdict, try_once
from ansible_collections.day2.ops.plugins.module_utils.failover.masking import DROP_IN, NEVER, PROPERTIES, is_masked
from ansible_collections.day2.ops.plugins.module_utils.failover.postmasters import Servers, busy, end, servers
from ansible_collections.day2.ops.plugins.module_utils.postgres.cluster import unit_of
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, Program, run_pipeline
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Emit, Group, Pool, Progress
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import last_look
from ansible_collections.day2.ops.plugins.module_utils.systemd.units import Fields, full_name, need_systemd, show

_PROPERTIES = (*PROPERTIES, "ActiveState", "Job")
_RESTING = ("inactive", "failed")
# Debian's own, which runs /bin/true and has the clusters' units started.
_WRAPPER = "postgresql.service"
_SYSTEMCTL = 60.0
# Seconds in which systemd notices that a unit's processes are gone.
_SETTLING = 15.0
_POLL, _CHECKS = 0.2, 2.0
# Seconds beyond the limit: to kill, to settle, for systemd.
_BEYOND = 60.0


class FenceError(Day2Error):
    """Nothing was done; the message says why, and what to put right."""


@dataclass(frozen=True)
class Fenced:
    """`proven`: nothing of the old primary can write, now and after a reboot. `found_running`: whether there was a
    server, which may have sent WAL until now; None where that was not looked at."""

    changed: bool
    proven: bool
    layer: str
    survives_reboot: bool
    evidence: list[str]
    msg: str
    found_running: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Sight:
    """What is seen of a cluster at one moment: its units by name, its servers, and which units have any process."""

    units: Mapping[str, Fields]
    servers: Servers
    busy: frozenset[str] = frozenset()

    @property
    def has_server(self) -> bool:
        """Whether a server works on the data directory, or may do so."""
        return bool(self.servers.postmasters or self.servers.unseen)

    def rests(self, unit: str) -> bool:
        """Whether nothing of a unit runs or is on its way; with version 1 of control groups systemd may notice late."""
        state, job = (self.units[unit].get(name, "") for name in ("ActiveState", "Job"))
        return (state in _RESTING and job in ("", "0")) or (state == "deactivating" and unit not in self.busy)

    def lasting(self) -> bool:
        """Whether each unit is kept from starting, also after a reboot."""
        return all(is_masked(unit, fields) for unit, fields in self.units.items())

    def missing(self) -> list[str]:
        """What keeps this from being a fence; empty: it is proven."""
        found = []
        for unit, fields in self.units.items():
            if not is_masked(unit, fields):
                found.append(f"{unit} can be started ({fields.get('UnitFileState') or fields.get('LoadState')})")
            if not self.rests(unit):
                found.append(f"{unit} is {fields.get('ActiveState')}")
        found += [f"process {server.pid} works on the data directory" for server in self.servers.postmasters]
        found += [f"process {pid}, a server of PostgreSQL, cannot be looked at" for pid in self.servers.unseen]
        return found


class _Act:
    """The work of a child: whatever touches the data directory hangs as long as its file system does."""

    def __init__(self, act: Callable[[], Fenced]) -> None:
        self._act = act

    def prepare(self, items: Sequence[int]) -> None:
        """Nothing is loaded later."""

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        begun, clock = time.time(), time.monotonic()
        record: dict[str, Any]
        try:
            record = {"fenced": self._act().as_dict()}
        except Day2Error as exc:
            record = {"refused": str(exc)}
        emit(items[0], {**record, "started": begun, "duration": time.monotonic() - clock})


def bounded(act: Callable[[], Fenced], layer: str, limit: float) -> Fenced:
    """The act, or the answer that it did not end: a host whose disk hangs keeps no run waiting, and is not fenced."""
    outcome = Pool(_Act(act), lambda _user: None, [limit], 1).run([Group([0])], limit)[0]
    if outcome.kind != "done":
        late = f"the fence did not end within {limit:g} s: the file system of the data directory may hang"
        msg = late if outcome.kind in ("timeout", "deadline") else f"the fence ended early ({outcome.kind})"
        return Fenced(True, False, layer, False, [msg], f"not fenced: {msg}")
    if "refused" in outcome.record:
        raise FenceError(outcome.record["refused"])
    return Fenced(**outcome.record["fenced"])


def service(data: str, unit: str | None, port: int | None, limit: float, check_mode: bool = False) -> Fenced:
    """As `_service`, within the limit and what it takes to kill and to look."""
    return bounded(lambda: _service(data, unit, port, limit, check_mode), "service", limit + _BEYOND)


def _service(data: str, unit: str | None, port: int | None, limit: float, check_mode: bool) -> Fenced:
    """Mask the cluster's unit, end every server on the data directory, and look whether that is so."""
    need_systemd()
    units = _units(data, unit)
    before = _look(data, units)
    _refuse(before)
    missing = before.missing()
    port = port or _port_of(data)
    if not missing or check_mode:
        would = f"it would be: {'; '.join(missing)}" if missing else "it is fenced already"
        evidence = _evidence(before, data, port)
        return Fenced(bool(missing), not missing, "service", before.lasting(), evidence, would, before.has_server)
    faults = [fault for name, fields in before.units.items() for fault in _mask(name, fields)]
    told = [_about_strangers(before)] if _strangers(before) else []
    told += end(data, limit)
    after = _settle(data, units)
    missing = after.missing()
    evidence = [*told, *_evidence(after, data, port), *faults]
    msg = "fenced: no unit starts it and no process works on it" if not missing else f"not fenced: {'; '.join(missing)}"
    return Fenced(True, not missing, "service", after.lasting(), evidence, msg, before.has_server)


def command(
    argv: Sequence[str], check: Sequence[str], old: tuple[str, int] | None, limit: float, check_mode: bool = False
) -> Fenced:
    """A site's own command, such as one that cuts the power; `check` proves by its exit status 0 that it has worked."""
    environment = {"DAY2_OLD_HOST": old[0], "DAY2_OLD_PORT": str(old[1])} if old is not None else {}
    until = time.monotonic() + limit
    fault = _fault(check, environment, limit)
    named = os.path.basename(check[0])
    if fault is None:
        return Fenced(False, True, "command", True, [f"{named} proves it"], "it is fenced already")
    if check_mode:
        return Fenced(True, False, "command", False, [fault], f"{os.path.basename(argv[0])} would be run: {fault}")
    failed = _fault(argv, environment, max(1.0, until - time.monotonic()))
    # Also where the command failed: it may have done its work, and its check is what counts.
    fault = last_look(
        lambda: _fault(check, environment, max(1.0, until - time.monotonic())),
        lambda found: found is None,
        until - time.monotonic(),
        _CHECKS,
    )
    evidence = [failed or f"{os.path.basename(argv[0])} has ended well", fault or f"{named} proves it"]
    msg = (
        f"not fenced: {'; '.join(text for text in (failed, fault) if text)}" if fault else f"fenced: {named} proves it"
    )
    return Fenced(True, fault is None, "command", fault is None, evidence, msg)


def _fault(argv: Sequence[str], environment: Mapping[str, str], limit: float) -> str | None:
    """Why a program did not end well. Its arguments may be secrets: it is called by its name."""
    try:
        run_pipeline([Program(list(argv), environment)], lambda _piece: None, timeout=limit)
    except PipelineError as exc:
        return str(exc)
    return None


def _units(data: str, unit: str | None) -> list[str]:
    """The units that may start the cluster: the one that was named, and the one of the distribution's layout."""
    if not os.path.exists(os.path.join(data, "PG_VERSION")):
        raise FenceError(f"{data} is no data directory of PostgreSQL (it has no PG_VERSION): nothing was done")
    known = unit_of(data)
    named = full_name(unit) if unit else None
    if named is None and known is None:
        raise FenceError(f"nothing says which unit starts the cluster {data}: name it in 'unit'. Nothing was done")
    if named == _WRAPPER and known not in (None, _WRAPPER):
        raise FenceError(
            f"'unit' is {named}, which starts no server itself on this host: the cluster's own unit is {known}."
            " Nothing was done"
        )
    found = [name for name in dict.fromkeys((named, known)) if name is not None]
    states, refused = show(found, _PROPERTIES)
    if refused:
        raise FenceError(f"{'; '.join(refused.values())}. Nothing was done")
    there = [name for name in found if states[name].get("LoadState") != "not-found"]
    if named is not None and named not in there:
        raise FenceError(f"there is no unit {named} on this host. Nothing was done")
    if not there:
        raise FenceError(f"there is no unit {known} for the cluster {data}: name its own in 'unit'. Nothing was done")
    return there


def _look(data: str, units: Sequence[str]) -> Sight:
    states, refused = show(units, _PROPERTIES)
    if refused:
        raise FenceError("; ".join(refused.values()))
    return Sight({unit: states[unit] for unit in units}, servers(data), busy(units))


def _refuse(seen: Sight) -> None:
    """Something else would start it again: Patroni, a site's own service, a container's engine."""
    others = {server.keeper for server in seen.servers.found if server.keeper is not None} - set(seen.units)
    if others:
        raise FenceError(
            f"the server runs in {', '.join(sorted(others))}, not in {', '.join(seen.units)}: that may start it"
            " again. Name its unit in 'unit', or fence with a command of what manages it. Nothing was done"
        )


def _strangers(seen: Sight) -> list[str]:
    return [f"{server.pid} ({server.group})" for server in seen.servers.postmasters if server.keeper is None]


def _about_strangers(seen: Sight) -> str:
    return f"process {', '.join(_strangers(seen))} ran outside of any service: whoever started it may do so again"


def _mask(unit: str, fields: Fields) -> list[str]:
    """Nothing starts it from here on; what went wrong."""
    if is_masked(unit, fields):
        return []
    # What is enabled would be so again when somebody unmasks it. Applications wait for each time that systemd loads all
    # of its units: the mask has it do that once.
    faults = [_systemctl("disable", "--no-reload", unit), _systemctl("mask", unit)]
    if faults[1] is None:
        return [fault for fault in faults[:1] if fault is not None]
    path = DROP_IN.format(unit=unit)
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write_atomic(path, NEVER, 0o644)
    except OSError as exc:
        return [str(faults[1]), f"{path}: {exc.strerror}"]
    faults = [_systemctl("daemon-reload")]
    return [fault for fault in faults if fault is not None]


def _settle(data: str, units: Sequence[str]) -> Sight:
    """Jobs that were starting a unit are cancelled; what is seen when systemd knows that it ended, or too late."""
    for unit in units:
        _systemctl("stop", "--no-block", unit)
    return last_look(lambda: _look(data, units), lambda seen: all(seen.rests(unit) for unit in units), _SETTLING, _POLL)


def _systemctl(*words: str) -> str | None:
    """What went wrong."""
    return _fault(["systemctl", "--no-ask-password", *words], {"SYSTEMD_COLORS": "0"}, _SYSTEMCTL)


def _port_of(data: str) -> int | None:
    """As the server wrote it when it started; the file is left by one that was killed."""
    try:
        with open(os.path.join(data, "postmaster.pid"), encoding="utf-8") as stream:
            return int(stream.read().split("\n")[3])
    except (OSError, ValueError, IndexError):
        return None


def _evidence(seen: Sight, data: str, port: int | None) -> list[str]:
    found = []
    for unit, fields in seen.units.items():
        kept = "kept from starting in /etc/systemd/system" if is_masked(unit, fields) else "free to start"
        found.append(f"{unit} is {fields.get('ActiveState')} and {kept}")
    pids = ", ".join(str(server.pid) for server in seen.servers.postmasters)
    found.append(f"on {data} works process {pids}" if pids else f"no server works on {data}")
    if port is not None:
        verdict, detail = try_once(Target("127.0.0.1", port), 2.0)
        answers = " (a pooler, or another server)" if verdict is Verdict.ANSWERS and not pids else ""
        found.append(f"port {port} of this host: {verdict.value}, {detail}{answers}")
    return found
