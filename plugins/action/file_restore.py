# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of day2.ops.file_restore: it shows how far the module is, and refuses secret keys."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.plugin_utils.secret_keys import WithoutSecretKeys


class ActionModule(WithoutSecretKeys):
    """Run the module, and show its progress."""
