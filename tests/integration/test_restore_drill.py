# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Drills on a lab host: which set, what is measured, what a failure means, and that nothing stays."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from lab.waiting import wait_for

REPOSITORY = "/var/lib/postgresql/day2-drill-sets"
ROWS = """
CREATE ROLE clerk;
CREATE TABLE orders (id int PRIMARY KEY, at timestamptz NOT NULL);
INSERT INTO orders SELECT n, now() - n * interval '1 minute' FROM generate_series(10, 500) n;
ALTER TABLE orders OWNER TO clerk;
CREATE EXTENSION postgres_fdw;
CREATE SERVER other FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1');
CREATE USER MAPPING FOR clerk SERVER other OPTIONS (user 'x', password 'fictional');
CREATE PUBLICATION changes FOR ALL TABLES;
COMMENT ON PUBLICATION changes IS 'left out with it';
"""


class Site:
    """A small database, its sets, and the module."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def backup(self, **arguments: Any) -> str:
        call = {"databases": ["drilled"], "repository": REPOSITORY, **arguments}
        made = self.host.task("day2.ops.pg_backup", call, become_user="postgres")
        assert made["made"], made
        return str(made["set"]["id"])

    def drill(self, check_mode: bool = False, by_ansible: bool = False, **arguments: Any) -> Any:
        call = {"database": "drilled", "repository": REPOSITORY, "newest_row": "SELECT max(at) FROM orders"}
        how = {"become_user": "postgres", "check_mode": check_mode, "by_ansible": by_ansible}
        return self.host.task("day2.ops.restore_drill", {**call, **arguments}, **how)

    def state(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.host.run("cat", f"{REPOSITORY}/postgresql/{name}/state.json"))
        return found

    def nothing_stays(self) -> None:
        assert self.host.run("sh", "-c", "ls -d /tmp/day2-drill-* 2>/dev/null | wc -l") == "0"
        assert self.host.run("sh", "-c", "ps -eo args | grep '[d]ay2-drill-' | wc -l") == "0"
        assert self.host.sql("SELECT count(*) FROM pg_database WHERE datname ~ 'day2_drill'", "postgres") == "0"


@pytest.fixture
def site(lab_host: Any) -> Iterator[Site]:
    lab_host.run("rm", "-rf", REPOSITORY)
    lab_host.sql("DROP DATABASE IF EXISTS drilled WITH (FORCE)", "postgres")
    lab_host.sql("DROP ROLE IF EXISTS clerk", "postgres")
    lab_host.sql("CREATE DATABASE drilled", "postgres")
    lab_host.sql(ROWS, "drilled")
    yield Site(lab_host)
    lab_host.sql("DROP DATABASE drilled WITH (FORCE)", "postgres")
    lab_host.sql("DROP ROLE IF EXISTS clerk", "postgres")
    lab_host.run("rm", "-rf", REPOSITORY)


@pytest.mark.parametrize("place", ["cluster", "database"])
def test_a_set_is_proven(site: Site, place: str) -> None:
    name = site.backup()
    expect = [{"query": "SELECT count(*) FROM orders", "result": "491"}]
    done = site.drill(place=place, rto="30m", rpo="1h", expect=expect)
    assert done["changed"] and not done.get("failed"), done
    (drilled,) = done["drills"]
    assert drilled["proven"] and drilled["rto"] > 0
    state = site.state(name)
    assert state["proven"]["by"] == "drill" and state["proven"]["rto"] == drilled["rto"]
    # From the newest row to the drill's start, by the clock of one host.
    newest = float(site.host.sql("SELECT extract(epoch FROM max(at)) FROM orders", "drilled"))
    assert drilled["rpo"] == pytest.approx(state["proven_at"] - drilled["rto"] - newest, abs=0.01)
    (line,) = done["steps"]
    assert line["status"] == "ok" and "target 30 min" in line["message"].replace("30m", "30 min"), line
    site.nothing_stays()


def test_the_set_without_a_proof_comes_first(site: Site) -> None:
    first, second = site.backup(), site.backup()
    order = [site.drill()["drills"][0]["id"] for _time in range(3)]
    assert order == [second, first, second]
    assert site.drill(check_mode=True)["msg"] == f"would restore {first}"


def test_a_target_that_is_missed_fails(site: Site) -> None:
    name = site.backup()
    done = site.drill(rpo="5m")
    assert done["failed"] and "RPO" in done["msg"], done
    assert done["steps"][0]["status"] == "critical" and "over the target" in done["steps"][0]["evidence"][0]
    # It restores all the same.
    assert site.state(name)["proven_at"] is not None


def test_a_damaged_set_is_marked(site: Site) -> None:
    name = site.backup()
    path = f"{REPOSITORY}/postgresql/{name}/db001/main.dump.zst"
    site.host.run("sh", "-c", f"printf 'XXXX' | dd of={path} bs=1 seek=900 conv=notrunc status=none")
    done = site.drill()
    assert done["failed"] and done["drills"][0]["damaged"], done
    assert site.state(name)["damaged"] and site.state(name)["proven_at"] is None
    site.nothing_stays()


def test_a_set_without_its_file_is_marked_and_reported_once(site: Site) -> None:
    first, second = site.backup(), site.backup()
    site.host.run("rm", f"{REPOSITORY}/postgresql/{second}/db001/main.dump.zst")
    site.drill(check_mode=True)
    assert site.state(second)["damaged"] is None
    done = site.drill()
    assert done["failed"] and [(drill["id"], drill["proven"]) for drill in done["drills"]] == [
        (second, False),
        (first, True),
    ], done
    reason = "db001/main.dump.zst is missing"
    assert f"{second} is no proof: {reason}" in done["msg"] and site.state(second)["damaged"] == reason
    assert [drill["id"] for drill in site.drill()["drills"]] == [first]
    # By its id it is taken, and there is nothing to restore.
    again = site.drill(source=second)
    assert again["failed"] and again["drills"][0]["failure"] == reason
    site.host.run("truncate", "-s", "10", f"{REPOSITORY}/postgresql/{first}/globals.sql.zst")
    cut = site.drill()
    assert cut["failed"] and "globals.sql.zst has 10 of " in site.state(first)["damaged"]
    nothing = site.drill()
    assert nothing["failed"] and "every set with drilled is damaged" in nothing["msg"], nothing
    site.nothing_stays()


def test_a_failure_that_is_not_the_sets_fault_is_not_recorded_in_it(site: Site) -> None:
    name = site.backup()
    done = site.drill(disk_budget="1MB")
    assert done["failed"] and not done["drills"][0]["damaged"]
    wrong = site.drill(bin_dir="/nonexistent")
    assert wrong["failed"] and "not installed in /nonexistent" in wrong["msg"]
    state = site.state(name)
    assert state["damaged"] is None and state["proven_at"] is None


def test_a_scratch_directory_that_cannot_be_used(site: Site) -> None:
    name = site.backup()
    for place, words in (("/root", "(Permission denied): give one to which"), ("/nonexistent", "does not exist")):
        done = site.drill(scratch=place)
        assert done["failed"] and place in done["msg"] and words in done["msg"], done
        assert not done["drills"][0]["damaged"]
    assert site.state(name)["damaged"] is None


def test_a_disk_budget_counts_more_than_the_database(site: Site) -> None:
    site.backup()
    size = int(site.host.sql("SELECT pg_database_size('drilled')", "postgres"))
    done = site.drill(disk_budget=str(size * 2))
    assert done["failed"] and "WAL" in done["msg"] and "archive unpacked" in done["msg"], done
    assert site.drill(disk_budget="1GB")["drills"][0]["proven"]


def test_a_first_drill_that_would_end_too_late_is_put_off(site: Site) -> None:
    name = site.backup()
    done = site.drill(time_budget="1ms")
    assert not done["changed"] and not done.get("failed") and done["drills"] == [], done
    assert done["steps"][0]["status"] == "warning" and "the time in which it was made" in done["msg"]
    assert site.state(name)["proven_at"] is None


def test_a_verdict_of_damage_is_taken_back_by_a_drill(site: Site) -> None:
    name = site.backup()
    path = f"{REPOSITORY}/postgresql/{name}/db001/main.dump.zst"
    site.host.run("cp", "-p", path, "/tmp/whole")
    site.host.run("sh", "-c", f"printf 'XXXX' | dd of={path} bs=1 seek=900 conv=notrunc status=none")
    assert site.drill()["drills"][0]["damaged"]
    site.host.run("cp", "-p", "/tmp/whole", path)
    # Nobody takes it before that, but for a drill that names it.
    refused = site.drill()
    assert refused["failed"] and f"every set with drilled is damaged ({name}" in refused["msg"], refused
    done = site.drill(source=name)
    assert done["drills"][0]["proven"], done
    state = site.state(name)
    assert state["damaged"] is None and state["proven_at"] is not None
    assert [entry["found"] for entry in state["history"]] == ["damaged", "whole"]


def test_a_proof_is_noted_at_the_copy_too(site: Site) -> None:
    copy = f"{REPOSITORY}-copy"
    site.host.run("rm", "-rf", copy)
    try:
        name = site.backup(copy_to=copy)
        done = site.drill(copy_to=copy)
        assert done["drills"][0]["proven"], done
        states = [site.state(name), json.loads(site.host.run("cat", f"{copy}/postgresql/{name}/state.json"))]
        assert states[0]["proven_at"] is not None and states[1]["proven_at"] == states[0]["proven_at"]
        # One that does not answer changes nothing about the drill.
        site.host.run("rm", "-rf", copy)
        site.host.run("touch", copy)
        done = site.drill(copy_to=copy)
        assert done["drills"][0]["proven"] and "not known at" in str(done["steps"][0]["evidence"]), done
    finally:
        site.host.run("rm", "-rf", copy)


def test_a_killed_drill_is_cleared_by_the_next(site: Site) -> None:
    site.backup()
    site.host.run("runuser", "-u", "postgres", "--", "sh", "-c", "mkdir -m 700 /tmp/day2-drill-dead; "
                  "mkdir /tmp/day2-drill-dead/data; : > /tmp/day2-drill-dead/in-use")  # fmt: skip
    assert site.drill()["drills"][0]["proven"]
    site.nothing_stays()


def test_an_answer_that_differs_condemns_no_set(site: Site) -> None:
    name = site.backup()
    done = site.drill(expect=[{"query": "SELECT count(*) FROM orders", "result": "490", "title": "orders"}])
    assert done["failed"] and "orders: the answer is '491' instead of '490'" in done["msg"], done
    typo = site.drill(expect=[{"query": "SELECT count(*) FROM order", "result": "491"}])
    assert typo["failed"] and "syntax error" in typo["msg"]
    state = site.state(name)
    assert state["damaged"] is None and state["proven_at"] is None
    # Answers of every kind, as psql prints them; a query may end in a comment.
    expect = [
        {"query": "SELECT true AS answer -- yes", "result": "t"},
        {"query": "SELECT NULL::int;", "result": ""},
        {"query": "SELECT ARRAY['a,b', 'c\"d']", "result": '{"a,b","c\\"d"}'},
        {"query": "SELECT '50 %s'", "result": "50 %s"},
    ]
    assert site.drill(expect=expect)["drills"][0]["proven"]
    site.nothing_stays()


def test_a_wrong_key_condemns_no_set(site: Site) -> None:
    site.host.run(
        "sh", "-euc", "for k in right wrong; do rm -f /tmp/$k; age-keygen -o /tmp/$k; chmod 644 /tmp/$k; done"
    )
    call = {"encrypt_to": [site.host.run("age-keygen", "-y", "/tmp/right")], "identity": "/tmp/right"}
    name = site.backup(**call)
    done = site.drill(identity="/tmp/wrong")
    assert done["failed"] and "age failed" in done["msg"] and not done["drills"][0]["damaged"], done
    assert site.state(name)["damaged"] is None
    assert site.drill(identity="/tmp/right")["drills"][0]["proven"]


def test_a_drill_that_is_killed(site: Site) -> None:
    """Its server ends with it, and the next drill removes its directory."""
    site.backup()
    shared = site.host.run("sh", "-c", "ls /dev/shm | wc -l")
    outcome: dict[str, Any] = {}
    asked = [{"query": "SELECT pg_sleep(300)::text", "result": ""}]
    thread = threading.Thread(target=lambda: outcome.update(site.drill(expect=asked, by_ansible=True)))
    thread.start()

    def servers() -> str:
        """Of the scratch cluster, with what it is asked."""
        return str(
            site.host.run("sh", "-c", "ps -eo args | grep '[p]ostgres.*day2-drill\\|[d]ay2_drill.*SELECT' | cat")
        )

    try:
        wait_for(servers, lambda seen: "day2-drill-" in seen and "day2_drill" in seen, 60, "the site's question")
    finally:
        site.host.run("sh", "-c", "kill -KILL $(pgrep -u postgres -x python3)")
        thread.join()
    assert outcome["failed"]
    wait_for(servers, lambda seen: not seen, 20, "the end of the scratch cluster")
    assert site.host.run("sh", "-c", "ls -d /tmp/day2-drill-*") != ""
    assert site.drill()["drills"][0]["proven"]
    site.nothing_stays()
    assert site.host.run("sh", "-c", "ls /dev/shm | wc -l") == shared
