# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts of Alertmanager's API v2: all that is bad now, in each run, and what is over. Pure.

https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml, postableAlerts. What is new, when it is
repeated and who is left in peace is for Alertmanager to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.notify.channels import Channel
from ansible_collections.day2.ops.plugins.plugin_utils.notify.payloads import LONGEST_DETAIL
from ansible_collections.day2.ops.plugins.plugin_utils.notify.state import Known
from ansible_collections.day2.ops.plugins.plugin_utils.notify.words import clean, clip
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import one_line

# By what clocks may differ.
_SKEW = timedelta(minutes=1)


@dataclass(frozen=True)
class Alerts:
    """Writes the alerts of one run for one channel."""

    channel: Channel
    system: str
    cadence: str | None
    now: datetime

    def bad(self, known: Known, name: str = "", **said: str) -> dict[str, Any]:
        """It lasts until the next run, which sends it again."""
        ends = rfc3339_ms(self.now + timedelta(seconds=self.channel.expires(self.cadence)))
        return self._alert(known, name, said, ends)

    def over(self, known: Known, how: str, name: str = "") -> dict[str, Any]:
        # A clock that is behind ours must not see its end in the future; and it cannot end before it began.
        ends = max(rfc3339_ms(self.now - _SKEW), self._begun(known))
        return self._alert(known, name, {"message": how}, ends)

    def _begun(self, known: Known) -> str:
        # The clock was set back since then: an alert that begins after its end is refused.
        return min(known.since, rfc3339_ms(self.now))

    def _alert(self, known: Known, name: str, said: Mapping[str, str], ends: str) -> dict[str, Any]:
        """Its labels are what it is known by."""
        labels = {
            **self.channel.labels,
            "alertname": name or known.check or known.title,
            "system": self.system,
            "host": known.host,
            "check": known.check,
            # That a checklist did not run is another finding for each of them.
            "cadence": known.cadence or "" if known.check == "checklist" else "",
            "severity": known.severity,
        }
        notes = {"title": known.title, **said}
        return {
            "labels": {label: one_line(text) for label, text in labels.items() if text},
            "annotations": {note: clip(clean(text), LONGEST_DETAIL) for note, text in notes.items() if text},
            "startsAt": self._begun(known),
            "endsAt": ends,
        }


def superseded(before: Mapping[str, Known], after: Mapping[str, Known]) -> list[tuple[str, Known, str]]:
    """What a channel still knows, but not as this alert: it was acknowledged, or has another severity, and how."""
    found = []
    for key, known in before.items():
        now = after.get(key)
        if now is None or known.quiet:
            continue
        if now.quiet:
            found.append((key, known, "is acknowledged"))
        elif now.severity != known.severity:
            found.append((key, known, f"is {now.severity} now"))
    return found
