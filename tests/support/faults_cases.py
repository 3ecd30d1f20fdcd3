# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of a failover, each with what has to come of it: empty, or what is wrong."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence

import faults_disk
import faults_scripts
from faults_checker import STEPS, judged
from faults_site import FaultsSite
from lab.waiting import wait_for

# Where a controller can be killed: before the intent of a step is written, before it is done, meanwhile, and before
# anybody has written that it was done.
INSTANTS = ("intent", "before", "during", "after")
POINTS = tuple(f"{step}:{instant}" for step in STEPS for instant in INSTANTS if step != "finish" or instant == "intent")


def kills(site: FaultsSite, points: Sequence[str]) -> list[str]:
    """One controller after the other is killed, each at a later point; the last one finishes."""
    site.begin()
    site.crash("dra")
    lost_at, within = time.time(), []
    for point in points:
        step, _colon, instant = point.partition(":")
        controller = site.fail_over(at={"step": step, "at": instant, "signal": "SIGKILL"})
        if not controller.killed:
            return [f"no controller was killed at {point}: {controller.output}"]
        within += [step] if instant in ("during", "after") else []
    site.fail_over()
    found = judged(site, "dra", within, lost_at)
    return [*found, site.output] if found else []


def woken(site: FaultsSite) -> list[str]:
    """A controller sleeps before it promotes, another one finishes, and the first one wakes up."""
    site.begin()
    site.crash("dra")
    lost_at = time.time()
    asleep = site.start(at={"step": "promote", "at": "before", "signal": "SIGSTOP"})
    wait_for(asleep.stopped, bool, 200, "the first controller sleeps")
    site.fail_over()
    before = site.journal()
    asleep.signal(signal.SIGCONT)
    asleep.wait()
    found = [] if site.journal() == before else ["the controller that woke up has written to the journal"]
    found += [] if "has taken over" in asleep.output else ["it was not told who has taken over"]
    found += judged(site, "dra", [], lost_at)
    return [*found, site.output, asleep.output] if found else []


def _stays(site: FaultsSite, said: str, served: bool = True) -> list[str]:
    """A run that says so, and leaves the primary alone."""
    site.fail_over()
    found = [] if said in site.output else [f"it does not say '{said}'"]
    found += [] if site.primaries() == ["dra"] else [f"primaries are {site.primaries()}"]
    found += [] if not any(entry["step"] == "fence" for entry in site.journal()) else ["it has begun a failover"]
    if served:
        site.serves("dra")
    return [*found, site.output] if found else []


# What lies between whom while the primary serves, and what a run says.
PARTITIONS: dict[str, tuple[tuple[tuple[str, str], ...], str, bool]] = {
    "controller and primary": ((("dra", "controller"),), "vantage points do not agree", True),
    "controller and a standby": ((("drb", "controller"),), "drb does not answer Ansible", True),
    "controller and two journal hosts": (
        (("drb", "controller"), ("drc", "controller")), "of 3 journal hosts", True,
    ),
    "primary and a standby": ((("dra", "drb"),), "dra does not answer drb", True),
    "primary and application": ((("dra", "app"),), "dra does not answer app", False),
    "primary and all but the controller": (
        (("dra", "drb"), ("dra", "drc"), ("dra", "app")), "dra does not answer drb", False,
    ),
    "primary and everybody": (
        (("dra", "drb"), ("dra", "drc"), ("dra", "app"), ("dra", "controller")), "", False,
    ),
}  # fmt: skip


def partition(site: FaultsSite, name: str) -> list[str]:
    cuts, said, served = PARTITIONS[name]
    site.begin()
    for one, other in cuts:
        site.cut(one, other)
    if said:
        return _stays(site, said, served)
    # It lives, and nobody but itself knows: what can prove that it serves nobody are the layers of the traffic.
    lost_at = time.time()
    site.fail_over()
    found = [] if len(site.primaries()) == 2 else [f"primaries are {site.primaries()}, expected the lonely one as well"]
    site.nodes["dra"].sh("systemctl kill --signal=KILL postgresql@15-main")
    wait_for(site.primaries, lambda said: "dra" not in said, 30, "dra is gone")
    found += judged(site, "dra", [], lost_at)
    return [*found, site.output] if found else []


def lost(site: FaultsSite) -> list[str]:
    """The primary's machine is gone: its layers are cut, and a bound is reported."""
    site.begin()
    site.lose("dra")
    lost_at = time.time()
    site.fail_over()
    found = judged(site, "dra", [], lost_at)
    return [*found, site.output] if found else []


def back(site: FaultsSite) -> list[str]:
    """The old primary is unmasked and started by somebody, between fence and promotion: it is fenced anew or serves on,
    and never are there two."""
    site.begin()
    site.crash("dra")
    lost_at = time.time()
    controller = site.fail_over(at={"step": "promote", "at": "intent", "signal": "SIGKILL"})
    if not controller.killed:
        return [controller.output]
    site.nodes["dra"].sh("systemctl unmask -q postgresql@15-main; systemctl start postgresql@15-main")
    site.serves("dra")
    site.fail_over()
    if site.primaries() == ["dra"]:
        site.serves("dra")
        return []
    found = judged(site, "dra", ["fence"], lost_at)
    return [*found, site.output] if found else []


def by_hand(site: FaultsSite) -> list[str]:
    """Somebody has promoted a standby meanwhile: it is adopted, and nobody is promoted a second time."""
    site.begin()
    site.crash("dra")
    lost_at = time.time()
    site.sql("drc", "SELECT pg_promote()")
    site.fail_over()
    found = [] if site.primaries() == ["drc"] else [f"primaries are {site.primaries()}"]
    found += judged(site, "dra", [], lost_at)
    return [*found, site.output] if found else []


def two_run(site: FaultsSite) -> list[str]:
    """A standby was promoted by hand while the primary serves: nobody is guessed to be the right one."""
    site.begin()
    site.sql("drc", "SELECT pg_promote()")
    site.fail_over()
    found = [] if "2 running primaries" in site.output else ["it does not name two primaries"]
    found += [] if sorted(site.primaries()) == ["dra", "drc"] else [f"primaries are {site.primaries()}"]
    site.serves("dra")
    return [*found, site.output] if found else []


def hung(site: FaultsSite) -> list[str]:
    """The primary's processes are stopped by a signal: it is fenced, and wakes up no more."""
    site.begin()
    site.nodes["dra"].sh("pkill -STOP -u postgres")
    lost_at = time.time()
    site.fail_over()
    site.nodes["dra"].sh("pkill -CONT -u postgres", check=False)
    found = judged(site, "dra", [], lost_at)
    return [*found, site.output] if found else []


def paused(site: FaultsSite) -> list[str]:
    """The standbys replay nothing: one is paused, the other is told to wait."""
    site.begin()
    site.sql("drb", "SELECT pg_wal_replay_pause()")
    site.sql("drc", "ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
    site.sql("drc", "SELECT pg_reload_conf()")
    site.crash("dra")
    site.fail_over()
    found = [] if site.primaries() in ([], ["drb"]) else [f"primaries are {site.primaries()}"]
    found += [] if site.primaries() or "refused" in site.output else ["it does not say why nobody was promoted"]
    return [*found, site.output] if found else []


def stale(site: FaultsSite) -> list[str]:
    """A journal host comes back from a snapshot of before: the others know better."""
    site.begin()
    site.crash("dra")
    lost_at = time.time()
    controller = site.fail_over(at={"step": "follow", "at": "before", "signal": "SIGKILL"})
    site.nodes["app"].sh("rm -rf /var/lib/day2/dr")
    site.fail_over()
    found = [] if controller.killed else ["no controller was killed"]
    found += judged(site, "dra", ["follow"], lost_at)
    return [*found, site.output] if found else []


def full(site: FaultsSite) -> list[str]:
    """A journal host whose disk takes nothing: two others are a majority, and it does not follow, as it can keep no
    promise."""
    site.begin()
    site.nodes["drc"].sh(faults_scripts.FULL)
    # Another one is ahead of it.
    site.cut("dra", "drc")
    site.serves("dra")
    site.crash("dra")
    lost_at = time.time()
    site.fail_over()
    site.nodes["drc"].sh(faults_scripts.ROOM)
    found = [line for line in judged(site, "dra", [], lost_at, followers=0) if not line.startswith("journals differ")]
    return [*found, site.output] if found else []


def _nobody(site: FaultsSite, *cuts: tuple[str, str]) -> list[str]:
    """The primary's machine is gone, and others cannot be asked: nobody is promoted."""
    site.begin()
    for one, other in cuts:
        site.cut(one, other)
    site.lose("dra")
    site.fail_over()
    found = [] if site.primaries() == [] else [f"primaries are {site.primaries()}"]
    found += [] if "refused" in site.output else ["it does not say why nobody was promoted"]
    return [*found, site.output] if found else []


def no_layer(site: FaultsSite) -> list[str]:
    """Nothing can prove that the primary is off: whoever leads applications is out of reach."""
    return _nobody(site, ("app", "controller"))


def no_standby(site: FaultsSite) -> list[str]:
    """A standby that may be ahead is out of reach."""
    return _nobody(site, ("drb", "controller"))


def frozen(site: FaultsSite) -> list[str]:
    """A server whose file system hangs: looks and fences end in time, and it is not held to be off before it is."""
    with faults_disk.frozen(site.nodes["app"]) as (server, thaw):
        fence = server.call("dr_fence", kind="service", data=server.data, limit="2s")
        found = [] if fence.get("proven") is False and not fence.get("failed") else [f"fenced: {fence}"]
        seen = server.call("pg_standby_info", port=server.port)
        found += [] if (seen["state"], seen["unit_masked"]) == ("hung", True) else [f"seen: {seen}"]
        thaw()
        fence = server.call("dr_fence", kind="service", data=server.data, limit="10s")
        found += [] if fence.get("proven") is True else [f"not fenced after it hung no more: {fence}"]
        return found


CASES: dict[str, Callable[[FaultsSite], list[str]]] = {
    "lost": lost, "woken": woken, "back": back, "by hand": by_hand, "two run": two_run, "hung": hung, "paused": paused,
    "stale": stale, "full": full, "no layer": no_layer, "no standby": no_standby, "frozen": frozen,
}  # fmt: skip
