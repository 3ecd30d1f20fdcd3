# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a failover came out right, by what applications were told, what servers hold, and what was counted."""

from __future__ import annotations

from collections import Counter
from typing import Any

from faults_site import UNIT, FaultsSite
from lab.waiting import WaitTimeout, wait_for

STEPS = ("fence", "promote", "follow", "application", "verify", "traffic", "backup", "finish")
# How far the clocks of an application and a server are believed.
_SLACK = 1.0
CALLS = "cat /var/lib/postgresql/dr-calls"


def judged(site: FaultsSite, old: str, killed: list[str], lost_at: float, followers: int = 1) -> list[str]:
    """What is wrong after the last run. `killed`: steps within which controllers were killed."""
    primaries = site.primaries()
    if len(primaries) != 1 or primaries == [old]:
        return [f"primaries are {primaries}"]
    (new,) = primaries
    found = []
    try:
        site.serves(new)
    except WaitTimeout as exc:
        found.append(str(exc))
    site.end_clients()
    found += [*_two_writers(site, old, new), *_loss(site, new, lost_at), *_journal(site), *_counts(site, new, killed)]
    asked = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'"
    try:
        wait_for(lambda: site.sql(new, asked), lambda said: said == str(followers), 20, "standbys that stream")
    except WaitTimeout as exc:
        found.append(str(exc))
    fenced = next((e for e in reversed(site.journal()) if e["step"] == "fence" and e["phase"] == "done"), None)
    if fenced and fenced["about"].get("layer") == "service":
        state = site.nodes[old].run("systemctl", "is-enabled", UNIT, check=False)
        found += [] if state == "masked" else [f"{UNIT} of {old} is {state}"]
    return found


def acknowledged(site: FaultsSite) -> list[dict[str, Any]]:
    lines = [line for ledger in site.ledgers() for line in ledger if "server" in line]
    return sorted(lines, key=lambda line: float(line["at"]))


def _two_writers(site: FaultsSite, old: str, new: str) -> list[str]:
    """Nobody is served by two, not even by two layers."""
    lines = acknowledged(site)
    first = next((line["at"] for line in lines if site.member(line["server"]) == new), None)
    late = [line for line in lines if first is not None and line["at"] > first and site.member(line["server"]) != new]
    servers = {site.member(line["server"]) for line in lines}
    found = [f"{len(late)} numbers were acknowledged by another one after {new} had acknowledged one"] if late else []
    return found + ([f"served by {sorted(servers)}"] if servers - {old, new} else [])


def _loss(site: FaultsSite, new: str, lost_at: float) -> list[str]:
    """What is missing is what was reported: nothing, or no more than the bound."""
    there = {int(number) for number in site.sql(new, "SELECT n FROM acknowledged").split()}
    missing = [line for line in acknowledged(site) if line["n"] not in there]
    done = [e for e in site.journal() if e["step"] == "promote" and e["phase"] == "done"]
    said = (done[-1]["about"].get("loss") if done else None) or {}
    if not missing:
        return []
    if not said:
        return [f"{len(missing)} acknowledged numbers are missing, and no loss is reported"]
    if said.get("exact") and not said.get("bytes"):
        return [f"{len(missing)} acknowledged numbers are missing, and the loss is {said}"]
    seconds = said.get("seconds")
    oldest = lost_at - min(line["at"] for line in missing)
    if seconds is not None and oldest > seconds + _SLACK:
        return [f"numbers of {oldest:.1f} s before the end are missing, and the loss is {said}"]
    return []


def _journal(site: FaultsSite) -> list[str]:
    """The same on each journal host, each step done once."""
    journals = {name: site.journal(name) for name in ("drb", "drc", "app")}
    found = []
    if not journals["drb"] == journals["drc"] == journals["app"]:
        found.append(f"journals differ: { ({name: len(entries) for name, entries in journals.items()}) } entries")
    done = Counter(e["step"] for e in journals["app"] if e["phase"] == "done")
    wrong = {step: done[step] for step in STEPS if done[step] != 1}
    return found + ([f"steps that were not done once: {wrong}"] if wrong else [])


def _counts(site: FaultsSite, new: str, killed: list[str]) -> list[str]:
    """Past the journal: promotions by the timeline, roles by what they left. A role whose controller was killed before
    it could say so is called again."""
    timeline = site.sql(new, "SELECT timeline_id FROM pg_control_checkpoint()")
    said = site.sql(new, "SELECT ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::int")
    found = [] if said == "2" else [f"{new} is on timeline {said} ({timeline} at its last checkpoint)"]
    calls = Counter(
        line for name in site.nodes for line in site.nodes[name].run("sh", "-c", CALLS, check=False).split()
    )
    for name, step in (("prepare", "application"), ("backup", "backup")):
        most = 1 + killed.count(step)
        if not 1 <= calls[name] <= most:
            found.append(f"{step} ran {calls[name]} times, expected 1 to {most}")
    return found
