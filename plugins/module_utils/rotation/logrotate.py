# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file of a policy for logrotate, which only renames the log and has its writer reopen it. Pure but for `Runner`.

Every option that another file could set for all logs is in it, so that it says the same wherever it is read from: also
alone, when a rotation is forced. Options are those of logrotate 3.14 to 3.21.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
import time
from dataclasses import dataclass
from typing import Callable, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run
from ansible_collections.day2.ops.plugins.module_utils.rotation.entries import quoted
from ansible_collections.day2.ops.plugins.module_utils.rotation.pieces import DATE_FORMAT

# Never reached: 3.14 does not take -1, and removes pieces beyond the count.
_NEVER = 1_000_000
_POLL = 0.5
_LOCK_WAIT = 600.0
_GROUP_WRITES, _OTHERS_WRITE = 0o020, 0o002
# What `PrivateTmp` hides.
_TMP = "/{0} /var/{0}".format("tmp")
_SAFE_NAME = re.compile(r"[\w.@$-]+")


class LogrotateError(Day2Error):
    """What logrotate refuses, or would refuse; the message says why."""


@dataclass(frozen=True)
class Owner:
    """Of a directory or a file: user, group and mode."""

    user: int
    group: int
    mode: int = 0


@dataclass(frozen=True)
class Stanza:
    """Paths whose logs are rotated as one user; `su` is empty for root."""

    paths: tuple[str, ...]
    su: tuple[str, str] | tuple[()] = ()


@dataclass(frozen=True)
class Turn:
    """When and how a log is rotated. `service` is asked whether it runs before its writer is notified."""

    frequency: str = "daily"
    size: int | None = None
    copytruncate: bool = False
    reopen: tuple[str, ...] = ()
    service: str = ""


def render(name: str, stanzas: Sequence[Stanza], turn: Turn) -> str:
    head = f"# Made by day2.ops.log_rotation: a change here is lost. `day2ctl logs` packs and removes pieces of {name}."
    return "\n".join([head, *(line for stanza in stanzas for line in _stanza(stanza, turn))]) + "\n"


def _stanza(stanza: Stanza, turn: Turn) -> list[str]:
    options = [turn.frequency, f"maxsize {turn.size}" if turn.size else "maxsize 0", "minsize 0", "minage 0",
               f"rotate {_NEVER}", "maxage 0", "dateext", f"dateformat {DATE_FORMAT}", "nocompress", "nodelaycompress",
               "missingok", "notifempty", "nomail", "noolddir", "noshred", "nocopy"]  # fmt: skip
    # The new file gets mode, owner and group of the one that was renamed.
    options += ["copytruncate"] if turn.copytruncate else ["nocopytruncate", "create"]
    options += [" ".join(("su", *stanza.su))] if stanza.su else []
    if turn.reopen and not turn.copytruncate:
        options += ["sharedscripts", "postrotate", *_script(turn), "endscript"]
    return [*map(quoted, stanza.paths), "{", *(f"    {option}" for option in options), "}"]


def _script(turn: Turn) -> list[str]:
    command = " ".join(map(shlex.quote, turn.reopen))
    if not turn.service:
        return [f"    {command}"]
    # Who does not run has no file open.
    return [f"    if systemctl is-active --quiet {shlex.quote(turn.service)}; then", f"        {command}", "    fi"]


def rotate_as(directory: str, at: Owner, logs: Sequence[Owner], copytruncate: bool) -> Owner | None:
    """As whom a log is to be rotated, by the owners of its directory and of its files; None: as root.

    LogrotateError where logrotate would skip it, or root would work in a place of somebody else's.
    """
    if at.mode & _OTHERS_WRITE:
        raise LogrotateError(
            f"{directory} can be written by everybody, and logrotate skips logs there: anybody could put another file"
            f" in the place of one. Do: chmod o-w {shlex.quote(directory)}"
        )
    if at.user == 0:
        return Owner(0, at.group) if at.mode & _GROUP_WRITES and at.group else None
    groups = {log.group for log in logs}
    if any(log.user != at.user for log in logs):
        if copytruncate:
            raise LogrotateError(
                f"{directory} belongs to another user than the log in it, who could have root copy and truncate any"
                " file: give both to the same user, or have the writer reopen its log"
            )
        return Owner(0, at.group)
    # A user gives files to its own group alone.
    return Owner(at.user, groups.pop() if len(groups) == 1 else at.group) if len(groups) < 2 else Owner(0, at.group)


def out_of_reach(directory: str, unit: Mapping[str, str]) -> str | None:
    """Why the sandbox of logrotate's own service keeps it from a directory: the option, or None."""

    def below(places: str) -> bool:
        listed = (place.lstrip("-+").rstrip("/") or "/" for place in places.split())
        return any(f"{directory}/".startswith(place if place == "/" else f"{place}/") for place in listed)

    if below(unit.get("ReadWritePaths", "")):
        return None
    shut = {
        "InaccessiblePaths": below(unit.get("InaccessiblePaths", "")),
        "ReadOnlyPaths": below(unit.get("ReadOnlyPaths", "")),
        "PrivateTmp": unit.get("PrivateTmp") == "yes" and below(_TMP),
        "ProtectHome": unit.get("ProtectHome", "no") != "no" and below("/home /root /run/user"),
        "ProtectSystem": below({"yes": "/usr /boot /efi", "full": "/usr /boot /efi /etc", "strict": "/"}.get(
            unit.get("ProtectSystem", ""), "")),
    }  # fmt: skip
    return next((option for option, is_shut in shut.items() if is_shut), None)


def checked_name(name: str, what: str) -> str:
    """A user's or group's name as a word of `su`."""
    if not _SAFE_NAME.fullmatch(name):
        raise LogrotateError(f"{what} is {name!r}, which logrotate cannot read in 'su'")
    return name


class Runner:
    """The program."""

    def __init__(self, program: str = "logrotate", clock: Callable[[], float] = time.monotonic) -> None:
        self._program, self._clock = program, clock

    @property
    def is_installed(self) -> bool:
        return shutil.which(self._program) is not None

    def check(self, text: str, shown: str) -> None:
        """Have logrotate read a file before it is put in place. LogrotateError with its own words."""
        with tempfile.TemporaryDirectory(prefix="day2-") as folder:
            path = os.path.join(folder, os.path.basename(shown))
            write_atomic(path, text.encode("utf-8", "surrogateescape"), 0o644)
            done = run([self._program, "--debug", "--state", os.path.join(folder, "state"), path])
        said = [line.replace(path, shown) for line in _complaints(done.stderr)]
        if done.code != 0 or said:
            raise LogrotateError(f"logrotate refuses the file (exit status {done.code}): {'; '.join(said[:5])}")

    def force(self, path: str, wait: float = _LOCK_WAIT) -> None:
        """Rotate what a file says now, with the system's own state, so that its lock keeps others away meanwhile.

        Waits for another run, and a second where a piece of this one is there already.
        """
        end = self._clock() + wait
        while True:
            done = run([self._program, "--force", path])
            if done.code == 0:
                return
            said = done.stderr.decode("utf-8", "replace").strip().split("\n")
            again = [line for line in said if "already locked" in line or "already exists, skipping rotation" in line]
            if not again or self._clock() >= end:
                raise LogrotateError(f"logrotate failed (exit status {done.code}): {'; '.join(said[-5:])}")
            time.sleep(_POLL)


def _complaints(said: bytes) -> list[str]:
    lines = said.decode("utf-8", "replace").split("\n")
    return [line.strip() for line in lines if line.startswith("error:")]
