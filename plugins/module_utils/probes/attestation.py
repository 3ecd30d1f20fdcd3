# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Duties that people do (a penetration test, a review): when it was done, by whom, and when it is due again.

The inventory holds what people attest; nothing on the host is looked at. Without thresholds an overdue duty is a
warning, and critical once it is overdue for longer than `grace`.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation, Status
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration

_DATE = re.compile(r"(\d{4}-\d\d-\d\d)(?:[T ]00:00(?::00)?(?:\.0+)?(?:Z|\+00:00)?)?")
_DAY = 86400


def _date(args: dict[str, Any], field: str) -> date | None:
    text = args[field]
    if text is None:
        return None
    # What YAML takes for a date may come with a time of midnight.
    match = _DATE.fullmatch(text)
    try:
        return date.fromisoformat(match.group(1) if match is not None else "")
    except ValueError:
        raise FieldError(field, f"'{args[field]}' is not a day such as 2026-01-31") from None


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    done, due = _date(args, "done_on"), _date(args, "due")
    if due is None and args["every"] is None:
        raise FieldError("every", "is missing: say how often the duty is done, or when it is due (due)")
    if done is not None and args["by"] is None:
        raise FieldError("by", "is missing: who did it")
    if done is not None and due is not None and due < done:
        raise FieldError("due", f"{due} is before the day it was done ({done})")


SPEC = ProbeSpec(
    doc="A duty of people, as the inventory attests it. Overdue is a warning, and critical after `grace`;"
    " one that was never done and has no due day is critical.",
    arguments={
        "done_on": Argument("str", "The day it was last done, such as `2026-01-31`; left out while it never was."),
        "by": Argument("str", "Who did it."),
        "evidence": Argument("str", "Where the result of the duty is found: a ticket, a document."),
        "every": Argument("duration", "How often it has to be done, such as `90d`."),
        "due": Argument("str", "The day it is due next; without it `done_on` and `every` tell."),
        "grace": Argument("duration", "How long overdue stays a warning.", default=30.0 * _DAY),
    },
    metrics={"remaining": Metric("Time until it is due; negative when overdue.", "d")},
    default_metric="remaining",
    validate=_validate,
)


def observe(_source: object, check: Check) -> Observation:
    # A day lasts until it is over everywhere that a team in UTC works.
    return judge_duty(check, datetime.now(timezone.utc).date())


def judge_duty(check: Check, today: date) -> Observation:
    args = dict(check.args)
    done, due = _date(args, "done_on"), _date(args, "due")
    evidence = [f"evidence: {args['evidence']}"] if args["evidence"] else []
    if done is not None and done > today:
        return Observation(None, "", failure=f"done_on says {done}, which is in the future", evidence=evidence)
    if due is None:
        if done is None:
            return Observation(None, "", failure="never done, as far as the inventory says", evidence=evidence)
        due = done + timedelta(seconds=args["every"])
    left = (due - today).days
    history = f"done on {done} by {args['by']}" if done is not None else "not done yet"
    if left >= 0:
        return Observation(left, f"{history}, due on {due} (in {counted(left, 'day')})", evidence=evidence)
    late = format_duration(-left * _DAY)
    status = Status.CRITICAL if -left * _DAY > args["grace"] else Status.WARNING
    return Observation(
        left, f"{history}, was due on {due}: {late} overdue", evidence=evidence, status=status, is_default=True
    )
