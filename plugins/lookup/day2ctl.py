# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: day2ctl
short_description: The program day2ctl as a file on the controller
version_added: 0.1.0
author: The day2.ops maintainers (@day2-ops)
description:
  - Packs what goes on at a host when Ansible does not run into one file that Python runs, and returns its path.
  - The same release makes the same bytes.
options: {}
"""

EXAMPLES = r"""
- name: Install it
  ansible.builtin.copy:
    src: "{{ lookup('day2.ops.day2ctl') }}"
    dest: /usr/local/bin/day2ctl
    mode: "0755"
"""

RETURN = r"""
_raw:
  description: The path.
  type: list
  elements: str
"""

from typing import Any

from ansible import constants
from ansible.plugins.lookup import LookupBase
from ansible_collections.day2.ops.plugins.plugin_utils.report.version import collection_version
from ansible_collections.day2.ops.plugins.plugin_utils.runtime import zipapp


class LookupModule(LookupBase):  # type: ignore[misc]
    """The file lies in Ansible's own temporary directory, which goes with the run."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        del terms, variables, kwargs
        return [zipapp.write(constants.DEFAULT_LOCAL_TMP, collection_version())]
