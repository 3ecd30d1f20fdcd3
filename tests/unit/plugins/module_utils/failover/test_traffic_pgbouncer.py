# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order PgBouncer is told to cut databases off."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import pgbouncer
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import NOWHERE, TrafficError, Wish
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.pgbouncer import PgBouncer

OPTIONS = {"databases": ["shop", "audit"], **dict.fromkeys(("config", "admin_host", "admin_port", "admin_user",
                                                            "admin_password"))}  # fmt: skip


class FakeConsole:
    """Clients are logging in until somebody has looked so often."""

    def __init__(self, looks: int = 0, fails: str = "") -> None:
        self.said: list[str] = []
        self._looks, self._fails = looks, fails

    def ask(self, command: str, limit: float) -> list[dict[str, str]]:
        self.said.append(command)
        if self._fails and command.startswith(self._fails):
            raise TrafficError(command)
        if command == "SHOW LISTS":
            self._looks -= 1
            return [{"list": "login_clients", "items": "2" if self._looks >= 0 else "0"}]
        if command == "SHOW SERVERS":
            rows = [("shop", "127.0.0.1", 1), ("shop", "10.0.0.1", 5432), ("other", "10.0.0.1", 5432)]
            return [{"database": name, "addr": addr, "port": str(port)} for name, addr, port in rows]
        return []


def pooler(console: FakeConsole) -> PgBouncer:
    made = PgBouncer(OPTIONS, Wish(None, None, cut=True, limit=1.0))
    made.console = console  # type: ignore[assignment]
    return made


def test_nobody_logs_in_while_a_database_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgbouncer, "_LOGINS", 5.0)
    console = FakeConsole(looks=2)
    pooler(console)._kill(["shop", "audit"])
    assert console.said == [
        'DISABLE "shop"', 'DISABLE "audit"', "SHOW LISTS", "SHOW LISTS", "SHOW LISTS", 'KILL "shop"', 'KILL "audit"',
        'ENABLE "shop"', 'ENABLE "audit"',
    ]  # fmt: skip


def test_logins_that_do_not_end_keep_no_fence_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgbouncer, "_LOGINS", 0.1)
    console = FakeConsole(looks=1000)
    pooler(console)._kill(["shop"])
    assert console.said[-2:] == ['KILL "shop"', 'ENABLE "shop"']


def test_a_database_is_enabled_again_whatever_happens() -> None:
    console = FakeConsole(fails="KILL")
    with pytest.raises(TrafficError):
        pooler(console)._kill(["shop"])
    assert console.said[-1] == 'ENABLE "shop"'


def test_nothing_is_told_where_nothing_is_cut() -> None:
    console = FakeConsole()
    pooler(console)._kill([])
    assert console.said == []


def test_a_connection_that_comes_to_no_server_is_none() -> None:
    found: list[Any] = pooler(FakeConsole())._stale()
    assert found == ["shop has a connection to 10.0.0.1:5432"] and NOWHERE.port == 1
