# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module some of whose arguments hold secrets inside of other text: an address with a password, a command.

`no_log` of an option would hide the whole value wherever it occurs, also the host in every message.
"""

from __future__ import annotations

import json
from typing import Any, Callable, Mapping

from ansible.module_utils.basic import AnsibleModule


class MaskedModule(AnsibleModule):  # type: ignore[misc]
    """`secrets` says which parts of the parameters nobody may see; it is given them also where they are malformed."""

    def __init__(self, secrets: Callable[[Mapping[str, Any]], list[str]], **settings: Any) -> None:
        self._secrets = secrets
        super().__init__(**settings)

    def _log_invocation(self) -> None:
        self._hide()
        super()._log_invocation()

    def _return_formatted(self, kwargs: dict[str, Any]) -> None:
        # Also on the way out of the constructor, where an argument is refused.
        self._hide()
        super()._return_formatted(kwargs)

    def _hide(self) -> None:
        for secret in self._secrets(self.params):
            # The log has the text of Python's values, results that of JSON.
            self.no_log_values |= {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}
