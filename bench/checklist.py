# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manual's daily routine as Ansible tasks against the daily checklist, with ping as the floor.

One lab host answers under as many names as the inventory has hosts: what differs is only how often it is asked.
Everything runs with the settings that Ansible ships: over SSH, without pipelining.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from bench.measure import Figure, alternate, command, processor

HOST = "options-engine-1"
CHECKS = 29
MANY = 20
# Of a host's processor time on the controller, as a multiple of ping's.
CONTROLLER_LIMIT = 1.3


def inventory(folder: Path, lab: Any, hosts: int) -> str:
    """Names for one lab host, in the group whose checks are in inventories/options_engine."""
    variables = {
        "ansible_host": lab.hosts()[0].alias,
        "ansible_ssh_common_args": f"-F '{lab.ssh_config}'",
        "ansible_python_interpreter": "/usr/bin/python3",
        "day2_upstreams": {name: f"http://127.0.0.1:8090/{name}" for name in ("tradier", "yahoo")},
        "day2_upstream_hosts": {"tradier": "127.0.0.1", "yahoo": "127.0.0.1"},
    }
    # As variables of hosts: they outrank the group's, which name other people's upstreams.
    names: dict[str, Any] = {f"h{number}": variables for number in range(hosts)}
    path = folder / f"hosts{hosts}.json"
    children = {"options_engine": {"children": {"bench": {"hosts": names}}}}
    path.write_text(json.dumps({"all": {"children": children}}))
    return str(path)


def measure(folder: Path, lab: Any, hosts: int, runs: int) -> tuple[float, float, float, float]:
    """Seconds of ping, of the checklist, of the manual; and of the slowest check."""
    where = ["-i", "inventories/options_engine", "-i", inventory(folder, lab, hosts)]
    reports = folder / f"reports{hosts}"
    extra = ["-e", "day2_hosts=bench", "-e", "day2_fail_on=never", "-e", f"day2_report_dir={reports}"]
    daily = ["ansible-playbook", "day2.ops.daily", *where, *extra]
    command(daily)
    ping, ours = alternate(runs, lambda: command(["ansible", "bench", *where, "-m", "ping"]), lambda: command(daily))
    manual = command(["ansible-playbook", "bench/manual.yml", *where])
    document = json.loads((reports / "latest" / "report.json").read_text())
    rows = [row for host in document["hosts"] for row in host["results"]]
    # On each host the one check that takes longest: five pings, which wait for each other.
    slowest = [max(row["duration"] for row in host["results"]) for host in document["hosts"]]
    bad = [row for row in rows if row["status"] in ("critical", "unknown")]
    if len(rows) != hosts * CHECKS or bad:
        raise RuntimeError(f"the checklist did not answer what it should: {len(rows)} results, {bad[:3]}")
    return ping, ours, manual, statistics.median(slowest)


def controller(folder: Path, lab: Any, runs: int) -> Figure:
    """What one more host costs the controller: processor time of ansible-playbook with many hosts less with one.

    The hosts' own work is theirs, on other machines as a rule; here sshd starts it, so that it is not counted.
    """
    ping = folder / "ping.yml"
    play = {"hosts": "bench", "gather_facts": False, "tasks": [{"ansible.builtin.ping": None}]}
    ping.write_text(json.dumps([play]))

    def one(playbook: str, hosts: int) -> list[str]:
        where = ["-i", "inventories/options_engine", "-i", inventory(folder, lab, hosts)]
        extra = ["-e", "day2_hosts=bench", "-e", "day2_fail_on=never", "-e", f"day2_report_dir={folder / 'controller'}"]
        return ["ansible-playbook", playbook, *where, *extra]

    commands = [one(playbook, hosts) for playbook in (str(ping), "day2.ops.daily") for hosts in (1, MANY)]
    medians = alternate(runs, *(lambda argv=argv: processor(argv) for argv in commands))
    of_ping, of_daily = ((medians[place + 1] - medians[place]) / (MANY - 1) for place in (0, 2))
    detail = f"{of_daily * 1000:.0f} ms / {of_ping * 1000:.0f} ms a host"
    return Figure("controller time a host, against ping", of_daily / of_ping, CONTROLLER_LIMIT, detail)


def run() -> list[Figure]:
    from lab.environment import Lab

    lab = Lab("bench")
    lab.down()
    figures = []
    try:
        lab.up({HOST: "options_engine"})
        with tempfile.TemporaryDirectory() as folder:
            for hosts, runs, faster, floor in ((1, 5, 5, 2.0), (MANY, 3, 20, 1.6)):
                ping, ours, manual, slowest = measure(Path(folder), lab, hosts, runs)
                word = "host" if hosts == 1 else "hosts"
                detail = f"{manual:.1f} s / {ours:.2f} s"
                figures.append(
                    Figure(f"faster than the manual, {hosts} {word}", manual / ours, faster, detail, at_least=True)
                )
                detail = f"({ours:.2f} s - slowest check {slowest:.2f} s) / {ping:.2f} s"
                figures.append(Figure(f"elapsed, against ping, {hosts} {word}", (ours - slowest) / ping, floor, detail))
            figures.append(controller(Path(folder), lab, 3))
    finally:
        lab.down()
    return figures
