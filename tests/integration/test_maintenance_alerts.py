# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode and others: Alertmanager, PagerDuty, several owners, services and controllers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab_host import LabHost
from maintained_host import ALERTMANAGER, ROOT, SERVICE, Host, prepare
from pagerduty import SENDER, TOKEN, PagerDuty, pagerduty
from pagerduty import SERVICE as PAGED
from pytest_httpserver import HTTPServer

MATCHERS = [{"name": "service", "value": SERVICE}]
TOKEN_FILE = "/root/pagerduty-token"


@pytest.fixture(scope="module")
def prepared(lab_host: Any) -> Iterator[Host]:
    yield prepare(lab_host)
    lab_host.run("systemctl", "stop", "--no-block", "prometheus-alertmanager")


@pytest.fixture
def host(prepared: Host) -> Iterator[Host]:
    yield prepared
    prepared.end()


@pytest.fixture
def gateway(lab_host: LabHost) -> str:
    return lab_host.gateway


@pytest.fixture
def pager(host: Host, gateway: str) -> Iterator[PagerDuty]:
    host.host.run("sh", "-c", f"umask 077; cat > {TOKEN_FILE}", text=f"{TOKEN}\n")
    with pagerduty(gateway) as it:
        yield it
        # While it still answers.
        host.end()
    host.host.run("rm", TOKEN_FILE)


def paging(pager: PagerDuty, **other: Any) -> dict[str, Any]:
    about = {"url": pager.url, "token_file": TOKEN_FILE, "services": [PAGED], "from": SENDER, **other}
    return {"alertmanager": ALERTMANAGER, "matchers": MATCHERS, "pagerduty": about}


def test_an_alertmanager_that_fails(host: Host, gateway: str) -> None:
    with HTTPServer(host=gateway, port=0) as server:
        server.expect_request("/api/v2/silences").respond_with_data("out of memory", status=500)
        done = host.mode(alerts={"alertmanager": server.url_for(""), "matchers": MATCHERS})
    assert done["failed"] and "HTTP 500: out of memory" in done["msg"], done
    assert host.in_service()


def test_one_that_is_something_else(host: Host, gateway: str) -> None:
    with HTTPServer(host=gateway, port=0) as server:
        server.expect_request("/api/v2/silences").respond_with_data("<html>welcome</html>")
        done = host.mode(alerts={"alertmanager": server.url_for(""), "matchers": MATCHERS})
    assert done["failed"] and "something else than a list" in done["msg"], done
    assert host.in_service()


def test_one_that_is_gone_for_good(host: Host, gateway: str) -> None:
    """Its silences end by themselves; nobody tries for ever to remove them."""
    with HTTPServer(host=gateway, port=0) as server:
        server.expect_request("/api/v2/silences").respond_with_json([])
        host.mode(targets=["alerts"], alerts={"alertmanager": server.url_for(""), "matchers": MATCHERS}, duration="2m")
    done = host.mode(state="disabled")
    assert done["failed"] and "refused" in done["msg"], done
    # As if those two minutes, and what clocks may differ by, were over.
    script = (
        "import sys; sys.path.insert(0, '/usr/local/bin/day2ctl')\n"
        "from ansible_collections.day2.ops.plugins.module_utils.maintenance import states, store\n"
        "s = store.FileStore(); state = s.load(sys.argv[1])\n"
        "state.targets['alerts'].record['until'] -= 200\n"
        "s.save(state, states.reading())"
    )
    host.host.run("systemctl", "stop", "day2-maintenance.timer", f"day2-maintenance@{SERVICE}.service")
    host.host.run("python3", "-c", script, SERVICE)
    host.host.run("systemctl", "start", "day2-maintenance.timer")
    host.until(host.in_service)


def test_an_alertmanager_that_hangs(host: Host, gateway: str) -> None:
    """It accepts, and says nothing."""
    with socket.create_server((gateway, 0)) as silent:
        address = f"http://{gateway}:{silent.getsockname()[1]}"
        done = host.mode(alerts={"alertmanager": address, "matchers": MATCHERS})
    assert done["failed"] and "no answer within 10 s" in done["msg"], done
    assert host.in_service()


def test_one_that_hangs_at_the_end(host: Host) -> None:
    """Users and units are back on time; the silence goes as soon as somebody answers."""
    host.mode(duration="15s")
    host.host.run("systemctl", "kill", "-s", "STOP", "prometheus-alertmanager")
    try:
        host.until(lambda: host.get()[0] == 200 and host.unit() == "active")
        host.until(lambda: "FAULT" in host.host.run("day2ctl", "maintenance", "status"))
    finally:
        host.host.run("systemctl", "kill", "-s", "CONT", "prometheus-alertmanager")
    host.until(host.in_service)


def test_an_extension_while_it_is_down(host: Host) -> None:
    """Work that goes on must not meet a service that comes back: the lease is longer, the silence follows."""
    host.mode(duration="5m")
    (before,) = host.silences()
    host.host.run("systemctl", "stop", "prometheus-alertmanager")
    try:
        done = host.mode(state="extended", duration="30m")
        assert done["failed"] and "the lease is longer, but not everywhere: alerts" in done["msg"], done
        assert host.mode(state="status")["leases"][0]["left"] > 1700
        refused = host.mode(owner="second", duration="2h")
        assert refused["failed"] and "as it was before" in refused["msg"], refused
        assert [lease["owner"] for lease in host.mode(state="status")["leases"]] == ["window"]
    finally:
        host.start_alertmanager()

    host.until(host.somebody_silences)
    host.until(lambda: any(each["endsAt"] > before["endsAt"] for each in host.silences()))
    host.until(lambda: not host.mode(state="status")["faults"])


def test_units_come_back_while_it_is_down(host: Host) -> None:
    """As a procedure that looks whether the service is healthy: users still see the page, and nobody is refused."""
    host.mode()
    host.host.run("systemctl", "stop", "prometheus-alertmanager")
    try:
        done = host.mode(targets=["alerts", "web"], claim="held")
        assert not done.get("failed") and "refused" in done["faults"][0], done
        assert (host.unit(), host.get()[0]) == ("active", 503)
        assert "FAULT" in host.host.run("day2ctl", "maintenance", "status", check=False)
    finally:
        host.start_alertmanager()
    host.until(lambda: host.somebody_silences() and not host.mode(state="status")["faults"])
    assert host.silences()


def test_an_emergency_while_it_accepts_no_silence(host: Host, gateway: str) -> None:
    with HTTPServer(host=gateway, port=0) as server:
        about = {"alertmanager": server.url_for(""), "matchers": MATCHERS}
        server.expect_request("/api/v2/silences", method="GET").respond_with_json([])
        server.expect_request("/api/v2/silences", method="POST").respond_with_data("read only", status=503)
        refused = host.mode(alerts=about)
        assert refused["failed"] and "HTTP 503: read only; everything is as it was before" in refused["msg"], refused
        assert host.in_service()
        done = host.mode(alerts={**about, "optional": True})
        assert not done.get("failed") and "HTTP 503: read only" in done["faults"][0], done
        assert (host.unit(), host.get()[0]) == ("inactive", 503)
        host.end()


def test_pagerduty(host: Host, pager: PagerDuty) -> None:
    about = paging(pager)
    planned = host.mode(alerts=about, duration="10m", check_mode=True)
    assert any("PagerDuty" in step for step in planned["steps"]) and not pager.windows
    host.mode(alerts=about, duration="10m")
    (window,) = pager.open_ones()
    assert window["services"] == [{"id": PAGED, "type": "service_reference"}]
    assert SERVICE in window["description"] and host.host.name in window["description"]
    assert TOKEN not in str(host.state())
    assert not host.mode(alerts=about)["changed"]
    host.mode(state="extended", duration="30m", alerts=about)
    (longer,) = pager.open_ones()
    assert longer["id"] == window["id"] and longer["end_time"] > window["end_time"]
    host.mode(state="disabled")
    assert not pager.open_ones() and not host.silences()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"from": "stranger@example.com"}, "HTTP 400"),
        ({"services": ["PNOSUCH"]}, "Invalid Input"),
        ({"service_ids": [PAGED]}, "service_ids"),
        ({"token_file": "/root/nosuch"}, "nosuch: No such file"),
        ({"token_file": "/etc/hostname"}, "HTTP 401"),
        ({"from": ""}, "'pagerduty' has no from"),
    ],
)
def test_a_pagerduty_that_refuses(host: Host, pager: PagerDuty, other: dict[str, Any], words: str) -> None:
    done = host.mode(alerts=paging(pager, **other))
    assert done["failed"] and words in done["msg"], done
    assert TOKEN not in done["msg"]
    # The silence, which came first, is gone as well.
    assert host.in_service() and not pager.open_ones()


def test_a_pagerduty_whose_answer_is_lost(host: Host, pager: PagerDuty) -> None:
    """The window is open, and nobody was told its id: it is found by its description."""
    pager.lose_answers = True
    done = host.mode(alerts=paging(pager))
    assert done["failed"] and "HTTP 502" in done["msg"], done
    assert len(pager.windows) == 1 and not pager.open_ones()
    assert host.in_service()


def test_silences_of_other_hosts_stay(host: Host) -> None:
    """Hosts of one service have one Alertmanager, and leave one after the other."""
    host.host.run("amtool", f"--alertmanager.url={ALERTMANAGER}", "silence", "add", "-d", "5m", "-c", "theirs",
                  "-a", f"day2.ops {SERVICE} on other-host", f"service={SERVICE}")  # fmt: skip
    host.mode()
    assert len(host.silences()) == 2
    host.mode(state="disabled")
    (theirs,) = host.silences()
    assert theirs["comment"] == "theirs"
    host.host.run("amtool", f"--alertmanager.url={ALERTMANAGER}", "silence", "expire", theirs["id"])


def test_two_controllers_at_once(host: Host, tmp_path: Path) -> None:
    """Two processes with two owners, who take and give up in any order."""

    def controller(name: str) -> list[Any]:
        (tmp_path / name).mkdir()
        mine = Host(LabHost(host.host.lab, tmp_path / name))
        return [mine.mode(owner=name), mine.mode(owner=name, state="status"), mine.mode(owner=name, state="disabled")]

    with ThreadPoolExecutor() as pool:
        told = dict(zip(("one", "two"), pool.map(controller, ("one", "two"))))
    for name, (entered, meanwhile, left) in told.items():
        assert entered["changed"] and meanwhile["enabled"] and left["changed"], told
        assert name in [lease["owner"] for lease in meanwhile["leases"]]
    assert host.in_service()


def test_a_second_owner_who_asks_for_more(host: Host) -> None:
    """What runs on would surprise: it is refused by name, and the first one's maintenance goes on."""
    host.mode(owner="first")
    other = {"alertmanager": ALERTMANAGER, "matchers": [{"name": "service", "value": "other"}]}
    for about, words in (({"units": [SERVICE, "redis-server"]}, "redis-server.service"), ({"alerts": other}, "alerts")):
        done = host.mode(owner="second", **about)
        assert done["failed"] and words in done["msg"] and "End it first" in done["msg"], done
    assert [lease["owner"] for lease in host.mode(state="status")["leases"]] == ["first"]
    assert host.unit("redis-server") == "active"


@contextmanager
def slow_unit(host: Host) -> Iterator[str]:
    # One process: of a child that outlives it systemd with version 1 of control groups is not told when it ends.
    deaf = "trap '' TERM; exec sleep 1000"
    unit = f'[Service]\nExecStart=/bin/sh -c "{deaf}"\nTimeoutStopSec=300\n'
    host.host.run("sh", "-c", "cat > /etc/systemd/system/slow.service; systemctl daemon-reload", text=unit)
    host.host.run("systemctl", "start", "slow")
    try:
        yield "slow"
    finally:
        host.host.run("systemctl", "kill", "-s", "KILL", "slow", check=False)
        host.host.run("day2ctl", "maintenance", "disable", "other", "--force", check=False)
        host.host.run("systemctl", "stop", "--no-block", "slow", check=False)
        host.host.run("systemctl", "kill", "-s", "KILL", "slow", check=False)
        host.host.run("sh", "-c", f"rm -rf /etc/systemd/system/slow.service {ROOT}/other; systemctl daemon-reload")


def test_a_service_that_is_slow_keeps_no_other(host: Host, tmp_path: Path) -> None:
    """One controller waits for a unit that does not stop, while the lease of another service ends."""
    with slow_unit(host) as unit, ThreadPoolExecutor() as pool:
        host.mode(duration="20s")
        theirs = Host(LabHost(host.host.lab, tmp_path))
        stopping = pool.submit(
            theirs.mode, service="other", owner="other", units=[unit], targets=["units"], units_timeout="5m"
        )
        host.until(lambda: host.unit(unit) == "deactivating")
        host.until(host.in_service)
        assert host.unit(unit) == "deactivating" and not stopping.done()
        host.host.run("systemctl", "kill", "-s", "KILL", unit)
        assert stopping.result()["changed"], stopping.result()


def test_users_wait_for_an_application_that_is_slow_to_answer(host: Host) -> None:
    """Its unit is started long before it listens; nobody sees an error of nginx's in between."""
    slow = "[Service]\nExecStart=\nExecStart=/bin/sh -c 'sleep 4; exec /usr/bin/python3 /opt/options_engine/app.py'\n"
    folder = "/run/systemd/system/options-engine.service.d"
    host.host.run("sh", "-c", f"mkdir -p {folder}; cat > {folder}/slow.conf; systemctl daemon-reload", text=slow)
    try:
        host.mode(targets=["web", "units"], web={"ready": "http://127.0.0.1:8080/health"})
        assert host.mode(state="disabled")["changed"]
        assert host.get()[0] == 200
        host.mode(targets=["web"], web={"ready": "http://127.0.0.1:8080/nosuch"})
        done = host.mode(state="disabled")
        assert done["failed"] and "users are let in again, but" in done["msg"] and "HTTP 404" in done["msg"], done
        # Somebody was told; there is nothing to try again for.
        host.until(lambda: host.get()[0] == 200 and host.state() is None)
    finally:
        host.host.run("sh", "-c", f"rm -r {folder}; systemctl daemon-reload")


def test_what_is_over_cannot_be_extended(host: Host) -> None:
    """Not even before the timer has looked at it."""
    host.mode(duration="20s", targets=["web"])
    host.host.run("systemctl", "stop", "day2-maintenance.timer", f"day2-maintenance@{SERVICE}.service")
    host.until(lambda: "over for" in host.host.run("day2ctl", "maintenance", "status"), 60)
    done = host.mode(state="extended", duration="1h", owner="window")
    assert done["failed"] and "window holds no lease" in done["msg"] and "may have ended" in done["msg"], done
    result = host.host.checks({"id": "mode", "probe": "maintenance"})["mode"]
    assert result["status"] == "warning" and "over for" in result["message"]
    status = host.host.run("day2ctl", "maintenance", "status")
    assert "FAULT nothing would end it" in status


@pytest.mark.parametrize(
    ("state", "duration"),
    [("enabled", "0"), ("enabled", "40d"), ("extended", "-1h"), ("extended", ""), ("extended", "soon")],
)
def test_durations_that_cannot_be_meant(host: Host, state: str, duration: str) -> None:
    done = host.mode(state=state, duration=duration)
    assert done["failed"] and "'duration'" in done["msg"], done


def test_what_a_person_at_the_host_mistypes(host: Host) -> None:
    host.mode(targets=["web"])
    tried = host.host.run("sh", "-c", f"day2ctl maintenance disable {SERVICE} --owner windw 2>&1; echo status $?")
    assert "windw holds no lease" in tried and "held by window" in tried and tried.endswith("status 1")
    tried = host.host.run("day2ctl", "maintenance", "disable", "optons-engine", "--owner", "window")
    assert f"in maintenance here: {SERVICE}" in tried
    extend = f"day2ctl maintenance extend {SERVICE} --owner window --duration"
    tried = host.host.run("sh", "-c", f"{extend} -1h 2>&1; echo status $?")
    assert "--duration" in tried and tried.endswith("status 2")
    assert "nothing was changed" in host.host.run("sh", "-c", f"{extend} 1s")
    status = host.host.run("day2ctl", "maintenance", "status")
    # What it says is what a person types.
    (line,) = [line for line in status.split("\n") if "end it: " in line]
    host.host.run(*line.partition("end it: ")[2].split())
    assert host.in_service() and host.host.run("day2ctl", "maintenance", "status").startswith("nothing is in maint")
