# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Back to service although nobody knows what there was before: as after a boot of the host.

Only for somebody who asks for it by force, when both files of the state are damaged. What maintenance left on the
host each target finds by its names: flags, drop-ins of units.
"""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import Store
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Target, TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.registry import TARGETS


class Unresumed(Day2Error):
    """What did not come back. Nothing of the maintenance is left, so that somebody has to look after it."""


def plan(store: Store, service: str) -> list[str]:
    """What `give_up` would do, in words."""
    return [step for target in _targets(store, service) for step in target.salvaged()]


def give_up(store: Store, service: str) -> list[str]:
    """Remove every trace; returns what was done. What cannot be read is kept beside.

    After Unresumed there is nothing to do again, after any other Day2Error there is.
    """
    steps, failed, again = plan(store, service), list[str](), list[str]()
    for target in _targets(store, service):
        try:
            failed += target.salvage()
        except TargetError as exc:
            # One that has to be tried again keeps no other from coming back.
            again.append(str(exc))
    if again:
        raise TargetError("; ".join(again))
    kept = [f"what could not be read is in {path}" for path in store.set_aside(service)]
    if failed:
        raise Unresumed(
            f"{service} is out of maintenance, but not all of it came back: {'; '.join(failed)}."
            f" Nothing tries again: what was to be done is {'; '.join([*steps, *kept])}"
        )
    return [*steps, *kept]


def _targets(store: Store, service: str) -> list[Target]:
    """In the order of leaving."""
    return [TARGETS[name](service, store.flag(service, name)) for name in reversed(TARGETS)]
