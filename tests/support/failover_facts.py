# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan, and observations of its members, for tests of the failover's core."""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry
from ansible_collections.day2.ops.plugins.plugin_utils.failover import ballots
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import read_plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Orders, Request
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts, read_facts

HOSTS = {"db1": "10.0.0.1", "db2": "10.0.0.2", "db3": "10.0.0.3", "app1": "10.0.0.9", "app2": "10.0.0.10"}
PLAN: dict[str, Any] = {
    "database": "analytics",
    "members": ["db1", "db2", "db3"],
    "vantage_points": ["app1", "db2", "db3", "controller"],
    "journal_hosts": ["db2", "db3", "app1"],
    "fence": [
        {"kind": "service"},
        {"kind": "proxy"},
        {"kind": "command", "host": "app1", "argv": ["ipmi", "off"], "check": ["ipmi", "status"]},
    ],
    "traffic": [
        {"kind": "pgbouncer", "host": "app1", "databases": ["analytics"]},
        {"kind": "haproxy", "host": "app2", "servers": ["pg/primary"]},
    ],
    "application": {"role": "site.analytics", "entry_point": "moved", "hosts": ["app1"]},
    "verify": [{"id": "login", "title": "Login", "probe": "postgres"}],
    "backup": {"role": "site.backup"},
    "targets": {"rto": "30m", "rpo": "5m"},
}
SYSTEM = "7300000000000000001"


def plan(**changes: Any) -> Plan:
    raw = {**PLAN, **changes}
    return read_plan({name: value for name, value in raw.items() if value is not None}, HOSTS, "shop")


def request(run: str = "run1", epoch: int = 1, **more: Any) -> Request:
    return Request(run, epoch, **{"confirmed": True, "approvers": ("M. Anager",), **more})


def _common(host: str, **more: Any) -> dict[str, Any]:
    return {
        "reachable": True, "state": "running", "system_identifier": SYSTEM, "timeline": 3, "data": "/data",
        "unit": "postgresql@15-main", "unit_masked": False, "port": 5432, "disk_free": 10**10,
        "archiver": {"failing": False}, **more,
    }  # fmt: skip


def primary(host: str = "db1", **more: Any) -> dict[str, Any]:
    return _common(host, **{"role": "primary", "in_recovery": False, "lsn": "0/5000100", **more})


def stopped(host: str = "db1", **more: Any) -> dict[str, Any]:
    return primary(host, **{"state": "stopped", "in_recovery": None, "lsn": "0/5000000", **more})


def standby(
    host: str = "db2", lsn: str = "0/5000000", upstream: str = "db1", age: float = 20.0, **more: Any
) -> dict[str, Any]:
    follows = {"host": upstream, "port": 5432, "status": "streaming", "last_message_age": age}
    return _common(
        host, **{
            "role": "standby", "in_recovery": True, "received_lsn": lsn, "replayed_lsn": lsn, "replayable": True,
            "replay_paused": False, "apply_delay": 0, "upstream": follows, **more,
        }
    )  # fmt: skip


GONE: dict[str, Any] = {"reachable": False}


def facts(
    verdict: str = "refused",
    seen: int | None = None,
    points: dict[str, Any] | None = None,
    promised: dict[str, Any] | None = None,
    **views: Any,
) -> Facts:
    """Everybody finds db1 so; db2 and db3 are standbys unless said otherwise, and db1 is out of reach."""
    all_views = {"db1": GONE, "db2": standby("db2"), "db3": standby("db3"), **views}
    liveness = {
        point: {"db1": verdict, "db2": "answers", "db3": "answers"} for point in ("app1", "db2", "db3", "controller")
    }
    return read_facts(all_views, {**liveness, **(points or {})}, promised, seen)


def points(**verdicts: str) -> dict[str, Any]:
    """What vantage points say of db1; those that are not named say nothing."""
    said = {point: {} for point in ("app1", "db2", "db3", "controller")}
    return {"points": {**said, **{point: {"db1": verdict} for point, verdict in verdicts.items()}}}


class Journal:
    """Entries as a driver writes them."""

    def __init__(self, entries: tuple[Entry, ...] = ()) -> None:
        self.entries = list(entries)

    def add(self, who: Request, step: str, phase: str, host: str | None, about: Any) -> None:
        at = f"2026-11-30T10:00:{len(self.entries) % 60:02d}Z"
        self.entries.append(ballots.next_entry(self.entries, who.epoch, who.run, step, phase, host, about, at))

    def begin(self, who: Request, orders: Orders) -> None:
        for about in orders.overrides:
            self.add(who, orders.step, "overridden", orders.host, about)
        self.add(who, orders.step, "intent", orders.host, orders.about)
