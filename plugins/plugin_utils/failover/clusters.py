# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manager such as Patroni says of its cluster, as members' hosts told it, and where traffic leads. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

LEADERS = ("leader", "standby_leader")
SYNCHRONOUS = ("sync_standby", "quorum_standby")


@dataclass(frozen=True)
class ManagedMember:
    """A member by its manager's name. `lag` in bytes behind what the last leader told."""

    name: str
    host: str | None = None
    port: int | None = None
    role: str = ""
    state: str = ""
    timeline: int | None = None
    lag: int | None = None
    tags: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def runs(self) -> bool:
        """Patroni before 3.1 calls a standby that streams `running`."""
        return self.state in ("running", "streaming", "in archive recovery")


@dataclass(frozen=True)
class Cluster:
    """The whole as one member's host told it; `error` says why it did not."""

    answered: bool = False
    error: str | None = None
    scope: str | None = None
    system_identifier: str | None = None
    paused: bool = False
    leader: str | None = None
    members: tuple[ManagedMember, ...] = ()
    maximum_lag: int | None = None
    synchronous: bool | None = None
    ttl: int = 30
    loop_wait: int = 10

    @property
    def led_by(self) -> ManagedMember | None:
        return next((member for member in self.members if member.name == self.leader), None)


@dataclass(frozen=True)
class Led:
    """A traffic layer and where it leads, in its words. `to`: the member that this is, None where nobody knows."""

    layer: str
    words: str
    to: str | None


def read_cluster(found: object) -> Cluster:
    """From the result of module dr_patroni, or of what kept it from one."""
    told = found.get("cluster") if isinstance(found, Mapping) else None
    if not isinstance(told, Mapping) or told.get("answered") is not True:
        said = (
            told.get("error") if isinstance(told, Mapping) else found.get("msg") if isinstance(found, Mapping) else None
        )
        return Cluster(error=str(said or "its host was not asked, or did not answer"))
    return Cluster(
        True,
        None,
        told.get("scope"),
        told.get("system_identifier"),
        told.get("paused") is True,
        told.get("leader"),
        tuple(
            ManagedMember(
                str(entry["name"]),
                entry.get("host"),
                _whole(entry.get("port")),
                str(entry.get("role") or ""),
                str(entry.get("state") or ""),
                _whole(entry.get("timeline")),
                _whole(entry.get("lag")),
                entry.get("tags") or {},
            )
            for entry in told.get("members") or ()
        ),
        _whole(told.get("maximum_lag")),
        told.get("synchronous"),
        _whole(told.get("ttl")) or 30,
        _whole(told.get("loop_wait")) or 10,
    )


def read_led(answers: Sequence[object]) -> tuple[Led, ...]:
    """From what dr_traffic said in check mode, asked for each member: a layer leads to the one that changes nothing."""
    found: dict[str, Led] = {}
    for answer in answers:
        if not isinstance(answer, Mapping):
            continue
        about, result = answer.get("about") or {}, answer.get("result") or {}
        layer, member = str(about.get("layer")), about.get("member")
        if answer.get("ok") is not True:
            continue
        here = result.get("changed") is False
        if here or layer not in found:
            words = result.get("leads") if here else result.get("before") or result.get("leads")
            found[layer] = Led(layer, str(words), str(member) if here else None)
    return tuple(found.values())


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
