# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a unit whose processes are replaced, by what `systemctl show` wrote before and after. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.decisions.results import Result, lines

# The exit status of `timeout`, where the program did not end in time.
_TIMED_OUT = 124


def seen(shown: Result) -> dict[str, Any]:
    """The unit before anything is done: whether it can be started, whether it ran, and whether it is active."""
    of = _properties(shown)
    state = of.get("ActiveState", "")
    return {
        "loaded": of.get("LoadState") == "loaded",
        "load": f"LoadState={of.get('LoadState', '')}",
        # Also one that failed, or that is about to start.
        "ran": state != "inactive",
        "active": state == "active",
    }


def gone(shown: Result) -> bool:
    """Whether nothing of it runs any more."""
    return _properties(shown).get("ActiveState") in ("inactive", "failed")


def replaced(before: Result, shown: Result) -> bool:
    """Whether it runs with other processes, or may not run: a condition keeps it from starting within maintenance
    mode, which starts it at its end."""
    now = _properties(shown)
    is_new = "MainPID" in now and now["MainPID"] != _properties(before).get("MainPID")
    return now.get("ConditionResult") == "no" or (now.get("ActiveState") == "active" and is_new)


def failure(unit: str, ran: bool, task: str, result: Result, shown: Result, queued: Result) -> str:
    """Why its processes were not replaced (`result` of `task`), how it is now, and what becomes of it.

    `queued` is the result of the start that was queued, of which nobody waited for the end.
    """
    words = str(result.get("stderr") or result.get("msg") or "")
    if not ran:
        after = "it did not run before"
    elif queued.get("rc") == 0:
        after = f"systemd starts it as soon as it has stopped - systemctl status {unit}"
    else:
        after = f"it could not be started - systemctl start {unit}"
    state = _properties(shown).get("ActiveState", "")
    said = ": ".join(filter(None, [task, words]))
    return f"The processes of {unit} could not be replaced ({said}). It is {state}; {after}"


def outcome(
    unit: str, timeout: str, planning: bool, before: Result, status: Result, stopped: Result, again: Result
) -> dict[str, Any]:
    """The line of the step. `again` is how the unit was found afterwards; one that did not run before was not asked."""
    message = f"{'would end' if planning else 'ended'} the processes of {unit}"
    if stopped.get("rc") == _TIMED_OUT:
        message += f" by SIGKILL, because it did not stop within {timeout}"
    if not planning:
        now = _properties(again)
        if not now:
            message += "; it did not run before, and does not now"
        elif now.get("ActiveState") == "active":
            message += "; it is active again"
        else:
            message += "; it is kept from starting (maintenance mode)"
    pids = [line for shown in (before, again) for line in lines(shown) if line.startswith("MainPID=")]
    return {"status": "skipped" if planning else "ok", "message": message, "evidence": [*pids, *lines(status)]}


def _properties(shown: object) -> Mapping[str, str]:
    """What `systemctl show` wrote; nothing, where it was skipped or failed."""
    return dict(line.split("=", 1) for line in lines(shown) if "=" in line)
