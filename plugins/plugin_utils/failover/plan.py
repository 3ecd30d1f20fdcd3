# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a failover as an inventory has it (`day2_dr_plan`): read, or refused with all that is wrong. Pure."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any, Callable, Iterable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import EntriesError, meant
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import SYSTEM
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import registry
from ansible_collections.day2.ops.plugins.module_utils.probes.registry import PROBES
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import (
    CONTROLLER,
    FENCES,
    MANAGERS,
    TRAFFIC,
    Call,
    Layer,
    Liveness,
    Manager,
    MemberEntry,
    Plan,
    Targets,
)
from ansible_collections.day2.ops.plugins.plugin_utils.failover.soundness import contradictions

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FIELDS = (
    "database", "port", "members", "vantage_points", "journal_hosts", "fence", "traffic", "application", "verify",
    "backup", "synchronous_standby_names", "targets", "liveness", "automatic", "manager",
    "rejoin",
)  # fmt: skip
_REQUIRED = ("database", "members", "vantage_points", "journal_hosts", "fence", "traffic", "targets")


# How pg_rejoin logs in. There is no password among it: it would stand in results and logs.
_LOGINS = ("login", "rewind_login")
_LOGIN = ("user", "passfile", "sslmode", "sslrootcert", "sslcert", "sslkey")


class PlanError(EntriesError):
    """A plan that is no plan: everything that is wrong with it, a sentence each."""


class _Reader:
    """Fields of a plan; collects what is wrong with them."""

    def __init__(self, raw: Mapping[str, Any], machines: Mapping[str, str]) -> None:
        self.raw, self.machines = raw, machines
        self.problems: list[str] = []

    def fault(self, name: str, text: str) -> None:
        self.problems.append(f"plan, field '{name}': {text}")

    def value(self, name: str, read: Callable[[Any], Any], default: Any, raw: Mapping[str, Any] | None = None) -> Any:
        """The field (its last part, where the name has a point), typed; the default where it is not there, or wrong."""
        found = (self.raw if raw is None else raw).get(name.rpartition(".")[2])
        if found is None:
            return default
        try:
            return read(found)
        except (ArgumentError, QuantityError) as exc:
            self.fault(name, str(exc))
            return default

    def host(self, name: str, host: object, controller: bool = False) -> bool:
        """Whether it is a host of the system (or the controller); a fault says what was meant."""
        if controller and host == CONTROLLER:
            return True
        if isinstance(host, str) and host in self.machines:
            return True
        if host == CONTROLLER:
            self.fault(name, "the controller cannot do this: an execution environment forgets its files")
            return False
        known = [*self.machines, *([CONTROLLER] if controller else [])]
        left_out = "; or do --limit and day2_hosts leave it out?"
        self.fault(name, f"{host!r} is no host of this run; {meant(host, known)}{left_out}")
        return False

    def names(self, name: str, controller: bool = False) -> tuple[str, ...]:
        found = self.raw.get(name)
        if found is None:
            return ()
        if not isinstance(found, (list, tuple)):
            self.fault(name, f"{found!r} is not a list of hosts")
            return ()
        for host, times in Counter(str(host) for host in found).items():
            if times > 1:
                self.fault(name, f"'{host}' is there {times} times")
        return tuple(dict.fromkeys(host for host in found if self.host(name, host, controller)))

    def mapping(self, name: str, known: Sequence[str]) -> Mapping[str, Any]:
        found = self.raw.get(name)
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            self.fault(name, f"{found!r} is not a mapping of {', '.join(known)}")
            return {}
        self.unknown(name, found, known)
        return found

    def unknown(self, name: str, found: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in found:
            if key not in known:
                self.fault(f"{name}.{key}" if name else str(key), f"is unknown; {meant(key, known)}")

    def entries(self, name: str) -> list[Any]:
        found = self.raw.get(name)
        if found is None:
            return []
        if not isinstance(found, (list, tuple)):
            self.fault(name, f"{found!r} is not a list")
            return []
        return list(found)


def read_plan(raw: object, hosts: Mapping[str, str] | Iterable[str], system: str) -> Plan:
    """A plan from the inventory's data; PlanError names all that is wrong with it.

    `hosts` are the names of the system's hosts, with `ansible_host` of each where that is known: two names of one
    address are one machine.
    """
    if not isinstance(raw, Mapping) or not raw:
        raise PlanError([f"day2_dr_plan of {system or 'the system'} is {raw!r}, expected a mapping"])
    given = dict(hosts) if isinstance(hosts, Mapping) else {host: host for host in hosts}
    machines = {name: CONTROLLER if address in _LOOPBACK else address for name, address in given.items()}
    reader = _Reader(raw, machines)
    if not system.strip():
        reader.problems.append("there is no name of a system (day2_system)")
    elif not SYSTEM.fullmatch(system):
        reader.problems.append(f"day2_system is {system!r}, expected letters, digits, '.', '-' and '_' (at most 63)")
    reader.unknown("", raw, _FIELDS)
    for name in _REQUIRED:
        # Who is managed is fenced by the manager.
        if raw.get(name) is None and (name != "fence" or not _fences_itself(raw)):
            reader.fault(name, "is missing")
    plan = _read(reader, system)
    problems, notes = contradictions(plan, raw)
    if reader.problems or problems:
        raise PlanError([*reader.problems, *problems])
    return replace(plan, notes=tuple(notes))


def _read(reader: _Reader, system: str) -> Plan:
    port = reader.value("port", Argument("port", "").read, 5432)
    return Plan(
        system=system,
        database=reader.value("database", _text, ""),
        port=port,
        members=_members(reader, port),
        vantage_points=reader.names("vantage_points", controller=True),
        journal_hosts=reader.names("journal_hosts"),
        fence=_layers(reader, "fence", FENCES),
        traffic=_layers(reader, "traffic", TRAFFIC),
        application=_call(reader, "application"),
        backup=_call(reader, "backup"),
        verify=_checks(reader),
        synchronous_standby_names=reader.value("synchronous_standby_names", str, ""),
        targets=_targets(reader),
        liveness=_liveness(reader),
        automatic=reader.value("automatic", Argument("bool", "").read, False),
        manager=_manager(reader),
        rejoin=_rejoin(reader),
        machines=reader.machines,
    )


def _text(value: object) -> str:
    text: str = Argument("str", "").read(value)
    if not text.strip():
        raise ArgumentError("is empty")
    return text


def _members(reader: _Reader, port: int) -> tuple[MemberEntry, ...]:
    found = []
    for entry in reader.entries("members"):
        about = entry if isinstance(entry, Mapping) else {"host": entry}
        reader.unknown("members", about, ("host", "address", "port", "slot", "nofailover", "manager_port"))
        host = about.get("host")
        if not reader.host("members", host):
            continue
        found.append(
            MemberEntry(
                str(host),
                reader.value("members.address", _text, str(host), about),
                reader.value("members.port", Argument("port", "").read, port, about),
                reader.value("members.slot", _text, slot_of(str(host)), about),
                reader.value("members.nofailover", Argument("bool", "").read, False, about),
                reader.value("members.manager_port", Argument("port", "").read, None, about),
            )
        )
    return tuple(found)


def slot_of(host: str) -> str:
    """The physical slot that a standby streams from, where the plan names none: as role postgres_standby calls it."""
    return re.sub(r"[^a-z0-9_]", "_", host.lower())


def _layers(reader: _Reader, name: str, kinds: Mapping[str, tuple[str, ...]]) -> tuple[Layer, ...]:
    found = []
    for number, entry in enumerate(reader.entries(name), start=1):
        if not isinstance(entry, Mapping):
            reader.fault(name, f"entry {number} is {entry!r}, expected a mapping with a kind")
            continue
        kind = entry.get("kind")
        if not isinstance(kind, str) or kind not in kinds:
            what = "has no kind" if kind is None else f"has the kind {kind!r}, which is unknown"
            reader.fault(name, f"entry {number} {what}; {meant(kind, kinds)}")
            continue
        for needed in kinds[kind]:
            if entry.get(needed) in (None, "", []):
                why = ": without it, nothing is proven" if needed == "check" else ""
                reader.fault(name, f"entry {number} ({kind}) lacks '{needed}'{why}")
        host = entry.get("host")
        if host is not None and not reader.host(
            name,
            host,
        ):
            continue
        for command in ("argv", "check"):
            if name == "fence" and kind == "command":
                reader.value(f"{name}.{command}", Argument("argv", "").read, (), entry)
        options = {key: value for key, value in entry.items() if key not in ("kind", "host")}
        if name == "traffic":
            for fault in registry.misplaced(kind, options):
                reader.fault(name, f"entry {number} ({kind}): {fault}")
        found.append(Layer(str(kind), host, options))
    return tuple(found)


def _fences_itself(raw: Mapping[str, Any]) -> bool:
    manager = raw.get("manager")
    return isinstance(manager, Mapping) and manager.get("kind") == "patroni"


def _manager(reader: _Reader) -> Manager | None:
    found = reader.raw.get("manager")
    if found is None:
        return None
    kind = found.get("kind") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or kind not in MANAGERS:
        reader.fault("manager", f"{found!r} is not a mapping with a kind; {meant(kind, MANAGERS)}")
        return None
    if "password" in found:
        reader.fault(
            "manager.password",
            "would stand in results and logs: write it to a file on each member, which 'password_file' names",
        )
    reader.unknown("manager", {key: value for key, value in found.items() if key != "password"},
                   ("kind", *MANAGERS[str(kind)]))  # fmt: skip
    if kind == "repmgr":
        return Manager(str(kind))
    options: dict[str, Any] = {
        "port": reader.value("manager.port", Argument("port", "").read, 8008, found),
        "limit": reader.value("manager.limit", _limit, "2m", found),
        "scheme": reader.value("manager.scheme", _text, "http", found),
    }
    if options["scheme"] not in ("http", "https"):
        reader.fault("manager.scheme", f"is {options['scheme']!r}, expected http or https")
    for name in ("username", "password_file", "ca_path", "client_cert", "client_key"):
        options[name] = reader.value(f"manager.{name}", _text, None, found)
    for name, needed in (("password_file", "username"), ("client_key", "client_cert")):
        if options[name] is not None and options[needed] is None:
            reader.fault(f"manager.{name}", f"needs '{needed}'")
    return Manager(str(kind), {name: value for name, value in options.items() if value is not None})


def _rejoin(reader: _Reader) -> Mapping[str, Any] | None:
    """How an old primary becomes a standby again: the options of pg_rejoin that no failover knows."""
    if reader.raw.get("rejoin") is None:
        return None
    found = reader.mapping(
        "rejoin", (*_LOGINS, "database", "method", "evidence", "keep_wal", "copy_timeout", "timeout")
    )
    for name in _LOGINS:
        about = found.get(name)
        if about is None and name == "login":
            reader.fault("rejoin.login", "is missing: how the standby logs in, such as {user: replicator, passfile: …}")
        elif about is not None and not (isinstance(about, Mapping) and about.get("user")):
            reader.fault(f"rejoin.{name}", f"{about!r} is not a mapping with a user")
        elif about is not None:
            reader.unknown(f"rejoin.{name}", about, _LOGIN)
    for name in ("copy_timeout", "timeout"):
        reader.value(f"rejoin.{name}", _limit, None, found)
    if found.get("method") not in (None, "auto", "rewind", "base_backup"):
        reader.fault("rejoin.method", f"is {found['method']!r}, expected auto, rewind or base_backup")
    return found


def _limit(value: object) -> str:
    if parse_duration(value) <= 0:
        raise ArgumentError(f"{value!r} is no time to wait")
    return str(value)


def _call(reader: _Reader, name: str) -> Call | None:
    if reader.raw.get(name) is None:
        return None
    about = reader.mapping(name, ("role", "entry_point", "hosts"))
    if about and not about.get("role"):
        reader.fault(f"{name}.role", "is missing")
    hosts = reader.value(f"{name}.hosts", Argument("strings", "").read, (), about)
    known = [host for host in hosts if reader.host(f"{name}.hosts", host)]
    entry_point = reader.value(f"{name}.entry_point", _text, "main", about)
    return Call(str(about.get("role", "")), entry_point, tuple(known))


def _checks(reader: _Reader) -> tuple[Mapping[str, Any], ...]:
    """Checks of the plan; their other fields are read where they run, with the connections that they name."""
    found: tuple[Mapping[str, Any], ...] = reader.value("verify", Argument("mappings", "").read, ())
    for number, check in enumerate(found, start=1):
        for name in ("id", "title", "probe"):
            if not check.get(name):
                reader.fault("verify", f"check {number} lacks '{name}'")
        if check.get("probe") and check["probe"] not in PROBES:
            reader.fault("verify", f"check {number} has no known probe: {meant(check['probe'], PROBES)}")
    return found


def _targets(reader: _Reader) -> Targets:
    about = reader.mapping("targets", ("rto", "rpo"))
    for name in ("rto", "rpo"):
        if reader.raw.get("targets") is not None and about.get(name) is None:
            reader.fault(f"targets.{name}", "is missing")
    rto = reader.value("targets.rto", Argument("duration", "").read, 0.0, about)
    # Where it is missing, a value that contradicts nothing.
    rpo = reader.value("targets.rpo", _not_negative, 1.0, about)
    return Targets(rto, rpo)


def _not_negative(value: object) -> float:
    seconds = parse_duration(value)
    if seconds < 0:
        raise ArgumentError(f"{value!r} is less than nothing")
    return seconds


def _liveness(reader: _Reader) -> Liveness:
    about = reader.mapping("liveness", ("tries", "over", "timeout"))
    default = Liveness()
    return Liveness(
        reader.value("liveness.tries", Argument("count", "").read, default.tries, about),
        reader.value("liveness.over", Argument("duration", "").read, default.over, about),
        reader.value("liveness.timeout", Argument("duration", "").read, default.timeout, about),
    )
