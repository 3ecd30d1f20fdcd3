# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """What modules have in common; each says itself what it does in check mode."""

    # Modules that run on a host.
    DOCUMENTATION = r"""
options: {}
attributes:
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: Hosts with Linux.
    support: full
    platforms: posix
"""

    # Modules that are actions.
    CONTROLLER = r"""
options: {}
attributes:
  action:
    description: Runs on the controller.
    support: full
  diff_mode:
    description: There is nothing to show.
    support: none
  platform:
    description: Runs on the controller, whatever the hosts are.
    support: full
    platforms: posix
"""
