# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL of maintenance_mode, in a host: `kill_maintenance.py each|runs …`. Prints JSON.

`each WAY` ends the process before each of its steps in turn, WAY being enter, leave or tick. `runs SEED KILLS` kills
the module at random moments. After each kill the host alone brings everything back to exactly what it was.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from glob import glob
from importlib import import_module
from typing import Any

from forked import call_in_fork
from kill_runs import Fault, Scenario, call, kill_one, module

SERVICE, UNITS = "options-engine", ("options-engine.service", "day2-kills.service")
ROOT = "/var/lib/day2/maintenance"
ALERTMANAGER = "http://127.0.0.1:9093"
LEASE, NEVER = 0.5, 0
# The timer's five seconds, what it starts, and a machine that is busy.
LIMIT = 40.0
ENTER: dict[str, Any] = {
    "service": SERVICE, "owner": "killed", "reason": "a test", "duration": f"{LEASE}s", "units": list(UNITS),
    # How long a unit has to stay up after its start is tested elsewhere.
    "units_stable": "0.2s",
    "alerts": {"alertmanager": ALERTMANAGER, "matchers": [{"name": "service", "value": SERVICE}]},
}  # fmt: skip
LEAVE = {"service": SERVICE, "owner": "killed", "state": "disabled"}


def snapshot() -> dict[str, Any]:
    """What is to be the same again, asked past the collection. Locks stay, and are nobody's state."""
    with urllib.request.urlopen(f"{ALERTMANAGER}/api/v2/silences", timeout=10) as answer:
        silences = [each["id"] for each in json.load(answer) if each["status"]["state"] != "expired"]
    states = call("systemctl", "show", "--property=ActiveState,DropInPaths,NeedDaemonReload", *UNITS)
    files = [path for path in call("find", ROOT, "-mindepth", "1").split("\n") if not path.endswith(".lock")]
    drop_ins = [path for unit in UNITS for path in glob(f"/etc/systemd/system/{unit}.d*")]
    return {"silences": silences, "units": states, "files": [*filter(None, files), *drop_ins]}


def the_timer() -> str:
    """What somebody has to know of a host that did not come back."""
    shown = call("systemctl", "show", "--property=ActiveState,SubState,UnitFileState", "day2-maintenance.timer")
    return shown + call("journalctl", "-n", "25", "--no-pager", "-u", "day2-maintenance*")


def until(wanted: Callable[[], bool], what: Callable[[], object]) -> None:
    end = time.monotonic() + LIMIT
    while not wanted():
        if time.monotonic() > end:
            raise Fault(f"after {LIMIT:g} s: {what()}")
        time.sleep(0.1)


def back_by_itself(before: dict[str, Any], nudge: bool) -> None:
    """The timer's own work; with a nudge it does not wait for the timer's next turn."""

    def back() -> bool:
        if nudge:
            process("dying", str(NEVER), "tick")
        return snapshot() == before

    until(back, lambda: (snapshot(), the_timer()))


def arrange() -> dict[str, Any]:
    unit = "[Service]\nExecStart=sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
    with open("/etc/systemd/system/day2-kills.service", "w", encoding="ascii") as stream:
        stream.write(unit)
    call("systemctl", "daemon-reload")
    call("systemctl", "start", *UNITS)
    # What earlier ones left goes first.
    call("day2ctl", "maintenance", "tick")
    return snapshot()


def clear() -> None:
    call("systemctl", "stop", "day2-kills.service")
    os.unlink("/etc/systemd/system/day2-kills.service")
    call("systemctl", "daemon-reload")


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`main` of these arguments in a fork."""
    with tempfile.TemporaryFile("w+") as said:
        code = call_in_fork(lambda: main(arguments), said.fileno(), said.fileno())
        said.seek(0)
        return subprocess.CompletedProcess(arguments, code, said.read(), "")


def dying(step: str, way: str) -> None:
    """Do it, and die before the step of this number: whatever changes a file, runs a program or asks an interface."""
    from ansible_collections.day2.ops.plugins.module_utils.process.pool import Pool

    left = [int(step)]

    def fatal(real: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*arguments: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)

        return instead

    # Nothing else than the file that `replace` moves can be left before fsync(2).
    for name in ("replace", "unlink", "rmdir", "chmod"):
        setattr(os, name, fatal(getattr(os, name)))
    # Not replaced by a function: others inherit from it.
    subprocess.Popen.__init__ = fatal(subprocess.Popen.__init__)  # type: ignore[method-assign]
    Pool.run = fatal(Pool.run)  # type: ignore[method-assign]
    if way == "tick":
        from ansible_collections.day2.ops.plugins.module_utils.maintenance import mode
        from ansible_collections.day2.ops.plugins.module_utils.maintenance.timers import this_host

        here = this_host()
        now = here.clock()
        # Every lease is over by then.
        mode.tick(replace(here, clock=lambda: replace(now, uptime=now.uptime + 3600, wall=now.wall + 3600)))
    else:
        module("maintenance_mode", ENTER if way == "enter" else LEAVE)


def each(way: str) -> dict[str, Any]:
    """Kill before step 1, 2, 3 … until one run comes to its end; what does not come back is a fault."""
    before, faults, step, ended = arrange(), list[str](), 0, False
    while not ended and len(faults) < 5:
        step += 1
        print(f"{way}, step {step}", file=sys.stderr, flush=True)
        try:
            ended = killed_before(step, way, before)
        except Fault as exc:
            faults.append(f"{way}, step {step}: {exc}")
            call("day2ctl", "maintenance", "disable", SERVICE, "--force", check=False)
    clear()
    return {"kills": step - 1, "faults": faults}


def killed_before(step: int, way: str, before: dict[str, Any]) -> bool:
    """Whether it had fewer steps than that."""
    if way != "enter":
        done = process("module", json.dumps({**ENTER, "duration": "10m"}))
        if done.returncode:
            raise Fault(f"it cannot be entered: {done.stdout}{done.stderr}")
        # It might be faster than the kill, and what it has started already holds the service's lock.
        call("systemctl", "stop", "day2-maintenance.timer")
        running = ("systemctl", "list-units", "--no-legend", "--state=active,activating", "day2-maintenance*.service")
        until(lambda: not call(*running).strip(), the_timer)
    done = process("dying", str(step), way)
    if done.returncode not in (0, -signal.SIGKILL):
        raise Fault(f"exit status {done.returncode}: {done.stdout}{done.stderr}")
    if way == "leave" and done.returncode:
        # It may not be remembered yet that the lease was given up: then it is given up again.
        process("module", json.dumps(LEAVE))
    back_by_itself(before, nudge=True)
    return done.returncode == 0


def runs(seed: int, wanted: int) -> dict[str, Any]:
    chance, kills, missed = random.Random(seed), Counter[str](), 0
    before, faults = arrange(), list[str]()
    scenarios = {"enter": Scenario("maintenance_mode", ENTER, ()), "leave": Scenario("maintenance_mode", LEAVE, ())}
    while kills.total() < wanted and len(faults) < 5:
        way = chance.choice(list(scenarios))
        try:
            if way == "leave":
                process("module", json.dumps({**ENTER, "duration": "3s"}))
            killed = kill_one(scenarios[way], "module", chance)
            kills[way] += killed
            missed += not killed
            back_by_itself(before, nudge=False)
        except Fault as exc:
            faults.append(f"kill {kills.total()} ({way}): {exc}")
    clear()
    return {"seed": seed, "kills": kills.total(), "victims": dict(kills), "missed": missed, "faults": faults}


def main(argv: Sequence[str]) -> None:
    if argv[0] == "module":
        module("maintenance_mode", json.loads(argv[1]))
    elif argv[0] == "dying":
        dying(argv[1], argv[2])
    else:
        # For the forks.
        import_module("ansible_collections.day2.ops.plugins.modules.maintenance_mode")
        import_module("ansible.module_utils.testing")
        print(json.dumps(each(argv[1]) if argv[0] == "each" else runs(int(argv[1]), int(argv[2]))))


if __name__ == "__main__":
    main(sys.argv[1:])
