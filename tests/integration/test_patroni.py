# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Failovers of members of a real Patroni with a real etcd: it is asked once, and its own failovers are adopted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from failover_site import END_POOLER, START_POOLER, SYSTEM, FailoverSite
from patroni_group import PASSWORD, PASSWORD_FILE, PORTS, USER, PatroniGroup, patroni_group_on

CONFIRMED = {"day2_dr_confirm": SYSTEM}


class PatroniSite(FailoverSite):
    """`pta` leads at first; applications reach it through `app`'s PgBouncer."""

    ports = PORTS

    def plan(self, **changes: Any) -> dict[str, Any]:
        members = [
            {"host": name, "address": "127.0.0.1", "port": port, "manager_port": port + 100}
            for name, port in PORTS.items()
        ]
        manager = {"kind": "patroni", "username": USER, "password_file": PASSWORD_FILE, "limit": "1m"}
        made = super().plan(members=members, manager=manager, **changes)
        return {name: value for name, value in made.items() if name != "fence"}

    def asked(self) -> int:
        """How often Patroni was asked to fail over, by its own log."""
        since = f"--since=@{self.group.began}"
        said = str(self.host.run("journalctl", "--no-pager", "-o", "cat", since, "-u", "patroni@*"))
        return said.count("received failover request")


@pytest.fixture(scope="module")
def group(lab_host: Any) -> Iterator[PatroniGroup]:
    lab_host.run("rm", "-rf", "/var/lib/day2/dr")
    with patroni_group_on(lab_host) as made:
        made.sql("pta", "CREATE TABLE rows (n int)")
        lab_host.run("sh", "-euc", START_POOLER, "sh", str(PORTS["pta"]))
        try:
            yield made
        finally:
            lab_host.run("sh", "-c", END_POOLER, check=False)


@pytest.fixture
def site(group: PatroniGroup, tmp_path: Path) -> PatroniSite:
    return PatroniSite(group.host, group, tmp_path)


def patroni(group: PatroniGroup, name: str, **arguments: Any) -> Any:
    given = {"rest_port": PORTS[name] + 100, "username": USER, "password_file": PASSWORD_FILE, **arguments}
    return group.host.task("day2.ops.dr_patroni", given, become_user="root", by_ansible=True)


def test_a_leader_that_is_well_is_left_alone(site: PatroniSite) -> None:
    found = patroni(site.group, "ptb")["cluster"]
    assert (found["answered"], found["leader"], found["paused"]) == (True, "pta-member", False), found
    assert [(member["host"], member["port"]) for member in found["members"]] == [
        ("127.0.0.1", port) for port in PORTS.values()
    ]
    assert (found["maximum_lag"], found["synchronous"], found["ttl"]) == (1048576, False, 30)
    member = site.host.direct.answer("pg_standby_info", {"port": PORTS["ptb"]}, "root")
    assert (member["managed_by"], member["role"]) == ("patroni", "standby"), member
    assert member["data"] == "/var/lib/postgresql/15/ptb", member
    refused = patroni(site.group, "ptb", state="failed_over", candidate="ptb-member", expected_timeline=1)
    assert refused["failed"] and refused["elsewhere"] == "pta-member" and PASSWORD not in site.host.said, refused
    assert site.primaries() == ["pta"] and site.asked() == 0


def test_paused_it_is_asked_once(site: PatroniSite) -> None:
    site.through_pooler("INSERT INTO rows VALUES (1)")
    site.group.settled("pta")
    site.group.paused("ptb", True)
    site.group.lost("pta")
    assert site.play("dr_failover", **CONFIRMED).returncode == 0, site.output
    (new,) = site.primaries()
    assert site.through_pooler("SELECT string_agg(n::text, ',') FROM rows") == "1"
    site.through_pooler("INSERT INTO rows VALUES (2)")
    done = [(step, host) for step, phase, host in site.journal() if phase == "done"]
    assert done == [("fence", "pta"), ("promote", new), ("traffic", None), ("finish", None)], done
    assert site.asked() == 1, site.output
    rows = site.rows()[new]
    assert f"{new} has replaced pta" in rows["dr-outcome"]["message"], rows
    assert "Patroni sees to it" in rows["dr-left"]["message"], rows
    assert PASSWORD not in site.output

    # It is done, and Patroni has the old one back: nothing is left to adopt.
    site.group.paused(new, False)
    site.group.start("pta")
    site.group.settled(new)
    assert site.play("dr_assess").returncode == 0, site.output
    said = site.rows()[new]["dr-assessed"]["message"]
    assert said.startswith(f"{new} is the primary; no failover is needed"), site.output


def test_its_own_failover_is_adopted(site: PatroniSite) -> None:
    old = site.primaries()[0]
    site.group.lost(old)
    site.group.until(site.primaries, bool, "Patroni has elected another one")
    (new,) = site.primaries()
    assert site.play("dr_failover", **CONFIRMED).returncode == 0, site.output
    assert site.primaries() == [new] and site.asked() == 1, site.output
    assert site.through_pooler("SELECT count(*) FROM rows") == "2"
    done = [(step, host) for step, phase, host in site.journal() if phase == "done"]
    assert done[-4:] == [("fence", old), ("promote", new), ("traffic", None), ("finish", None)], done
