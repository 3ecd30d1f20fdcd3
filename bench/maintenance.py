# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance mode under 1,000 requests a second, and how long it takes; beside it the manual's way.

The application is an nginx of its own, a unit that is stopped and started: what is measured is the switch. The manual
stops the unit, puts another site into place, tests and reloads nginx, and the same backwards.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.load import Answer
from bench.measure import ROOT, Figure, timed

# The port that the host's firewall lets in; nginx tells sites apart by their names.
HOST, SERVICE, PORT, RATE = "options-engine-1", "bench", 80, 1000
RUNS = 3
SITE = "/etc/nginx/sites-enabled/bench"
SERVER = f"listen {PORT}; server_name {SERVICE}; keepalive_requests 1000000; access_log off;"
APPLICATION = """pid /run/bench-app.pid; worker_processes 1; error_log /dev/null;
events { } http { access_log off; keepalive_requests 1000000;
server { listen 127.0.0.1:8089; return 200 'served'; } }
"""
UNIT = """[Service]
Type=forking
PIDFile=/run/bench-app.pid
ExecStart=/usr/sbin/nginx -c /etc/bench-app.conf
"""
LIVE = f"""upstream bench {{ server 127.0.0.1:8089; keepalive 32; }}
server {{
    {SERVER}
    location / {{ proxy_pass http://bench; proxy_http_version 1.1; proxy_set_header Connection ""; }}
}}
"""
CLOSED = f"server {{ {SERVER} return 503; }}\n"
STOP = f"set -eu; systemctl stop bench-app; cp /etc/bench-closed {SITE}; nginx -t -q; systemctl reload nginx"
START = f"set -eu; systemctl start bench-app; cp /etc/bench-live {SITE}; nginx -t -q; systemctl reload nginx"
FLAG, ENOUGH = f"/var/lib/day2/maintenance/{SERVICE}/web.on", "/run/bench-enough"
# Says when the switch moved, by the clock that the load reads too.
WATCH = """
import json, os, sys, time
moved, there = [], False
while not os.path.exists(sys.argv[2]):
    if os.path.exists(sys.argv[1]) != there:
        there = not there
        moved.append(os.stat(sys.argv[1]).st_mtime if there else time.time())
    time.sleep(0.002)
print(json.dumps(moved))
"""
# Seconds. A request that is on its way when the switch moves, or within this of it, may be on either side.
EDGE = 0.1


@dataclass
class Watched:
    """Every answer, and when the switch moved: on, off, on …"""

    answers: list[Answer]
    moved: list[float]

    def counted(self) -> str:
        names = {0: "none"}
        counts = Counter(names.get(status, str(status)) for _sent, _answered, status in self.answers)
        return ", ".join(f"{counts[name]} x {name}" for name in sorted(counts))

    def rate(self) -> float:
        return len(self.answers) / (self.answers[-1][0] - self.answers[0][0])

    def wrong(self) -> int:
        """Answers that are none, or those of the other side of the switch."""
        return sum(status not in self._allowed(sent, answered) for sent, answered, status in self.answers)

    def _allowed(self, sent: float, answered: float) -> Sequence[int]:
        if any(sent - EDGE <= moment <= answered + EDGE for moment in self.moved):
            return (200, 503)
        return (503,) if sum(moment < sent for moment in self.moved) % 2 else (200,)

    def first_refused(self) -> list[float]:
        """Milliseconds from each switch to the first request that was refused."""
        refused = [answered for _sent, answered, status in self.answers if status == 503]
        return [1000 * (min(each for each in refused if each > on) - on) for on in self.moved[::2]]


def run() -> list[Figure]:
    from lab.environment import Lab
    from lab_host import LabHost
    from maintained_host import prepare

    lab = Lab("bench-maintenance")
    lab.down()
    try:
        (up,) = lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            lab_host = LabHost(lab, Path(folder))
            host = prepare(lab_host)
            provide(lab_host)
            return figures(host, up.address)
    finally:
        lab.down()


def provide(lab_host: Any) -> None:
    files = {"/etc/bench-app.conf": APPLICATION, "/etc/systemd/system/bench-app.service": UNIT,
             "/etc/bench-live": LIVE, "/etc/bench-closed": CLOSED, SITE: LIVE}  # fmt: skip
    for path, text in files.items():
        lab_host.run("tee", path, text=text)
    lab_host.run("systemctl", "daemon-reload")
    lab_host.run("systemctl", "start", "bench-app")
    lab_host.run("systemctl", "restart", "nginx")


def figures(host: Any, address: str) -> list[Figure]:
    from maintained_host import role_on

    lab_host = host.host
    by_hand: list[float] = []
    manual = under_load(lab_host, address, lambda: by_hand.extend(by_script(lab_host)))
    own = statistics.median(by_unit(lab_host))
    done = role_on(
        lab_host, "day2.ops.maintenance_page", {"maintenance_page_service": SERVICE, "maintenance_page_sites": [SITE]}
    )
    if done.returncode:
        raise RuntimeError(done.stdout)
    ping = statistics.median(timed(lambda: lab_host.task("ansible.builtin.ping", {})) for _time in range(RUNS))
    quiet = in_and_out(host)
    loaded: dict[str, list[float]] = {}
    ours = under_load(lab_host, address, lambda: loaded.update(in_and_out(host)))
    taken = {state: statistics.median(seconds) - ping - own for state, seconds in quiet.items()}
    first = ours.first_refused()
    return [
        Figure("entering, besides the units", taken["enabled"], 2, besides(quiet["enabled"], ping, own), "s"),
        Figure("leaving, besides the units", taken["disabled"], 2, besides(quiet["disabled"], ping, own), "s"),
        Figure("first request refused", max(first), 100, f"of {len(first)} switches", "ms"),
        Figure("requests a second", ours.rate(), 0.95 * RATE, ours.counted(), "", at_least=True),
        Figure("answers that should not be", ours.wrong(), 0,
               f"by the manual's way: {manual.counted()}; {sum(by_hand) / RUNS:.1f} s in and out", ""),
    ]  # fmt: skip


def besides(seconds: Sequence[float], ping: float, own: float) -> str:
    return f"median {statistics.median(seconds):.1f} s, less a ping ({ping:.1f} s) and the unit ({own:.2f} s)"


def by_script(lab_host: Any) -> list[float]:
    return [timed(lambda: [lab_host.run("sh", "-c", script) for script in (STOP, START)]) for _time in range(RUNS)]


def by_unit(lab_host: Any) -> list[float]:
    """Seconds of the unit itself; a process in the host is begun for each, as for our module."""
    verbs = ["stop", "start"] * RUNS
    return [timed(partial(lab_host.run, "systemctl", verb, "bench-app")) for verb in verbs]


def in_and_out(host: Any) -> dict[str, list[float]]:
    from maintained_host import ALERTMANAGER

    about = {"service": SERVICE, "units": ["bench-app"], "duration": "10m",
             "alerts": {"alertmanager": ALERTMANAGER, "matchers": [{"name": "service", "value": SERVICE}]}}  # fmt: skip
    seconds: dict[str, list[float]] = {"enabled": [], "disabled": []}

    def call(state: str) -> None:
        done = host.mode(state=state, **about)
        if not done.get("changed"):
            raise RuntimeError(json.dumps(done))

    for _time in range(RUNS):
        for state, taken in seconds.items():
            taken.append(timed(partial(call, state)))
    return seconds


def under_load(lab_host: Any, address: str, work: Callable[[], object]) -> Watched:
    lab_host.run("rm", "-f", ENOUGH)
    watch = lab_host.start("python3", "-c", WATCH, FLAG, ENOUGH)
    argv = [sys.executable, "-m", "bench.load", address, str(PORT), str(RATE), SERVICE]
    requests = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        work()
    finally:
        # It ends with its input.
        said, _nothing = requests.communicate("enough\n")
        lab_host.run("touch", ENOUGH)
        moved = json.loads(watch.communicate()[0])
    answers = [tuple(json.loads(line)) for line in said.splitlines()]
    return Watched(answers, moved)
