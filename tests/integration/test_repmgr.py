# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A failover beside real repmgrd: each is paused before anybody is promoted, and stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from failover_site import SYSTEM, FailoverSite, failover_site_on
from standby_group import PORTS

# It looks for its primary for minutes: in a test, it would take over only where nobody paused it.
_NODE = """
name=$1 number=$2 port=$3
conf=/etc/postgresql/15/$name/repmgr.conf
cat > $conf <<X
node_id=$number
node_name='$name'
conninfo='host=127.0.0.1 port=$port user=postgres dbname=nodes connect_timeout=2'
data_directory='/var/lib/postgresql/15/$name'
pg_bindir='/usr/lib/postgresql/15/bin'
failover=automatic
promote_command='repmgr standby promote -f $conf'
follow_command='repmgr standby follow -f $conf --upstream-node-id=%n'
reconnect_attempts=100
reconnect_interval=5
X
as="runuser -u postgres --"
if [ $number = 1 ]; then
  $as repmgr -f $conf primary register
else
  $as repmgr -f $conf standby register --upstream-node-id=1
fi
systemd-run --quiet --unit=day2-repmgrd-$name --property=User=postgres repmgrd -f $conf --daemonize=false \\
  --pid-file=/tmp/day2-repmgrd-$name.pid
"""
_PRELOADED = "echo \"shared_preload_libraries = 'repmgr'\" >> /etc/postgresql/15/$1/postgresql.conf"
_END = "for name; do systemctl stop day2-repmgrd-$name; systemctl reset-failed day2-repmgrd-$name; done"


@pytest.fixture(scope="module")
def site(lab_host: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailoverSite]:
    folder: Path = tmp_path_factory.mktemp("repmgr")
    with failover_site_on(lab_host, folder) as made:
        for name in PORTS:
            lab_host.run("sh", "-euc", _PRELOADED, "sh", name)
            made.group.systemctl("restart", name)
            made.group.ready(name)
        made.group.sql("dra", "CREATE DATABASE nodes")
        for name in ("drb", "drc"):
            made.group.streams(name, "dra")
            made.group.caught_up(name)
        try:
            for number, (name, port) in enumerate(PORTS.items(), start=1):
                lab_host.run("sh", "-euc", _NODE, "sh", name, str(number), str(port))
                made.group.until(lambda: told(made, name, "running"), bool, f"repmgrd of {name} runs")  # noqa: B023
            yield made
        finally:
            lab_host.run("sh", "-c", _END, "sh", *PORTS, check=False)


def told(site: FailoverSite, name: str, what: str) -> bool:
    """What repmgr says of a node's repmgrd."""
    argv = ["runuser", "-u", "postgres", "--", "psql", "-XAtq", "-p", str(PORTS[name]), "-d", "nodes"]
    return str(site.host.run(*argv, "-c", f"SELECT repmgr.repmgrd_is_{what}()", check=False)) == "t"


def test_it_is_paused_and_promotes_nobody(site: FailoverSite) -> None:
    plan = site.plan(manager={"kind": "repmgr"})
    member = site.group.info("drb")
    assert (member["managed_by"], member["manager_paused"]) == ("repmgrd", False), member
    # One was paused by somebody; the module finds the other one.
    done = site.group.call("dr_repmgr", data=site.group.data("drb"))
    assert done["changed"] is True and told(site, "drb", "paused") and not told(site, "drc", "paused"), done
    assert site.group.call("dr_repmgr", data=site.group.data("drb"))["changed"] is False

    site.crash("dra")
    assert site.play("dr_failover", plan=plan, day2_dr_confirm=SYSTEM).returncode == 0, site.output
    (new,) = site.primaries()
    steps = [step for step, phase, _host in site.journal() if phase == "done"]
    assert steps == ["pause", "fence", "promote", "traffic", "follow", "finish"], site.output
    assert told(site, "drb", "paused") and told(site, "drc", "paused")
    site.group.streams("drc" if new == "drb" else "drb", new)
    assert "repmgr service unpause" in site.rows()[new]["dr-left"]["message"]
