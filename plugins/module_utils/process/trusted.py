# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Paths that only root can change, so that what root reads there was written by root.

Each component is opened below the one before it, without following links, and its owner and mode are those of what was
opened: nobody can exchange a component between the check and the use. An ACL that lets somebody write shows in the
mode's group bits.
"""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class Untrusted(Day2Error):
    """A path that somebody else than root can change; the message names the component and the command that helps."""


@dataclass(frozen=True)
class Trust:
    """Who has to own a path, and the directory from which on it is checked (`/`: every component)."""

    owner: int = 0
    anchor: str = "/"


ROOT_ONLY = Trust()


@contextmanager
def opened_directory(path: str, trust: Trust = ROOT_ONLY) -> Iterator[int]:
    """A descriptor (O_PATH) of a directory. Raises Untrusted, FileNotFoundError or another OSError."""
    current, descriptor = trust.anchor, os.open(trust.anchor, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _check(current, os.fstat(descriptor), trust)
        for name in _components(path, trust):
            current = os.path.join(current, name)
            try:
                below = os.open(name, _DIRECTORY, dir_fd=descriptor)
            except NotADirectoryError:
                raise Untrusted(_not_a_directory(current)) from None
            except OSError as exc:
                exc.filename = current
                raise
            os.close(descriptor)
            descriptor = below
            _check(current, os.fstat(descriptor), trust)
        yield descriptor
    finally:
        os.close(descriptor)


def check_directory(path: str, trust: Trust = ROOT_ONLY) -> None:
    """Raises Untrusted, FileNotFoundError or another OSError."""
    with opened_directory(path, trust):
        return


def read_text(path: str, trust: Trust = ROOT_ONLY) -> str:
    """The content of a regular file. Raises Untrusted, ValueError (no UTF-8), FileNotFoundError or another OSError."""
    folder, name = os.path.split(path)
    with opened_directory(folder, trust) as directory:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
        except OSError as exc:
            exc.filename = path
            if stat.S_ISLNK(_mode(name, directory)):
                raise Untrusted(f"{path} is a symbolic link: root reads no state through it. Remove it") from exc
            raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Untrusted(f"{path} is not a regular file: root reads no state from it. Remove it")
        _check(path, status, trust)
        with os.fdopen(os.dup(descriptor), encoding="utf-8") as stream:
            return stream.read()
    finally:
        os.close(descriptor)


def make_directories(path: str, trust: Trust = ROOT_ONLY) -> None:
    """Make what is missing, mode 0755 whatever the umask is. Raises Untrusted or OSError."""
    usual = os.umask(0o022)
    try:
        current = trust.anchor
        for name in _components(path, trust):
            with opened_directory(current, trust) as directory, suppress(FileExistsError):
                os.mkdir(name, 0o755, dir_fd=directory)
            current = os.path.join(current, name)
    finally:
        os.umask(usual)
    check_directory(path, trust)


def _components(path: str, trust: Trust) -> list[str]:
    if not os.path.isabs(path) or os.path.normpath(path) != (path.rstrip("/") or "/"):
        raise Untrusted(f"{path} is not a plain absolute path (without '..', '.' and '//')")
    inside = os.path.relpath(path, trust.anchor)
    return [] if inside == "." else inside.split("/")


def _mode(name: str, directory: int) -> int:
    with suppress(OSError):
        return os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    return 0


def _not_a_directory(path: str) -> str:
    what = "a symbolic link" if os.path.islink(path) else "not a directory"
    return f"{path} is {what}: root reads and keeps no state below it. Put a directory of root's in its place"


def _check(path: str, status: os.stat_result, trust: Trust) -> None:
    shown = shlex.quote(path)
    if status.st_uid != trust.owner:
        raise Untrusted(
            f"{path} belongs to {_name(status.st_uid)}, who could change what root reads there. Look at what is in it,"
            f" then: chown {trust.owner}:{trust.owner} {shown} && chmod go-w {shown}"
        )
    if status.st_mode & _OTHERS_MAY_WRITE:
        raise Untrusted(
            f"{path} (mode {stat.S_IMODE(status.st_mode):04o}) can be written by others than {_name(trust.owner)}, who"
            f" could change what root reads there. Look at what is in it, then: chmod go-w {shown}"
        )


def _name(user: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(user).pw_name
    return f"user {user}"
