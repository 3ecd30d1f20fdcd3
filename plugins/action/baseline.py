# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controller half of day2.ops.baseline: checks hold the same secrets as in a checklist."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.action.checklist import ActionModule as Checklist


class ActionModule(Checklist):
    """Run the module with its secrets apart."""

    module = "baseline"
