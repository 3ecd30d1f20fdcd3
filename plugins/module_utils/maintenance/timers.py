# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd's timer, which ends leases when no controller is there, and survives a reboot."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import NotInstalled, Platform
from ansible_collections.day2.ops.plugins.module_utils.maintenance.states import ROOT, reading
from ansible_collections.day2.ops.plugins.module_utils.maintenance.store import FileStore
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

TIMER, BOOT = "day2-maintenance.timer", "day2-maintenance-boot.service"
_APART = "day2-maintenance@{}.service"


class SystemdTimer:
    """The units that role runtime installs."""

    name, start = TIMER, f"systemctl enable --now {TIMER}"

    def look(self) -> list[str]:
        """The properties of both units, as systemd shows them; NotInstalled where one is missing."""
        shown = run(["systemctl", "show", "--property=LoadState,ActiveState,UnitFileState", "--", TIMER, BOOT])
        about = shown.stdout.decode("utf-8", "replace").split("\n\n")
        for unit, properties in zip((TIMER, BOOT), about):
            if "LoadState=loaded" not in properties:
                raise NotInstalled(
                    f"{unit} is missing, so that nothing would end the maintenance:"
                    " ansible-playbook day2.ops.maintenance_setup installs it (role runtime)"
                )
        return about

    def arm(self) -> None:
        about = self.look()
        if "ActiveState=active" in about[0] and "UnitFileState=enabled" in about[0]:
            return
        done = run(["systemctl", "enable", "--quiet", "--now", TIMER])
        if done.code != 0:
            raise NotInstalled(
                f"{TIMER} cannot be started, so that nothing would end the maintenance: {done.complaint}"
            )

    def is_armed(self) -> bool:
        return run(["systemctl", "is-active", "--quiet", TIMER]).code == 0

    def disarm(self) -> None:
        run(["systemctl", "disable", "--quiet", "--now", TIMER])

    def attend(self, service: str) -> None:
        # One that still runs is left to itself.
        begun = run(["systemctl", "start", "--no-block", "--", _APART.format(service)])
        if begun.code != 0:
            raise NotInstalled(
                f"{_APART.format(service)} cannot be started, so that nothing ends the maintenance: {begun.complaint}."
                " ansible-playbook day2.ops.maintenance_setup installs it (role runtime); meanwhile:"
                f" day2ctl maintenance tick {service}"
            )


def this_host(root: str = ROOT) -> Platform:
    """A host with systemd."""
    return Platform(FileStore(root), reading, SystemdTimer())
