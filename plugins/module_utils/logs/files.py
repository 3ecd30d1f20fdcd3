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
from typing import Any, BinaryIO, Iterable, Iterator, cast

from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.logs import wide
from ansible_collections.day2.ops.plugins.module_utils.logs.place import (
    Head,
    UnreadableTime,
    first_unread,
    head_of,
    start_in_flow,
    start_of_time,
)

# By the end of a file's name: the module of the standard library or the program that unpacks it.
_MODULES = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma", ".lzma": "lzma"}
_PROGRAMS = {".zst": "zstdcat", ".Z": "zcat"}
_PACKED = "|".join(re.escape(ending) for ending in (*_MODULES, *_PROGRAMS))
# No key is on a host that writes logs.
_ENCRYPTED = (".age", ".gpg", ".pgp")
_FORM = rf"(?:{_PACKED})?(?:{'|'.join(re.escape(ending) for ending in _ENCRYPTED)})?"
_DATE = r"\d{4}-?\d\d-?\d\d(?:[-_.T]?\d+)*|\d{10}"
# PostgreSQL's %a: such a log has one file a day of the week.
_WEEKDAYS = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_WEEKDAY = re.compile(rf"(?<=[-_.]){_WEEKDAYS}(?=\.|$)")
# When a file was renamed, in POSIX seconds: it has no lines of later.
_MOMENT = re.compile(rf"-\d{{8}}-(\d{{9,11}}){_FORM}")
# A file that was written to long before the range ends before it begins; a day's grace is for clocks that differ.
_GRACE = 86400
_MOST = 500
# Where the first lines are looked for that show no time that can be read.
_HEAD = 65536
# How often the folder is looked at while its files are renamed.
_PATIENCE = 100


def rotated_names(name: str, others: list[str]) -> list[str]:
    """Which files of a folder are earlier parts of the log `name`.

    `app.log.1`, `app.log-20261120` and `app.log.2026-11-20`, or with the ending kept `app.1.log`, `app-20261120.log`;
    each of them may be compressed, and encrypted. Where a weekday is in the name, those of the other days are parts.
    One that is there as it is and compressed is still being compressed.
    """
    stem, ending = os.path.splitext(name)
    marks = rf"(?:\.\d{{1,5}}|[.-](?:{_DATE}))"
    whole, first = (_WEEKDAYS.join(map(re.escape, _WEEKDAY.split(part))) for part in (name, stem))
    kept = rf"|{first}{marks}{re.escape(ending)}" if ending else ""
    unmarked = "?" if _WEEKDAY.search(name) else ""
    pattern = re.compile(rf"(?:{whole}{marks}{unmarked}{kept}){_FORM}")
    found = {other: _unpacked_name(other) for other in others if other != name and pattern.fullmatch(other)}
    return sorted(other for other, plain in found.items() if plain == other or plain not in found)


def _unpacked_name(name: str) -> str:
    return re.sub(rf"{_FORM}$", "", name)


class LogFile:
    """One file of a log, open, as UTF-8 or bytes that are no text.

    `size` is None for one that is compressed or in another encoding: it can only be read from its beginning.
    """

    def __init__(self, path: str, packed: bool = False) -> None:
        self.path = path
        self.head: Head | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._packing = os.path.splitext(path)[1] if packed else ""
        if packed and is_encrypted(path):
            raise _encrypted(path)
        self._file = _open(path)
        status = os.fstat(self._file.fileno())
        self.identity = (status.st_dev, status.st_ino)
        self.is_packed = self._packing in _MODULES or self._packing in _PROGRAMS
        self._encoding = None
        if not self.is_packed:
            self._encoding = wide.wide_encoding(os.pread(self._file.fileno(), wide.LOOKED_AT, 0))
        self.size = None if self.is_packed or self._encoding else status.st_size
        self.stream: BinaryIO = self._file
        self._unpacked: BinaryIO | None = None

    @property
    def form(self) -> str:
        """Why the file cannot be read from its end."""
        return "is compressed" if self.is_packed else f"is {(self._encoding or 'plain').upper()}"

    @property
    def changed(self) -> int:
        """When it was written to last, in nanoseconds."""
        return os.fstat(self._file.fileno()).st_mtime_ns

    def rewind(self) -> BinaryIO:
        """The log's bytes, from the first one on."""
        self._file.seek(0)
        if self.is_packed:
            self._unpack()
        elif self._encoding is not None:
            self.stream = wide.as_utf8(self._file, self._encoding)
        return self.stream

    def _unpack(self) -> None:
        self._stop()
        if self._packing in _PROGRAMS:
            os.lseek(self._file.fileno(), 0, os.SEEK_SET)
            self._unpacked = self._unpack_by(_PROGRAMS[self._packing])
        else:
            self._unpacked = self._unpack_with(_MODULES[self._packing])
        head: bytes = self._unpacked.peek(wide.LOOKED_AT)[: wide.LOOKED_AT]  # type: ignore[attr-defined]
        encoding = wide.wide_encoding(head)
        self.stream = self._unpacked if encoding is None else wide.as_utf8(self._unpacked, encoding)

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
        except UnreadableTime as exc:
            raise UnreadableTime(f"{self.path}: {exc}") from None
        except EOFError:
            raise Undetermined(f"{self.path} is compressed and not whole") from None
        except (OSError, zlib.error, ValueError) as exc:
            raise Undetermined(f"{self.path} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
        except Exception as exc:
            if type(exc).__name__ != "LZMAError":
                raise
            raise Undetermined(f"{self.path} cannot be read: {exc}") from exc

    def undated(self, now: float) -> Undetermined:
        """Why the lines cannot be dated."""
        with self.reading():
            why = first_unread(self.rewind().read(_HEAD), now)
        return Undetermined(
            f"{self.path}: " + (why or "no line shows a time that can be read, 'since' cannot be answered")
        )

    def check_whole(self) -> None:
        """After all was read: whether the program that unpacked it agrees."""
        if self._process is not None and self._process.wait() != 0:
            raise Undetermined(f"{self.path} cannot be unpacked: exit status {self._process.returncode}")

    def close(self) -> None:
        self._stop()
        self._file.close()

    def _stop(self) -> None:
        if self._unpacked is not None:
            self._unpacked.close()
            self._unpacked = None
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
            names = rotated_names(name, os.listdir(folder))
            fresh, is_quiet = _fresh(folder, [name for name in names if not is_encrypted(name)], seen, cutoff)
            found += fresh
            _refuse_encrypted(folder, filter(is_encrypted, names), [current, *found], cutoff, now)
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
    return _chosen(current, found, cutoff, now)


def is_encrypted(name: str) -> bool:
    return name.endswith(_ENCRYPTED)


def _refuse_encrypted(folder: str, names: Iterable[str], opened: list[LogFile], cutoff: float, now: float) -> None:
    """Undetermined where a part that nobody can read here was rotated, or changed, after `cutoff`."""
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(os.path.join(folder, name))
            moment = _MOMENT.search(name)
            if max(status.st_mtime, float(moment[1]) if moment else 0.0) < cutoff:
                continue
            # Made meanwhile of a file that is open here: it keeps the time of the last change.
            if status.st_ctime >= now and any(file.changed == status.st_mtime_ns for file in opened):
                continue
            raise _encrypted(os.path.join(folder, name))


def _encrypted(path: str) -> Undetermined:
    return Undetermined(f"{path} is needed, and is encrypted: its lines can be counted only where its key is")


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


def _chosen(current: LogFile, found: list[LogFile], cutoff: float, now: float) -> list[LogFile]:
    """Those that matter, newest first, without copies; the others are closed."""
    heads = [current.head] if current.head is not None else []
    chosen: list[LogFile] = []
    dated = [file for file in found if file.head is not None]
    for file in [file for file in found if file.head is None]:
        if not file.is_empty():
            trouble = file.undated(now)
            _close(found)
            raise trouble
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
