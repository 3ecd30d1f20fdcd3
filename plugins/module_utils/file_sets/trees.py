# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Trees beside their targets: unpacked, exchanged, kept and removed.

A wrapper is `<parent>/.<name>.day2-…/` (mode 0700, so that what is half unpacked or put aside is nobody else's to
read) with `content`, the tree, and `record.json`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Iterator

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.file_sets.listing import Entry, moment
from ansible_collections.day2.ops.plugins.module_utils.file_sets.plan import (
    Record,
    RestoreRefused,
    Wrapper,
    inside,
    is_wrapper,
    needs_record,
    parse_record,
)
from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic

RECORD, CONTENT, _UNPACKED, _DISPLACED = "record.json", "content", "unpacked", "displaced"
_AT_FDCWD = -100
_NOREPLACE, _EXCHANGE = 1, 2
# Errors of a kernel, C library or file system without this flag.
_UNABLE = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)


class RestoreFailed(Day2Error):
    """An operation of the file system failed; the message describes the state."""


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Turn an OSError into RestoreFailed; `what` begins its message."""
    try:
        yield
    except OSError as exc:
        raise RestoreFailed(f"{what}: {exc.strerror or exc}") from exc


def _renameat2(source: str, target: str, flags: int) -> bool:
    """Returns False if the call is not supported. Raises OSError for every other fault."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), target)


def inode(path: str) -> int | None:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def exchange(wrapper: str, place: str) -> None:
    """Exchange the wrapper's tree and the target; if one is missing, the other one is moved.

    At every instant the target is one or the other. Only on a file system without an exchange it is
    missing for a moment; after a kill in that moment `settle` puts the old one back.
    """
    content, displaced = os.path.join(wrapper, CONTENT), os.path.join(wrapper, _DISPLACED)
    here, there = os.path.lexists(content), os.path.lexists(place)
    if here and there:
        if not _renameat2(content, place, _EXCHANGE):
            os.rename(place, displaced)
            os.rename(content, place)
            os.rename(displaced, content)
    elif here or there:
        source, target = (content, place) if here else (place, content)
        if not _renameat2(source, target, _NOREPLACE):
            os.rename(source, target)
    sync_folder(wrapper)
    sync_folder(os.path.dirname(place))


def settle(wrapper: str, place: str) -> bool:
    """Repair after a kill between the two renames of a file system without an exchange. True: it was necessary."""
    content, displaced = os.path.join(wrapper, CONTENT), os.path.join(wrapper, _DISPLACED)
    if not os.path.lexists(displaced):
        return False
    if not os.path.lexists(place):
        os.rename(displaced, place)
    elif not os.path.lexists(content):
        os.rename(displaced, content)
    else:
        raise RestoreFailed(
            f"{displaced} is what {place} was before a restore was killed, and somebody made another {place} since:"
            " move one of them away"
        )
    return True


def sweep(wrapper: str) -> None:
    """Remove a record whose run was killed before it was renamed."""
    for name in os.listdir(wrapper):
        if name.startswith("."):
            os.unlink(os.path.join(wrapper, name))


def wrappers(place: str) -> list[Wrapper]:
    """Wrappers of this module beside a target. Directories that only have such a name are ignored."""
    parent, found = os.path.dirname(place), []
    with translate_errors(f"what lies beside {place} cannot be read"):
        names = os.listdir(parent) if os.path.isdir(parent) else []
        for name in sorted(name for name in names if is_wrapper(name, place)):
            path = os.path.join(parent, name)
            record = _record(path)
            if stat.S_ISDIR(os.lstat(path).st_mode) and (record is not None or not needs_record(name, place)):
                found.append(Wrapper(path, record, inode(os.path.join(path, CONTENT))))
    return found


def _record(path: str) -> Record | None:
    try:
        with open(os.path.join(path, RECORD), "rb") as stream:
            return parse_record(stream.read())
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_record(path: str, record: Record) -> None:
    write_atomic(os.path.join(path, RECORD), record.render())


def make(path: str) -> str:
    """Create an empty wrapper; returns the directory into which tar unpacks."""
    os.mkdir(path, 0o700)
    unpacked = os.path.join(path, _UNPACKED)
    os.mkdir(unpacked, 0o700)
    return unpacked


def take_out(path: str, member: str) -> None:
    """Move the unpacked tree to its place in the wrapper, and sync it to disk."""
    os.rename(os.path.join(path, _UNPACKED, member), os.path.join(path, CONTENT))
    shutil.rmtree(os.path.join(path, _UNPACKED))
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if call is None:
            os.sync()
        elif call(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), path)
    finally:
        os.close(descriptor)


def count(path: str) -> int:
    """Number of entries of a tree, including its root."""
    found = 1
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for _place, folders, names in os.walk(path, onerror=_raised):
            found += len(folders) + len(names)
    return found


def entries(path: str) -> dict[str, Entry]:
    """The entries of a live tree, in the form of a listing."""
    if not os.path.lexists(path):
        return {}
    found = {"": _entry(path)}
    if stat.S_ISDIR(os.lstat(path).st_mode):
        for place, folders, names in os.walk(path, onerror=_raised):
            for name in (*folders, *names):
                with suppress(FileNotFoundError):
                    found[os.path.relpath(os.path.join(place, name), path)] = _entry(os.path.join(place, name))
    return found


def _raised(error: OSError) -> None:
    raise error


def _entry(path: str) -> Entry:
    status = os.lstat(path)
    regular = stat.S_ISREG(status.st_mode)
    seconds, fraction = divmod(status.st_mtime_ns, 10**9)
    second = datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    return Entry(
        mode=stat.filemode(status.st_mode),
        owner=f"{status.st_uid}/{status.st_gid}",
        size=status.st_size if regular else 0,
        time=moment(f"{second}.{fraction:09d}"),
        link=os.readlink(path) if stat.S_ISLNK(status.st_mode) else None,
    )


def remove(path: str) -> None:
    """Remove a wrapper. A kill leaves all of it, or a directory with a name that the next run removes."""
    parent, name = os.path.split(path)
    head, dot, tail = name.rpartition(".day2-")
    gone = os.path.join(parent, f"{head}{dot}gone-{tail.partition('-')[2]}")
    if path != gone:
        if os.path.lexists(gone):
            shutil.rmtree(gone)
        os.rename(path, gone)
    shutil.rmtree(gone)


def sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_parents(path: str, made: list[str]) -> None:
    """Create missing directories, and insert each at the beginning of `made`."""
    if not os.path.isdir(path):
        make_parents(os.path.dirname(path), made)
        os.mkdir(path, 0o755)
        made.insert(0, path)


def nearest(path: str) -> str:
    """The nearest existing parent directory of a path."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def check_place(place: str) -> None:
    """Check whether a target can be exchanged. RestoreRefused with the reason if not."""
    parent = nearest(os.path.dirname(place))
    if os.statvfs(parent).f_flag & os.ST_RDONLY:
        raise RestoreRefused(f"{place} lies on a read-only file system")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise RestoreRefused(f"{parent} cannot be written by this user, so {place} cannot be swapped")
    real = os.path.join(os.path.realpath(os.path.dirname(place)), os.path.basename(place))
    for point in mount_points():
        if inside(point, real):
            what = "is a mount point" if point == real else f"has the mount point {point} below it"
            raise RestoreRefused(f"{place} {what}, so it cannot change places with another; give 'paths' or 'root'")


def mount_points() -> list[str]:
    with open("/proc/self/mountinfo", "rb") as stream:
        fields = [line.split(b" ")[4] for line in stream]
    return [os.fsdecode(_unescaped(field)) for field in fields]


def _unescaped(field: bytes) -> bytes:
    for code, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, plain)
    return field


def free(folder: str) -> tuple[int, int, int | None]:
    """The file system of a directory: its device, free bytes and free inodes (None: unlimited)."""
    system = os.statvfs(folder)
    blocks = system.f_bfree if os.geteuid() == 0 else system.f_bavail
    return os.stat(folder).st_dev, blocks * system.f_frsize, system.f_favail if system.f_files else None
