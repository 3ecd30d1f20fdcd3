# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's planner as the driver calls it. Nothing else of the simulated cluster imports the collection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import parse_entries
from ansible_collections.day2.ops.plugins.plugin_utils.failover import planner, steps
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import read_seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.judge import judge
from ansible_collections.day2.ops.plugins.plugin_utils.failover.orders import resolve
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import read_plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import read_facts


class Core:
    def __init__(self, plan: Mapping[str, Any], hosts: list[str]) -> None:
        self.raw = plan
        self.plan = read_plan(plan, hosts, "analytics")

    def facts(
        self, views: Mapping[str, Any], liveness: Mapping[str, Any], promised: Mapping[str, Any], seen: int, looked: int
    ) -> Any:
        return replace(read_facts(views, liveness, promised, seen), looked=looked)

    def next_step(self, request: Mapping[str, Any], entries: list[dict[str, Any]], facts: Any) -> dict[str, Any]:
        request = dict(request)
        raw = request.pop("seen", None)
        seen = read_seen({**raw, "at": 0.0}, raw["age"]) if raw else None
        asked = steps.Request(**request)
        step = planner.next_step(self.plan, asked, parse_entries(entries), facts, last_known=seen)
        if isinstance(step, steps.Refused):
            return {"kind": "refused", "message": step.text}
        if isinstance(step, steps.Look):
            return {"kind": "look", "message": step.text}
        if isinstance(step, steps.Finished):
            loss = step.loss
            told = loss and {name: getattr(loss, name) for name in ("least", "most", "seconds", "exact")}
            return {
                "kind": "finished" if step.outcome == "failed_over" else step.outcome,
                "message": step.text,
                "primary": step.primary,
                "loss": told,
                "overridden": step.overridden,
                "left": step.left,
            }
        listed = [
            {"host": each.host, "module": each.module, "arguments": resolve(self.raw, vars(each))}
            for each in step.orders
        ]
        first = [{"phase": "overridden", "about": dict(about)} for about in step.overrides]
        return {
            "kind": "orders",
            "step": step.step,
            "host": step.host,
            "about": dict(step.about),
            "orders": listed,
            "first": first,
            "object": step,
        }

    def judge(
        self,
        request: Mapping[str, Any],
        entries: list[dict[str, Any]],
        facts: Any,
        step: dict[str, Any],
        answers: list[dict[str, Any]],
    ) -> dict[str, Any]:
        found = judge(
            self.plan,
            steps.Request(**request),
            parse_entries(entries),
            facts,
            step["object"],
            steps.read_answers(answers),
        )
        return {
            "phase": found.phase,
            "about": dict(found.about),
            "message": found.message,
            "refuse": found.refuse,
        }
