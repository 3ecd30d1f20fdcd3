# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the plan of a failover says, typed. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping

# Where Ansible runs, in the place of a host's name.
CONTROLLER = "controller"

# What each kind cannot do without. Other options are read by the module that acts.
FENCES: dict[str, tuple[str, ...]] = {"service": (), "proxy": (), "command": ("host", "argv", "check")}
# Who may decide who is primary in our place, and what of its field the plan may say.
MANAGERS: dict[str, tuple[str, ...]] = {
    "repmgr": (),
    "patroni": ("port", "scheme", "username", "password_file", "ca_path", "client_cert", "client_key", "limit"),
}
TRAFFIC: dict[str, tuple[str, ...]] = {
    "pgbouncer": ("host", "databases"),
    "haproxy": ("host", "servers"),
    "hosts_entry": ("host", "name"),
    "route53": ("host", "zone", "name"),
    "command": ("host", "argv"),
}
# Connections pass through these, and end when they cut. A name only says where new ones go.
CUTTING = ("pgbouncer", "haproxy")


@dataclass(frozen=True)
class MemberEntry:
    """A server of the plan. `address` and `port`: how other hosts reach it; `slot`: what it streams from;
    `manager_port`: where its manager is asked, if that is not where the others' are."""

    host: str
    address: str
    port: int
    slot: str
    nofailover: bool = False
    manager_port: int | None = None


@dataclass(frozen=True)
class Layer:
    """An entry of `fence` or `traffic`. `options` are the module's, without kind and host."""

    kind: str
    host: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def cuts(self) -> bool:
        return self.kind in CUTTING or (self.kind == "command" and bool(self.options.get("cut_check")))

    @property
    def title(self) -> str:
        return f"{self.kind} on {self.host}" if self.host else self.kind


@dataclass(frozen=True)
class Manager:
    """Who decides who is primary. Patroni promotes in our place; repmgrd is paused. `options` are its module's."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class Call:
    """A role's entry point, and where it runs; no hosts: on the new primary."""

    role: str
    entry_point: str = "main"
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Targets:
    """Seconds."""

    rto: float
    rpo: float


@dataclass(frozen=True)
class Liveness:
    """How a vantage point decides: consecutive tries, seconds over which they are spread, seconds of each."""

    tries: int = 3
    over: float = 15.0
    timeout: float = 5.0


@dataclass(frozen=True)
class Plan:
    """A plan that can be kept. `machines`: by name, what tells two hosts apart; `notes`: what is lawful but weak."""

    system: str
    database: str
    members: tuple[MemberEntry, ...]
    vantage_points: tuple[str, ...]
    journal_hosts: tuple[str, ...]
    fence: tuple[Layer, ...]
    traffic: tuple[Layer, ...]
    targets: Targets
    liveness: Liveness = Liveness()
    port: int = 5432
    application: Call | None = None
    backup: Call | None = None
    verify: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    synchronous_standby_names: str = ""
    automatic: bool = False
    manager: Manager | None = None
    # Options of pg_rejoin, by which an old primary becomes a standby again; None: it is not said.
    rejoin: Mapping[str, Any] | None = field(default=None, hash=False)
    machines: Mapping[str, str] = field(default_factory=dict, hash=False)
    notes: tuple[str, ...] = ()

    @property
    def is_managed(self) -> bool:
        """Whether a manager promotes, and nobody else."""
        return self.manager is not None and self.manager.kind == "patroni"

    @property
    def is_paused(self) -> bool:
        """Whether its manager is paused, and we promote."""
        return self.manager is not None and self.manager.kind == "repmgr"

    def member(self, host: str) -> MemberEntry:
        return next(member for member in self.members if member.host == host)

    def machine(self, name: str) -> str:
        return self.machines.get(name, name)

    def points_for(self, primary: str) -> list[str]:
        """Vantage points that can judge a primary: not on its own host, one of each machine."""
        found = {self.machine(point): point for point in reversed(self.vantage_points)}
        found.pop(self.machine(primary), None)
        return [point for point in self.vantage_points if point in found.values()]

    @property
    def cuts_everywhere(self) -> bool:
        """Whether cutting at the traffic's layers keeps every application from the old primary."""
        return bool(self.traffic) and all(layer.cuts for layer in self.traffic)
