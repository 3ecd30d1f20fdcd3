# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory of another host as a repository, by OpenSSH's `sftp`.

What is relied on of any server: a rename is atomic, and fails where there is nothing to rename. OpenSSH's also replaces
a file by a rename (posix-rename@openssh.com), does not by the older request (`rename -l`), and syncs a file
(fsync@openssh.com; where there is none it is as safe as the server makes it). None syncs a directory: a power cut may
take back the last names, and leaves no half of a file under its name.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager, suppress
from typing import Any, Iterator, Mapping
from urllib.parse import unquote

from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument
from ansible_collections.day2.ops.plugins.module_utils.process.lease import hold
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Held
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    SET_ID,
    Kind,
    Missing,
    ObjectLocked,
    RepositoryError,
    Unreadable,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.sftp_client import (
    WINDOW,
    Client,
    Entry,
    Refused,
    Server,
    is_absent,
    quoted,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.sftp_lease import Lease

OPTIONS = {
    "key_file": Argument("path", "The file of a private key; without it OpenSSH finds its own, as it does an agent."),
    "known_hosts": Argument("path", "The file of host keys that are trusted; without it OpenSSH's own."),
    "timeout": Argument("duration", "How long the server may be silent."),
}
_ADDRESS = re.compile(
    r"sftp://(?:([A-Za-z0-9_][A-Za-z0-9._-]*)@)?([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(?::(\d{1,5}))?(/.*)"
)
_UNFINISHED = ".unfinished"
# Of an upload as much waits here as moves at a time.
_PIECE = 8 << 20
_LEAST_PIECE = 1 << 20
_HOME = "/~/"


class Remote:
    """The repository below a directory of a server; `folder` begins with `/~/` where it is the account's own."""

    def __init__(self, server: Server, folder: str, spool: int = 0) -> None:
        self.name = server.name
        self._server, self._folder = server, folder
        self.client = Client(server)
        self.piece = max(_LEAST_PIECE, min(_PIECE, spool // 2)) if spool else _PIECE

    @property
    def root(self) -> str:
        folder = self._folder
        if (folder + "/").startswith(_HOME):
            folder = f"{self.client.home}/{folder[len(_HOME) :]}"
        return folder.rstrip("/")

    def path(self, key: str) -> str:
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise RepositoryError(f"{key} does not lie in {self.name}")
        return f"{self.root}/{key}"

    def exists(self) -> bool:
        with self.translate_errors("the directory"):
            return self.client.entry(self.root or "/") is not None

    def may_write(self) -> bool:
        try:
            self._try_to_write()
        except RepositoryError:
            return False
        return True

    def _try_to_write(self) -> None:
        """By a file that replaces another: what is found out later costs a backup its time."""
        names = beside, probe = [f"{self.root}/.day2-{secrets.token_hex(8)}" for _name in range(2)]
        with self.translate_errors("the directory"):
            try:
                for name in names:
                    self.client.upload(name, b"day2.ops finds out whether it may write here\n")
                try:
                    self.client.rename(beside, probe)
                except Refused as exc:
                    raise RepositoryError(
                        f"{self.name}: the server replaces no file by a rename (posix-rename@openssh.com): {exc}"
                    ) from exc
            finally:
                with suppress(Refused):
                    for name in names:
                        self.client.remove(name)

    def is_within(self, folder: str) -> bool:
        return False

    def prepare(self, make: bool = True) -> None:
        there = self.root or "/"
        with self.translate_errors("the directory"):
            if make:
                self.make_folders(there)
            # What is not there yet has to be made in what there is.
            while (found := self.client.entry(there)) is None and there != "/":
                there = there.rpartition("/")[0] or "/"
        if found is None or found.kind not in "dl":
            raise RepositoryError(f"{self.name}: {there} is no directory")
        if make:
            self._try_to_write()

    def make_folders(self, path: str) -> None:
        """A directory with those above it, those that were not there closed to others."""
        if path in ("", "/") or self.client.entry(path) is not None:
            return
        self.make_folders(path.rpartition("/")[0])
        try:
            self.client.do(f"mkdir {quoted(path)}")
            self.client.do(f"chmod 700 {quoted(path)}")
        except Refused:
            # Somebody else made it, or it stays as open as the server made it.
            if self.client.entry(path) is None:
                raise

    @contextmanager
    def writer(self, key: str) -> Iterator[_Upload]:
        path = self.path(key)
        with self.translate_errors(key):
            self.make_folders(path.rpartition("/")[0])
            # Of a run that was killed: what is there from now on is this one's.
            self.client.remove(path + _UNFINISHED)
        upload = _Upload(self, key, path)
        try:
            yield upload
        finally:
            upload.close()

    def read(self, key: str, chunk: int = 1 << 20) -> Iterator[bytes]:
        path, done = self.path(key), 0
        with self.translate_errors(key):
            size = self._size(key, path)
            while done < size:
                window = self.client.download(path, done, WINDOW)
                if not window:
                    raise Unreadable(f"{self.name}: {key}: it ends after {done} of {size} bytes")
                for place in range(0, len(window), chunk):
                    yield window[place : place + chunk]
                done += len(window)

    def _size(self, key: str, path: str) -> int:
        entry = self.client.entry(path)
        if entry is None:
            raise Missing(f"{self.name} has no {key}")
        if entry.kind != "-":
            raise Unreadable(f"{self.name}: {key}: it is no regular file")
        return entry.size

    def put(self, key: str, content: bytes, replace: bool = False) -> None:
        path = self.path(key)
        folder, _slash, name = path.rpartition("/")
        beside = f"{folder}/.{name}.{secrets.token_hex(4)}"
        with self.translate_errors(key):
            self.make_folders(folder)
            try:
                self.client.upload(beside, content, sync=True)
                self.client.rename(beside, path, replace)
            except Refused:
                with suppress(Refused):
                    self.client.remove(beside)
                if not replace and self.client.entry(path) is not None:
                    raise RepositoryError(f"{key} is in {self.name} already") from None
                raise

    def get(self, key: str) -> bytes | None:
        try:
            return b"".join(self.read(key))
        except Missing:
            return None

    def keys(self, prefix: str) -> Iterator[tuple[str, int]]:
        for folder, entries in self._walk(prefix):
            for entry in entries:
                if entry.kind != "d":
                    yield f"{folder}/{entry.name}"[len(self.root) + 1 :], entry.size

    def _walk(self, prefix: str) -> Iterator[tuple[str, list[Entry]]]:
        """Every directory below, with what is in it; a link is not entered."""
        waiting = [self.path(prefix.rstrip("/")) if prefix.strip("/") else self.root]
        while waiting:
            folder = waiting.pop()
            with self.translate_errors(prefix):
                entries = sorted(self.client.listing(folder or "/") or [], key=lambda entry: entry.name)
            waiting += [f"{folder}/{entry.name}" for entry in reversed(entries) if entry.kind == "d"]
            yield folder, entries

    def remove(self, key: str) -> None:
        path = self.path(key)
        try:
            with self.translate_errors(key):
                self.client.remove(path)
        except RepositoryError as exc:
            if isinstance(exc.__cause__, Refused) and "Permission denied" in str(exc.__cause__):
                raise ObjectLocked(str(exc)) from exc
            raise
        # A directory goes with its last file.
        with suppress(Refused):
            while (path := path.rpartition("/")[0]) != self.root:
                self.client.do(f"rmdir {quoted(path)}")

    def tidy(self, prefix: str) -> None:
        """Directories of sets that never got a file, or lost their last one just before a kill."""
        for folder, _entries in reversed(list(self._walk(prefix))):
            series_or_set = folder[len(self.root) + 1 :].split("/")[:2]
            if any(SET_ID.fullmatch(name) for name in series_or_set):
                with self.translate_errors(prefix):
                    if not self.client.listing(folder):
                        self.client.do(f"rmdir {quoted(folder)}")

    @contextmanager
    def lock(self, series: str, wait: float, holder: str) -> Iterator[Held]:
        # A connection of its own: a large upload does not keep the lease from being renewed.
        own = Remote(self._server, self._folder)
        try:
            with own.translate_errors(f"{series}/.lease"):
                own.make_folders(own.path(series))
                lease = Lease(own.client, own.path(f"{series}/.lease"), f"{self.name}/{series}/.lease")
                with hold(lease, wait, holder) as held:
                    yield held
        finally:
            own.client.close()

    @contextmanager
    def translate_errors(self, key: str) -> Iterator[None]:
        """What the server refuses in the words of a repository."""
        try:
            yield
        except Refused as exc:
            if is_absent(str(exc)):
                raise Missing(f"{self.name} has no {key}") from exc
            raise RepositoryError(f"{self.name}: {key}: {exc}{self._reason(str(exc))}") from exc

    def _reason(self, said: str) -> str:
        """All that a server may say of a full disk is Failure."""
        if not said.endswith("Failure"):
            return ""
        with suppress(Refused, RepositoryError, IndexError, ValueError):
            free = int(self.client.ask(f"df {quoted(self.root or '/')}")[1].split()[2])
            return f": its disk has {free} KiB free; a full disk, a quota or a name that is taken are told so"
        return ": a full disk, a quota or a name that is taken are told so"


class _Upload:
    """A file beside its name until it is whole and on the server's disk."""

    def __init__(self, place: Remote, key: str, path: str) -> None:
        self._place, self._key, self._path = place, key, path
        self._beside = path + _UNFINISHED
        self._buffer = bytearray()
        self._sent = 0
        self._begun = self._committed = False

    def write(self, piece: bytes) -> None:
        self._buffer += piece
        # The last piece waits for the commit, which syncs the file with it.
        while len(self._buffer) > self._place.piece:
            self._send(self._place.piece)

    def _send(self, size: int, sync: bool = False) -> None:
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._begun = True
        with self._place.translate_errors(self._key):
            self._place.client.upload(self._beside, content, self._sent, sync)
        self._sent += len(content)

    def commit(self) -> None:
        self._send(len(self._buffer), sync=True)
        with self._place.translate_errors(self._key):
            self._place.client.rename(self._beside, self._path)
        self._committed = True

    def close(self) -> None:
        # What went wrong before is raised; the next run removes what cannot be removed now.
        if self._begun and not self._committed:
            with suppress(Refused, RepositoryError):
                self._place.client.remove(self._beside)


def _open(address: str, options: Mapping[str, Any], spool: int) -> Remote:
    match = _ADDRESS.fullmatch(address)
    if match is None or (match[3] is not None and not 0 < int(match[3]) < 65536):
        raise RepositoryError(f"'{address}' is no address such as {KIND.example}")
    known = {name: options.get(name) for name in ("key_file", "known_hosts")}
    server = Server(
        address.rstrip("/"), match[2], match[1], int(match[3]) if match[3] else None, **known,
        timeout=options.get("timeout") or Server.timeout,
    )  # fmt: skip
    return Remote(server, unquote(match[4]), spool)


KIND = Kind("sftp", "sftp://user@host/directory", _open, OPTIONS, ("openssh-client",))
