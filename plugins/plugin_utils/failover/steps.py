# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What passes between the planner and whoever acts for it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Union

from ansible_collections.day2.ops.plugins.plugin_utils.failover.assess import Assessment
from ansible_collections.day2.ops.plugins.plugin_utils.failover.candidates import Reason
from ansible_collections.day2.ops.plugins.plugin_utils.failover.loss import Loss


@dataclass(frozen=True)
class Request:
    """Who asks. `run` and `epoch` are the ballot; `confirmed`: somebody named the system;
    `approves`: codes of the rules that `approved_by` lets be broken."""

    run: str
    epoch: int
    confirmed: bool = False
    approved_by: str = ""
    reason: str = ""
    approves: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    check_mode: bool = False


@dataclass(frozen=True)
class Order:
    """One call of a module on a host (`controller` is where Ansible runs). `module` role: a role's entry point.

    `entry` is the list of the plan and the number in it whose options are added where it is carried out (`resolve`):
    they may hold keys, and what tasks register is shown by -v and kept by runners.
    """

    host: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    entry: tuple[str, int] | None = None


@dataclass(frozen=True)
class Orders:
    """A step. First its `overrides` are written to the journal, then its intent with `about`, then orders are given
    (all at once), then `judge` says what to write. No orders: what was observed is the step. `seconds`: predicted."""

    step: str
    host: str | None
    about: Mapping[str, Any] = field(hash=False)
    orders: tuple[Order, ...]
    title: str
    seconds: float | None = None
    overrides: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    # Which rules were broken for it, by whom and why; the end of the title says so, too.
    said: str = ""


@dataclass(frozen=True)
class Look:
    """Vantage points look again, and members are observed, before anything is decided. `text` says why."""

    text: str


@dataclass(frozen=True)
class Refused:
    """Nothing is done, and why. `hint`: what somebody can do about it."""

    reasons: tuple[Reason, ...]
    hint: str = ""
    assessment: Assessment | None = None

    @property
    def approvable(self) -> bool:
        return bool(self.reasons) and all(reason.approvable for reason in self.reasons)

    @property
    def text(self) -> str:
        return "; ".join(reason.text for reason in self.reasons) + (f". {self.hint}" if self.hint else "")


@dataclass(frozen=True)
class Outage:
    """How long applications could not write: from the last commit that the new primary has (RFC 3339, by the clock of
    the old one) until traffic was led to it. Where little is written, it began later: `seconds` are a bound."""

    since: str
    until: str
    seconds: float


@dataclass(frozen=True)
class Finished:
    """Nothing is left to do. `outcome`: failed_over, healthy or degraded."""

    outcome: str
    text: str
    primary: str | None = None
    loss: Loss | None = None
    measured: Mapping[str, float] = field(default_factory=dict, hash=False)
    outage: Outage | None = None
    left: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    assessment: Assessment | None = None


Step = Union[Orders, Look, Refused, Finished]


@dataclass(frozen=True)
class Answer:
    """What came of an order."""

    host: str
    module: str
    ok: bool
    unreachable: bool = False
    result: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def message(self) -> str:
        said = str(self.result.get("msg") or "").strip()
        return said or ("is out of reach" if self.unreachable else "failed without a message")


@dataclass(frozen=True)
class Judgement:
    """`phase`: done or failed, which is written to the journal with `about`; again: nothing is written, observe anew.
    `refuse` ends the run; without it the planner is asked for what is next."""

    phase: str
    about: Mapping[str, Any] = field(hash=False)
    message: str
    evidence: tuple[str, ...] = ()
    refuse: str | None = None


def read_answers(raw: object) -> list[Answer]:
    """From mappings of host, module, ok, unreachable, result."""
    found = []
    for entry in raw if isinstance(raw, (list, tuple)) else ():
        if isinstance(entry, Answer):
            found.append(entry)
        elif isinstance(entry, Mapping):
            result = entry.get("result")
            found.append(
                Answer(
                    str(entry.get("host")),
                    str(entry.get("module")),
                    entry.get("ok") is True,
                    entry.get("unreachable") is True,
                    result if isinstance(result, Mapping) else {},
                )
            )
    return found
