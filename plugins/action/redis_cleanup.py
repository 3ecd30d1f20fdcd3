# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of day2.ops.redis_cleanup: its connection is resolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ansible.plugins.action.normal import ActionModule as Normal
from ansible_collections.day2.ops.plugins.plugin_utils.connections import Connected


class ActionModule(Connected, Normal):  # type: ignore[misc]
    """Run the module with the options that its connection stands for."""

    fields: ClassVar[Sequence[str]] = (
        "host", "port", "path", "user", "password", "database", "tls", "validate_certs", "ca_path"
    )  # fmt: skip
    ignored: ClassVar[Sequence[str]] = ("run_as",)
