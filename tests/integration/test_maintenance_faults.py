# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of maintenance mode on a lab host: kills, reboots, full disks, damaged files. It ends all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kill_host import kill_maintenance
from lab.waiting import wait_for
from lab_host import ROOT as CHECKOUT
from maintained_host import ALERTMANAGER, ROOT, SERVICE, UNIT, Host, prepare

PLACE = f"{ROOT}/{SERVICE}"


@pytest.fixture(scope="module")
def prepared(lab_host: Any) -> Iterator[Host]:
    yield prepare(lab_host)
    lab_host.run("systemctl", "stop", "--no-block", "prometheus-alertmanager")


@pytest.fixture
def host(prepared: Host) -> Iterator[Host]:
    yield prepared
    prepared.end()


@pytest.mark.parametrize(("way", "least"), [("enter", 25), ("leave", 12), ("tick", 12)])
def test_a_kill_before_each_step(host: Host, way: str, least: int) -> None:
    """Of the module, entering or leaving, and of the host's own timer."""
    found = kill_maintenance(host.host, "each", way)
    assert found["faults"] == [] and found["kills"] >= least, found
    assert host.in_service()


def test_a_controller_that_is_killed(host: Host) -> None:
    """With its whole session, while a unit takes its time to pause: its host ends what it began."""
    entry = {"name": "redis-server", "pause": ["sleep", "300"], "resume": ["true"]}
    call = {"service": SERVICE, "owner": "lost", "reason": "testing", "duration": "15s", "targets": ["web", "units"],
            "units": [SERVICE, entry], "units_timeout": "10m"}  # fmt: skip
    play = host.host.workdir / "lost.json"
    play.write_text(json.dumps([{"hosts": host.host.name, "gather_facts": False, "become": True,
                                 "tasks": [{"day2.ops.maintenance_mode": call}]}]))  # fmt: skip
    argv = ["ansible-playbook", str(play), "-i", str(CHECKOUT / "inventories" / "lab"), "-e",
            json.dumps({"day2_lab_dir": str(host.host.lab.folder)})]  # fmt: skip
    settings = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    controller = subprocess.Popen(
        argv, cwd=CHECKOUT, env=settings, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        wait_for(host.unit, lambda state: state == "inactive", 60, "the first unit is stopped")
        assert host.get()[0] == 503
    finally:
        os.killpg(controller.pid, signal.SIGKILL)
        controller.wait()
    # The module may outlive its controller; on a host that is cut off it would go on, here it ends as well.
    holder = json.loads(host.host.run("cat", f"{ROOT}/.{SERVICE}.lock"))
    host.host.run("kill", "-KILL", str(holder["pid"]))
    host.until(host.in_service)
    # The pause went with the module that had begun it.
    assert host.host.run("pgrep", "-f", "sleep 300", check=False) == ""


def test_one_that_fails_half_way(host: Host) -> None:
    """Alerts are silenced, users see the page and one unit is stopped when the second one refuses."""
    entry = {"name": "redis-server", "pause": ["/bin/false"], "resume": ["/bin/true"]}
    done = host.mode(units=[SERVICE, entry])
    assert done["failed"] and "redis-server.service" in done["msg"] and "as it was before" in done["msg"], done
    assert host.in_service() and host.state() is None


def restarted(host: Host, lease: str = "") -> None:
    """The host as after a reboot: the lab's kernel is the machine's, so that the lease is told of another boot."""
    if lease:
        script = (
            "import sys; sys.path.insert(0, '/usr/local/bin/day2ctl')\n"
            "from ansible_collections.day2.ops.plugins.module_utils.maintenance import store\n"
            "from dataclasses import replace\n"
            "s = store.Store(); now = store.reading(); state = s.load(sys.argv[1])\n"
            "ends = {'ended': now.wall - 1, 'held': now.wall + 45}[sys.argv[2]]\n"
            "state.leases = {k: replace(v, boot='before', until=ends) for k, v in state.leases.items()}\n"
            "s.save(state, now)"
        )
        host.host.run("systemctl", "stop", "day2-maintenance.timer")
        host.host.run("python3", "-c", script, SERVICE, lease)
    container = host.host.lab.container(host.host.name)
    host.host.lab.podman.run("restart", "--time", "5", container)
    # Nothing is provisioned: what runs, runs because the host started it.
    wait_for(
        lambda: host.host.run("systemctl", "is-system-running", check=False),
        lambda state: state in ("running", "degraded"), 90, "the host has booted",
    )  # fmt: skip
    wait_for(lambda: host.unit("nginx"), lambda state: state == "active", 30, "nginx runs")


def test_a_reboot_within_the_mode(host: Host) -> None:
    host.mode(targets=["web", "units"], duration="10m")
    try:
        restarted(host, "held")
        assert host.get()[0] == 503 and host.unit() == "inactive"
        (lease,) = json.loads(host.host.run("day2ctl", "maintenance", "status", "--json"))[0]["leases"]
        assert 0 < lease["left"] <= 45
        host.until(lambda: host.get()[0] == 200 and host.unit() == "active", 90)
    finally:
        host.host.lab.up({host.host.name: "options_engine"})


def test_a_reboot_over_the_end(host: Host) -> None:
    """Units that are enabled come up with the host, before the timer has had its first turn."""
    host.mode(targets=["web", "units"], duration="10m")
    try:
        restarted(host, "ended")
        host.until(lambda: host.get()[0] == 200 and host.unit() == "active")
        ran = host.host.run("systemctl", "show", "-p", "ConditionResult,NRestarts", UNIT)
        assert "ConditionResult=yes" in ran
    finally:
        host.host.lab.up({host.host.name: "options_engine"})


@contextmanager
def small_disk(host: Host, folder: str) -> Iterator[str]:
    """A file system of its own below the folder of the states, whose end is near."""
    pid = host.host.lab.podman.run("inspect", host.host.lab.container(host.host.name), "--format", "{{.State.Pid}}")
    inside = ["nsenter", "-t", pid.strip(), "-m"]
    subprocess.run([*inside, "mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", folder], check=True)
    try:
        yield f"{folder}/filler"
    finally:
        subprocess.run([*inside, "umount", folder], check=True)


def fill(host: Host, filler: str) -> None:
    said = host.host.run("sh", "-c", f"cat /dev/zero > {filler}; df --output=avail {filler}", check=False)
    assert said.split() == ["Avail", "0"]


def test_a_disk_that_is_full_before(host: Host) -> None:
    with small_disk(host, ROOT) as filler:
        fill(host, filler)
        done = host.mode()
        assert done["failed"] and "No space left" in done["msg"], done
        assert host.get()[0] == 200 and host.unit() == "active" and not host.silences()


def test_a_disk_that_becomes_full_meanwhile(host: Host) -> None:
    """Neither its end nor the way back of one who gives up needs any room."""
    with small_disk(host, ROOT) as filler:
        for way in ("timer", "owner"):
            host.mode(duration="12s" if way == "timer" else "10m")
            assert host.get()[0] == 503
            fill(host, filler)
            if way == "owner":
                assert host.mode(state="disabled")["changed"]
            host.until(lambda: host.get()[0] == 200 and host.unit() == "active" and not host.silences())
            assert host.state() is None
            host.host.run("rm", filler)


def test_a_disk_that_becomes_full_half_way(host: Host) -> None:
    """Whoever cannot remember the next step goes back."""
    with small_disk(host, ROOT) as filler:
        entry = {"name": "redis-server", "pause": ["sh", "-c", f"cat /dev/zero > {filler}; true"], "resume": ["true"]}
        done = host.mode(units=[entry, SERVICE])
        assert done["failed"] and "No space left" in done["msg"], done
        host.until(lambda: host.get()[0] == 200 and host.unit() == "active" and not host.silences())
        assert host.state() is None


def test_a_state_that_is_truncated_twice(host: Host) -> None:
    host.mode()
    host.host.run("sh", "-c", f"truncate -s 100 {PLACE}/state.json; truncate -s 0 {PLACE}/state.before.json")
    told = host.host.run("day2ctl", "maintenance", "status")
    assert "cannot be read" in told and f"disable {SERVICE} --force" in told
    result = host.host.checks({"id": "mode", "probe": "maintenance"})["mode"]
    assert result["status"] == "warning" and "cannot be read" in result["message"]
    for about in ({}, {"state": "disabled"}, {"state": "extended"}):
        done = host.mode(**about)
        assert done["failed"] and "cannot be read" in done["msg"], done
    assert host.get()[0] == 503 and host.unit() == "inactive"
    planned = host.mode(state="disabled", force=True, check_mode=True)
    assert planned["changed"] and f"start {UNIT}" in planned["steps"] and host.get()[0] == 503
    done = host.mode(state="disabled", force=True)
    assert done["changed"] and "as after a boot" in done["msg"], done
    assert host.get()[0] == 200 and host.unit() == "active"
    # Where the silence was is lost as well: it ends by itself. What was damaged is kept.
    host.host.run("rm", f"{PLACE}/state.json.damaged", f"{PLACE}/state.before.json.damaged")
    for silence in host.silences():
        host.host.run("amtool", f"--alertmanager.url={ALERTMANAGER}", "silence", "expire", silence["id"])


def test_a_state_whose_newer_file_is_lost(host: Host) -> None:
    host.mode(duration="8s")
    host.host.run("rm", f"{PLACE}/state.json")
    assert "in maintenance" in host.host.run("day2ctl", "maintenance", "status")
    host.until(host.in_service)


def test_a_umask_that_hides_files(host: Host) -> None:
    """nginx's user has to see the file whose presence is the mode."""
    host.host.run("rm", "-rf", PLACE)
    arguments = {"service": SERVICE, "owner": "masked", "reason": "testing", "duration": "10m", "targets": ["web"]}
    play = host.host.workdir / "masked.json"
    task = {"day2.ops.maintenance_mode": arguments}
    play.write_text(json.dumps([{"hosts": host.host.name, "gather_facts": False, "become": True, "tasks": [task]}]))
    host.host.run("sh", "-c", "echo 'Defaults umask=0077,umask_override' > /etc/sudoers.d/masked")
    try:
        done = host.host.playbook(str(play))
    finally:
        host.host.run("rm", "/etc/sudoers.d/masked")
    assert done.returncode == 0, done.stdout
    assert host.get()[0] == 503


def test_a_host_that_nothing_would_end_it_on(host: Host) -> None:
    unit = "/etc/systemd/system/day2-maintenance.timer"
    host.host.run("sh", "-c", f"mv {unit} /root/; systemctl daemon-reload")
    try:
        done = host.mode()
        assert done["failed"] and "role runtime installs it" in done["msg"], done
    finally:
        host.host.run("sh", "-c", f"mv /root/day2-maintenance.timer {unit}; systemctl daemon-reload")
    assert host.in_service()
