# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is remembered of maintenance, read: a folder a service below one directory.

`state.json` has all that leaving needs, commands and addresses with their credentials among it, and is root's alone.
`status.json` beside it is for everybody: leases, phases and faults. Root reads neither where somebody else could write.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot
from ansible_collections.day2.ops.plugins.module_utils.maintenance.leases import Entered, Lease, Phase, Reading, State
from ansible_collections.day2.ops.plugins.module_utils.maintenance.platform import Damaged, StoreError
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import (
    ROOT_ONLY,
    Trust,
    check_directory,
    read_text,
)

ROOT = "/var/lib/day2/maintenance"
_STATE, _BEFORE, _PUBLIC = "state.json", "state.before.json", "status.json"
SERVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
SCHEMA = 1


def reading() -> Reading:
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
        boot = stream.read().strip()
    # Linux has it since 2.6.39; it goes on while the host is suspended, and is that of the kernel in a container.
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    return Reading(time.time(), uptime, boot)


class StateFiles:
    """The directory of all services, of which whoever only looks needs no more."""

    def __init__(self, root: str = ROOT, trust: Trust = ROOT_ONLY) -> None:
        self.root, self.trust = root, trust

    def folder(self, service: str) -> str:
        if not SERVICE.fullmatch(service):
            raise StoreError(f"'service' is {service!r}: letters, digits, '.', '-' and '_'")
        return os.path.join(self.root, service)

    def services(self) -> list[str]:
        """Of which something is remembered, readable or not."""
        return [name for name in self._remembered() if SERVICE.fullmatch(name)]

    def strangers(self) -> list[str]:
        """Folders with a state that no service can have: an editor's copy, somebody's backup."""
        return [os.path.join(self.root, name) for name in self._remembered() if not SERVICE.fullmatch(name)]

    def _remembered(self) -> list[str]:
        try:
            check_directory(self.root, self.trust)
            names = sorted(os.listdir(self.root))
        except FileNotFoundError:
            return []
        return [name for name in names if any(os.path.exists(path) for path in self.files(name))]

    def files(self, service: str) -> list[str]:
        """Where a service is remembered: twice, the one that is written first in front."""
        return [os.path.join(self.root, service, name) for name in (_STATE, _BEFORE)]

    def load(self, service: str) -> State:
        """What is remembered. A file that was damaged gives way to the one before it.

        Untrusted: somebody else than root could have written it; NeedsRoot: only root may read it.
        """
        self.folder(service)
        faults = []
        for path in self.files(service):
            try:
                return _parse(read_text(path, self.trust), service)
            except FileNotFoundError:
                continue
            except PermissionError:
                raise NeedsRoot(f"{path} can be read by root only") from None
            except (OSError, ValueError, KeyError, TypeError) as exc:
                faults.append(f"{path} ({exc})")
        if faults:
            raise Damaged(
                f"the state of {service} cannot be read, so nobody knows when it ends and what there was before:"
                f" {', '.join(faults)}. End it with: day2ctl maintenance disable {service} --force"
            )
        return State(service)

    def load_public(self, service: str) -> State:
        """What everybody may know of a service: leases, phases and faults, without what leaving needs."""
        path = self.public(service)
        try:
            return _parse(read_text(path, self.trust), service)
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise NeedsRoot(f"{path} cannot be read ({exc}), and the state beside it by root only") from exc

    def public(self, service: str) -> str:
        """What everybody may read of it."""
        return os.path.join(self.folder(service), _PUBLIC)


def digest(record: Mapping[str, Any]) -> str:
    """Of all fields but itself."""
    fields = {name: value for name, value in record.items() if name != "digest"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _parse(text: str, service: str) -> State:
    record = json.loads(text)
    if record["schema"] != SCHEMA or record["service"] != service or record["digest"] != digest(record):
        raise ValueError("it is not what was written")
    leases = {}
    for name, fields in record["leases"].items():
        known = {key: value for key, value in fields.items() if key != "ends"}
        leases[name] = Lease(**{**known, "targets": tuple(known["targets"])})
    targets = {
        name: Entered(Phase(entered["phase"]), entered["record"], entered["error"])
        for name, entered in record["targets"].items()
    }
    return State(service, leases, targets)
