# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on the host: walk a directory, write a file so that readers see the old one or the new one."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from fnmatch import fnmatch
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined


def matches(name: str, patterns: tuple[str, ...] | None) -> bool:
    return patterns is None or any(fnmatch(name, pattern) for pattern in patterns)


def entries(
    root: str,
    pattern: tuple[str, ...] | None = None,
    exclude: tuple[str, ...] | None = None,
    recursive: bool = True,
) -> Iterator[tuple[str, os.stat_result]]:
    """Everything below a directory but symbolic links, with its status. Other file systems are not entered."""
    waiting, device = [root], None
    while waiting:
        folder = waiting.pop()
        try:
            device = os.stat(folder).st_dev if device is None else device
            for path, name, status in _listed(folder):
                if exclude and matches(name, exclude):
                    continue
                if matches(name, pattern):
                    yield path, status
                if recursive and stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    waiting.append(path)
        except PermissionError:
            raise NeedsRoot(f"{folder} cannot be read") from None
        except FileNotFoundError:
            if folder == root:
                raise Undetermined(f"{root} does not exist") from None
        except OSError as exc:
            raise Undetermined(f"{folder}: {exc.strerror}") from exc


def _listed(folder: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Path, name and status of what lies in one directory, but symbolic links."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.is_symlink():
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            yield entry.path, entry.name, status


def write_atomic(path: str, content: str | bytes, mode: int = 0o600, owner: tuple[int, int] | None = None) -> None:
    """Replace a file: a kill at any instant leaves the old one or the new one. Raises OSError.

    `owner` are the ids of user and group, where they are not ours.
    SIGKILL may leave a file beside it whose name says whose it is; `sweep` removes those.
    """
    folder = os.path.dirname(path)
    descriptor, beside = tempfile.mkstemp(dir=folder, prefix=f".{os.path.basename(path)}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            if owner is not None:
                os.fchown(stream.fileno(), *owner)
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def sweep(path: str) -> None:
    """Remove what killed writers of a file have left beside it. Nobody may be writing it now. Raises OSError."""
    folder, name = os.path.split(path)
    if not os.path.isdir(folder):
        return
    for entry in os.listdir(folder):
        # As tempfile names them: letters, digits and underscores.
        if entry.startswith(f".{name}.") and "." not in entry[len(name) + 2 :]:
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(folder, entry))
