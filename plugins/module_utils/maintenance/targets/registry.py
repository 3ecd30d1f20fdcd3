# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry of targets, by their names.

In this order a host enters: nobody is alarmed, then users see the page or are led elsewhere, then nothing runs. It
leaves in the other.
"""

from __future__ import annotations

from typing import Iterable

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import alerts, haproxy, units, web
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Target

TARGETS: dict[str, type[Target]] = {
    "alerts": alerts.Alerts,
    "web": web.Web,
    "haproxy": haproxy.Haproxy,
    "units": units.Units,
}


def in_order(names: Iterable[str]) -> list[str]:
    """Those of the names that are targets, each once, in the order of entering."""
    wanted = set(names)
    return [name for name in TARGETS if name in wanted]
