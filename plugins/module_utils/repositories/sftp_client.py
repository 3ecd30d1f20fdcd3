# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenSSH's `sftp` in batch mode, kept open: commands one after the other over one connection.

It transfers regular files only. Both ways they are a window of a file in memory (memfd_create(2)) that is a hole before
what moves: an upload goes on at the server's size (`put -a`), a download at ours (`get -a`) until it may not write
further (RLIMIT_FSIZE). So a stream of any size takes the memory of one window, and no disk.
"""

from __future__ import annotations

import os
import platform
import pwd
import re
import resource
import selectors
import shlex
import subprocess
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, Any, Callable, NamedTuple, TypeVar, cast

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import RepositoryError, Unavailable

# Bytes of a request, so that a window ends where one does; as many of them as OpenSSH has on their way by itself.
_REQUEST = 32 << 10
_REQUESTS = 64
WINDOW = 512 * _REQUEST
_TIMEOUT = 60.0
_CONNECT = 10.0
# Slower than this is taken for a server that hangs, in bytes a second.
_SLOWEST = 64 << 10
# What sftp takes as a line has 2047 bytes.
_LINE = 2000
_PROMPT = "sftp> "
# Seconds before a connection that was lost is made again, each time.
_PAUSES = (0.5, 2.0, 8.0)
Result = TypeVar("Result")
# As `ls -ln` has it: type, size, and the path as it was asked for.
_LISTED = re.compile(r"([-dlpscb])\S+\s.*?\s(\d+)\s+\S+\s+\d+\s+[\d:]+\s(.*)")
# The end of a window, in sftp's words.
_WINDOW_IS_FULL = ("File too large", "server reordered requests")


class Dropped(Unavailable):
    """The connection ended in the middle: whether what was asked for was done is not known."""


class Refused(Day2Error):
    """The server answered that it does not do that; the message is its own."""


class Entry(NamedTuple):
    """`kind` is a letter of `ls -l`: `-` for a regular file, `d` for a directory, `l` for a link."""

    kind: str
    size: int
    name: str


@dataclass(frozen=True)
class Server:
    """Where and how to connect. `name` is how messages call it."""

    name: str
    host: str
    user: str | None = None
    port: int | None = None
    key_file: str | None = None
    known_hosts: str | None = None
    timeout: float = _TIMEOUT

    def argv(self) -> list[str]:
        alive = max(1, int(self.timeout / 4))
        options = [
            "StrictHostKeyChecking=yes", f"ConnectTimeout={max(1, int(min(_CONNECT, self.timeout)))}",
            f"ServerAliveInterval={alive}", "ServerAliveCountMax=3", "ClearAllForwardings=yes", "ControlMaster=no",
            "ControlPath=none", "PermitLocalCommand=no",
        ]  # fmt: skip
        if self.key_file is not None:
            options += [f'IdentityFile="{self.key_file}"', "IdentitiesOnly=yes"]
        if self.known_hosts is not None:
            options += [f'UserKnownHostsFile="{self.known_hosts}"']
        port = ["-P", str(self.port)] if self.port is not None else []
        where = self.host if self.user is None else f"{self.user}@{self.host}"
        requests = ["-B", str(_REQUEST), "-R", str(_REQUESTS)]
        return ["sftp", "-b", "-", *requests, *port, *(f"-o{option}" for option in options), where]

    def refusal(self, said: str) -> RepositoryError:
        """What ended the connection before it began, with what to do about it."""
        for words, kind, advice in _ADVICE:
            if re.search(words, said):
                return kind(f"{self.name}: {advice.format(**self._named())}")
        last = " ".join(said.split("\n")[-3:])
        return RepositoryError(f"{self.name}: {last or 'the connection ended'}")

    def _named(self) -> dict[str, str]:
        """What advice names. Whoever reads it is on the controller, and seldom the user who runs this."""
        account = pwd.getpwuid(os.geteuid())
        # As OpenSSH does: by the account, whatever HOME says.
        file = self.known_hosts or os.path.join(account.pw_dir, ".ssh", "known_hosts")
        folder = os.path.dirname(file)
        make = "" if os.path.isdir(folder) else f"install -d -m 700 {shlex.quote(folder)} && "
        port = f"-p {self.port} " if self.port is not None else ""
        host = self.host.strip("[]")
        scan = f"{make}ssh-keyscan {port}{shlex.quote(host)} >> {shlex.quote(file)}"
        who = f"user {account.pw_name} on {platform.node()}"
        entry = shlex.quote(f"[{host}]:{self.port}") if self.port is not None else host
        return {"host": host, "entry": entry, "file": file, "key": str(self.key_file), "scan": scan, "who": who}


# What ssh says, what that is, and what to do.
_ADVICE: tuple[tuple[str, type[RepositoryError], str], ...] = (
    ("HOST IDENTIFICATION HAS CHANGED|host key for .* has changed", RepositoryError,
     "the host key of {host} is another than in {file} of {who}: it was made anew, or this is not that host."
     " Nothing was sent. Once the new one is proven, `ssh-keygen -R {entry} -f {file}` removes the old one"),
    ("Host key verification failed|host key is known", RepositoryError,
     "the host key of {host} is not in {file}. As {who}, `{scan}` adds it; compare the fingerprint"
     " (`ssh-keygen -lf {file}`) with what the server's operator says"),
    ("UNPROTECTED PRIVATE KEY|bad permissions", RepositoryError,
     "others may read the key file {key}, so that it is not used: `chmod 600` it"),
    ("no such identity|Load key", RepositoryError, "the key file {key} cannot be read as a private key by {who}"),
    ("Permission denied|Too many authentication failures", RepositoryError,
     "the server takes no key of {who}: give `key_file`, and put its public key into the account's"
     " authorized_keys (a key with a passphrase needs an agent; nobody is asked)"),
    ("subsystem request failed", RepositoryError, "the server has no SFTP (`Subsystem sftp` of its sshd)"),
    ("message too long|Expected SSH2_FXP_VERSION", RepositoryError,
     "the account's shell writes something at each login, or is none: only SFTP may speak (`internal-sftp`)"),
    ("Could not resolve|Name or service not known", Unavailable, "there is no host {host}, or no name server answers"),
    ("Connection refused|timed out|No route|unreachable|not responding", Unavailable,
     "{host} does not answer by SSH"),
    ("closed|reset|Broken pipe|Connection lost", Unavailable, "{host} ended the connection"),
)  # fmt: skip


def _again(act: Callable[[int], Result]) -> Result:
    """What may be done twice, done again after the connection was lost in the middle; `act` is told how often."""
    for number, pause in enumerate(_PAUSES):
        try:
            return act(number)
        except Unavailable as exc:
            # A server that was not there from the beginning is not waited for.
            if number == 0 and not isinstance(exc, Dropped):
                raise
            time.sleep(pause)
    return act(len(_PAUSES))


def quoted(path: str) -> str:
    """A path as sftp takes it, literally."""
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in path):
        raise RepositoryError(f"{path!r} has a control character, which sftp takes in no name")
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


@dataclass
class Client:
    """A connection, made when it is needed and again when it was lost. One thread at a time has it."""

    server: Server
    _process: subprocess.Popen[bytes] | None = None
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _spool: int = -1
    _number: int = 0
    _rest: bytes = b""
    _home: str = ""

    @property
    def home(self) -> str:
        """The directory in which the account begins."""
        with self._guard:
            if not self._home:
                self._connected()
            return self._home

    def ask(self, command: str, moved: int = 0) -> list[str]:
        """What the server says to a command, a line each; `moved` is how many bytes it is about."""
        with self._guard:
            process = self._connected()
            return self._said(process, command, moved)

    def once(self, command: str) -> None:
        """A command that says nothing when it is done, and may not be given twice; Refused otherwise."""
        said = self.ask(command)
        if said:
            raise Refused(" ".join(said))

    def do(self, command: str) -> None:
        """As `once`, given again when the connection was lost in the middle of it."""
        _again(lambda _lost: self.once(command))

    def remove(self, path: str) -> None:
        """A file that may be gone already."""
        try:
            self.do(f"rm {quoted(path)}")
        except Refused as exc:
            if not is_absent(str(exc)):
                raise

    def rename(self, beside: str, path: str, replace: bool = True) -> None:
        """Give a file its name. One whose answer was lost is done where the other name is no more."""
        command = f"rename {'' if replace else '-l '}{quoted(beside)} {quoted(path)}"
        try:
            self.once(command)
        except Dropped:
            if self.entry(beside) is not None:
                self.once(command)

    def listing(self, path: str) -> list[Entry] | None:
        """What is in a directory; None when it is not there."""
        entries = _again(lambda _lost: self._listed(path, "-lna"))
        return None if entries is None else [entry for entry in entries if entry.name not in (".", "..")]

    def entry(self, path: str) -> Entry | None:
        """What is at a path; None: nothing."""
        entries = _again(lambda _lost: self._listed(path, "-ln"))
        if entries is None:
            return None
        # Of a directory the entries are listed, whose names are longer.
        return next((entry for entry in entries if entry.name == path), Entry("d", 0, path))

    def _listed(self, path: str, options: str) -> list[Entry] | None:
        said = self.ask(f"ls {options} {quoted(path)}")
        if len(said) == 1 and is_absent(said[0]):
            return None
        found = []
        for line in said:
            match = _LISTED.fullmatch(line)
            if match is None:
                raise Refused(line)
            found.append(Entry(match[1], int(match[2]), match[3][len(path.rstrip("/")) + 1 :] or match[3]))
        return found

    def upload(self, path: str, content: bytes, offset: int = 0, sync: bool = False) -> None:
        """Write a piece of a file at its end, which is at `offset`; from 0 on the file is a new one."""
        # What arrived before the connection was lost stays: it is this file's by now.
        _again(lambda lost: self._upload(path, content, offset, sync, goes_on=offset > 0 or lost > 0))

    def _upload(self, path: str, content: bytes, offset: int, sync: bool, goes_on: bool) -> None:
        if goes_on:
            # It may end within this piece, where sftp goes on, or behind it.
            found = self.entry(path)
            size = found.size if found is not None else 0
            if size == offset + len(content) > 0:
                return
            if not offset <= size <= offset + len(content):
                raise Refused(f"it has {size} bytes, and {offset} were sent")
            goes_on = size > 0
        with self._guard:
            process = self._connected()
            self._empty(offset + len(content))
            os.pwrite(self._spool, content, offset)
            options = "-f " * sync + "-a " * goes_on
            said = self._said(process, f"put {options}/proc/self/fd/{self._spool} {quoted(path)}", len(content))
        if said:
            raise Refused(" ".join(said))

    def download(self, path: str, offset: int = 0, size: int = WINDOW) -> bytes:
        """At most `size` bytes of a file from `offset` on, which has some; fewer where the connection does not last."""
        return _again(lambda lost: self._download(path, offset, max(_REQUEST, size >> 3 * lost), "-a"))

    def _download(self, path: str, offset: int, size: int, options: str) -> bytes:
        with self._guard:
            process = self._connected()
            self._empty(offset)
            _soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (offset + size, hard))
            try:
                said = self._said(process, f"get {options} {quoted(path)} /proc/self/fd/{self._spool}", size)
            finally:
                with suppress(ProcessLookupError):
                    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
            content = os.pread(self._spool, size, offset)
        if said and (not content or not all(any(words in line for words in _WINDOW_IS_FULL) for line in said)):
            raise Refused(" ".join(said))
        return content

    def written(self, path: str) -> tuple[bytes, float]:
        """A small file, and when it was written, by the server's clock."""
        return _again(lambda _lost: self._written(path))

    def _written(self, path: str) -> tuple[bytes, float]:
        with self._guard:
            content = self._download(path, 0, WINDOW, "-p")
            return content, os.fstat(self._spool).st_mtime

    def _empty(self, size: int) -> None:
        """The window, all of it a hole of this size."""
        os.ftruncate(self._spool, 0)
        os.fchmod(self._spool, 0o600)
        os.ftruncate(self._spool, size)

    def close(self) -> None:
        with self._guard:
            if self._process is not None:
                _end(self._process)
                self._process = None

    def _connected(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        if self._spool < 0:
            self._spool = os.memfd_create("day2-sftp")
            weakref.finalize(self, os.close, self._spool)
        try:
            process = subprocess.Popen(
                self.server.argv(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(self._spool,),
                # SIGXFSZ stays ignored, as Python has it: a write past the limit fails, and does not kill.
                restore_signals=False,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
        except FileNotFoundError:
            raise RepositoryError(f"{self.server.name} needs sftp: install openssh-client(s)") from None
        weakref.finalize(self, _end, process)
        self._rest = b""
        try:
            (said,) = self._said(process, "pwd")[-1:] or [""]
            self._home = said.partition(": ")[2]
        except Dropped as exc:
            raise self.server.refusal(str(exc.__cause__)) from None
        self._process = process
        return process

    def _said(self, process: subprocess.Popen[bytes], command: str, moved: int = 0) -> list[str]:
        """What is said between a command's echo and that of the comment after it."""
        self._number += 1
        mark = f"#{self._number}"
        line = f"-{command}\n{mark}\n".encode()
        if len(line) > _LINE:
            raise RepositoryError(f"{self.server.name}: a path is too long: {command}")
        until = time.monotonic() + self.server.timeout + moved / _SLOWEST
        said: list[str] = []
        with suppress(BrokenPipeError):
            cast(IO[bytes], process.stdin).write(line)
            cast(IO[bytes], process.stdin).flush()
        while True:
            answer = self._line(process, until)
            if answer is None:
                _end(process)
                self._process = None
                raise Dropped(f"{self.server.name} ended the connection") from Refused("\n".join(said))
            if answer == _PROMPT + mark:
                return said
            if not answer.startswith(f"{_PROMPT}-{command.split(' ')[0]}"):
                said.append(answer.strip())

    def _line(self, process: subprocess.Popen[bytes], until: float) -> str | None:
        stdout = cast(IO[bytes], process.stdout)
        with selectors.DefaultSelector() as selector:
            selector.register(stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    process.kill()
                    _end(process)
                    self._process = None
                    raise Unavailable(f"{self.server.name} did not answer in time")
                piece = os.read(stdout.fileno(), 65536)
                if not piece:
                    return None
                self._rest += piece
        line, _end_of_line, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "surrogateescape").rstrip("\r")


def is_absent(said: str) -> bool:
    return "No such file" in said or said.endswith("not found")


def _end(process: subprocess.Popen[Any]) -> None:
    """sftp ends with its input; one that does not, because it waits for the server, is ended."""
    for stream in (process.stdin, process.stdout):
        with suppress(OSError):
            cast(IO[bytes], stream).close()
    try:
        process.wait(1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
