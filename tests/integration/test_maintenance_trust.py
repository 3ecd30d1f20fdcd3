# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schedules and maintenance mode on one host: both work in either order, and the schedule's user never moves root."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from in_host import InHost
from maintained_host import NGINX, SERVICE, prepare, role_on

USER, SYSTEM = "postgres", "options_engine"
PLACE, DIRECTORY = "/srv/schedule-test", f"/var/lib/day2-schedule/{SYSTEM}"
JOB = {"name": "job", "at": "02:00 daily UTC", "playbook": "day2.ops.daily"}
UNIT = f"day2-{SYSTEM}-job.service"


@pytest.fixture(scope="module")
def host(lab_host: Any) -> Iterator[InHost]:
    host = InHost(prepare(lab_host).host)
    host.sh(f"mkdir -p {PLACE}/inventory; printf '#!/bin/sh\\ntrue\\n' > {PLACE}/program; chmod 755 {PLACE}/program")
    yield host
    host.end()
    host.sh(f"rm -rf {PLACE} /var/lib/day2-schedule; find /etc/systemd/system -name 'day2-{SYSTEM}-*' -delete")
    host.sh("systemctl daemon-reload; systemctl stop --no-block prometheus-alertmanager")


def schedule(host: InHost) -> Any:
    settings = {
        "schedule_node": host.host.name, "schedule_jobs": [JOB], "schedule_inventory": f"{PLACE}/inventory",
        "schedule_user": USER, "schedule_ansible_playbook": f"{PLACE}/program",
    }  # fmt: skip
    return host.host.playbook("day2.ops.schedule", "-l", host.host.name, **settings)


def maintenance(host: InHost) -> Any:
    done = role_on(host.host, "day2.ops.runtime", {})
    return done if done.returncode else role_on(host.host, "day2.ops.maintenance_page", NGINX)


def works(host: InHost) -> None:
    """A job runs as its user, with its lock; users see the page in the mode, and then the application."""
    host.sh(f"systemctl start {UNIT}")
    assert host.sh(f"stat -c '%U %a' {DIRECTORY}") == f"{USER} 750"
    assert host.sh("stat -c '%U %a' /var/lib/day2 /var/lib/day2-schedule").split("\n") == ["root 755"] * 2
    assert host.mode(targets=["web"])["changed"] and host.get()[0] == 503
    assert host.mode(state="disabled")["changed"] and host.get()[0] == 200


@pytest.mark.parametrize("order", [(schedule, maintenance), (maintenance, schedule)])
def test_both_work_in_either_order(host: InHost, order: Any) -> None:
    host.sh("rm -rf /var/lib/day2 /var/lib/day2-schedule")
    for role in order:
        done = role(host)
        assert done.returncode == 0, done.stdout + done.stderr
    works(host)
    for role in order:
        again = role(host)
        assert again.returncode == 0 and "changed=0" in again.stdout, again.stdout
    user = f"runuser -u {USER} -- sh -c"
    assert (
        host.sh(f"{user} 'touch /var/lib/day2/x; mv /var/lib/day2/maintenance /var/lib/day2/y'; true", check=False)
        == ""
    )
    assert host.sh("ls /var/lib/day2").split() == ["maintenance", "pages"]


def earlier(host: InHost) -> None:
    """What an earlier version of role schedule left: its directory, and a service that runs there."""
    assert schedule(host).returncode == 0
    host.sh(f"sed -i 's#{DIRECTORY}#/var/lib/day2#g' /etc/systemd/system/{UNIT}; systemctl daemon-reload;"
            f" chown {USER} /var/lib/day2; chmod 750 /var/lib/day2")  # fmt: skip


def test_what_an_earlier_version_left_goes_back_to_root(host: InHost) -> None:
    earlier(host)
    refused = maintenance(host)
    assert refused.returncode == 2 and "ansible-playbook day2.ops.schedule" in " ".join(refused.stdout.split())
    done = host.mode(targets=["web"])
    assert done["failed"] and "chown 0:0 /var/lib/day2" in done["msg"], done
    moved = schedule(host)
    assert moved.returncode == 0, moved.stdout
    assert maintenance(host).returncode == 0
    works(host)


FORGED = f"""
import sys; sys.path.insert(0, '/usr/local/bin/day2ctl')
from ansible_collections.day2.ops.plugins.module_utils.maintenance import states, store
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Entered, Phase, State
state = State('{SERVICE}')
unit = {{"name": "redis-server.service", "pause": ["true"], "resume": ["touch", "/tmp/t-root"], "ran": True}}
state.targets['units'] = Entered(Phase.ENTERED, {{"flag": "/tmp/x", "units": [unit], "timeout": 5}})
print(store._render(state, states.reading()))
"""


@pytest.mark.parametrize(
    "place", ["/var/lib/day2", "/var/lib/day2/maintenance", f"/var/lib/day2/maintenance/{SERVICE}"]
)
def test_a_forged_state_moves_nobody(host: InHost, place: str) -> None:
    """Whoever gets a directory above it writes what has root run a command: root reads none of it."""
    prepare(host.host)
    path = f"/var/lib/day2/maintenance/{SERVICE}"
    text = host.sh("python3 -", text=FORGED)
    host.sh(f"rm -rf {path}; mkdir -p {path}; cat > {path}/state.json; chown -R {USER} {place}", text=text)
    try:
        tried = host.sh("day2ctl maintenance tick 2>&1; systemctl start day2-maintenance.service 2>&1", check=False)
        done = host.mode(state="disabled", force=True)
        assert done["failed"] and f"{place} belongs to {USER}" in done["msg"] + tried, (done, tried)
        assert "chown 0:0" in done["msg"]
        assert host.sh("test -e /tmp/t-root; echo $?") == "1"
    finally:
        host.sh(f"rm -rf {path} /tmp/t-root; chown -R root:root /var/lib/day2")


@pytest.mark.parametrize("directory", ["/var/lib/day2", "/var/lib/day2/reports", "/var/lib/day2/../day2", "/etc", "/"])
def test_a_directory_that_is_not_the_schedules_is_refused(host: InHost, directory: str) -> None:
    owner = host.sh(f"stat -c %U {directory}", check=False)
    call = {"jobs": [JOB], "system": SYSTEM, "inventory": f"{PLACE}/inventory", "user": USER, "directory": directory,
            "ansible_playbook": f"{PLACE}/program"}  # fmt: skip
    done = host.call("schedule_timers", call)
    assert done["failed"] and "schedule_directory" in done["msg"], done
    assert host.sh(f"stat -c %U {directory}", check=False) == owner


@pytest.mark.parametrize("directory", ["/usr/local/bin", "/usr/local"])
def test_a_program_that_a_group_could_replace_is_refused(host: InHost, directory: str) -> None:
    """As on hosts that began with an older Debian; the message has both ways out, and the second one works."""
    host.sh(f"rm -f /usr/local/bin/day2ctl; chgrp staff {directory}; chmod 2775 {directory}")
    try:
        done = host.host.playbook("day2.ops.maintenance_setup", "-l", host.host.name, **NGINX)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 2 and f"chmod go-w {directory}. The" in said, said
        assert "runtime_path=/usr/bin/day2ctl" in said
        assert host.sh("test -e /usr/local/bin/day2ctl; echo $?") == "1"
        done = role_on(host.host, "day2.ops.runtime", {"runtime_path": "/usr/bin/day2ctl"})
        assert done.returncode == 0, done.stdout
        assert "/usr/bin/day2ctl" in host.sh("systemctl cat day2-maintenance.service; /usr/bin/day2ctl --version")
    finally:
        host.sh(f"chgrp root {directory}; chmod g-ws {directory}; rm -f /usr/bin/day2ctl")
        prepare(host.host)


def test_everything_is_refused_before_anything_is_changed(host: InHost) -> None:
    host.sh("rm -f /usr/local/bin/day2ctl")
    try:
        for variables, words in (
            ({"maintenance_page_sites": ["/etc/nginx/sites-enabled/nosuch"]}, "has no such file"),
            ({"maintenance_page_sites": ["/etc/hostname"]}, "no line of it begins a server"),
            ({"maintenance_page_file": "/nowhere.html"}, "the controller has no such file"),
            ({"maintenance_page_pass": ["/"]}, "let everything pass"),
            ({"maintenance_page_pass": ["health"]}, "begins with '/'"),
            ({"maintenance_page_allow": ["office"]}, "it lists addresses"),
        ):  # fmt: skip
            done = host.host.playbook("day2.ops.maintenance_setup", "-l", host.host.name, **{**NGINX, **variables})
            assert done.returncode == 2 and words in " ".join((done.stdout + done.stderr).split()), done.stdout
            assert host.sh("test -e /usr/local/bin/day2ctl; echo $?") == "1"
    finally:
        prepare(host.host)
