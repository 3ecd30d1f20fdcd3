# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan of jobs comes to, in sentences. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import Collision, Kind, Loss

# How each begins, and how it goes on.
_SAID = {Kind.JOB: ("is due", "runs"), Kind.WINDOW: ("begins", "is open")}


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%a %Y-%m-%d %H:%M UTC")


def collision(each: Collision) -> str:
    times = "once" if each.count == 1 else f"{each.count} times"
    later = f"{each.kinds[1].value} {each.later}"
    earlier = each.earlier if each.kinds[0] is each.kinds[1] else f"{each.kinds[0].value} {each.earlier}"
    begins, goes_on = _SAID[each.kinds[1]][0], _SAID[each.kinds[0]][1]
    if each.with_itself:
        what = f"{later} is not over when it {begins} again"
    else:
        what = f"{later} {begins} while {earlier} {goes_on}"
    return f"{what}: first {moment(each.first)}, {times} in the time looked at"


def loss(each: Loss) -> str:
    return (
        f"up to {format_duration(each.seconds)} can be lost: what changed since {moment(each.since)} is in no complete"
        f" backup until {each.job} ends at {moment(each.until)}"
    )
