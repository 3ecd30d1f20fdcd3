# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The controller's clock for playbooks, which shall not calculate with times themselves."""

from __future__ import annotations

DOCUMENTATION = r"""
name: clock
short_description: The time on the controller, and seconds since or until another time
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Returns POSIX seconds, which are the same in every time zone. In a template, C(now(utc=true).timestamp()) is wrong
    by the controller's offset from UTC, because Ansible's C(now) returns a time without a zone, which Python takes for
    local time.
  - Every use of the lookup reads the clock again. Keep a time with M(ansible.builtin.set_fact).
options:
  since:
    description:
      - A time in POSIX seconds. The lookup returns the seconds that have passed since then, and never less than 0.
    type: float
  until:
    description:
      - A time in POSIX seconds. The lookup returns the seconds that are left until then, and never less than 0.
    type: float
  words:
    description: Whether a duration is returned as a text for people, such as V(4 min 5 s).
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Keep the time at which the work begins
  ansible.builtin.set_fact:
    began: "{{ lookup('day2.ops.clock') }}"

- name: Migrate the database
  ansible.builtin.command:
    argv: [/opt/shop/bin/migrate, upgrade, head]
  changed_when: true

- name: Show how long it took
  ansible.builtin.debug:
    msg: "The migration took {{ lookup('day2.ops.clock', since=began, words=true) }}"
"""

RETURN = r"""
_raw:
  description:
    - One value, POSIX seconds or a number of seconds as a float.
    - A string where O(words) is true.
  type: list
  elements: raw
"""

import time
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

_OPTIONS = ("since", "until", "words")


class LookupModule(LookupBase):  # type: ignore[misc]
    """One reading of the clock."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[Any]:
        unknown = sorted(set(options) - set(_OPTIONS))
        if terms or unknown:
            # Ansible ignores unknown options, and a misspelt `since` would return the time itself.
            what = f"option '{unknown[0]}'" if unknown else "a term"
            raise AnsibleLookupError(f"day2.ops.clock does not know {what}; its options are {', '.join(_OPTIONS)}")
        self.set_options(var_options=variables, direct=options)
        since, until = self.get_option("since"), self.get_option("until")
        if since is not None and until is not None:
            raise AnsibleLookupError("day2.ops.clock takes 'since' or 'until', not both")
        return [measure(time.time(), since, until, self.get_option("words"))]


def measure(now: float, since: float | None, until: float | None, words: bool) -> float | str:
    """The answer at `now`; all times are POSIX seconds. Clocks that were set back make no duration negative."""
    if since is None and until is None:
        if words:
            raise AnsibleLookupError("day2.ops.clock: 'words' is for a duration; set 'since' or 'until'")
        return now
    seconds = max(0.0, now - since if since is not None else (until or 0.0) - now)
    return format_duration(round(seconds) if seconds >= 1 else seconds) if words else seconds
