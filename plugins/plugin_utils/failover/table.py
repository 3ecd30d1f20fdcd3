# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every turn of a failover is told, read from variables of Ansible: what tasks registered, by host. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry, parse_entries
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.failover import ballots
from ansible_collections.day2.ops.plugins.plugin_utils.failover.clusters import read_cluster, read_led
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import Seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.orders import looks, manager_arguments
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Request
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts, read_facts


@dataclass(frozen=True)
class Table:
    """What every turn is told. `hosts`: those of the play, of which the first carries rows that belong to none."""

    plan: Plan
    request: Request
    hosts: Sequence[str]
    entries: Sequence[Entry] = ()
    facts: Facts = field(default_factory=Facts)
    now: float = 0.0
    ref: Sequence[str] = ()
    # An approver has let a minority of the journal hosts be enough.
    minority: bool = False
    aborting: bool = False
    # The primary when it was last seen at work; when this run began, before it asked any host.
    last_known: Seen | None = None
    began: float | None = None

    @property
    def at(self) -> str:
        return rfc3339_ms(self.now)

    def row(
        self,
        name: str,
        title: str,
        status: Status,
        message: str,
        evidence: Sequence[str] = (),
        began: float | None = None,
    ) -> dict[str, Any]:
        began = self.now if began is None else began
        made = Result.make(
            f"dr-{name}", title, status, message, began, max(0.0, self.now - began), evidence=evidence, ref=self.ref
        )
        row: dict[str, Any] = made.to_dict()
        return row

    def rows(self, host: str | None, *rows: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
        return {host if host is not None and host in self.hosts else self.hosts[0]: list(rows)}

    def entry(self, step: str, phase: str, host: str | None, about: Mapping[str, Any], after: Sequence[Entry]) -> Entry:
        return ballots.next_entry(after, self.request.epoch, self.request.run, step, phase, host, about, self.at)


def plan_of(plan: Plan) -> dict[str, Any]:
    """The plan as tasks need it."""
    return {
        "system": plan.system,
        "members": {member.host: {"address": member.address, "port": member.port} for member in plan.members},
        "targets": [{"address": member.address, "port": member.port} for member in plan.members],
        "vantage_points": list(plan.vantage_points),
        "journal_hosts": list(plan.journal_hosts),
        "liveness": {
            "tries": plan.liveness.tries,
            "over": f"{plan.liveness.over:g}s",
            "timeout": f"{plan.liveness.timeout:g}s",
        },
        "notes": list(plan.notes),
        # What members are asked of their manager, and traffic layers beside it; empty where there is none.
        "manager": {
            member.host: {
                "host": member.host,
                "module": "day2.ops.dr_patroni",
                "arguments": manager_arguments(plan, member.host),
            }
            for member in plan.members
            if plan.is_managed
        },
        "looks": looks(plan) if plan.is_managed else {},
    }


def observed(
    plan: Plan,
    members: Mapping[str, object],
    liveness: Mapping[str, object],
    promised: Mapping[str, object],
    managers: Mapping[str, object] | None = None,
    led: Mapping[str, object] | None = None,
    looked: int = -1,
) -> Facts:
    """Facts from what tasks registered by host: a host that did not answer, or was not asked again, is out of reach."""
    views = {host: _view(members.get(host)) for host in (member.host for member in plan.members)}
    points = {point: _verdicts(plan, liveness.get(point)) for point in plan.vantage_points}
    facts = read_facts(views, {point: found for point, found in points.items() if found}, promised)
    facts = replace(facts, looked=looked)
    if not plan.is_managed:
        return facts
    clusters = {host: read_cluster(_result(found)) for host, found in (managers or {}).items()}
    answers = [answer for found in (led or {}).values() if isinstance(found, list) for answer in found]
    return replace(facts, clusters=clusters, led=read_led(answers))


def _result(found: object) -> object:
    """Of an order, what its module said."""
    answer = found.get("answer") if isinstance(found, Mapping) else None
    return answer.get("result") if isinstance(answer, Mapping) else found


def _view(found: object) -> dict[str, Any]:
    if not isinstance(found, Mapping) or found.get("skipped"):
        return {"reachable": False}
    if found.get("unreachable") or found.get("failed"):
        return {"reachable": False, "error": str(found.get("msg") or "")}
    return {**found, "reachable": True}


def _verdicts(plan: Plan, found: object) -> dict[str, object]:
    if not isinstance(found, Mapping) or found.get("unreachable") or found.get("failed"):
        return {}
    said = {
        (str(target.get("address")), str(target.get("port"))): target
        for target in found.get("targets") or ()
        if isinstance(target, Mapping)
    }
    pairs = ((member.host, said.get((member.address, str(member.port)))) for member in plan.members)
    return {host: target for host, target in pairs if target is not None}


def answered(found: Mapping[str, object]) -> dict[str, object]:
    """Of a journal's module, by host: one that is not asked again in this run has not answered."""
    return {
        host: {"unreachable": True, "msg": "is out of reach"}
        if isinstance(answer, Mapping) and answer.get("skipped")
        else answer
        for host, answer in found.items()
    }


def read_entries(raw: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    return tuple(parse_entries(list(raw)))
