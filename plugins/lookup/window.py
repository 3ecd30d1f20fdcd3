# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a window of maintenance is open; what decides is in module_utils/windows."""

from __future__ import annotations

DOCUMENTATION = r"""
name: window
short_description: Windows of maintenance - open now, until when, and when next
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Answers from the windows of a system, as C(day2_windows) lists them, whether one is open, how long it stays open,
    and when the next one begins.
  - A malformed window is refused with its name and field.
options:
  _terms:
    description:
      - The windows, or lists of them. The same window twice counts once.
      - Their fields are C(name), C(rrule) or C(dates), C(from), C(start), C(duration), C(timezone) (UTC), C(notice)
        (48h) and C(exceptions). They are described in C(docs/windows.md) of the collection.
    required: true
  at:
    description: The moment that is asked about, with its offset, such as V(2027-01-03T02:30:00Z). Without it, now.
    type: str
  count:
    description: How many of the next windows C(upcoming) has.
    type: int
    default: 1
  ahead:
    description:
      - How much further than its notice a window is in C(due), such as V(24h). Who looks once a day looks a day
        ahead, and nobody is notified late.
    type: str
    default: '0'
requirements:
  - python-dateutil on the controller, where a window has an C(rrule)
seealso:
  - module: day2.ops.checklist
    description: Probe C(schedule) names windows that collide.
"""

EXAMPLES = r"""
- name: Refuse scheduled maintenance outside a window
  ansible.builtin.assert:
    that: window.open
    fail_msg: "{{ window.text }}"
  vars:
    window: "{{ lookup('day2.ops.window', day2_windows) }}"

- name: Refuse what does not end in time
  ansible.builtin.assert:
    that: lookup('day2.ops.window', day2_windows).seconds_left >= 1800
    quiet: true

- name: The next three windows
  ansible.builtin.debug:
    msg: "{{ lookup('day2.ops.window', day2_windows, count=3).upcoming | map(attribute='when') }}"
"""

RETURN = r"""
_raw:
  description: One answer over all windows.
  type: list
  elements: dict
  contains:
    open:
      description: Whether a window is open.
      type: bool
    window:
      description:
        - The window that is open, the one that stays open longest where there are several; else the next one; null
          where there is none.
        - Its C(name), C(start) and C(end) (UTC), C(start_local) and C(end_local) by the clock of its C(timezone),
          C(duration) and C(notice) in seconds, and C(when), which says it in words.
      type: dict
    seconds_left:
      description: The seconds for which the window stays open; 0 where none is open.
      type: int
    seconds_until:
      description: How long until the next one begins; 0 where one is open, null where none comes.
      type: int
    next:
      description: The next window that begins, whether one is open or not.
      type: dict
    upcoming:
      description: The next O(count) windows.
      type: list
      elements: dict
    due:
      description: Windows that begin within their notice (and O(ahead)); people are to be notified of them.
      type: list
      elements: dict
    text:
      description: The answer in one line.
      type: str
"""

import time
from datetime import datetime
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.module_utils.windows.inventory import parse_windows
from ansible_collections.day2.ops.plugins.module_utils.windows.words import answer

_OPTIONS = ("at", "count", "ahead")


class LookupModule(LookupBase):  # type: ignore[misc]
    """One answer over all windows that are given."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[Any]:
        unknown = sorted(set(options) - set(_OPTIONS))
        if unknown:
            # Ansible itself lets it pass, and a misspelt `at` would be answered with now.
            raise AnsibleLookupError(f"'{unknown[0]}' is no option; {meant(unknown[0], _OPTIONS)}")
        self.set_options(var_options=variables, direct=options)
        moment, count, ahead = _moment(self.get_option("at")), self.get_option("count"), self.get_option("ahead")
        if count < 1:
            raise AnsibleLookupError(f"count is {count}; 1 is the least")
        try:
            windows = parse_windows(self._flatten(terms))
            return [answer(windows, moment, count, _ahead(ahead))]
        except Day2Error as error:
            raise AnsibleLookupError(str(error)) from error


def _ahead(said: str) -> float:
    try:
        seconds = parse_duration(said)
    except QuantityError as error:
        raise AnsibleLookupError(f"ahead: {error}") from error
    if not 0 <= seconds <= 366 * 86400:
        raise AnsibleLookupError(f"ahead: '{said}' is less than nothing, or more than a year")
    return seconds


def _moment(said: str | None) -> float:
    if said is None:
        return time.time()
    try:
        # Python 3.10 does not know the Z.
        moment = datetime.fromisoformat(said[:-1] + "+00:00" if said.endswith(("Z", "z")) else said)
    except ValueError as error:
        raise AnsibleLookupError(f"at: '{said}' is no moment such as 2027-01-03T02:30:00Z") from error
    if moment.tzinfo is None:
        raise AnsibleLookupError(f"at: '{said}' says no offset: add Z, or one such as +01:00")
    return moment.timestamp()
