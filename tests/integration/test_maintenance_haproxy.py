# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode of servers behind a real HAProxy on a lab host: its socket is asked past the collection."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from lab.waiting import wait_for
from lab_host import LabHost
from maintained import Maintained
from maintained_host import ROOT, role_on

SERVICE = "shop"
SOCKET, WEAK = "/run/haproxy/admin.sock", "/run/haproxy/weak.sock"
HOLD = "/run/day2-hold"
DROP_IN = "/etc/systemd/system/haproxy.service.d"
CONFIG = f"""
global
    stats socket {SOCKET} mode 600 level admin
    stats socket {WEAK} mode 600 level operator
    user haproxy
    group haproxy
defaults
    mode http
    timeout connect 2s
    timeout client 60s
    timeout server 60s
    default-server inter 300ms
listen web.v1
    bind 127.0.0.1:8500
    balance roundrobin
    server a 127.0.0.1:8511 check
    server b 127.0.0.1:8512
    server off 127.0.0.1:8511 disabled
    server down 127.0.0.1:1 check
listen api
    bind 127.0.0.1:8501
    server a 127.0.0.1:8511 track web.v1/a
listen agents
    bind 127.0.0.1:8502
    server a 127.0.0.1:8511 agent-check agent-port 8519 agent-inter 300ms
"""
# Two servers that answer with their names, `/slow` once a file is gone; and an agent that says a server is ready.
APPS = f"""
import os, socketserver, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class App(BaseHTTPRequestHandler):
    def do_GET(self):
        while self.path == "/slow" and os.path.exists("{HOLD}"):
            time.sleep(0.1)
        self.send_response(200)
        self.end_headers()
        self.wfile.write({{8511: b"a", 8512: b"b"}}[self.server.server_port])
class Agent(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"ready up\\n")
for server in (ThreadingHTTPServer(("127.0.0.1", 8511), App), ThreadingHTTPServer(("127.0.0.1", 8512), App)):
    threading.Thread(target=server.serve_forever).start()
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", 8519), Agent).serve_forever()
"""
UNIT = "[Service]\nExecStart=/usr/bin/python3 /opt/day2-apps.py\n[Install]\nWantedBy=multi-user.target\n"
# What HAProxy says to a command.
ASK = """
import socket, sys
talk = socket.socket(socket.AF_UNIX)
talk.connect(sys.argv[1])
talk.sendall(sys.argv[2].encode() + b"\\n")
sys.stdout.write(talk.makefile().read())
"""
# Who answers some requests, or the status where nobody does.
GET = """
import sys, urllib.error, urllib.request
for _request in range(int(sys.argv[2])):
    try:
        print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}").read().decode())
    except urllib.error.HTTPError as error:
        print(error.code)
"""
IN_SERVICE = {"web.v1/a": "UP", "web.v1/b": "no check", "web.v1/off": "MAINT", "web.v1/down": "DOWN", "api/a": "UP",
              "agents/a": "no check"}  # fmt: skip


class Site:
    """The host, the module, and what is to be seen past it."""

    def __init__(self, host: LabHost) -> None:
        self.host = host

    def mode(self, *servers: str, check_mode: bool = False, drain: str = "20s", **arguments: Any) -> Any:
        call = {
            "service": SERVICE, "owner": "window", "reason": "testing", "duration": "10m", "targets": ["haproxy"],
            "haproxy": {"servers": list(servers or ["web.v1/a"]), "drain": drain}, **arguments,
        }  # fmt: skip
        return self.host.task("day2.ops.maintenance_mode", call, become_user="root", check_mode=check_mode)

    def leave(self) -> Any:
        return self.mode(state="disabled")

    def ask(self, command: str) -> str:
        return self.host.python(ASK, SOCKET, command)

    def statuses(self) -> dict[str, str]:
        lines = [line.split(",") for line in self.ask("show stat").lstrip("# ").split("\n") if line]
        status = lines[0].index("status")
        return {f"{row[0]}/{row[1]}": row[status] for row in lines[1:] if row[1] not in ("FRONTEND", "BACKEND")}

    def status(self, name: str = "web.v1/a") -> str:
        return self.statuses()[name]

    def served(self, port: int = 8500, path: str = "/", count: int = 6) -> set[str]:
        return set(self.host.python(GET, f"{port}{path}", str(count)).split())

    def slow(self) -> Any:
        """A request to `a` that is being answered until `release`."""
        self.host.run("touch", HOLD)
        request = self.host.start("python3", "-c", GET, "8501/slow", "1")
        self.until(lambda: ",a,0,0,1," in self.ask("show stat api 4 -1"))
        return request

    def release(self) -> None:
        self.host.run("rm", "-f", HOLD)

    def until(self, wanted: Callable[[], bool], limit: float = 40.0) -> None:
        wait_for(wanted, bool, limit, "the host", pause=0.2)

    def in_service(self) -> bool:
        left = self.host.run("ls", f"{ROOT}/{SERVICE}", check=False)
        return not left and self.statuses() == IN_SERVICE and self.served() == {"a", "b"}

    def end(self) -> None:
        """Whatever a test left, back to service."""
        self.release()
        self.host.run("systemctl", "start", "haproxy", "day2-apps")
        self.host.run("day2ctl", "maintenance", "disable", SERVICE, "--force", check=False)
        # It forgets all states.
        self.host.run("systemctl", "restart", "haproxy")
        self.until(self.in_service)


@pytest.fixture(scope="module")
def prepared(lab_host: LabHost) -> Iterator[Site]:
    done = role_on(lab_host, "day2.ops.runtime", {})
    assert done.returncode == 0, done.stdout + done.stderr
    lab_host.run("mkdir", "-p", DROP_IN)
    places = ("/etc/haproxy/haproxy.cfg", "/opt/day2-apps.py", "/etc/systemd/system/day2-apps.service",
              f"{DROP_IN}/lab.conf")  # fmt: skip
    # A container has no name spaces to give away.
    for path, text in zip(places, (CONFIG, APPS, UNIT, "[Service]\nBindReadOnlyPaths=\n")):
        lab_host.run("tee", path, text=text)
    lab_host.run("systemctl", "daemon-reload")
    lab_host.run("systemctl", "enable", "--now", "day2-apps")
    lab_host.run("systemctl", "restart", "haproxy")
    site = Site(lab_host)
    site.until(site.in_service)
    yield site
    lab_host.run("systemctl", "disable", "--now", "haproxy", "day2-apps")
    lab_host.run("rm", "-r", "/etc/systemd/system/day2-apps.service", DROP_IN)


@pytest.fixture
def site(prepared: Site) -> Iterator[Site]:
    yield prepared
    prepared.end()


def test_in_and_out(site: Site) -> None:
    planned = site.mode(check_mode=True)
    assert planned["changed"] and site.in_service()
    steps = planned["steps"]
    assert "drain web.v1/a of HAProxy, and put it into maintenance" in steps and "wait at most 20 s" in steps[-1], steps
    assert "api/a goes with web.v1/a (track)" in steps and "no server of api is left" in " ".join(steps), steps
    done = site.mode()
    assert done["changed"] and done["steps"][-1] == "their sessions have ended", done
    assert site.statuses() == {**IN_SERVICE, "web.v1/a": "MAINT", "api/a": "MAINT (via web.v1/a)"}
    assert site.served() == {"b"} and site.served(8501) == {"503"}
    assert not site.mode()["changed"]
    shown = site.host.run("day2ctl", "maintenance", "status")
    assert "haproxy: HAProxy gives these servers no requests" in shown and "FAULT" not in shown
    back = site.leave()
    assert back["changed"] and back["steps"] == ["left haproxy"] and not back["enabled"]
    site.until(site.in_service)
    assert not site.leave()["changed"]


@pytest.mark.parametrize(("before", "status"), [("maint", "MAINT"), ("drain", "DRAIN"), ("ready", "UP")])
def test_a_server_goes_back_to_what_somebody_had_made_it(site: Site, before: str, status: str) -> None:
    site.ask(f"set server web.v1/a state {before}")
    assert site.mode()["changed"] and site.status() == "MAINT"
    site.leave()
    site.until(lambda: site.status() == status)


def test_a_whole_backend(site: Site) -> None:
    """With one that is disabled in the configuration, which stays so, and one that is down: nobody waits for it."""
    done = site.mode("web.v1", "agents/a")
    assert done["changed"], done
    assert "leave web.v1/off of HAProxy in maintenance, where somebody has put it" in done["steps"]
    assert {name: status[:5] for name, status in site.statuses().items()} == dict.fromkeys(IN_SERVICE, "MAINT")
    assert site.served() == {"503"}
    site.leave()
    site.until(site.in_service)


def test_an_agent_that_says_ready_ends_nothing(site: Site) -> None:
    """It is not asked within the mode; what HAProxy shows of an agent that it asks has the bit 0x04."""

    def agent() -> int:
        (row,) = [line.split() for line in site.ask("show servers state agents").split("\n") if " a 127" in line]
        return int(row[14])

    site.mode("agents/a")
    assert not agent() & 4 and site.served(8502) == {"503"}
    site.leave()
    assert agent() & 4 and site.served(8502) == {"a"}


def test_requests_that_are_being_answered_end(site: Site) -> None:
    request = site.slow()
    with ThreadPoolExecutor(1) as beside:
        entering = beside.submit(site.mode, drain="60s")
        site.until(lambda: site.status() == "DRAIN")
        # The follower is drained as well, which has the request.
        assert site.status("api/a").startswith("DRAIN") and site.served() == {"b"} and not entering.done()
        site.release()
        done = entering.result()
    assert done["steps"][-1] == "their sessions have ended" and site.status() == "MAINT"
    assert request.communicate()[0].strip() == "a"


def test_requests_that_take_too_long_go_on(site: Site) -> None:
    request = site.slow()
    done = site.mode(drain="1s")
    assert "sessions are still open after 1" in done["steps"][-1] and "1 of api/a" in done["steps"][-1], done
    assert site.status() == "MAINT" and site.served() == {"b"} and request.poll() is None
    site.release()
    assert request.communicate()[0].strip() == "a"


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"servers": ["web"]}, "no backend 'web' with servers; did you mean 'web.v1'"),
        ({"servers": ["web.v1/c"]}, "backend web.v1 has no server 'c'"), ({"servers": []}, "no server is named"),
        ({"servers": ["web.v1/a", "api/b"]}, "backend api has no server 'b'"),
        ({"servers": ["web.v1/a"], "socket": WEAK}, "has level operator"),
        ({"servers": ["web.v1/a"], "socket": "/run/haproxy/none.sock"}, "is missing: does HAProxy run"),
        ({"servers": ["web.v1/a"], "socket": "/etc/hosts"}, "nobody listens at /etc/hosts"),
        ({"servers": ["web.v1/a"], "socket": "/run/haproxy-master.sock"}, "does not know `show servers state`"),
        ({"servers": ["web.v1/a"], "drain": "soon"}, "'haproxy.drain'"),
        ({"server": ["web.v1/a"]}, "Unsupported parameters"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_changes_nothing(site: Site, about: dict[str, Any], words: str) -> None:
    for check_mode in (True, False):
        done = site.mode(check_mode=check_mode, haproxy=about)
        assert done["failed"] and words in done["msg"], done
    assert site.in_service()


def test_who_asks_for_more_is_refused(site: Site) -> None:
    site.mode()
    done = site.mode("web.v1/b", owner="second")
    assert done["failed"] and "web.v1/b would go on" in done["msg"] and site.status("web.v1/b") == "no check"


@pytest.mark.parametrize("way", ["reload", "restart"])
def test_haproxy_forgets_and_is_told_again(site: Site, way: str) -> None:
    site.mode("web.v1")
    # With a server that it did not have before.
    new = CONFIG.replace("    server down", "    server new 127.0.0.1:8512\n    server down")
    site.host.run("tee", "/etc/haproxy/haproxy.cfg", text=new)
    try:
        site.host.run("systemctl", way, "haproxy")
        site.until(lambda: "web.v1/new" in site.statuses())
        site.until(lambda: {site.status(f"web.v1/{name}") for name in ("a", "b", "off", "new", "down")} == {"MAINT"})
        assert site.served() == {"503"}
        site.leave()
        site.until(lambda: site.statuses() == {**IN_SERVICE, "web.v1/new": "no check"})
    finally:
        site.host.run("tee", "/etc/haproxy/haproxy.cfg", text=CONFIG)


def test_one_that_does_not_run_is_no_fault_and_comes_back_when_it_does(site: Site) -> None:
    site.mode(duration="6s")
    site.host.run("systemctl", "stop", "haproxy")
    site.until(lambda: "could not be left yet" in site.host.run("day2ctl", "maintenance", "status"))
    assert f"nobody listens at {SOCKET}" in site.host.run("day2ctl", "maintenance", "status")
    site.host.run("systemctl", "start", "haproxy")
    site.until(site.in_service)


def test_a_kill_in_the_middle_of_the_drain(site: Site) -> None:
    request = site.slow()
    call = {"service": SERVICE, "owner": "killed", "reason": "testing", "duration": "5s", "targets": ["haproxy"],
            "haproxy": {"servers": ["web.v1"], "drain": "5m"}}  # fmt: skip
    script = "/opt/day2-direct/kill_maintenance.py"
    module = site.host.start("env", "PYTHONPATH=/opt/day2-direct", "python3", script, "module", json.dumps(call))
    site.until(lambda: site.status() == "DRAIN" and site.status("web.v1/b") == "DRAIN")
    holder = json.loads(site.host.run("cat", f"{ROOT}/.{SERVICE}.lock"))
    site.host.run("kill", "-KILL", str(holder["pid"]))
    module.wait()
    # The host's timer ends what nobody holds any more.
    site.until(site.in_service)
    site.release()
    request.communicate()


def test_a_reboot_within_the_mode(site: Site) -> None:
    site.host.run("systemctl", "enable", "haproxy")
    site.mode()
    try:
        site.host.lab.podman.run("restart", "--time", "5", site.host.lab.container(site.host.name))
        wait_for(
            lambda: site.host.run("systemctl", "is-system-running", check=False),
            lambda state: state in ("running", "degraded"), 90, "the host has booted",
        )  # fmt: skip
        site.until(lambda: site.status() == "MAINT")
        assert "window until" in site.host.run("day2ctl", "maintenance", "status")
        site.leave()
        site.until(site.in_service)
    finally:
        site.host.run("systemctl", "disable", "haproxy")
        site.host.lab.up({site.host.name: "options_engine"})


def test_a_state_that_nobody_can_read(site: Site) -> None:
    site.ask("set server web.v1/b state drain")
    site.mode("web.v1/a", "web.v1/b")
    folder = f"{ROOT}/{SERVICE}"
    site.host.run("sh", "-c", f"echo x > {folder}/state.json; echo x > {folder}/state.before.json")
    said = site.host.run("day2ctl", "maintenance", "disable", SERVICE, "--force")
    site.host.run("sh", "-c", f"rm {folder}/*.damaged; rmdir {folder}")
    assert "make web.v1/a of HAProxy ready again" in said and "make web.v1/b of HAProxy drain again" in said
    site.until(lambda: site.status() == "UP" and site.status("web.v1/b") == "DRAIN")


def test_a_maintenance_of_the_system(site: Site, tmp_path: Path) -> None:
    """The playbook hands the setting on, and has the target where servers are named."""
    maintained = Maintained(site.host, tmp_path)
    look = maintained.step("look", "sh", "-c", 'python3 -c "$1" "$2" "show stat" > /tmp/looked', "look", ASK, SOCKET)
    done = maintained.play(
        "maintenance", day2_maintenance_steps=[look], maintenance_window_service=SERVICE, maintenance_page_sites=[],
        maintenance_window_units=[], maintenance_window_alerts={}, maintenance_window_backup=False,
        maintenance_window_haproxy={"servers": ["web.v1/a"], "drain": "5s"},
    )  # fmt: skip
    assert done.returncode == 0, maintained.output
    rows = [line.split(",") for line in site.host.run("cat", "/tmp/looked").split("\n")]
    assert [row[17] for row in rows if row[:2] == ["web.v1", "a"]] == ["MAINT"]
    assert site.in_service()
