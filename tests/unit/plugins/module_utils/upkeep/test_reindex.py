# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pass over indexes beside transactions of others, with a server that is made up and a clock that is injected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import psycopg2
import pytest
from ansible_collections.day2.ops.plugins.module_utils.upkeep.reindex import Pass


class _Timeout(psycopg2.OperationalError):
    pgcode = "55P03"


@dataclass
class Server:
    """Indexes a, b, c. `dumps` are pairs of owner and the time at which each ends; a lock is waited for `limit` s."""

    limit: float
    dumps: list[tuple[str, float]] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    visible_age: bool = True
    time: float = 100.0
    left: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    closed: int = 0
    path: str = "''"

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def running(self) -> list[str]:
        return [owner for owner, end in self.dumps if end > self.time]

    def cursor(self) -> Any:
        return _Cursor(self)

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        if "pg_locks l JOIN" in sql:
            return [(f"3/{owner}", owner, self.time if self.visible_age else None) for owner in self.running()]
        if "indisexclusion" in sql:
            return [] if "NOT pg_has_role" in sql else [(name, 1) for name in ("a", "b", "c")]
        if "NOT i.indisvalid" in sql:
            return [(name,) for name in self.left]
        if sql.startswith("SET search_path"):
            self.path = sql.rsplit(" ", 1)[1]
            return []
        # Functions of an index find what they find when a row is written; nothing else sees the site's search_path.
        assert (self.path == "DEFAULT") == sql.startswith("REINDEX")
        self.said.append(sql)
        name = sql.rsplit(" ", 1)[1]
        if self.running():
            self.time += self.limit
            if self.running():
                if sql.startswith("REINDEX"):
                    self.left.append(f"{name}_ccnew")
                raise _Timeout("canceling statement due to lock timeout")
        if name in self.broken:
            raise psycopg2.errors.UniqueViolation(self.broken[name])
        if sql.startswith("DROP"):
            self.left.remove(name)
        return []


class _Cursor:
    def __init__(self, server: Server) -> None:
        self.server = server

    def __enter__(self) -> _Cursor:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def execute(self, sql: str, _values: object = None) -> None:
        self.rows = self.server.execute(sql)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


def run(server: Server) -> tuple[Any, list[str]]:
    done = Pass(server, server.limit, server.now, server.sleep).run()
    return done, [sql.split()[0] + " " + sql.rsplit(" ", 1)[1] for sql in server.said]


def test_nobody_in_the_way() -> None:
    done, said = run(Server(5))
    assert (done.built, done.left, done.dropped) == (3, [], []) and said == ["REINDEX a", "REINDEX b", "REINDEX c"]


@pytest.mark.parametrize("end", [106.0, 108.0, 110.5])
def test_a_dump_that_ends_meanwhile_costs_one_wait(end: float) -> None:
    server = Server(5, [("pg_dump", end)], visible_age=False)
    done, said = run(server)
    assert done.built == 3 and done.left == [] and server.left == []
    assert done.dropped == ["a_ccnew"] and said.count("REINDEX a") == 2 and said.count("REINDEX b") == 1


def test_a_dump_that_never_ends_is_waited_for_a_few_times_whatever_the_number_of_indexes() -> None:
    server = Server(5, [("pg_dump (process 7)", 1e9)], visible_age=False)
    done, _said = run(server)
    assert done.built == 0 and server.time < 100 + 8 * 5
    assert done.left == [
        f"{name}: not reindexed, pg_dump (process 7) lasted longer than the lock timeout" for name in "abc"
    ]


def test_one_that_is_older_than_a_wait_leaves_no_copy_behind() -> None:
    server = Server(5, [("pg_dump", 1e9)])
    done, said = run(server)
    assert server.left == [] and said == [] and len(done.left) == 3


def test_an_index_that_cannot_be_built_ends_no_pass() -> None:
    done, _said = run(Server(5, broken={"b": 'could not create unique index "b_ccnew"\nDETAIL: Key (id)=(1)'}))
    assert done.built == 2 and done.left == ['b: not reindexed, could not create unique index "b_ccnew"']


def test_what_an_earlier_pass_left_goes_first() -> None:
    server = Server(5, left=["a_ccnew1", "b_ccold"])
    done, said = run(server)
    assert done.dropped == ["a_ccnew1", "b_ccold"] and said[:2] == ["DROP a_ccnew1", "DROP b_ccold"]


def test_a_connection_that_is_lost_ends_the_pass() -> None:
    class Lost(Server):
        def execute(self, sql: str) -> list[tuple[Any, ...]]:
            if sql.startswith("REINDEX"):
                self.closed = 1
                raise psycopg2.OperationalError("server closed the connection unexpectedly")
            return super().execute(sql)

    with pytest.raises(psycopg2.OperationalError, match="closed the connection"):
        run(Lost(5))
