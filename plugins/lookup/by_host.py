# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One variable of all hosts of the play, for what is decided over all of them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: by_host
short_description: The value of a variable on every host of the play
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Returns a mapping of the hosts of the play, those that failed or cannot be reached included, to the value that a
    variable or a fact has there. Hosts without it are left out.
options:
  _terms:
    description: The name of the variable.
    required: true
"""

EXAMPLES = r"""
- name: Refuse to go on where a host failed
  ansible.builtin.assert:
    that: lookup('day2.ops.by_host', 'shop_failed') | length == 0
"""

RETURN = r"""
_raw:
  description: One mapping of names of hosts to values.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.day2.ops.plugins.plugin_utils.report.hostvars import Hosts


class LookupModule(LookupBase):  # type: ignore[misc]
    """Reads the variables of each host, and templates only what is a template."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **options: Any) -> list[dict[str, Any]]:
        if options or len(terms) != 1 or variables is None:
            raise AnsibleLookupError("day2.ops.by_host takes the name of one variable, and no options")
        return [Hosts(variables["hostvars"], list(variables["ansible_play_hosts_all"])).values(str(terms[0]))]
