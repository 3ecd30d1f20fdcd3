# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """The standby of this host on which a module acts (module_utils/failover/local.py has the same as STANDBY)."""

    DOCUMENTATION = r"""
options:
  data:
    description: Data directory of the standby.
    type: path
    required: true
  port:
    description: Port that its server has to have. Without it any is right.
    type: int
  unit:
    description: Name of its systemd unit, if it differs from that of Debian's or PostgreSQL's packages.
    type: str
"""
