# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """For which run of a failover a module acts: what superseded runs are refused by."""

    DOCUMENTATION = r"""
options:
  system:
    description:
      - The system whose failover this belongs to. Needs O(epoch) and O(run). The host's journal of that system decides
        whether the run may still act, and is locked while it does.
      - Without it the module acts for nobody, as by hand, and the journal is not asked.
    type: str
  epoch:
    description: >-
      The epoch that the run has claimed. A host that has promised a higher one, or this one to another run, refuses
      and changes nothing.
    type: int
  run:
    description: The run that claimed O(epoch).
    type: str
"""
