# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directory in which root keeps what it remembers of a host: made, checked, taken back from an earlier version.

Role schedule of an earlier version gave /var/lib/day2 to the user who runs the playbooks. That user could replace what
root reads below it, so that it goes back to root as soon as no timer runs there any more.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Mapping

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.trusted import (
    ROOT_ONLY,
    Trust,
    Untrusted,
    check_directory,
    make_directories,
)

BASE = "/var/lib/day2"


class PlaceError(Day2Error):
    """A directory that cannot be root's as it is; the message says what to do."""


def steps(path: str, make: bool, units: Mapping[str, str], base: str = BASE, trust: Trust = ROOT_ONLY) -> list[str]:
    """What `carry_out` would do, in words. `units` are the texts of the timers' services, by their names.

    PlaceError: a timer of an earlier version runs there; Untrusted: somebody else than root could have changed it.
    """
    found = []
    if _is_lost(base, trust):
        users = sorted(name for name, text in units.items() if f"\nWorkingDirectory={base}\n" in text)
        if users and make:
            raise PlaceError(
                f"{base} does not belong to root alone, because timers of an earlier version run there"
                f" ({', '.join(users)}). Move them first, then run this again:"
                " ansible-playbook day2.ops.schedule -i INVENTORY"
            )
        if users:
            return []
        found.append(f"give {base} back to root, mode 0755")
        if path != base and os.path.lexists(path):
            _check_below(path, base, trust)
    elif os.path.lexists(path):
        check_directory(path, trust)
        if make and stat.S_IMODE(os.stat(path).st_mode) & 0o555 != 0o555:
            found.append(f"let everybody enter {path}, mode 0755")
    else:
        with suppress(FileNotFoundError):
            check_directory(os.path.dirname(path), trust)
    if make and not os.path.lexists(path):
        found.append(f"make {path}")
    return found


def carry_out(path: str, make: bool, base: str = BASE, trust: Trust = ROOT_ONLY) -> None:
    """After `steps`. Raises Untrusted or OSError."""
    if _is_lost(base, trust):
        _give(base, trust)
    if make:
        make_directories(path, trust)
        _give(path, trust)


def _give(path: str, trust: Trust) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        os.fchown(descriptor, trust.owner, trust.owner)
        os.fchmod(descriptor, 0o755)
    finally:
        os.close(descriptor)


def _is_lost(base: str, trust: Trust) -> bool:
    """Whether a directory that is there, and no link, belongs to somebody else or can be written by others."""
    try:
        status = os.lstat(base)
    except FileNotFoundError:
        return False
    is_owned = status.st_uid == trust.owner and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(status.st_mode) and not is_owned


def _check_below(path: str, base: str, trust: Trust) -> None:
    """What is in a directory that is taken back has to be root's already: nobody knows who wrote it otherwise."""
    current = base
    for name in os.path.relpath(path, base).split("/"):
        current = os.path.join(current, name)
        if not os.path.lexists(current):
            return
        status = os.lstat(current)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != trust.owner or status.st_mode & 0o022:
            raise Untrusted(
                f"{current} does not belong to root alone, and {base} above it did not either: somebody may have put"
                f" it there. Look at what is in it, then: mv {current} {current}.untrusted"
            )
