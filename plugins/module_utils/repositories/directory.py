# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory as a repository: files of mode 0600, synced before they are named."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.process.files import write_atomic
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held, file_lock
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    SET_ID,
    Kind,
    Missing,
    ObjectLocked,
    RepositoryError,
    Unreadable,
)

_UNFINISHED = ".unfinished"
# Written this much before the kernel is told to begin: a dump of gigabytes is not all in its cache at the end.
_FLUSH = 64 << 20
_NO_FILE = "it is no regular file"


class Directory:
    """The repository below an absolute path."""

    def __init__(self, root: str) -> None:
        self.root = os.path.normpath(root)
        self.name = self.root

    def exists(self) -> bool:
        return os.path.isdir(self.root)

    def may_write(self) -> bool:
        try:
            return os.stat(self.root).st_uid == os.geteuid()
        except OSError:
            return False

    def is_within(self, folder: str) -> bool:
        return Path(os.path.realpath(self.root)).is_relative_to(os.path.realpath(folder))

    def _path(self, key: str) -> str:
        path = os.path.normpath(os.path.join(self.root, key))
        if not path.startswith(self.root.rstrip("/") + "/"):
            raise RepositoryError(f"{key} does not lie in {self.root}")
        return path

    def prepare(self, make: bool = True) -> None:
        try:
            if make:
                _make_folders(self.root)
            # What is not there yet has to be made in what there is.
            there = self.root
            while not make and not os.path.lexists(there):
                there = os.path.dirname(there)
            if not os.path.isdir(there):
                raise RepositoryError(f"{there} is no directory")
            if os.statvfs(there).f_flag & os.ST_RDONLY:
                raise RepositoryError(f"{there} lies on a read-only file system")
            if not os.access(there, os.W_OK | os.X_OK):
                cannot = "" if there == self.root else f"{self.root} cannot be made: "
                raise RepositoryError(f"{cannot}{there} cannot be written by this user")
        except OSError as exc:
            raise RepositoryError(f"{self.root} cannot be made: {exc.strerror}") from exc

    @contextmanager
    def writer(self, key: str) -> Iterator[_FileWriter]:
        path = self._path(key)
        with _translate_errors(self.name, key):
            _make_folders(os.path.dirname(path))
            writing = _FileWriter(path, self.name, key)
        try:
            yield writing
        finally:
            writing.close()

    def read(self, key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        with _translate_errors(self.name, key), _opened(self._path(key)) as stream:
            while True:
                piece = stream.read(chunk)
                if not piece:
                    return
                yield piece

    def put(self, key: str, content: bytes, replace: bool = False) -> None:
        path = self._path(key)
        with _translate_errors(self.name, key):
            if not replace and os.path.lexists(path):
                raise RepositoryError(f"{key} is in {self.name} already")
            _make_folders(os.path.dirname(path))
            write_atomic(path, content)

    def get(self, key: str) -> bytes | None:
        try:
            with _translate_errors(self.name, key), _opened(self._path(key)) as stream:
                return stream.read()
        except Missing:
            return None

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        folder = self._path(prefix.rstrip("/")) if prefix.strip("/") else self.root
        if not os.path.lexists(folder):
            return
        for place, folders, names in os.walk(folder, onerror=self._unlisted):
            folders.sort()
            # A link to a directory is not entered: it stands for itself.
            links = [name for name in folders if os.path.islink(os.path.join(place, name))]
            for name in sorted([*names, *links]):
                path = os.path.join(place, name)
                try:
                    status = os.lstat(path)
                except OSError as exc:
                    self._unlisted(exc)
                    continue
                yield os.path.relpath(path, self.root), status.st_size

    def _unlisted(self, error: OSError) -> None:
        """What cannot be listed is not empty: whoever took it for that would begin anew."""
        if not isinstance(error, FileNotFoundError):
            raise RepositoryError(f"{self.name}: {error.filename}: {error.strerror}") from error

    def remove(self, key: str) -> None:
        path = self._path(key)
        try:
            with _translate_errors(self.name, key):
                os.unlink(path)
        except Missing:
            return
        except RepositoryError as exc:
            if isinstance(exc.__cause__, PermissionError):
                raise ObjectLocked(str(exc)) from exc
            raise
        # A directory goes with its last file.
        folder = os.path.dirname(path)
        with _translate_errors(self.name, key):
            while folder != self.root and not os.listdir(folder):
                os.rmdir(folder)
                folder = os.path.dirname(folder)

    def tidy(self, prefix: str) -> None:
        """Directories of sets that never got a file, or lost their last one just before a kill."""
        top = self._path(prefix.rstrip("/"))
        for place, _folders, _names in os.walk(top, topdown=False, onerror=self._unlisted):
            series_or_set = os.path.relpath(place, self.root).split(os.sep)[:2]
            if any(SET_ID.fullmatch(name) for name in series_or_set) and not os.listdir(place):
                with _translate_errors(self.name, os.path.relpath(place, self.root)):
                    os.rmdir(place)

    @contextmanager
    def lock(self, series: str, wait: float, holder: str) -> Iterator[Held]:
        folder = self._path(series)
        with _translate_errors(self.name, series):
            _make_folders(folder)
        with file_lock(os.path.join(folder, ".lock"), wait, holder):
            # The kernel takes it from nobody.
            yield lambda: None


def _make_folders(path: str) -> None:
    """A directory with those above it, all of them closed to others (os.makedirs closes the last one only)."""
    if not os.path.isdir(path):
        _make_folders(os.path.dirname(path))
        with suppress(FileExistsError):
            os.mkdir(path, 0o700)


class _FileWriter:
    """A file beside its name until it is whole and on the disk."""

    def __init__(self, path: str, place: str, key: str) -> None:
        self._path, self._place, self._key = path, place, key
        self._beside = path + _UNFINISHED
        self._descriptor = os.open(
            self._beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        self._written = self._flushed = 0
        self._committed = False

    def write(self, piece: bytes) -> None:
        left = memoryview(piece)
        with _translate_errors(self._place, self._key):
            while left:
                left = left[os.write(self._descriptor, left) :]
            self._written += len(piece)
            if self._written - self._flushed >= _FLUSH:
                os.posix_fadvise(self._descriptor, 0, self._flushed, os.POSIX_FADV_DONTNEED)
                self._flushed = self._written

    def commit(self) -> None:
        with _translate_errors(self._place, self._key):
            os.fsync(self._descriptor)
            os.rename(self._beside, self._path)
            folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._committed = True

    def close(self) -> None:
        # What went wrong before is raised; the next run removes what cannot be removed now.
        with suppress(OSError):
            os.close(self._descriptor)
        if not self._committed:
            with suppress(OSError):
                os.unlink(self._beside)


def _opened(path: str) -> BinaryIO:
    """A regular file. What lies in its place may be a link out of the repository, or a pipe that nobody ever feeds."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ELOOP, _NO_FILE)
    return open(descriptor, "rb", buffering=0)


@contextmanager
def _translate_errors(place: str, key: str) -> Iterator[None]:
    """OSError in the words of a repository."""
    try:
        yield
    except FileNotFoundError as exc:
        raise Missing(f"{place} has no {key}") from exc
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            raise Unreadable(f"{place}: {key}: {_NO_FILE}") from exc
        if exc.errno == errno.EIO:
            raise Unreadable(f"{place}: {key}: {exc.strerror}") from exc
        raise RepositoryError(f"{place}: {key}: {exc.strerror or exc}") from exc


def _open(address: str, _options: Mapping[str, Any], _spool: int) -> Directory:
    return Directory(address)


KIND = Kind("", "/var/backups/shop", _open)
