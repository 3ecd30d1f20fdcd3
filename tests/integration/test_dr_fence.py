# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What dr_fence does to real servers; systemd, the kernel and a client are asked whether it is so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lone_cluster import OWN_UNIT, LoneCluster, lone_cluster_on

JOURNAL = "/var/lib/day2/dr/fence_test.json"


@pytest.fixture(scope="module")
def made(lab_host: Any) -> Iterator[LoneCluster]:
    with lone_cluster_on(lab_host) as cluster:
        yield cluster
        lab_host.run("rm", "-rf", "/var/lib/day2/dr", check=False)


@pytest.fixture
def cluster(made: LoneCluster) -> Iterator[LoneCluster]:
    yield made
    made.clear()


def fence(cluster: LoneCluster, check_mode: bool = False, **given: Any) -> Any:
    asked = {"kind": "service", "data": cluster.data, "limit": "20s", **given}
    return cluster.host.direct.answer("dr_fence", asked, check_mode=check_mode)


def state(cluster: LoneCluster, unit: str = "") -> str:
    """Whether a unit can be started, and runs."""
    said = [
        cluster.host.run("systemctl", verb, unit or cluster.unit, check=False) for verb in ("is-enabled", "is-active")
    ]
    return " ".join(said)


def is_fenced(cluster: LoneCluster) -> bool:
    cluster.host.run("systemctl", "start", cluster.unit, check=False)
    cluster.host.run("pg_ctlcluster", "15", "lone", "start", check=False)
    return not cluster.processes() and not cluster.is_up()


def test_a_running_primary_is_fenced_once(cluster: LoneCluster) -> None:
    cluster.start()
    guarded = {"system": "fence_test", "epoch": 3, "run": "run-3"}
    tried = fence(cluster, check_mode=True, **guarded)
    assert (tried["changed"], tried["proven"]) == (True, False), tried
    assert cluster.is_up() and "masked" not in state(cluster)
    assert cluster.host.run("sh", "-c", f"[ -e {JOURNAL} ] || echo none") == "none"
    asked = {"kind": "service", "data": cluster.data, **guarded}
    done = cluster.host.task("day2.ops.dr_fence", asked, by_ansible=True)
    assert (done["changed"], done["proven"], done["survives_reboot"]) == (True, True, True), done
    assert done["layer"] == "service" and any("a fast shutdown ended" in line for line in done["evidence"])
    assert any(f"port {cluster.port} of this host: refused" in line for line in done["evidence"])
    assert state(cluster) == "masked inactive" and is_fenced(cluster)
    assert cluster.host.run("readlink", f"/etc/systemd/system/{cluster.unit}") == "/dev/null"
    control = cluster.host.run("/usr/lib/postgresql/15/bin/pg_controldata", cluster.data)
    assert "shut down" in control.split("cluster state:")[1].split("\n")[0]
    seen = cluster.host.direct.answer("pg_standby_info", {"data": cluster.data})
    assert (seen["state"], seen["unit"], seen["unit_masked"]) == ("stopped", cluster.unit, True), seen
    again = fence(cluster, **guarded)
    assert (again["changed"], again["proven"], again["survives_reboot"]) == (False, True, True), again
    assert json.loads(cluster.host.run("cat", JOURNAL))["promised"] == {"epoch": 3, "run": "run-3"}


def test_a_run_that_was_superseded_fences_nothing(cluster: LoneCluster) -> None:
    cluster.start()
    claim = {"system": "fence_test", "state": "claimed", "epoch": 3, "run": "run-3"}
    claimed = cluster.host.task("day2.ops.dr_journal", claim, by_ansible=True)
    assert claimed["accepted"] is True and claimed["promised"] == {"epoch": 3, "run": "run-3"}, claimed
    for epoch, run in ((2, "run-2"), (3, "run-x")):
        refused = fence(cluster, system="fence_test", epoch=epoch, run=run)
        assert refused["failed"] and "run-3" in refused["msg"], refused
    assert cluster.is_up() and "masked" not in state(cluster)


def test_a_primary_under_sigstop_is_killed_as_it_is(cluster: LoneCluster) -> None:
    cluster.start()
    cluster.signal("STOP")
    done = fence(cluster)
    assert (done["changed"], done["proven"]) == (True, True), done
    assert any("was stopped by a signal: killed" in line for line in done["evidence"])
    assert state(cluster).startswith("masked") and is_fenced(cluster)


def test_a_shutdown_that_does_not_end_is_ended(cluster: LoneCluster) -> None:
    cluster.start()
    # The checkpointer is waited for by every shutdown but an immediate one.
    cluster.host.run("sh", "-c", f"kill -STOP $(pgrep -P {cluster.pid()} -f checkpointer)")
    done = fence(cluster, limit="1s")
    assert done["proven"] is True and any("did not end within 1 s: killed" in line for line in done["evidence"]), done
    assert is_fenced(cluster)


@pytest.mark.parametrize("masked", [(), ("mask", "--runtime")])
def test_one_that_is_down_is_kept_down(cluster: LoneCluster, masked: tuple[str, ...]) -> None:
    if masked:
        cluster.host.run("systemctl", *masked, cluster.unit)
        seen = cluster.host.direct.answer("pg_standby_info", {"data": cluster.data})
        assert seen["unit_masked"] is False, seen
    done = fence(cluster)
    assert (done["changed"], done["proven"], done["survives_reboot"]) == (True, True, True), done
    assert state(cluster) == "masked inactive" and is_fenced(cluster)


def test_one_that_was_started_by_hand_is_found(cluster: LoneCluster) -> None:
    cluster.start_by_hand()
    assert state(cluster).endswith("inactive")
    pid = cluster.pid()
    done = fence(cluster)
    assert done["proven"] is True and is_fenced(cluster), done
    assert any(str(pid) in line and "outside of any service" in line for line in done["evidence"])


def test_one_without_its_pid_file_is_found(cluster: LoneCluster) -> None:
    cluster.start()
    # Its files are gone, as on a file system that was exchanged below it; it goes on all the same.
    cluster.host.run("rm", f"{cluster.data}/postmaster.pid")
    done = fence(cluster)
    assert done["proven"] is True and is_fenced(cluster), done


def test_a_service_of_others_is_named_and_not_touched(cluster: LoneCluster) -> None:
    cluster.start_in_own_unit()
    refused = fence(cluster)
    assert refused["failed"] and OWN_UNIT in refused["msg"] and "Nothing was done" in refused["msg"], refused
    assert cluster.is_up() and "masked" not in state(cluster)
    done = fence(cluster, unit=OWN_UNIT)
    assert (done["proven"], done["survives_reboot"]) == (True, True), done
    cluster.host.run("systemctl", "start", OWN_UNIT, check=False)
    assert state(cluster) == "masked inactive" and is_fenced(cluster)
    assert fence(cluster, unit=OWN_UNIT)["changed"] is False


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"unit": "postgresql"}, "the cluster's own unit is postgresql@15-lone.service"),
    ({"unit": "nothing-like-it"}, "there is no unit nothing-like-it.service"),
    ({"data": "/var/lib/postgresql/15"}, "no data directory of PostgreSQL"),
    ({"limit": "soon"}, "'limit'"),
]


def test_what_would_fence_nothing_is_refused(cluster: LoneCluster) -> None:
    cluster.start()
    for given, said in REFUSED:
        refused = fence(cluster, **given)
        assert refused["failed"] and said in refused["msg"], refused
    assert cluster.is_up() and "masked" not in state(cluster)


def test_a_sites_command_is_proven_by_its_check(cluster: LoneCluster) -> None:
    flag = "/run/day2-fence-test"
    asked = {
        "kind": "command",
        "argv": ["sh", "-c", f'echo "$DAY2_OLD_HOST:$DAY2_OLD_PORT" > {flag}'],
        "check": ["test", "-e", flag],
        "old": {"host": "db1", "port": 5433},
    }
    cluster.host.run("rm", "-f", flag)
    tried = cluster.host.direct.answer("dr_fence", asked, check_mode=True)
    assert (tried["changed"], tried["proven"]) == (True, False), tried
    assert cluster.host.run("sh", "-c", f"[ -e {flag} ] || echo none") == "none"
    done = cluster.host.direct.answer("dr_fence", asked)
    assert (done["changed"], done["proven"], done["layer"]) == (True, True, "command"), done
    assert cluster.host.run("cat", flag) == "db1:5433"
    again = cluster.host.direct.answer("dr_fence", asked)
    assert (again["changed"], again["proven"]) == (False, True), again
    cluster.host.run("rm", "-f", flag)


@pytest.mark.parametrize("argv", [["true"], ["false"], ["/nonexistent/power"], ["sleep", "60"]])
def test_a_command_without_a_proof_is_none(cluster: LoneCluster, argv: list[str]) -> None:
    asked = {"kind": "command", "argv": argv, "check": ["false"], "limit": "1s"}
    done = cluster.host.direct.answer("dr_fence", asked)
    assert (done["proven"], done["survives_reboot"]) == (False, False) and "not fenced" in done["msg"], done
