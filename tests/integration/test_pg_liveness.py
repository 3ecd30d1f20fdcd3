# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_liveness sees of real servers that live, hang, and are gone; a client that logs in sees less."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lab.waiting import wait_for
from lone_cluster import LoneCluster, lone_cluster_on

# Nothing listens there; packets to the second one are dropped.
CLOSED, DROPPED = 5591, 5592
_DROP = ("INPUT", "-p", "tcp", "--dport", str(DROPPED), "-j", "DROP")
_HBA = "/etc/postgresql/15/lone/pg_hba.conf"


@pytest.fixture(scope="module")
def made(lab_host: Any) -> Iterator[LoneCluster]:
    with lone_cluster_on(lab_host) as cluster:
        yield cluster


@pytest.fixture
def cluster(made: LoneCluster) -> Iterator[LoneCluster]:
    made.start()
    yield made
    made.clear()


def verdict(cluster: LoneCluster, **given: Any) -> tuple[str, str]:
    """Of the cluster, and what the last attempt said."""
    target = {"address": "127.0.0.1", "port": cluster.port}
    asked = {"targets": [target], "tries": 2, "over": "0.2s", "timeout": "1s", **given}
    (seen,) = cluster.host.direct.answer("pg_liveness", asked, user="nobody")["targets"]
    return seen["verdict"], seen["attempts"][-1]["detail"]


def test_each_address_has_its_verdict(cluster: LoneCluster) -> None:
    cluster.host.run("iptables", "-I", *_DROP)
    wanted = [
        ("127.0.0.1", cluster.port, "answers"),
        ("localhost", cluster.port, "answers"),
        ("127.0.0.1", CLOSED, "refused"),
        ("127.0.0.1", DROPPED, "unreachable"),
        # Something that is no PostgreSQL, and whose first letter is one of PostgreSQL's answers.
        ("127.0.0.1", 22, "silent"),
        ("db1.invalid", 5432, "unresolved"),
    ]
    asked = {"targets": [{"address": address, "port": port} for address, port, _verdict in wanted],
             "tries": 2, "over": "0.5s", "timeout": "1s"}  # fmt: skip
    try:
        done = cluster.host.task("day2.ops.pg_liveness", asked, by_ansible=True)
    finally:
        cluster.host.run("iptables", "-D", *_DROP)
    seen = done["targets"]
    assert [(one["address"], one["port"], one["verdict"]) for one in seen] == wanted, seen
    assert done["changed"] is False
    # The first answer is enough; every other verdict is that of all attempts.
    assert [len(one["attempts"]) for one in seen] == [1, 1, 2, 2, 2, 2]
    assert "is not PostgreSQL: 'SSH-2.0" in seen[4]["attempts"][0]["detail"]


def test_a_server_that_hangs_is_not_one_that_is_gone(cluster: LoneCluster) -> None:
    assert verdict(cluster)[0] == "answers"
    cluster.signal("STOP")
    said, detail = verdict(cluster)
    assert said == "silent" and "nothing was said within" in detail
    cluster.signal("CONT")
    cluster.answers()
    assert verdict(cluster)[0] == "answers"
    cluster.host.run("systemctl", "stop", cluster.unit)
    assert verdict(cluster) == ("refused", "Connection refused")


@pytest.mark.parametrize(("ssl", "said"), [("on", "PostgreSQL, which takes TLS"), ("off", "which takes no TLS")])
def test_who_refuses_every_login_lives(cluster: LoneCluster, ssl: str, said: str) -> None:
    kept = cluster.host.run("cat", _HBA)
    line = "local all postgres peer\nhostssl all all all reject\n"
    cluster.host.run("sh", "-c", f"cat > {_HBA}", text=line)
    try:
        argv = ("runuser", "-u", "postgres", "--", "psql", "-XAtq", "-p", str(cluster.port))
        cluster.host.run(*argv, "-c", f"ALTER SYSTEM SET ssl = {ssl}", "-c", "SELECT pg_reload_conf()")
        # A new session has read it.
        wait_for(lambda: cluster.host.run(*argv, "-c", "SHOW ssl"), lambda seen: seen == ssl, 30, f"ssl is {ssl}")
        login = cluster.host.direct.program(
            "psql", "-XAtw", "-h", "127.0.0.1", "-p", str(cluster.port), "-U", "postgres"
        )
        assert login.returncode == 2 and "FATAL:" in login.stderr, login
        found, detail = verdict(cluster)
        assert found == "answers" and said in detail
    finally:
        cluster.host.run("sh", "-c", f"cat > {_HBA}", text=f"{kept}\n")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"targets": [{"address": "/var/run/postgresql"}]}, "'address'"),
    ({"tries": 0}, "'tries'"),
    ({"over": "x"}, "'over'"),
]


def test_a_request_that_cannot_be_is_refused(made: LoneCluster) -> None:
    for given, said in REFUSED:
        refused = made.host.direct.answer("pg_liveness", {"targets": [{"address": "127.0.0.1"}], **given})
        assert refused["failed"] and said in refused["msg"]
