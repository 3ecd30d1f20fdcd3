# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of day2.ops.pg_restore: it resolves its connection, shows how far the module is, and refuses
secret keys."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.plugin_utils.connections import Connected
from ansible_collections.day2.ops.plugins.plugin_utils.secret_keys import WithoutSecretKeys


class ActionModule(Connected, WithoutSecretKeys):
    """Run the module, and show its progress."""
