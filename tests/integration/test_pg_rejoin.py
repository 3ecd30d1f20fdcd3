# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real old primaries become standbys again; psql and pg_waldump are asked what became of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from standby_group import PASSFILE, PASSWORD, PORTS, StandbyGroup, standby_group_on

EVIDENCE = "/var/lib/day2/dr-test-rejoined"
RIGHTS = (
    "pg_ls_dir(text, boolean, boolean)",
    "pg_stat_file(text, boolean)",
    "pg_read_binary_file(text)",
)
LOGIN = {"user": "replicator", "passfile": PASSFILE}


@pytest.fixture(scope="module")
def group(lab_host: Any) -> Iterator[StandbyGroup]:
    with standby_group_on(lab_host) as made:
        for user in ("rewinder", "weak"):
            lab_host.run("sh", "-c", f"printf '127.0.0.1:*:*:{user}:%s\\n' {PASSWORD} >> {PASSFILE}")
        made.sql("dra", f"CREATE ROLE rewinder SUPERUSER LOGIN PASSWORD '{PASSWORD}'")
        made.sql("dra", f"CREATE ROLE weak LOGIN PASSWORD '{PASSWORD}'")
        for function in RIGHTS:
            made.sql("dra", f"GRANT EXECUTE ON FUNCTION {function} TO weak")
        made.clone("drb")
        yield made
        lab_host.run("sh", "-c", f"rm -rf {EVIDENCE} /var/lib/postgresql/15/dr?.*")


def rejoin(group: StandbyGroup, name: str, primary: str, check_mode: bool = False, **changes: Any) -> Any:
    asked = {
        "data": group.data(name), "primary": {"host": "127.0.0.1", "port": PORTS[primary]}, "login": LOGIN,
        "rewind_login": {**LOGIN, "user": "rewinder"}, "slot": name, "evidence": EVIDENCE,
    }  # fmt: skip
    return group.call("pg_rejoin", check_mode, **{**asked, **changes})


def fail_over(group: StandbyGroup, old: str, new: str) -> None:
    """The old primary crashes and is fenced; the other one is promoted."""
    group.killed(old)
    fenced = group.call("dr_fence", kind="service", data=group.data(old), limit="30s")
    assert fenced["proven"], fenced
    identifier, timeline = group.identifier(new), group.info(new)["timeline"]
    asked = {"data": group.data(new), "system_identifier": identifier, "expected_timeline": timeline}
    assert group.call("pg_promote", **asked)["changed"]


def diverge(group: StandbyGroup, old: str, new: str) -> None:
    """The old primary commits what the other one never receives."""
    group.caught_up(new, of=old)
    group.systemctl("stop", new)
    group.sql(old, "INSERT INTO rows SELECT generate_series(1, 500)")
    group.sql(old, "INSERT INTO rows VALUES (501)")
    group.killed(old)
    group.systemctl("start", new)
    group.ready(new)
    fail_over(group, old, new)


def enabled(group: StandbyGroup, name: str) -> str:
    return str(group.host.run("systemctl", "is-enabled", f"postgresql@15-{name}", check=False))


def test_a_primary_that_runs_is_left_alone(group: StandbyGroup) -> None:
    refused = rejoin(group, "dra", "drb")
    assert refused["failed"] and "runs as a primary on timeline 1: fence it" in refused["msg"], refused


def test_one_that_nobody_has_replaced_is_left_alone(group: StandbyGroup) -> None:
    group.systemctl("stop", "dra")
    refused = rejoin(group, "dra", "drb")
    assert refused["failed"] and "nobody was promoted since" in refused["msg"], refused
    assert group.host.run("find", group.data("dra"), "-name", "standby.signal") == ""
    group.systemctl("start", "dra")
    group.streams("drb", "dra")


def test_what_only_the_old_primary_had_is_named_kept_and_taken_back(group: StandbyGroup) -> None:
    group.set("dra", "work_mem", "5MB")
    diverge(group, "dra", "drb")
    planned = rejoin(group, "dra", "drb", check_mode=True)
    assert (planned["changed"], planned["method"], planned["divergence"]["transactions"]) == (True, "rewind", 2), (
        planned
    )
    assert enabled(group, "dra") == "masked" and group.info("dra")["state"] == "stopped"
    assert group.host.run("sh", "-c", f"ls -d {EVIDENCE}*", check=False) == ""

    done = rejoin(group, "dra", "drb")
    assert (done.get("changed"), done["method"], done["timeline"]) == (True, "rewind", 2), done
    found = done["divergence"]
    assert found["transactions"] == 2 and found["tables"] == ["postgres: rows"] and found["bytes"] > 0, found
    assert json.loads(group.host.run("cat", f"{found['kept']}/divergence.json"))["transactions"] == 2
    read = (
        f"cd {found['kept']}/wal && pg_waldump -p . -t 1 -s {found['fork_lsn']} -e {found['end_lsn']} | grep -c COMMIT"
    )
    assert group.host.run("sh", "-c", f"PATH=/usr/lib/postgresql/15/bin:$PATH; {read}") == "2"
    group.streams("dra", "drb")
    group.sql("drb", "INSERT INTO rows VALUES (7)")
    group.caught_up("dra", of="drb")
    assert group.sql("dra", "SELECT string_agg(n::text, ',') FROM rows") == "7"
    assert group.sql("dra", "SHOW work_mem") == "5MB"
    assert group.sql("drb", "SELECT slot_name, active FROM pg_replication_slots") == "dra|t"
    assert enabled(group, "dra") != "masked"
    again = rejoin(group, "dra", "drb")
    assert again["changed"] is False, again
    assert group.host.run("sh", "-c", "ls -d /var/lib/postgresql/15/dra*") == group.data("dra")


def test_one_that_has_nothing_more_starts_as_it_is(group: StandbyGroup) -> None:
    group.caught_up("dra", of="drb")
    fail_over(group, "drb", "dra")
    done = rejoin(group, "drb", "dra")
    assert (done.get("changed"), done["method"], done["divergence"]["bytes"]) == (True, "follow", 0), done
    group.streams("drb", "dra")


def test_a_rewind_that_fails_in_the_middle_is_replaced_and_nothing_is_lost(group: StandbyGroup) -> None:
    diverge(group, "dra", "drb")
    group.sql("drb", "CHECKPOINT")
    failed = rejoin(group, "dra", "drb", rewind_login={**LOGIN, "user": "weak"})
    assert failed["failed"] and "pg_rewind failed" in failed["msg"], failed
    # What is half one server and half the other starts as neither.
    assert enabled(group, "dra") == "masked"
    refused = rejoin(group, "dra", "drb", method="rewind")
    assert refused["failed"] and "has not ended" in refused["msg"], refused
    done = rejoin(group, "dra", "drb")
    assert (done.get("changed"), done["method"]) == (True, "base_backup"), done
    group.streams("dra", "drb")
    assert group.sql("dra", "SHOW work_mem") == "5MB"
    assert group.host.run("cat", f"{done['kept']}/PG_VERSION") == "15"
    # What only it had was reported by the first call, and is kept.
    kept = group.host.run("sh", "-c", f"cat $(ls -d {EVIDENCE}/* | tail -n 1)/divergence.json")
    assert json.loads(kept)["transactions"] == 2
    said = group.host.run("sh", "-c", "cat /var/log/postgresql/postgresql-15-dr*.log") + json.dumps([failed, done])
    assert PASSWORD not in said


def test_a_login_that_is_refused_changes_nothing(group: StandbyGroup) -> None:
    group.systemctl("stop", "dra")
    refused = rejoin(group, "dra", "drb", login={"user": "nobody_here"})
    assert refused["failed"] and "nothing was changed" in refused["msg"], refused
    other = rejoin(group, "dra", "drb", system_identifier="7")
    assert other["failed"] and "another cluster" in other["msg"], other
    late = rejoin(group, "dra", "drb", expected_timeline=9)
    assert late["failed"] and "expected 9" in late["msg"], late
    done = rejoin(group, "dra", "drb")
    assert done.get("method") == "follow", done
