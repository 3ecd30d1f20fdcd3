# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines and plans of role maintenance_window, and which hosts of a maintenance failed. Pure.

What is decided for all hosts together is in plugin_utils/maintenance/procedure.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.decisions.results import Result, items, message


def failed(outcomes: Mapping[str, Any]) -> dict[str, str]:
    """Hosts that failed, and why; `outcomes` are those of all hosts of the play by their names."""
    return {
        host: str(outcome["failed"])
        for host, outcome in outcomes.items()
        if isinstance(outcome, Mapping) and outcome.get("failed") is not None
    }


def not_run(outcomes: Mapping[str, Any]) -> str:
    """Why the rest of the steps was not run."""
    return next(iter(failed(outcomes).values()), "another host failed")


def lease(status: Result, owner: str) -> dict[str, Any]:
    """The lease of this maintenance; empty where it ended, where somebody ended it, or where nobody could ask."""
    leases = status.get("leases") or []
    return next((dict(entry) for entry in leases if isinstance(entry, Mapping) and entry.get("owner") == owner), {})


def is_held(status: Result) -> bool:
    """Whether anybody has the service in maintenance mode for some time yet."""
    leases = status.get("leases") or []
    return any(isinstance(entry, Mapping) and (entry.get("left") or 0) > 0 for entry in leases)


def release(status: Result, service: str) -> str:
    """The commands that end what others hold."""
    owners = [str(entry.get("owner")) for entry in status.get("leases") or []]
    commands = [f"day2ctl maintenance disable {service} --owner '{owner}'" for owner in owners]
    return "; ".join(commands) or "day2ctl maintenance status"


def wanted(checks: Sequence[Any], accepted: Sequence[str] | str) -> list[Any]:
    """The checks without those whose findings are known. What is no check is refused where they are run."""
    known = [accepted] if isinstance(accepted, str) else accepted
    return [check for check in checks if not isinstance(check, Mapping) or check.get("id") not in known]


def findings(checked: Result) -> dict[str, list[str]]:
    """Ids of checks that are not well, and a sentence each."""
    bad = [row for row in items(checked) if row.get("status") in ("critical", "unknown")]
    return {
        "ill": [str(row.get("id")) for row in bad],
        "findings": [f"{row.get('title')}: {row.get('message')}" for row in bad],
    }


def plan(admission: Result, mode: Result, backup: bool, checks: Sequence[Mapping[str, Any]]) -> list[str]:
    """All that would be done, in its order."""
    titles = ", ".join(str(check.get("title") or check.get("id")) for check in checks)
    return [
        message(admission),
        *map(str, mode.get("steps") or []),
        *(["a verified backup"] if backup else []),
        *list(admission.get("plan") or [])[1:],
        f"well again: {titles}",
    ]


def entered(planning: bool, period: str, mode: Result, approved_by: str, emergency: str) -> dict[str, Any]:
    """The line of the host that entered the mode, or would."""
    steps = [str(step) for step in mode.get("steps") or []]
    planned = ": ".join(filter(None, [f"would enter {period}", "; ".join(steps)]))
    approved = [f"approved by {approved_by}"] if emergency else []
    return {"message": planned if planning else message(mode), "evidence": [*steps, *approved]}


def verified(planning: bool, checked: Result, found: Sequence[str]) -> dict[str, Any]:
    """The line of the checks within the mode. A plan is judged by its preflight: an emergency is what mends a service
    that is ill now."""
    status = "skipped" if planning else "critical" if found else "ok"
    said = f"would be verified; now: {message(checked)}" if planning else message(checked)
    return {"status": status, "message": said, "evidence": list(found)}


def left(
    planning: bool, decision: Result, ended: bool, held_by: str, lease: Mapping[str, Any], mode: Result
) -> dict[str, Any]:
    """The line of the host that left the mode, or that stays in it by `decision`."""
    back, why = bool(decision.get("back")), str(decision.get("why"))
    if planning:
        said = "would leave the mode"
    elif ended:
        said = f"the lease ended before the maintenance did, and the host left the mode by itself: {why}"
    elif back:
        said = message(mode)
    else:
        said = f"the mode is kept until {lease.get('until')}, then the host comes back by itself: {why}."
        said += f" {decision.get('todo')}"
    status = "ok" if back and not held_by and not ended else "critical"
    return {"status": status, "message": said, "evidence": [why]}


def systems(known: Mapping[str, Any], hosts: Sequence[str]) -> list[str]:
    """The systems of the hosts; a host without one is of another."""
    return list(dict.fromkeys(str(known.get(host) or "") for host in hosts))


def decision(decisions: Mapping[str, Any], outcomes: Mapping[str, Any]) -> dict[str, Any]:
    """What was decided for all hosts, by the first that could; empty, where hosts are in the mode and nobody could."""
    for made in decisions.values():
        if made:
            return dict(made)
    if any(isinstance(outcome, Mapping) and outcome.get("entered") for outcome in outcomes.values()):
        return {}
    return {"back": True, "why": "no host entered the mode"}


def reports(known: Mapping[str, Any], hosts: Sequence[str]) -> dict[str, Any]:
    """What became of each host; of one that was lost before it could say so, nobody knows."""
    return {host: known.get(host) or {"stuck": True} for host in hosts}


def notified(channels: Sequence[Mapping[str, Any]]) -> str:
    """Who is told."""
    names = ", ".join(str(channel.get("name") or "a channel") for channel in channels)
    return f"notified: {names or 'nobody (notify_channels)'}"


def announced(messages: Sequence[Result]) -> str:
    """What would be sent of a window that comes, for check mode."""
    said = [": ".join(str(sent.get(key) or "") for key in ("channel", "subject", "text")) for sent in messages]
    return "; ".join(said) or "nothing: it was announced, or no channel takes what is info"
