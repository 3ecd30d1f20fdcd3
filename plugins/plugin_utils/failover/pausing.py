# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""repmgrd, which would promote a standby while we do, is paused on every member before anything is done. Pure."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry, Phase
from ansible_collections.day2.ops.plugins.plugin_utils.failover import orders as order
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Reason
from ansible_collections.day2.ops.plugins.plugin_utils.failover.case import Case
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.situation import TRIES, Situation
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Orders, Refused, Step

STEP = "pause"


def hold(at: Situation, case: Case, old: str) -> Step | None:
    """None where no repmgrd can promote anybody: it does not run, is paused, or has the old primary beside it, and no
    standby. One that nobody can look at is refused by its name, unless the journal has it paused."""
    if not at.plan.is_paused:
        return None
    running = []
    for member in at.plan.members:
        view = at.facts.view(member.host)
        if not view.reachable:
            if member.host != old and member.host not in _paused(at):
                text = f"{member.host} does not answer Ansible{at.error(member.host)}: its repmgrd cannot be paused"
                hint = f"Restore it, or run repmgr service pause, take {member.host} from the plan, and run this again"
                return Refused((Reason("decider", f"{text}, and may promote a standby"),), hint)
        elif view.managed_by == "repmgrd" and view.manager_paused is not True:
            if view.data is not None and view.state == "running":
                running.append(member.host)
            elif view.role != "primary" and member.host != old:
                text = f"{member.host}: its server is {at.state(member.host)}{at.error(member.host)}"
                return Refused(
                    (Reason("decider", f"{text}, and its repmgrd cannot be paused"),), "Stop repmgrd there (systemctl)"
                )
    if not running or _is_done(at, running):
        return None
    tried = sum(e.step == STEP and e.phase is Phase.INTENT and e.epoch == at.request.epoch for e in at.entries)
    if tried >= TRIES:
        text = f"repmgrd on {' and '.join(running)} was paused {tried} times, and is not paused"
        return Refused((Reason("decider", text),), "Stop it there (systemctl stop repmgrd), and run this again")
    orders = tuple(order.paused(at.plan, at.request, at.facts, host) for host in running)
    about = {"case": case.name, "hosts": running}
    return Orders(STEP, None, about, orders, f"Pause repmgrd on {', '.join(running)}")


def _is_done(at: Situation, hosts: list[str]) -> bool:
    """Whether what was observed is older than a pause of these."""
    done = [entry for entry in at.entries if entry.step == STEP and entry.phase is Phase.DONE]
    return bool(done) and not at.facts.after(done[-1].n) and set(hosts) <= set(_hosts(done[-1]))


def _hosts(entry: Entry) -> list[str]:
    return [str(host) for host in entry.about.get("hosts") or ()]


def _paused(at: Situation) -> set[str]:
    """It stays paused when it starts anew."""
    return {h for e in at.entries if e.step == STEP and e.phase is Phase.DONE for h in _hosts(e)}


def left(plan: Plan, case: Case) -> list[str]:
    """What is left to do about it. It knows nothing of the new primary, and unpaused it would replace that."""
    hosts = list(dict.fromkeys(h for e in case.entries if e.step == STEP and e.phase is Phase.DONE for h in _hosts(e)))
    promoted = case.done("promote")
    if not plan.is_paused or not hosts or promoted is None:
        return []
    return [
        f"repmgrd was paused on {', '.join(hosts)}: register {promoted.host} (repmgr primary register --force), then"
        " the others (repmgr standby register --force), look at repmgr cluster show, and run repmgr service unpause"
    ]
