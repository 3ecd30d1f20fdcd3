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
from small_disk import inside

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
            "from ansible_collections.day2.ops.plugins.module_utils.maintenance import states, store\n"
            "from dataclasses import replace\n"
            "s = store.FileStore(); now = states.reading(); state = s.load(sys.argv[1])\n"
            "ends = {'ended': now.wall - 1, 'held': now.wall + 45}[sys.argv[2]]\n"
            "state.leases = {k: replace(v, boot='before', until=ends) for k, v in state.leases.items()}\n"
            "s.save(state, now)"
        )
        host.host.run("systemctl", "stop", "day2-maintenance.timer", f"day2-maintenance@{SERVICE}.service")
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
    enter = inside(host.host)
    subprocess.run([*enter, "mount", "-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", folder], check=True)
    try:
        yield f"{folder}/filler"
    finally:
        # The host's timer may be looking into it.
        wait_for(lambda: subprocess.call([*enter, "umount", folder]), lambda code: code == 0, 20, "umount")


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


PAUSED = "/var/tmp/day2-test-paused"
REDIS = {"name": "redis-server", "pause": ["touch", PAUSED], "resume": ["rm", "-f", PAUSED]}


def is_paused(host: Host) -> bool:
    return host.host.run("find", PAUSED, check=False) == PAUSED


def process_of(host: Host, unit: str) -> str:
    return str(host.host.run("systemctl", "show", "--property=MainPID", "--value", unit))


def test_a_paused_unit_goes_on_running(host: Host) -> None:
    before = process_of(host, "redis-server")
    assert host.mode(targets=["units"], units=[SERVICE, REDIS])["changed"]
    assert is_paused(host) and host.unit() == "inactive"
    assert not host.mode(targets=["units"], units=[SERVICE, REDIS])["changed"]
    assert host.mode(state="disabled")["changed"]
    assert not is_paused(host) and process_of(host, "redis-server") == before and host.in_service()


def test_a_paused_unit_that_is_restarted(host: Host) -> None:
    """It would run without its pause: it is kept from starting until the end."""
    host.mode(targets=["units"], units=[REDIS])
    host.host.run("systemctl", "restart", "redis-server")
    assert host.unit("redis-server") == "inactive" and is_paused(host)
    assert host.mode(state="disabled")["changed"]
    assert host.unit("redis-server") == "active" and not is_paused(host)


def test_a_reboot_with_a_paused_unit(host: Host) -> None:
    host.host.run("systemctl", "enable", "redis-server")
    host.mode(targets=["units"], units=[SERVICE, REDIS])
    try:
        restarted(host, "held")
        assert host.unit("redis-server") == "inactive" and is_paused(host)
        host.until(lambda: host.unit("redis-server") == "active" and not is_paused(host), 90)
    finally:
        host.host.lab.up({host.host.name: "options_engine"})


def damage(host: Host) -> None:
    host.host.run("sh", "-c", f"truncate -s 100 {PLACE}/state.json; truncate -s 0 {PLACE}/state.before.json")


def forget(host: Host) -> None:
    """What was damaged is kept; the next test begins without it."""
    host.host.run("rm", f"{PLACE}/state.json.damaged", f"{PLACE}/state.before.json.damaged")


def test_a_paused_unit_whose_state_is_lost(host: Host) -> None:
    host.mode(targets=["units"], units=[SERVICE, REDIS])
    damage(host)
    done = host.mode(state="disabled", force=True)
    assert f"resume redis-server.service by rm -f {PAUSED}" in done["steps"], done
    assert not is_paused(host) and host.unit() == "active"
    forget(host)


@pytest.mark.parametrize("fault", ["it refuses", "its drop-in is damaged"])
def test_a_paused_unit_that_cannot_be_resumed(host: Host, fault: str) -> None:
    """Whoever forces it is told which one, and everything else is back."""
    host.mode(targets=["units"], units=[SERVICE, {**REDIS, "resume": ["/bin/false"]}])
    damage(host)
    if fault == "its drop-in is damaged":
        drop_in = f"/etc/systemd/system/redis-server.service.d/zzz-day2-maintenance-{SERVICE}.conf"
        host.host.run("sed", "-i", "s/^Resume=.*/Resume=[/", drop_in)
    done = host.mode(state="disabled", force=True)
    assert done["failed"] and "not all of it came back" in done["msg"], done
    assert "redis-server.service" in done["msg"] and "state.json.damaged" in done["msg"]
    forget(host)
    host.host.run("rm", PAUSED)
    assert host.in_service() and not host.mode(state="disabled", force=True)["changed"]


@contextmanager
def own_unit(host: Host, name: str, text: str) -> Iterator[str]:
    path = f"/etc/systemd/system/{name}.service"
    host.host.run("sh", "-c", f"cat > {path}; systemctl daemon-reload", text=text)
    host.host.run("systemctl", "start", name)
    try:
        yield name
    finally:
        host.host.run("systemctl", "stop", name, check=False)
        host.host.run("sh", "-c", f"rm -f {path}; systemctl daemon-reload")


def test_a_static_unit_whose_state_is_lost(host: Host) -> None:
    """It does not start at boot, although `systemctl is-enabled` is content with it."""
    with own_unit(host, "unwanted", "[Service]\nExecStart=sleep infinity\n") as unit:
        assert host.host.run("systemctl", "is-enabled", unit) == "static"
        host.mode(targets=["units"], units=[SERVICE, unit])
        damage(host)
        done = host.mode(state="disabled", force=True)
        assert "let unwanted.service start (it is not enabled)" in done["steps"], done
        assert host.unit() == "active" and host.unit(unit) == "inactive"
        forget(host)


def test_a_service_that_hangs_at_its_end_keeps_no_other(host: Host) -> None:
    """The timer's own work: a unit of the first service takes its time to start, while the second one's lease ends."""
    text = "[Service]\nTimeoutStartSec=infinity\nExecStartPre=sh -c 'test ! -e /run/hang || sleep 600'\n"
    with own_unit(host, "hanging", f"{text}ExecStart=sleep infinity\n") as unit:
        host.mode(service="aaa", targets=["units"], units=[unit], units_timeout="10m", duration="5s")
        host.host.run("touch", "/run/hang")
        try:
            host.until(lambda: host.unit(unit) == "activating")
            host.mode(duration="5s")
            assert host.get()[0] == 503
            host.until(host.in_service)
            assert host.unit(unit) == "activating"
            assert host.host.run("systemctl", "is-active", "day2-maintenance@aaa", check=False) == "activating"
        finally:
            host.host.run("rm", "/run/hang")
            host.host.run("systemctl", "kill", "-s", "KILL", unit)
        # What failed is tried again.
        host.until(lambda: host.unit(unit) == "active" and host.host.run("day2ctl", "maintenance", "status").startswith(
            "nothing is in maintenance"))  # fmt: skip
    failed = host.host.run("systemctl", "list-units", "--failed", "--plain", "--no-legend", "day2-maintenance*")
    assert failed == ""


def test_a_folder_that_is_no_service(host: Host) -> None:
    """An editor's copy, or somebody's: the status shows all services beside it, and the timer comes to its end."""
    other = f"{ROOT}/{SERVICE}~"
    host.mode(duration="10m")
    host.host.run("cp", "-r", PLACE, other)
    try:
        told = json.loads(host.host.run("day2ctl", "maintenance", "status", "--json"))
        assert [(each["service"], each["enabled"]) for each in told] == [(SERVICE, True), (f"{SERVICE}~", False)]
        assert other in host.host.run("day2ctl", "maintenance", "status")
        result = host.host.checks({"id": "mode", "probe": "maintenance"})["mode"]
        assert result["status"] == "warning" and other in result["message"] and "window until" in result["message"]
        host.mode(state="disabled")
        timer = ("systemctl", "is-enabled", "day2-maintenance.timer")
        host.until(lambda: host.host.run(*timer, check=False) == "disabled")
        assert host.host.run("ls", other) != ""
    finally:
        host.host.run("rm", "-r", other)


def test_another_host_of_the_same_name(host: Host) -> None:
    """Its silence of the same service is not ours: neither to use nor to remove."""
    name = host.host.run("hostname")
    authors = [f"day2.ops {SERVICE} on {name}", f"day2.ops {SERVICE} on {name} (0123456789ab)"]
    for author in authors:
        host.host.run("amtool", f"--alertmanager.url={ALERTMANAGER}", "silence", "add", "-d", "5m", "-c", "theirs",
                      "-a", author, f"service={SERVICE}")  # fmt: skip
    try:
        host.mode(targets=["alerts"])
        (mine,) = [each["createdBy"] for each in host.silences() if each["createdBy"] not in authors]
        # machine-id(5) is not for strangers.
        assert host.host.run("cat", "/etc/machine-id")[:12] not in mine
        host.mode(state="disabled")
        assert sorted(each["createdBy"] for each in host.silences()) == authors
    finally:
        for silence in host.silences():
            host.host.run("amtool", f"--alertmanager.url={ALERTMANAGER}", "silence", "expire", silence["id"])


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
        for planning in (True, False):
            done = host.mode(check_mode=planning)
            assert done["failed"] and "ansible-playbook day2.ops.maintenance_setup installs it" in done["msg"], done
    finally:
        host.host.run("sh", "-c", f"mv /root/day2-maintenance.timer {unit}; systemctl daemon-reload")
    assert host.in_service()
