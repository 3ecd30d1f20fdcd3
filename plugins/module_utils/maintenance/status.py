# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in maintenance, for people, playbooks and checks: read, and nothing changed."""

from __future__ import annotations

import os
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import printable
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Reading, State
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import Damaged, States
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import Untrusted
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339


def describe(state: State, now: Reading) -> dict[str, Any]:
    """What people and playbooks want to know; times are RFC 3339 in UTC, `left` is seconds."""
    return {
        "service": state.service,
        "enabled": bool(state.leases),
        "leases": [
            {
                "owner": lease.owner,
                "reason": printable(lease.reason),
                "targets": list(lease.targets),
                "since": rfc3339(lease.since),
                "until": rfc3339(now.wall + lease.left(now)),
                "left": round(lease.left(now), 1),
                "approved_by": printable(lease.approved_by) if lease.approved_by else None,
            }
            for lease in sorted(state.leases.values(), key=lambda lease: -lease.left(now))
        ],
        "targets": {name: entered.phase.value for name, entered in state.targets.items()},
        "faults": [entered.error for entered in state.targets.values() if entered.error],
    }


def sentence(state: State, now: Reading) -> str:
    if not state.leases:
        left = ", ".join(state.targets)
        return f"{state.service} is in service" + (f", but {left} could not be left yet" if left else "")
    held = [
        f"{lease.owner} until {rfc3339(now.wall + lease.left(now))} ({_remaining(lease.left(now))};"
        f" {printable(lease.reason)})"
        for lease in state.leases.values()
    ]
    return f"{state.service} is in maintenance: {', '.join(held)}"


def _remaining(left: float) -> str:
    return f"{format_duration(left)} left" if left > 0 else f"over for {format_duration(-left)}"


def status(states: States, now: Reading) -> list[dict[str, Any]]:
    """Every service that is in maintenance or could not be brought back, also where nobody knows which."""
    found = []
    for service in states.services():
        try:
            state = visible(states, service)
        except (Damaged, Untrusted, NeedsRoot) as exc:
            found.append({**describe(State(service), now), "enabled": True, "faults": [str(exc)], "msg": str(exc)})
            continue
        if not state.empty:
            found.append({**describe(state, now), "msg": sentence(state, now)})
    for path in states.strangers():
        said = f"{path} is no service's: nothing reads or ends it. Move it away, or give it back the name it had"
        about = describe(State(os.path.basename(path)), now)
        found.append({**about, "faults": [said], "msg": said})
    return found


def visible(states: States, service: str) -> State:
    """The state as far as the caller may read it: root all of it, everybody else leases, phases and faults."""
    try:
        return states.load(service)
    except NeedsRoot:
        return states.load_public(service)


def knowing(states: States, now: Reading) -> list[dict[str, Any]]:
    """The leases of all services, whose holders know of what checks find; the one that ends last first."""
    found = [
        {"service": about["service"], **{name: lease[name] for name in ("owner", "reason", "until", "left")}}
        for about in status(states, now)
        for lease in about["leases"]
        if lease["left"] > 0
    ]
    return sorted(found, key=lambda lease: -lease["left"])
