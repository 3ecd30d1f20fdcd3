# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lists of checks and steps, which groups and hosts hold in pieces."""

from __future__ import annotations

DOCUMENTATION = r"""
name: joined
short_description: Join the lists that the variables of a host hold in pieces
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Returns the entries of a variable and of all variables whose names begin with its name and C(_), in the order of
    their names, so that groups and hosts add entries without repeating those of others.
options:
  _terms:
    description: Names of variables, such as V(day2_daily_checks).
    required: true
"""

EXAMPLES = r"""
- name: Run all daily checks of the host
  day2.ops.checklist:
    checks: "{{ query('day2.ops.joined', 'day2_daily_checks') }}"
"""

RETURN = r"""
_raw:
  description: The entries of all lists. An entry that is alone in its variable needs no list.
  type: list
  elements: raw
"""

from collections.abc import Mapping
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.loader import lookup_loader
from ansible.plugins.lookup import LookupBase
from ansible_collections.day2.ops.plugins.plugin_utils.joined import join, names_of


class LookupModule(LookupBase):  # type: ignore[misc]
    """Reads the variables as ansible.builtin.vars does."""

    def run(self, terms: list[Any], variables: Mapping[str, Any] | None = None, **options: Any) -> list[Any]:
        if options or not terms:
            raise AnsibleLookupError("day2.ops.joined takes names of variables, and no options")
        names = names_of(variables or {}, *map(str, terms))
        reader = lookup_loader.get("ansible.builtin.vars", loader=self._loader, templar=self._templar)
        return join(reader.run(names, variables))
