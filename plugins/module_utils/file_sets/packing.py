# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories and files as a backup set: an archive of tar's for each path that is asked for."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.made import Made
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Target, store
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.coding import DEFAULT_LEVEL, Coding
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import Repository

KIND = "files"
# 1: a file changed, or went away, while it was read. That is what logs do.
_ACCEPTED = (0, 1)
_CHANGED = re.compile(
    r"(?:/\S+/)?tar: (.*): (file changed as we read it|File removed before we read it|File shrank by \d+ bytes?; .*)"
)
_NAMED = 3


class FilesError(Day2Error):
    """Paths that cannot be backed up; the message names the one."""


@dataclass(frozen=True)
class Options:
    """What is packed and how. `exclude` are shell patterns, as tar takes them."""

    paths: Sequence[str]
    exclude: Sequence[str] = ()
    level: int = DEFAULT_LEVEL
    recipients: Sequence[str] = ()
    timeout: float | None = None


def check(options: Options) -> None:
    """Whether all there is to be packed is there, before anything begins."""
    if not options.paths:
        raise FilesError("'paths' is empty")
    for path in options.paths:
        if not path.startswith("/") or os.path.normpath(path) == "/":
            raise FilesError(f"'{path}' is no absolute path of a file or a directory below /")
        if not os.path.lexists(path):
            raise FilesError(f"{path} does not exist")
        if not os.access(path, os.R_OK):
            raise FilesError(f"{path} cannot be read by this user")


def pack(options: Options, repository: Repository, folder: str) -> Made:
    """Every path into an archive of its own; names in it begin below /."""
    check(options)
    coding = Coding(options.level, os.cpu_count() or 1, options.recipients)
    files, warnings = list[StoredFile](), list[str]()
    for number, path in enumerate(options.paths, start=1):
        argv = ["tar", "--create", "--file=-", "--sort=name", "--numeric-owner", "--xattrs", "--acls", "--sparse"]
        argv += [f"--exclude={pattern}" for pattern in options.exclude]
        argv += ["--directory=/", "--", os.path.normpath(path).lstrip("/")]
        target = Target(f"archive{number:03d}.tar", "archive")
        program = Program(argv, accepted=_ACCEPTED)
        said: list[str] = []
        files.append(store(repository, folder, target, coding, [program], timeout=options.timeout, remarks=said.extend))
        warnings += changed(path, said)
    packed = [{"path": os.path.normpath(path), "file": stored.path} for path, stored in zip(options.paths, files)]
    about = {"paths": packed, "exclude": list(options.exclude), "host": host()}
    return Made(files, about, warnings=warnings)


def changed(path: str, remarks: Sequence[str]) -> list[str]:
    """What tar said of files that were not left alone while it read them, as one sentence or none. Pure."""
    found = [match for match in map(_CHANGED.fullmatch, remarks) if match]
    if not found:
        return []
    named = "; ".join(f"{match[1]}: {match[2]}" for match in found[:_NAMED])
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [f"what the set has of {path} is not of one moment, because it changed meanwhile: {named}{more}"]


def contents(options: Options) -> Contents:
    """What a set of these would be of."""
    return Contents(frozenset(os.path.normpath(path) for path in options.paths))


def host() -> str:
    """What this host calls itself."""
    return platform.node()
