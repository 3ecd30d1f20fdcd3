# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files of a log: the one that is written to, and those that were rotated away, compressed or not."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import stat
import subprocess
import zlib
from typing import Any, BinaryIO, Iterator, cast

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs.place import Head, head_of, start_in_flow, start_of_time

# By the end of a file's name: the module of the standard library or the program that unpacks it.
_MODULES = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".lzma": "lzma"}
_PROGRAMS = {".zst": "zstdcat", ".Z": "zcat"}
_PACKED = "|".join(re.escape(ending) for ending in (*_MODULES, *_PROGRAMS))
_DATE = r"\d{4}-?\d\d-?\d\d(?:[-_.T]?\d+)*|\d{10}"
# A file that was written to long before the range ends before it begins; a day's grace is for clocks that differ.
_GRACE = 86400
_MOST = 500
# How often the folder is looked at while its files are renamed.
_PATIENCE = 100


def rotated_names(name: str, others: list[str]) -> list[str]:
    """Which files of a folder are earlier parts of the log `name`.

    `app.log.1`, `app.log-20261120` and `app.log.2026-11-20`, or with the ending kept `app.1.log`, `app-20261120.log`;
    each of them may be compressed. One that is there as it is and compressed is still being compressed.
    """
    stem, ending = os.path.splitext(name)
    marks = rf"(?:\.\d{{1,5}}|[.-](?:{_DATE}))"
    kept = rf"|{re.escape(stem)}{marks}{re.escape(ending)}" if ending else ""
    pattern = re.compile(rf"(?:{re.escape(name)}{marks}{kept})(?:{_PACKED})?")
    found = [other for other in others if pattern.fullmatch(other)]
    whole = set(found)
    return sorted(other for other in found if _unpacked_name(other) == other or _unpacked_name(other) not in whole)


def _unpacked_name(name: str) -> str:
    return re.sub(rf"(?:{_PACKED})$", "", name)


class LogFile:
    """One file of a log, open. `size` is None for a compressed one, which can only be read from its beginning."""

    def __init__(self, path: str, packed: bool = False) -> None:
        self.path = path
        self.head: Head | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._packing = os.path.splitext(path)[1] if packed else ""
        self._file = _open(path)
        status = os.fstat(self._file.fileno())
        self.identity = (status.st_dev, status.st_ino)
        self.is_packed = self._packing in _MODULES or self._packing in _PROGRAMS
        self.size = None if self.is_packed else status.st_size
        self.stream: BinaryIO = self._file

    def rewind(self) -> BinaryIO:
        """The log's bytes, from the first one on."""
        self._file.seek(0)
        if not self.is_packed:
            return self._file
        self._stop()
        if self._packing in _PROGRAMS:
            os.lseek(self._file.fileno(), 0, os.SEEK_SET)
            self.stream = self._unpack_by(_PROGRAMS[self._packing])
        else:
            self.stream = self._unpack_with(_MODULES[self._packing])
        return self.stream

    def _unpack_with(self, name: str) -> BinaryIO:
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            raise Undetermined(f"{self.path} is needed, and this host's Python has no module {name}") from None
        return cast(BinaryIO, module.open(self._file, "rb"))

    def _unpack_by(self, program: str) -> BinaryIO:
        try:
            self._process = subprocess.Popen(
                [program], stdin=self._file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError:
            raise Undetermined(f"{self.path} is needed, and {program} is not installed here") from None
        return cast(BinaryIO, self._process.stdout)

    def look(self, now: float) -> None:
        """Find out how the log begins."""
        with self.reading():
            self.head = head_of(self.rewind(), now)

    def is_empty(self) -> bool:
        with self.reading():
            return not self.rewind().read(1)

    def start(self, cutoff: float, now: float) -> int | None:
        """Offset of the first line that is not older; None when all are. The file must show times."""
        with self.reading():
            if self.head is not None and self.head.moment >= cutoff:
                return self.head.place
            if self.size is None:
                return start_in_flow(self.rewind(), cutoff, now)
            place = start_of_time(self._file, self.size, cutoff, now)
            return None if place == self.size else place

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """What goes wrong while the file is read, in words."""
        try:
            yield
        except EOFError:
            raise Undetermined(f"{self.path} is compressed and not whole") from None
        except (OSError, zlib.error, ValueError) as exc:
            raise Undetermined(f"{self.path} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
        except Exception as exc:
            if type(exc).__name__ != "LZMAError":
                raise
            raise Undetermined(f"{self.path} cannot be read: {exc}") from exc

    def check_whole(self) -> None:
        """After all was read: whether the program that unpacked it agrees."""
        if self._process is not None and self._process.wait() != 0:
            raise Undetermined(f"{self.path} cannot be unpacked: exit status {self._process.returncode}")

    def close(self) -> None:
        self._stop()
        self._file.close()

    def _stop(self) -> None:
        if self.stream is not self._file:
            self.stream.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def _open(path: str) -> BinaryIO:
    try:
        # Not blocking: a named pipe would wait for its writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except PermissionError:
        raise NeedsRoot(f"{path} cannot be read") from None
    except FileNotFoundError:
        raise Undetermined(f"{path} does not exist") from None
    except (OSError, ValueError) as exc:
        raise Undetermined(f"{path}: {exc}") from exc
    stream = os.fdopen(descriptor, "rb") if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    if stream is None:
        os.close(descriptor)
        raise Undetermined(f"{path} is not a regular file")
    return stream


def earlier_files(current: LogFile, cutoff: float, now: float) -> list[LogFile]:
    """The rotated files that may hold lines from `cutoff` on, newest first; the last of them may begin before it.

    The log may be rotated meanwhile: what was opened under another name, or copied or compressed since, is not taken
    twice, and the folder is looked at until nothing in it is new.
    """
    seen, found = {current.identity}, []
    folder, name = os.path.split(os.path.realpath(current.path))
    try:
        # A folder in which files are renamed may be listed without one of them: two quiet looks are needed.
        quiet = 0
        for _attempt in range(_PATIENCE):
            fresh, is_quiet = _fresh(folder, rotated_names(name, os.listdir(folder)), seen, cutoff)
            found += fresh
            _check_number(current.path, found)
            quiet = quiet + 1 if is_quiet else 0
            if quiet == 2:
                break
        else:
            _give_up(current.path)
        for file in found:
            file.look(now)
    except PermissionError:
        _close(found)
        raise NeedsRoot(f"{folder} cannot be listed") from None
    except (NeedsRoot, Undetermined):
        _close(found)
        raise
    return _chosen(current, found, cutoff)


def _check_number(path: str, files: list[LogFile]) -> None:
    if len(files) > _MOST:
        raise Undetermined(f"{path} has more than {_MOST} rotated files since then")


def _give_up(path: str) -> None:
    raise Undetermined(f"the rotated files of {path} change their names all the time")


def _fresh(folder: str, names: list[str], seen: set[tuple[int, int]], cutoff: float) -> tuple[list[LogFile], bool]:
    """Open those that were not seen before; and whether there was nothing new, and all were still there."""
    files: list[LogFile] = []
    quiet = True
    for name in names:
        path = os.path.join(folder, name)
        try:
            status = os.stat(path)
            if (status.st_dev, status.st_ino) in seen or not stat.S_ISREG(status.st_mode):
                continue
            if status.st_mtime < cutoff - _GRACE:
                seen.add((status.st_dev, status.st_ino))
                continue
            file = LogFile(path, packed=True)
        except FileNotFoundError:
            quiet = False
            continue
        except (NeedsRoot, Undetermined) as exc:
            if not isinstance(exc.__context__, FileNotFoundError):
                _close(files)
                raise
            quiet = False
            continue
        quiet = False
        if file.identity in seen:
            file.close()
            continue
        seen.add(file.identity)
        files.append(file)
    return files, quiet


def _chosen(current: LogFile, found: list[LogFile], cutoff: float) -> list[LogFile]:
    """Those that matter, newest first, without copies; the others are closed."""
    heads = [current.head] if current.head is not None else []
    chosen: list[LogFile] = []
    dated = [file for file in found if file.head is not None]
    for file in [file for file in found if file.head is None]:
        if not file.is_empty():
            _close(found)
            raise Undetermined(f"{file.path}: no line shows a time that can be read, 'since' cannot be answered")
        file.close()
    covered = False
    for file in sorted(dated, key=lambda file: (-_head(file).moment, file.is_packed)):
        head = _head(file)
        if covered or any(head.is_of_same_log(other) for other in heads):
            file.close()
            continue
        heads.append(head)
        chosen.append(file)
        covered = head.moment < cutoff
    return chosen


def _head(file: LogFile) -> Head:
    if file.head is None:
        raise ValueError(f"{file.path} was not looked at")
    return file.head


def _close(files: list[LogFile]) -> None:
    for file in files:
        file.close()
