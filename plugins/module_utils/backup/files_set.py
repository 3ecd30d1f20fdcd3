# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Directories and files as a backup set: an archive of tar's for each path that is asked for."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.day2.ops.plugins.module_utils.backup.compression import USUAL, of_level
from ansible_collections.day2.ops.plugins.module_utils.backup.contents import Contents
from ansible_collections.day2.ops.plugins.module_utils.backup.manifest import StoredFile
from ansible_collections.day2.ops.plugins.module_utils.backup.repository import Repository
from ansible_collections.day2.ops.plugins.module_utils.backup.streams import Coding, Target, store
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program

KIND = "files"
# 1: a file changed, or went away, while it was read. That is what logs do.
_ACCEPTED = (0, 1)


class FilesError(Day2Error):
    """Paths that cannot be backed up; the message names the one."""


@dataclass(frozen=True)
class Options:
    """What is packed and how. `exclude` are shell patterns, as tar takes them."""

    paths: Sequence[str]
    exclude: Sequence[str] = ()
    level: int | None = None
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


def pack(options: Options, repository: Repository, folder: str) -> tuple[list[StoredFile], dict[str, Any]]:
    """Every path into an archive of its own; names in it begin below /."""
    check(options)
    compression = of_level(options.level) if options.level is not None else USUAL
    coding = Coding(compression, os.cpu_count() or 1, options.recipients)
    files = []
    for number, path in enumerate(options.paths, start=1):
        argv = ["tar", "--create", "--file=-", "--sort=name", "--numeric-owner", "--xattrs", "--acls", "--sparse"]
        argv += [f"--exclude={pattern}" for pattern in options.exclude]
        argv += ["--directory=/", "--", os.path.normpath(path).lstrip("/")]
        target = Target(f"archive{number:03d}.tar", "archive")
        program = Program(argv, accepted=_ACCEPTED)
        files.append(store(repository, folder, target, coding, [program], timeout=options.timeout))
    packed = [{"path": os.path.normpath(path), "file": each.path} for path, each in zip(options.paths, files)]
    return files, {"paths": packed, "exclude": list(options.exclude), "host": host()}


def contents(options: Options) -> Contents:
    """What a set of these would be of."""
    return Contents(frozenset(os.path.normpath(path) for path in options.paths))


def host() -> str:
    """What this host calls itself."""
    return platform.node()
