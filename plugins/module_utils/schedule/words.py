# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan of jobs comes to, in sentences. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import Collision, Kind, Loss
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

# How each begins, and how it goes on.
_SAID = {Kind.JOB: ("is due", "runs"), Kind.WINDOW: ("begins", "is open")}


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%a %Y-%m-%d %H:%M UTC")


def collision(found: Collision) -> str:
    times = "once" if found.count == 1 else f"{found.count} times"
    later = f"{found.kinds[1].value} {found.later}"
    earlier = found.earlier if found.kinds[0] is found.kinds[1] else f"{found.kinds[0].value} {found.earlier}"
    begins, goes_on = _SAID[found.kinds[1]][0], _SAID[found.kinds[0]][1]
    if found.with_itself:
        what = f"{later} is not over when it {begins} again"
    else:
        what = f"{later} {begins} while {earlier} {goes_on}"
    return f"{what}: first {moment(found.first)}, {times} in the time looked at"


def loss(found: Loss) -> str:
    return (
        f"up to {format_duration(found.seconds)} can be lost: what changed since {moment(found.since)} is in no"
        f" complete backup until {found.job} ends at {moment(found.until)}"
    )
