# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where policies of logs are on a host, and what is remembered there."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.process.files import sweep, write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.locks import file_lock
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import (
    ROOT_ONLY,
    Trust,
    make_directories,
    read_text,
)
from ansible_collections.day2.ops.plugins.module_utils.rotation.policy import (
    STATE,
    LogPolicyError,
    Policies,
)

_LOCK_WAIT = 600.0
_MACHINE_ID = "/etc/machine-id"


@dataclass(frozen=True)
class Place:
    """Where policies are read, where it is remembered what became of logs, and who has to own both."""

    policies: Policies = field(default_factory=Policies)
    state: str = STATE
    trust: Trust = ROOT_ONLY
    threads: int = 2

    @property
    def status(self) -> str:
        """The file that says what the last run of all logs came to; everybody may read it."""
        return os.path.join(self.state, "status.json")

    @property
    def quiet(self) -> str:
        """The file by which the timer sees in no time that nothing is due; its time is when that was looked at last."""
        return os.path.join(self.state, "quiet")

    def remember(self, now: float, faults: Sequence[str], over: Sequence[str], held: Sequence[str]) -> None:
        """What a run of all logs came to; `held` are paths. Raises OSError."""
        said = {"schema": 1, "at": now, "faults": faults, "over": over, "held": held}
        write_atomic(self.status, json.dumps(said, indent=1) + "\n", 0o644)

    def last_run(self) -> float | None:
        """When all logs were tended last (POSIX seconds); None where that is not known."""
        try:
            with open(self.status, encoding="utf-8") as stream:
                return self.tended(float(json.load(stream)["at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def tended(self, whole: float) -> float:
        """When all logs were looked after last, where the last whole run ended then."""
        with suppress(OSError):
            return max(whole, os.stat(self.quiet).st_mtime)
        return whole

    def remember_verdict(self, name: str, began: float, verdict: Mapping[str, Any]) -> None:
        """What the verification of a sealed log came to (the fields of Verdict), for `verdict_on`. Raises OSError."""
        said = {"schema": 1, "at": began, **verdict}
        write_atomic(self._verdict(name), json.dumps(said, indent=1) + "\n", 0o644)

    def verdict_on(self, name: str) -> dict[str, Any]:
        """`at` (POSIX seconds), and the fields of Verdict; empty where the log was not verified yet."""
        try:
            said = json.loads(read_text(self._verdict(name), self.trust))
            return {**said, "at": float(said["at"]), "faults": list(map(str, said["faults"]))}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError) as exc:
            raise LogPolicyError(f"{self._verdict(name)} cannot be read ({exc}): verify {name} again") from exc

    def _verdict(self, name: str) -> str:
        return os.path.join(self.state, f"{name}.verdict")

    def identity(self, make: bool = True) -> str:
        """What tells this host from another one of its name; empty where it has none yet, and none is to be made.

        A copy of a host brings the file along, and has a machine-id(5) of its own.
        """
        path = os.path.join(self.state, "host-id")
        if make and not os.path.exists(path):
            make_directories(self.state, self.trust)
            beside = f"{path}.{os.urandom(4).hex()}"
            write_atomic(beside, f"{os.urandom(16).hex()}\n", 0o600)
            # Whoever is first at it has made it.
            with suppress(FileExistsError):
                os.link(beside, path)
            os.unlink(beside)
        try:
            made = read_text(path, self.trust)
        except FileNotFoundError:
            return ""
        machine = b""
        with suppress(OSError), open(_MACHINE_ID, "rb") as stream:
            machine = stream.read()
        return hmac.new(machine, made.encode(), hashlib.sha256).hexdigest()[:32]

    @contextmanager
    def lock(self, holder: str, wait: float = _LOCK_WAIT) -> Iterator[None]:
        make_directories(self.state, self.trust)
        with file_lock(os.path.join(self.state, ".lock"), wait, holder):
            sweep(self.status)
            yield
