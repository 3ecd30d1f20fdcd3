# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything that a decision about a failover is made from. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.failover.journal import Entry
from ansible_collections.day2.ops.plugins.plugin_utils.failover.evidence import Seen
from ansible_collections.day2.ops.plugins.plugin_utils.failover.model import Plan
from ansible_collections.day2.ops.plugins.plugin_utils.failover.predict import predict
from ansible_collections.day2.ops.plugins.plugin_utils.failover.steps import Request
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts

# Of one step in one epoch, without an end: whoever answers, and never does it, is not asked for ever.
TRIES = 3


@dataclass(frozen=True)
class Situation:
    """Everything that a decision is made from."""

    plan: Plan
    request: Request
    entries: Sequence[Entry]
    facts: Facts
    history: Sequence[Mapping[str, float]] = ()
    last_known: Seen | None = None
    now: float = 0.0

    def seconds(self, step: str) -> float | None:
        return predict(self.plan, self.history).steps.get(step)

    def error(self, host: str) -> str:
        """What a host's view says of itself, in brackets."""
        error = self.facts.view(host).error
        return f" ({error})" if error else ""

    def state(self, host: str) -> str:
        return self.facts.view(host).state or "in an unknown state"
