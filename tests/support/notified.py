# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one after another, and what channels are sent after each."""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.notify import findings, plan, state
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import parse
from ansible_collections.day2.ops.plugins.plugin_utils.notify.words import Words

T0 = datetime(2026, 11, 21, 3, 15, tzinfo=timezone.utc)
CHAT = {"name": "chat", "kind": "slack", "url": "https://chat.example.com/hook"}
PAGER = {"name": "pager", "kind": "pagerduty", "routing_key": "R0"}
MAIL = {"name": "mail", "kind": "mail", "to": ["ops@example.com"]}


def row(check: str, status: str = "critical", message: str = "is bad", **more: Any) -> dict[str, Any]:
    return {"id": check, "title": check.title(), "probe": "disk", "status": status, "message": message, **more}


def report(hosts: dict[str, list[dict[str, Any]]], cadence: str = "daily", system: str = "shop") -> dict[str, Any]:
    entries = [
        {"host": name, "reachable": not any(each["id"] == "reachable" for each in rows), "results": rows}
        for name, rows in hosts.items()
    ]
    return {"system": system, "cadence": cadence, "run_id": "night-1", "hosts": entries}


GONE = row("reachable", "critical", "cannot be reached")


class Life:
    """Runs one after another. What is sent is delivered, unless the channel is in `broken`."""

    def __init__(self, *channels: dict[str, Any], **settings: Any) -> None:
        self.channels = parse(list(channels))
        self.settings = plan.Settings(**{"words": Words("Shop:"), **settings})
        self.state, self.now, self.notes = state.State(), T0, [""]
        self.broken: set[str] = set()

    def deliver(self, planned: plan.Plan) -> list[dict[str, Any]]:
        # What is stored between runs is JSON.
        self.state = state.from_dict(json.loads(json.dumps(planned.state.to_dict())))
        self.notes = planned.notes
        down: set[str] = set()
        for message in planned.messages:
            if message["channel"] not in down:
                works = message["channel"] not in self.broken
                self.state = plan.record(self.state, message["channel"], message["id"], works)
                down |= set() if works else {message["channel"]}
        return planned.messages

    def run(self, hosts: dict[str, list[dict[str, Any]]], hours: float = 1, **options: Any) -> list[dict[str, Any]]:
        maintenance = options.pop("maintenance", False)
        self.now += timedelta(hours=hours)
        seen = findings.read(report(hosts, **options))
        settings = dataclasses.replace(self.settings, maintenance=maintenance)
        return self.deliver(plan.plan_report(self.state, self.channels, seen, settings, self.now))

    def announce(self, title: str, hours: float = 0, maintenance: bool = False, **more: Any) -> list[dict[str, Any]]:
        self.now += timedelta(hours=hours)
        said = plan.Announcement(title, **{"text": "", "severity": "critical", **more})
        settings = dataclasses.replace(self.settings, maintenance=maintenance)
        return self.deliver(plan.plan_announcement(self.state, self.channels, "shop", said, settings, self.now))


def brief(messages: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(each["channel"], each["action"], each["dedup_key"]) for each in messages]
