# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan of jobs comes to, in sentences. Pure."""

from __future__ import annotations

from datetime import datetime, timezone

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.schedule.plan import Collision, Loss


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%a %Y-%m-%d %H:%M UTC")


def collision(each: Collision) -> str:
    times = "once" if each.count == 1 else f"{each.count} times"
    if each.earlier == each.later:
        what = f"job {each.earlier} is not over when it is due again"
    else:
        what = f"job {each.later} is due while {each.earlier} runs"
    return f"{what}: first {moment(each.first)}, {times} in the time looked at"


def loss(each: Loss) -> str:
    return (
        f"up to {format_duration(each.seconds)} can be lost: what changed since {moment(each.since)} is in no complete"
        f" backup until {each.job} ends at {moment(each.until)}"
    )
