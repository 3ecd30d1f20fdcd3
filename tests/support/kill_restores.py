# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of restores that replace a database, in a host: `kill_restores.py runs SEED KILLS`. Prints JSON.

A client asks the live name all the time. Whenever it gets no answer, pg_database is asked whether the name is there.
After each kill the database of that name is whole, and the next run, or a revert, finishes and leaves nothing.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from kill_runs import BASE, ORPHANS, TABLES, Fault, Scenario, call, kill_one, session, sql

DATABASE = "day2_kills_live"
# What the name answers is the database of the set, or the one that was live.
SET, LIVE = "of the set", "live"
ORIGIN = f"CREATE TABLE origin (words text); INSERT INTO origin VALUES ('{SET}')"
CONTENTS = """
SELECT (SELECT words FROM origin) || ' ' || (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM wide t)
    || (SELECT md5(string_agg(t::text, ',' ORDER BY a)) FROM small t) || (SELECT last_value FROM tickets)
"""
# The module at any moment, its programs, and the module in the statements that make and exchange databases.
STATEMENTS = {"create": "CREATE DATABASE%", "mark": "COMMENT ON DATABASE%", "swap": "ALTER DATABASE%RENAME%"}
VICTIMS = ("module", "pg_restore", "zstd", "vacuumdb", *STATEMENTS)
WAYS = ("present", "reverted")
BESIDE = f"SELECT datname FROM pg_database WHERE datname LIKE '{DATABASE}%' AND datname <> '{DATABASE}'"


class Client:
    """Asks the live name as an application does, with a connection for every question."""

    def __init__(self) -> None:
        self.answers, self.refused, self.gone = Counter[str](), 0, 0
        self.longest, self._answered = 0.0, time.monotonic()

    def ask(self, there: Any) -> None:
        try:
            connection = psycopg2.connect(dbname=DATABASE)
        except psycopg2.OperationalError:
            self.refused += 1
            with there.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM pg_database WHERE datname = %s", (DATABASE,))
                self.gone += cursor.fetchone()[0] != 1
            return
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT words FROM origin")
                self.answers[str(cursor.fetchone()[0])] += 1
        except psycopg2.OperationalError:
            self.refused += 1
            return
        finally:
            connection.close()
        now = time.monotonic()
        self.longest, self._answered = max(self.longest, now - self._answered), now


@contextmanager
def client() -> Iterator[Client]:
    asking, done, faults = Client(), threading.Event(), list[Exception]()
    there = psycopg2.connect(dbname="postgres")
    there.autocommit = True

    def work() -> None:
        try:
            while not done.wait(0.03):
                asking.ask(there)
        except (psycopg2.Error, OSError) as exc:
            faults.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield asking
    finally:
        done.set()
        thread.join()
        there.close()
    if faults:
        raise Fault(f"the client: {faults[0]!r}")
    if asking.gone:
        raise Fault(f"{DATABASE} was gone {asking.gone} times")


def arrange() -> Scenario:
    call("rm", "-rf", str(BASE))
    (BASE / "scratch").mkdir(parents=True)
    for name in [DATABASE, *beside()]:
        sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
    sql(f"CREATE DATABASE {DATABASE}")
    sql(TABLES + ORIGIN, DATABASE)
    place = {"repository": str(BASE / "sets")}
    backup = Scenario("pg_backup", {"databases": [DATABASE], "split_above": "512kB", **place}, ())
    run_whole(backup)
    restore = {"database": DATABASE, "mode": "replace", "scratch": str(BASE / "scratch"), "jobs": 2, **place}
    return Scenario("pg_restore", restore, VICTIMS)


def beside() -> list[str]:
    return sql(BESIDE).split()


def run_whole(scenario: Scenario) -> dict[str, Any]:
    """The result of a run that is not killed."""
    begun = time.monotonic()
    said, _nothing = scenario.start().communicate()
    scenario.seconds = time.monotonic() - begun
    outcome: dict[str, Any] = json.loads(said.strip().split("\n")[-1])
    return outcome


def kill_in(scenario: Scenario, like: str, chance: random.Random) -> bool:
    """Kill the module while the server runs a statement, or up to 30 ms later. False: it was not seen."""
    running = scenario.start()
    seen = False
    watching = psycopg2.connect(dbname="postgres")
    watching.autocommit = True
    query = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'day2.ops' AND query LIKE %s"
    with watching.cursor() as cursor:
        while running.poll() is None and not seen:
            cursor.execute(query, (like,))
            seen = cursor.fetchone() is not None
    watching.close()
    if seen:
        with suppress(Exception):
            running.wait(chance.random() * 0.03)
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    until(lambda: not session(running.pid), "processes of the killed run are still there")
    return seen and running.returncode == -signal.SIGKILL


def until(settled: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + ORPHANS
    while not settled():
        if time.monotonic() > end:
            raise Fault(otherwise)
        time.sleep(0.02)


def look(contents: dict[str, str], wanted: Sequence[str]) -> str:
    """Whose contents the live name has: whole, and one of these."""
    found = sql(CONTENTS, DATABASE)
    origin = next((name for name, rows in contents.items() if rows == found), None)
    if origin not in wanted:
        raise Fault(f"{DATABASE} has {found}, which is not {' or '.join(wanted)}")
    return str(origin)


def finish(scenario: Scenario, contents: dict[str, str], way: str, origin: str) -> None:
    """The next run, or a revert; then nothing is left but what was replaced."""
    before = len([name for name in beside() if "_old_" in name])
    outcome = run_whole(Scenario("pg_restore", {**scenario.arguments, "state": way}, ()))
    nothing = way == "reverted" and origin == LIVE and "nothing to go back to" in outcome["msg"]
    if outcome.get("failed") and not nothing:
        raise Fault(f"the next run ({way}): {outcome['msg']}")
    look(contents, [SET if way == "present" else LIVE])
    left = beside()
    if [name for name in left if name.endswith("_restoring")]:
        raise Fault(f"left after {way}: {left}")
    olds = len([name for name in left if "_old_" in name])
    if way == "present" and olds != before + 1:
        raise Fault(f"{before} replaced databases became {olds}: {left}")
    if list((BASE / "scratch").iterdir()):
        raise Fault("a scratch file is left")
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'day2.ops'"
    until(lambda: sql(query) == "0", "sessions of a killed run are still there")


def again() -> None:
    """The live database as before, and none beside it."""
    for name in beside():
        sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    sql(f"UPDATE origin SET words = '{LIVE}'", DATABASE)


def runs(seed: int, wanted: int) -> dict[str, Any]:
    chance, victims, missed, swapped = random.Random(seed), Counter[str](), 0, 0
    faults: list[str] = []
    left: list[tuple[str, str]] = []
    scenario = arrange()
    of_set = sql(CONTENTS, DATABASE)
    again()
    contents = {SET: of_set, LIVE: sql(CONTENTS, DATABASE)}
    finish(scenario, contents, "present", LIVE)
    again()
    deck = [(victim, way) for victim in VICTIMS for way in WAYS]
    with client() as asking:
        while victims.total() < wanted and len(faults) < 5:
            # Every one is drawn before any is drawn again.
            left = left if left else chance.sample(deck, len(deck))
            victim, way = left.pop()
            try:
                if victim in STATEMENTS:
                    killed = kill_in(scenario, STATEMENTS[victim], chance)
                else:
                    killed = kill_one(scenario, victim, chance)
                missed += not killed
                victims[victim] += killed
                origin = look(contents, [SET, LIVE])
                swapped += origin == SET
                finish(scenario, contents, way, origin)
            except Fault as exc:
                faults.append(f"kill {victims.total()} ({victim}, then {way}): {exc}")
            again()
    for name in [DATABASE, *beside()]:
        sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    call("rm", "-rf", str(BASE))
    return {
        "seed": seed,
        "kills": victims.total(),
        "victims": dict(victims),
        "missed": missed,
        "swapped": swapped,
        "answers": dict(asking.answers),
        "refused": asking.refused,
        "longest": round(asking.longest, 3),
        "faults": faults,
    }


if __name__ == "__main__":
    print(json.dumps(runs(int(sys.argv[2]), int(sys.argv[3]))))
