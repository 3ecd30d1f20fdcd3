# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans: read, or refused with everything that is wrong with them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic import registry
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import CUTTING, TRAFFIC
from ansible_collections.day2.ops.plugins.plugin_utils.failover.plan import PlanError, read_plan
from failover_facts import HOSTS, PLAN, plan

SERVICE = [{"kind": "service"}]
NAME = {"kind": "hosts_entry", "host": "app1", "name": "db.internal"}
OFF = {"kind": "command", "host": "app1", "argv": ["ipmi", "off"], "check": ["ipmi", "status"]}


def problems(raw: Any, hosts: Any = None, system: str = "shop") -> list[str]:
    with pytest.raises(PlanError) as caught:
        read_plan(raw, HOSTS if hosts is None else hosts, system)
    return caught.value.problems


def test_a_plan_is_read_with_its_defaults() -> None:
    found = plan()
    assert (found.database, found.port, found.automatic) == ("analytics", 5432, False)
    assert (found.targets.rto, found.targets.rpo) == (1800.0, 300.0)
    assert (found.liveness.tries, found.liveness.over, found.liveness.timeout) == (3, 15.0, 5.0)
    assert [(m.host, m.address, m.port, m.slot) for m in found.members][1] == ("db2", "db2", 5432, "db2")
    assert found.traffic[0].options == {"databases": ["analytics"]}
    assert found.notes == ()


def test_a_member_may_say_how_others_reach_it() -> None:
    member = {"host": "db2", "address": "10.1.0.2", "port": 5433, "slot": "second", "nofailover": True}
    found = plan(members=["db1", member, "db3"]).member("db2")
    assert (found.address, found.port, found.slot, found.nofailover) == ("10.1.0.2", 5433, "second", True)


def test_the_vantage_point_on_the_primary_does_not_judge_it() -> None:
    assert plan().points_for("db2") == ["app1", "db3", "controller"]
    # A name of this machine is the controller.
    local = read_plan(
        {**PLAN, "vantage_points": ["app1", "app2", "controller"]}, {**HOSTS, "app2": "127.0.0.1"}, "shop"
    )
    assert local.points_for("db1") == ["app1", "app2"]


@pytest.mark.parametrize(
    "missing", ["database", "members", "vantage_points", "journal_hosts", "fence", "traffic", "targets"]
)
def test_a_missing_field_is_named(missing: str) -> None:
    raw = {name: value for name, value in PLAN.items() if name != missing}
    assert problems(raw) == [f"plan, field '{missing}': is missing"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"membres": []}, "field 'membres': is unknown; did you mean 'members'?"),
        (
            {"members": ["db1", "db22"]},
            "field 'members': 'db22' is no host of this run; did you mean 'db2'?",
        ),
        ({"members": ["db1"]}, "a failover needs a primary and at least one standby"),
        ({"members": ["db1", "db2", "db2"]}, "field 'members': 'db2' is there 2 times"),
        ({"members": "db1"}, "field 'members': 'db1' is not a list"),
        ({"members": ["db1", {"host": "db2", "nofailver": True}]}, "did you mean 'nofailover'?"),
        ({"members": ["db1", {"host": "db2", "address": "db1"}]}, "'db1' and 'db2' have one address, db1:5432"),
        ({"members": ["db1", {"host": "db2", "port": "many"}]}, "field 'members.port': 'many' is not a whole number"),
        (
            {"members": ["db1", *({"host": host, "nofailover": True} for host in ("db2", "db3"))]},
            "all but one are 'nofailover', so that nobody can take over",
        ),
        (
            {"vantage_points": ["app1"]},
            "when db1 is the primary, only app1 is left to judge it (its own host does not count, and two names of one"
            " machine count once); at least two have to agree: add a host that is no member, or 'controller'",
        ),
        ({"vantage_points": ["db1", "app1"]}, "when db1 is the primary, only app1 is left to judge it"),
        ({"vantage_points": []}, "none is left to judge it"),
        ({"vantage_points": ["app1", "app1"]}, "field 'vantage_points': 'app1' is there 2 times"),
        (
            {"vantage_points": ["ap1", "db3", "controller"]},
            "'ap1' is no host of this run; did you mean 'app1'?",
        ),
        ({"vantage_points": ["app1", "contoller"]}, "did you mean 'controller'?"),
        (
            {"journal_hosts": ["db2"]},
            "there is 1; at least three are needed, so that a majority is left when one is lost",
        ),
        ({"journal_hosts": ["db2", "app1"]}, "there are 2; at least three are needed"),
        (
            {"journal_hosts": ["db2", "app1", "controller"]},
            "the controller cannot do this: an execution environment forgets its files",
        ),
        (
            {"fence": []},
            "is empty, so that nothing can prove that the old primary is off: name service, proxy or command",
        ),
        (
            {"fence": [{"kind": "stonith"}]},
            "entry 1 has the kind 'stonith', which is unknown; there are service, proxy",
        ),
        ({"fence": [{}]}, "entry 1 has no kind"),
        ({"fence": ["service"]}, "entry 1 is 'service', expected a mapping with a kind"),
        (
            {"fence": [{"kind": "command", "host": "app1", "argv": ["off"]}]},
            "entry 1 (command) lacks 'check': without it, nothing is proven",
        ),
        ({"fence": [{**OFF, "argv": "ipmi off"}]}, "field 'fence.argv': is not a list: write the program"),
        (
            {"fence": [{"kind": "proxy"}], "traffic": [NAME]},
            "proxy alone can prove nothing here: applications may pass by hosts_entry on app1, which only says where"
            " new connections go; add service or command",
        ),
        (
            {"fence": [{"kind": "proxy"}], "traffic": []},
            "proxy alone can prove nothing here: there is no traffic layer",
        ),
        ({"traffic": [{"kind": "pgbounce", "host": "app1"}]}, "did you mean 'pgbouncer'?"),
        ({"traffic": [{"kind": "pgbouncer", "host": "app1"}]}, "entry 1 (pgbouncer) lacks 'databases'"),
        ({"traffic": [{"kind": "route53", "name": "db"}]}, "entry 1 (route53) lacks 'zone'"),
        (
            {"traffic": [{**NAME, "host": "app9"}]},
            "field 'traffic': 'app9' is no host of this run; did you mean 'app",
        ),
        ({"targets": {"rto": "30m"}}, "field 'targets.rpo': is missing"),
        ({"targets": {"rto": "30m", "rpo": "5m", "rpt": 1}}, "field 'targets.rpt': is unknown; did you mean 'rto'?"),
        ({"targets": {"rto": "soon", "rpo": "5m"}}, "field 'targets.rto': 'soon' is not a quantity"),
        ({"targets": {"rto": "30m", "rpo": "-5m"}}, "field 'targets.rpo': '-5m' is less than nothing"),
        ({"targets": {"rto": "30m", "rpo": "5 GB"}}, "field 'targets.rpo': '5 GB' is not a duration"),
        ({"targets": "30m"}, "field 'targets': '30m' is not a mapping of rto, rpo"),
        (
            {"targets": {"rto": "30m", "rpo": 0}},
            "field 'targets.rpo': 0 cannot be kept by asynchronous replication: set synchronous_standby_names (and say"
            " so in the plan), or state the loss that is borne, such as 1m",
        ),
        (
            {"targets": {"rto": "10s", "rpo": "5m"}},
            "field 'targets.rto': 10 s are over before the primary is found dead, which takes 15 s (liveness.over)",
        ),
        ({"liveness": {"tries": 1}}, "field 'liveness.tries': one failed probe decides nothing"),
        ({"liveness": {"timeout": 0}}, "field 'liveness.timeout': 0 is not longer than nothing"),
        ({"application": {"entry_point": "moved"}}, "field 'application.role': is missing"),
        (
            {"application": {"role": "r", "hosts": ["app3"]}},
            "field 'application.hosts': 'app3' is no host of this run",
        ),
        ({"verify": "login"}, "field 'verify': 'login' is not a list of mappings"),
        ({"verify": [{"id": "x", "title": "X"}]}, "field 'verify': check 1 lacks 'probe'"),
        ({"verify": [{"id": "x", "title": "X", "probe": "postgre"}]}, "no known probe: did you mean 'postgres'?"),
        ({"automatic": "perhaps"}, "field 'automatic': 'perhaps' is neither true nor false"),
        ({"database": " "}, "field 'database': is empty"),
        ({"port": 0}, "field 'port': 0 is not a port"),
    ],
)
def test_a_plan_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    found = problems({**PLAN, **change})
    assert any(words in problem for problem in found), found


@pytest.mark.parametrize("raw", [None, [], "plan", {}])
def test_what_is_no_plan_is_refused(raw: Any) -> None:
    assert "day2_dr_plan of shop is" in problems(raw)[0]


def test_hosts_of_one_machine_count_once() -> None:
    twins = {**HOSTS, "app2": "10.0.0.9"}
    assert "only app1 is left" in problems({**PLAN, "vantage_points": ["app1", "app2"]}, twins)[0]
    (found,) = problems({**PLAN, "journal_hosts": ["app1", "app2", "db2"]}, twins)
    assert "app1, app2 are one machine; when it is lost, 1 of 3 answer, and a majority is 2" in found
    assert "'db1' and 'db2' are one machine" in problems(PLAN, {**HOSTS, "db2": "10.0.0.1"})[0]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    wrong = {**PLAN, "database": None, "journal_hosts": ["db2"], "fence": [], "targets": {"rto": "x", "rpo": 0}, "x": 1}
    assert len(problems(wrong, None, " ")) == 7


def test_a_loss_of_nothing_is_a_plan_with_synchronous_replication() -> None:
    assert plan(targets={"rto": "30m", "rpo": 0}, synchronous_standby_names="ANY 1 (db2, db3)").targets.rpo == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fence": SERVICE}, "can be fenced only where it answers Ansible"),
        ({"traffic": [NAME]}, "fence proxy can prove nothing here"),
        ({"traffic": []}, "applications have to find the new primary by themselves"),
        ({"journal_hosts": ["db2", "db3", "app1", "app2"]}, "4 journal hosts survive no more losses than 3"),
        ({"fence": [*SERVICE, {**OFF, "host": "db2"}]}, "fence command runs on db2, a member"),
    ],
)
def test_what_is_lawful_but_weak_is_a_note(change: dict[str, Any], words: str) -> None:
    assert any(words in note for note in plan(**change).notes), plan(**change).notes


def test_a_command_cuts_where_its_check_says_so() -> None:
    command = {"kind": "command", "host": "app1", "argv": ["lead"]}
    assert not plan(traffic=[command]).cuts_everywhere
    assert plan(traffic=[{**command, "cut_argv": ["cut"], "cut_check": ["is-cut"]}]).cuts_everywhere


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kind": "pgbouncer", "host": "app1", "databases": ["analytics"], "servers": ["a/b"]},
         "entry 1 (pgbouncer): 'servers' is no option of kind pgbouncer"),
        ({"kind": "haproxy", "host": "app1", "servers": ["a/b"], "sockt": "/x"}, "did you mean 'socket'?"),
        ({"kind": "command", "host": "app1", "argv": ["x"], "cut_check": ["x"]}, "'cut_check' needs 'cut_argv'"),
    ],
)  # fmt: skip
def test_an_entry_of_traffic_that_its_module_would_refuse(entry: dict[str, Any], words: str) -> None:
    assert words in " ".join(problems({**PLAN, "traffic": [entry]}))


def test_kinds_of_traffic_are_those_of_the_module() -> None:
    known = {kind: (set(own.needs), own.cuts) for kind, own in registry.KINDS.items() if kind != "command"}
    assert {kind: ({*needs} - {"host"}, kind in CUTTING) for kind, needs in TRAFFIC.items() if kind in known} == known
    assert set(TRAFFIC) == set(registry.KINDS)
