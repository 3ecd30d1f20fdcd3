# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units in maintenance with others around them: after the mode each one is as it was before, or the fault is said."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from in_host import UNITS, InHost
from maintained_host import ROOT, SERVICE, prepare

SLEEP = "[Service]\nExecStart=sleep infinity\n"
PORT = 7707
CONNECT = (
    "import socket\n"
    "for _ in range(30):\n"
    "    s = socket.socket(); s.settimeout(1)\n"
    f"    s.connect_ex(('127.0.0.1', {PORT})); s.close()\n"
)


@pytest.fixture(scope="module")
def host(lab_host: Any) -> Iterator[InHost]:
    host = InHost(prepare(lab_host).host)
    yield host
    host.end()
    lab_host.run("systemctl", "stop", "--no-block", "prometheus-alertmanager")


def dependent(line: str) -> str:
    return f"[Unit]\n{line}\n{SLEEP}"


def test_what_depends_on_a_unit_is_held_and_comes_back_with_it(host: InHost) -> None:
    others = {
        "t_requires__service": "Requires=t-app.service\nAfter=t-app.service",
        "t_bound__service": "BindsTo=t-app.service\nAfter=t-app.service",
        "t_part__service": "PartOf=t-app.service",
        "t_requisite__service": "Requisite=t-app.service\nAfter=t-app.service",
        "t_chain__service": "Requires=t-requires.service\nAfter=t-requires.service",
        "t_upholds__service": "Upholds=t-app.service",
        "t_stop__service": "StopPropagatedFrom=t-app.service",
        "t_stopped__service": "Requires=t-app.service",
    }
    target = "[Unit]\nRequires=t-app.service\nAfter=t-app.service\n"
    app = f"[Unit]\nWants=t-wanted.service\nUpholds=t-upheld.service\n{SLEEP}"
    texts = {name: dependent(line) for name, line in others.items()}
    with host.units(t_app__service=app, t_upheld__service=SLEEP, t_wanted__service=SLEEP,
                    t_group__target=target, **texts):  # fmt: skip
        names = ["t-app", "t-requires", "t-bound", "t-part", "t-requisite", "t-chain", "t-upholds", "t-stop",
                 "t-stopped", "t-upheld", "t-wanted", "t-group.target"]  # fmt: skip
        for name in names:
            if name not in ("t-stopped", "t-wanted"):
                host.sh(f"systemctl start {name}")
        # It was started along; somebody has stopped it since.
        host.sh("systemctl stop t-wanted")
        before = host.state_of(*names)
        assert before.count("inactive") == 2
        plan = host.mode(targets=["units"], units=["t-app"], check_mode=True)["steps"]
        held = {line.split()[1] for line in plan}
        assert held == {"t-app.service", "t-requires.service", "t-bound.service", "t-part.service",
                        "t-requisite.service", "t-chain.service", "t-stop.service", "t-stopped.service",
                        "t-group.target"}, plan  # fmt: skip
        assert host.state_of(*names) == before
        host.mode(targets=["units"], units=["t-app"])
        # One of those that are held is asked for, one that did not run among them: none starts.
        host.sh("systemctl start --no-block t-stopped t-part t-chain t-group.target")
        down = ["t-app", "t-requires", "t-bound", "t-part", "t-requisite", "t-chain", "t-stop", "t-stopped",
                "t-group.target"]  # fmt: skip
        host.soon(lambda: host.sh("systemctl list-jobs --no-legend", check=False), lambda jobs: not jobs)
        assert set(host.state_of(*down)) == {"inactive"}
        host.sh("systemctl stop t-wanted")
        done = host.mode(state="disabled")
        assert done["changed"] and not done["faults"], done
        assert host.state_of(*names) == before


@pytest.mark.parametrize("more", ["", "RefuseManualStop=yes"])
def test_the_mode_is_entered_once_what_stops_along_has_ended(host: InHost, more: str) -> None:
    """`systemctl stop` waits for the unit that it names; without After= others end later, and write until then."""
    with host.units(
        t_app__service=SLEEP, t_part__service=dependent(f"PartOf=t-app.service\n{more}") + "ExecStop=sleep 3\n"
    ):
        host.sh("systemctl start t-app t-part")
        done = host.mode(targets=["units"], units=["t-app"])
        assert host.state_of("t-app", "t-part") == ["inactive", "inactive"], done
        done = host.mode(state="disabled")
        assert not done.get("failed") and host.state_of("t-app", "t-part") == ["active", "active"], done


def test_one_that_does_not_end_in_time_is_said(host: InHost) -> None:
    part = dependent("PartOf=t-app.service\nRefuseManualStop=yes") + "ExecStop=sleep 7\n"
    with host.units(t_app__service=SLEEP, t_part__service=part):
        host.sh("systemctl start t-app t-part")
        done = host.mode(targets=["units"], units=["t-app"], units_timeout="2s")
        assert done.get("failed") and "t-part.service is still deactivating after 2 s" in done["msg"], done
        host.soon(lambda: host.state_of("t-app", "t-part"), lambda states: states == ["active", "active"])


def test_a_unit_that_is_stopping_already_is_waited_for(host: InHost) -> None:
    with host.units(t_app__service=f"{SLEEP}ExecStop=sleep 6\n"):
        host.sh("systemctl start t-app; systemctl stop --no-block t-app")
        host.soon(lambda: host.state_of("t-app"), lambda states: states == ["deactivating"])
        done = host.mode(targets=["units"], units=["t-app"])
        assert host.state_of("t-app") == ["inactive"], done
        done = host.mode(state="disabled")
        assert not done.get("failed") and host.state_of("t-app") == ["inactive"], done


@pytest.mark.parametrize(
    ("service", "ends"),
    [
        ("ExecStop=sleep 6\n", "systemctl restart --no-block t-app"),
        # Between its end and its start by itself.
        ("Restart=always\nExecStopPost=sleep 6\n", "systemctl kill --kill-who=main t-app"),
    ],
)
def test_a_unit_that_is_being_restarted_runs_again_afterwards(host: InHost, service: str, ends: str) -> None:
    with host.units(t_app__service=f"{SLEEP}{service}"):
        host.sh(f"systemctl start t-app; {ends}")
        host.soon(lambda: host.state_of("t-app"), lambda states: states == ["deactivating"])
        done = host.mode(targets=["units"], units=["t-app"])
        assert "stop t-app.service" in done["steps"] and host.state_of("t-app") == ["inactive"], done
        done = host.mode(state="disabled")
        assert not done.get("failed") and host.state_of("t-app") == ["active"], done


def test_one_that_nothing_would_stop_is_refused(host: InHost) -> None:
    """A stop goes from units that run: it would be waited for in vain."""
    part = dependent("PartOf=t-app.service\nRefuseManualStop=yes")
    with host.units(t_app__service=SLEEP, t_part__service=part):
        host.sh("systemctl start t-part")
        assert host.state_of("t-app", "t-part") == ["inactive", "active"]
        done = host.mode(targets=["units"], units=["t-app"], units_timeout="60s")
        assert done["failed"] and "t-part.service refuses to be stopped by hand" in done["msg"], done
        assert host.state_of("t-app", "t-part") == ["inactive", "active"] and not host.drop_ins()


def test_a_mode_that_an_earlier_release_entered_is_left(host: InHost) -> None:
    """It named its drop-ins otherwise, and may have forgotten one."""
    with host.units(t_app__service=SLEEP, t_other__service=SLEEP):
        host.sh("systemctl start t-app")
        host.mode(targets=["units"], units=["t-app"])
        flag = host.sh(f"ls {ROOT}/{SERVICE}/units.on")
        host.sh(f"rm {UNITS}/t-app.service.d/*-day2-maintenance-{SERVICE}.conf")
        for unit in ("t-app", "t-other"):
            folder = f"{UNITS}/{unit}.service.d"
            host.sh(f"mkdir -p {folder}; cat > {folder}/50-day2-maintenance-{SERVICE}.conf",
                    text=f"[Unit]\nAfter=day2-maintenance-boot.service\nConditionPathExists=!{flag}\n")  # fmt: skip
        host.sh("systemctl daemon-reload; systemctl start t-app t-other")
        assert host.state_of("t-app", "t-other") == ["inactive", "inactive"]
        done = host.mode(state="disabled")
        assert not done.get("failed") and host.state_of("t-app") == ["active"] and not host.drop_ins(), done


def test_a_drop_in_that_was_left_over_holds_nothing(host: InHost) -> None:
    """A unit that has ended by itself is well, whatever a maintenance of something else has left behind."""
    once = "[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=sh -c 'test -e /run/t-done || sleep inf'\n"
    with host.units(t_once__service=once):
        host.sh(f"mkdir -p {UNITS}/t-once.service.d; cat > {UNITS}/t-once.service.d/zzz-day2-maintenance-gone.conf",
                text=f"[Unit]\nConditionPathExists=!{ROOT}/gone/units.on\n")  # fmt: skip
        try:
            host.sh("systemctl daemon-reload; systemctl start --no-block t-once")
            host.soon(lambda: host.state_of("t-once"), lambda states: states == ["activating"])
            entered = host.mode(targets=["units"], units=["t-once"])
            assert not entered.get("failed"), entered
            host.sh("touch /run/t-done")
            done = host.mode(state="disabled")
            assert not done.get("failed") and not done["faults"], done
            # It is as it was, in the middle of its start, and may need a moment to its end.
            host.soon(lambda: host.state_of("t-once"), lambda states: states == ["inactive"])
        finally:
            host.sh(f"rm -rf /run/t-done {UNITS}/t-once.service.d")


@pytest.mark.parametrize("ran", [True, False])
@pytest.mark.parametrize(
    ("kind", "text"),
    [("socket", f"[Socket]\nListenStream=127.0.0.1:{PORT}\n"), ("path", "[Path]\nPathExists=/run/t-wanted\n"),
     ("timer", "[Timer]\nOnActiveSec=1h\nOnUnitActiveSec=1h\n")],
)  # fmt: skip
def test_what_starts_a_unit_is_held_too(host: InHost, kind: str, text: str, ran: bool) -> None:
    with host.units(**{f"t_asked__{kind}": text, "t_asked__service": SLEEP}):
        host.sh(f"systemctl start t-asked.{kind}" + ("; systemctl start t-asked.service" if ran else ""))
        before = host.state_of("t-asked.service", f"t-asked.{kind}")
        assert before == ["active" if ran else "inactive", "active"]
        assert not host.mode(targets=["units"], units=["t-asked"]).get("failed")
        host.sh("touch /run/t-wanted")
        host.host.run("python3", "-c", CONNECT)
        assert host.state_of("t-asked.service", f"t-asked.{kind}") == ["inactive", "inactive"]
        host.sh("rm /run/t-wanted")
        done = host.mode(state="disabled")
        assert done["changed"] and host.state_of("t-asked.service", f"t-asked.{kind}") == before, done


def test_a_unit_that_the_bus_starts(host: InHost) -> None:
    ask = ("busctl --timeout=3 call org.freedesktop.hostname1 /org/freedesktop/hostname1"
           " org.freedesktop.DBus.Peer Ping")  # fmt: skip
    host.sh(ask)
    assert not host.mode(targets=["units"], units=["systemd-hostnamed"]).get("failed")
    host.sh(ask, check=False)
    assert host.state_of("systemd-hostnamed") == ["inactive"]
    assert host.mode(state="disabled")["changed"]
    host.sh(ask)
    assert host.state_of("systemd-hostnamed") == ["active"]


DIES = "[Service]\nExecStart=/bin/sh -c 'if test -e /run/t-dies; then sleep {after}; exit {code}; fi; exec sleep inf'\n"


@pytest.mark.parametrize(
    ("after", "code", "more"),
    [("0.5", 1, ""), ("0.5", 1, "Restart=always\nRestartSec=100ms\n"), ("0.5", 1, "Restart=always\nRestartSec=20\n"),
     ("0.2", 0, ""), ("2", 1, "Restart=on-failure\nRestartSec=0\n"), ("0.1", 1, "Type=exec\n")],
)  # fmt: skip
def test_a_unit_that_dies_after_its_start_is_a_fault(host: InHost, after: str, code: int, more: str) -> None:
    text = DIES.format(after=after, code=code) + more
    with host.units(t_dies__service=text, t_well__service=SLEEP):
        host.sh("systemctl start t-dies t-well")
        host.mode(targets=["units"], units=["t-well", "t-dies"], units_stable="3s")
        host.sh("touch /run/t-dies")
        try:
            done = host.mode(state="disabled")
            assert done["failed"] and "t-dies.service" in done["msg"] and "after its start" in done["msg"], done
            assert host.state_of("t-well") == ["active"], "it keeps no other from its start"
            assert "FAULT units: t-dies.service" in host.sh("day2ctl maintenance status")
        finally:
            host.sh("rm /run/t-dies")
        # Once it is mended, the timer's next attempt finds it well.
        host.soon(lambda: host.sh("day2ctl maintenance status"), lambda said: said.startswith("nothing is in"))
        assert host.state_of("t-dies") == ["active"]


def test_a_unit_that_failed_again_and_again_before(host: InHost) -> None:
    """What it was before is not well either: nobody tries for ever to better it."""
    text = DIES.format(after="0.1", code=1) + "Restart=always\nRestartSec=20\n[Unit]\nStartLimitIntervalSec=0\n"
    with host.units(t_ill__service=text):
        host.sh("touch /run/t-dies; systemctl start t-ill")
        try:
            host.soon(lambda: host.state_of("t-ill"), lambda state: state == ["activating"])
            host.mode(targets=["units"], units=["t-ill"])
            assert host.state_of("t-ill") == ["inactive"]
            done = host.mode(state="disabled")
            assert done["changed"] and not done["faults"], done
        finally:
            host.sh("rm /run/t-dies")


def test_a_oneshot_and_one_that_waits_to_be_ready(host: InHost) -> None:
    stays = "[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=true\n"
    ready = "[Service]\nType=notify\nNotifyAccess=all\nExecStart=/bin/sh -c 'systemd-notify --ready; sleep infinity'\n"
    with host.units(t_once__service=stays, t_ready__service=ready):
        host.sh("systemctl start t-once t-ready")
        host.mode(targets=["units"], units=["t-once", "t-ready"])
        assert host.state_of("t-once", "t-ready") == ["inactive", "inactive"]
        done = host.mode(state="disabled")
        assert done["changed"] and host.state_of("t-once", "t-ready") == ["active", "active"], done


def test_a_unit_of_two_services_comes_back_with_the_last_one(host: InHost) -> None:
    with host.units(t_one__service=SLEEP, t_two__service=SLEEP,
                    t_both__service=dependent("Requires=t-one.service t-two.service")):  # fmt: skip
        host.sh("systemctl start t-both")
        host.mode(targets=["units"], units=["t-one"])
        host.mode(service="other", targets=["units"], units=["t-two"])
        host.mode(state="disabled")
        assert host.state_of("t-one", "t-two", "t-both") == ["active", "inactive", "inactive"]
        assert "maintenance of other; it starts when that ends" in host.sh("day2ctl maintenance status")
        host.mode(service="other", state="disabled")
        host.soon(lambda: host.state_of("t-one", "t-two", "t-both"), lambda states: states == ["active"] * 3)
        host.soon(lambda: host.sh("day2ctl maintenance status"), lambda said: said.startswith("nothing is in"))


def test_a_lease_ends_while_systemd_is_reloaded(host: InHost) -> None:
    """Whoever installs packages has it read its units again, which begins timers anew."""
    host.mode(targets=["web"], duration="8s")
    host.host.run("sh", "-c", "systemd-run --quiet --unit t-reloads --property=Restart=always"
                  " --property=RestartSec=1 --property=StartLimitIntervalSec=0 systemctl daemon-reload")  # fmt: skip
    try:
        host.soon(lambda: host.get()[0], lambda status: status == 200, 40)
    finally:
        host.sh("systemctl stop t-reloads", check=False)
    assert host.sh("day2ctl maintenance status").startswith("nothing is in maintenance")
