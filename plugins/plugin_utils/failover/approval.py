# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules that one of the approvers may let be broken by name, with a reason that stays in the journal. Pure."""

from __future__ import annotations

from shlex import quote
from typing import Any, Iterable, Mapping, Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import nearest
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Reason
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Refused, Request

# What may be approved, by the code of its reason. Nothing else is approvable.
CODES: dict[str, str] = {
    "ahead": "another standby has more than the one that is promoted",
    "archive": "the archive cannot say whether somebody has promoted another one",
    "fence": "nobody can prove that the old primary is off",
    "lag": "the member is beyond the manager's maximum_lag_on_failover",
    "majority": "a minority of the journal hosts answers",
    "one_point": "only one vantage point finds the primary dead",
    "rpo": "more may be lost than the plan bears",
    "unjudged": "a standby that may be ahead cannot be judged",
    "unreached": "nobody knows whether the primary, or its host, is alive",
}


def read_codes(raw: Iterable[object]) -> tuple[str, ...]:
    """What somebody approves (`day2_dr_approve`), or an error that names what nobody can approve."""
    codes = tuple(dict.fromkeys(code for code in (str(each).strip() for each in raw) if code))
    wrong = [code for code in codes if code not in CODES]
    if wrong:
        said = []
        for code in wrong:
            near = nearest(code, CODES)
            said.append(f"'{code}'" + (f" (did you mean '{near}'?)" if near else ""))
        raise Day2Error(f"day2_dr_approve: {', '.join(said)} is nothing to approve; known are {', '.join(CODES)}")
    return codes


def approve(
    plan: Plan, request: Request, reasons: Sequence[Reason], before: Mapping[str, Any], case: str
) -> Union[tuple[Mapping[str, Any], ...], Refused]:
    """What to write to the journal before going on (`about` of entries with phase overridden), or the refusal.

    `before`: codes that were approved for this failover already; whoever goes on with it needs no second approval.
    """
    open_reasons = [reason for reason in reasons if reason.code not in before]
    if not open_reasons:
        return ()
    if not all(reason.approvable for reason in open_reasons):
        return Refused(tuple(open_reasons))
    missing = _missing(plan, request, {reason.code for reason in open_reasons})
    if missing is not None:
        return Refused(tuple(open_reasons), missing)
    return (
        {
            "case": case,
            "codes": sorted({reason.code for reason in open_reasons}),
            "by": request.approved_by.strip(),
            "reason": request.reason.strip(),
            "text": "; ".join(reason.text for reason in open_reasons),
        },
    )


def _missing(plan: Plan, request: Request, codes: set[str]) -> str | None:
    """What an approval of these lacks; None where it is one. With what has to be given so that the run goes on."""
    who = request.approved_by.strip()
    # What was named for a later step has to be named again.
    named = ",".join(sorted(codes | set(request.approves)))
    person = who if who in request.approvers else request.approvers[0] if len(request.approvers) == 1 else "NAME"
    add = f"-e day2_dr_approve={named} -e approved_by={quote(person)} -e day2_dr_reason='WHY'"
    if not request.approvers:
        return f"Nobody can approve this: {plan.system} has no day2_approvers"
    if not who:
        return f"One of {', '.join(request.approvers)} may approve this: add {add}"
    if who not in request.approvers:
        return f"'{who}' is none of those who may approve: {', '.join(request.approvers)}"
    if not request.reason.strip():
        return f"{who} approves, and gives no reason, which stays in the journal: add {add}"
    left = sorted(codes - set(request.approves))
    if left:
        return f"{who} has not approved {' and '.join(left)}: add {add}"
    return None
