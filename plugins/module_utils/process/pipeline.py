# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs in a row, each reading what the one before it writes; all of them are checked, none is a shell.

The last one's output is handed over in pieces, so memory does not grow with the data.
"""

from __future__ import annotations

import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from typing import IO, Any, Callable, Iterable, Mapping, Sequence, Union, cast

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.complaints import Complaints

CHUNK = 1 << 20
_F_SETPIPE_SZ = 1031
# What a shell says of a program that died of it.
_SIGPIPE = (-signal.SIGPIPE, 128 + signal.SIGPIPE)
# Sent from outside: no program does that to itself over what it reads.
_SENT = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
# Waited for, when a program that was asked to end does not: then it is killed.
_PATIENCE = 5.0
# How soon a stream notices that it is to stop.
_STOP_POLL = 0.5

Source = Union[None, IO[bytes], Iterable[bytes]]
Sink = Callable[[bytes], None]
# What a program that did not fail wrote to its standard error: a line each.
Remarks = Callable[[Sequence[str]], None]


class PipelineError(Day2Error):
    """A program of a pipeline failed; the message names it, its first error and its last lines.

    `program` is its name, `status` how it ended (negative: by a signal) and `stderr` what it wrote there, as far as it
    is kept; empty where none of them failed.
    """

    program = ""
    status: int | None = None
    stderr = ""


class PipelineKilled(PipelineError):
    """Somebody, or the kernel for want of memory, ended a program: no verdict on what it read."""


class PipelineTimeout(PipelineError):
    """A pipeline took longer than it may."""


@dataclass(frozen=True)
class Program:
    """One member. `env` is added to this process's own; what is secret goes there, never into `argv`.

    `accepted` are exit statuses that are no failure: tar's 1 says that a file grew while it was read.
    """

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    accepted: Sequence[int] = (0,)

    @property
    def called(self) -> str:
        return self.name or os.path.basename(self.argv[0])


@dataclass
class _Running:
    program: Program
    process: subprocess.Popen[bytes]
    complaints: Complaints = field(default_factory=Complaints)

    def complaint(self) -> str:
        text, code = self.complaints.text(), self.process.returncode
        ended = f"was killed by signal {-code}" if code < 0 else f"exit status {code}"
        return f"{ended}: {text}" if text else ended


def run_pipeline(
    programs: Sequence[Program],
    sink: Sink,
    source: Source = None,
    timeout: float | None = None,
    chunk: int = CHUNK,
    stop: threading.Event | None = None,
    remarks: Remarks | None = None,
) -> None:
    """Run the programs; every piece of the last one's output goes to `sink`, and `remarks` of the first to `remarks`.

    `source` feeds the first one: an open file that it reads itself, or pieces of bytes. PipelineError names the
    program that failed first: one that died because the one after it went away is not to blame. `stop` ends it from
    another thread. Whatever ends this
    (`sink` or `source` raising too) ends all programs before it returns.
    """
    running: list[_Running] = []
    end = None if timeout is None else time.monotonic() + timeout
    try:
        _start(programs, source, running)
        _pump(running, sink, source, end, chunk, stop)
        for member in running:
            member.process.wait(None if end is None else max(0.1, end - time.monotonic()))
    except subprocess.TimeoutExpired as exc:
        raise PipelineTimeout(f"{_names(programs)} took longer than {timeout:g} s") from exc
    finally:
        _end_all(running)
    _check(running)
    if remarks is not None:
        remarks([line for line in running[0].complaints.kept().split("\n") if line.strip()])


def _names(programs: Sequence[Program]) -> str:
    return " | ".join(program.called for program in programs)


def _start(programs: Sequence[Program], source: Source, running: list[_Running]) -> None:
    given: Any = subprocess.DEVNULL
    if source is not None:
        given = source if hasattr(source, "fileno") else subprocess.PIPE
    for program in programs:
        if shutil.which(program.argv[0]) is None:
            raise PipelineError(f"{program.called} is not installed on this host")
        try:
            process = subprocess.Popen(
                mortal(program.argv),
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "LC_ALL": "C.UTF-8", **program.env},
            )
        except OSError as exc:
            raise PipelineError(f"{program.called} cannot be started: {exc.strerror}") from exc
        if running:
            # The next one alone reads it: else nobody would see that it went away.
            cast(IO[bytes], running[-1].process.stdout).close()
        running.append(_Running(program, process))
        given = process.stdout
        _widen(cast(IO[bytes], process.stdout).fileno())


def mortal(argv: Sequence[str]) -> list[str]:
    """The program so that the kernel kills it when this process is gone, even by SIGKILL, and even if it only waits."""
    keeper = shutil.which("setpriv")
    return [keeper, "--pdeathsig", "KILL", *argv] if keeper else list(argv)


def _widen(descriptor: int) -> None:
    try:
        fcntl.fcntl(descriptor, _F_SETPIPE_SZ, CHUNK)
    except OSError:
        # Over the user's allowance (fs.pipe-user-pages-soft): smaller pipes do as well.
        return


def _pump(
    running: Sequence[_Running],
    sink: Sink,
    source: Source,
    end: float | None,
    chunk: int,
    stop: threading.Event | None,
) -> None:
    """Feed the first, drain the last, and listen to the complaints of all, until every output is closed."""
    output = cast(IO[bytes], running[-1].process.stdout).fileno()
    feed = _Feed(running[0].process.stdin, source)
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        for member in running:
            selector.register(cast(IO[bytes], member.process.stderr).fileno(), selectors.EVENT_READ, member)
        feed.register(selector)
        while selector.get_map():
            left = None if end is None else end - time.monotonic()
            if left is not None and left <= 0:
                raise subprocess.TimeoutExpired(running[0].program.argv, 0)
            if stop is not None:
                if stop.is_set():
                    raise PipelineError("stopped, because another stream failed")
                left = min(_STOP_POLL, _STOP_POLL if left is None else left)
            for key, _events in selector.select(left):
                if key.fd == feed.descriptor:
                    feed.write(selector)
                    continue
                piece = os.read(key.fd, chunk)
                if not piece:
                    selector.unregister(key.fd)
                elif key.fd == output:
                    sink(piece)
                else:
                    key.data.complaints.add(piece)


class _Feed:
    """Pieces of bytes on their way into the first program, as quickly as it takes them."""

    def __init__(self, stdin: IO[bytes] | None, source: Source) -> None:
        self._stdin = stdin
        self._pieces = iter(cast(Iterable[bytes], source)) if stdin is not None else iter(())
        self._left = memoryview(b"")
        self.descriptor = -1 if stdin is None else stdin.fileno()

    def register(self, selector: selectors.BaseSelector) -> None:
        if self._stdin is not None:
            os.set_blocking(self.descriptor, False)
            _widen(self.descriptor)
            selector.register(self.descriptor, selectors.EVENT_WRITE)

    def write(self, selector: selectors.BaseSelector) -> None:
        try:
            while not self._left:
                self._left = memoryview(next(self._pieces))
            self._left = self._left[os.write(self.descriptor, self._left) :]
        except BlockingIOError:
            return
        except (StopIteration, BrokenPipeError):
            # Nothing more to say, or nobody listens: why is in the program's exit status.
            selector.unregister(self.descriptor)
            cast(IO[bytes], self._stdin).close()
            self.descriptor = -1


def _end_all(running: Sequence[_Running]) -> None:
    for member in running:
        for stream in (member.process.stdin, member.process.stdout, member.process.stderr):
            if stream is not None and not stream.closed:
                stream.close()
    alive = [member for member in running if member.process.poll() is None]
    for member in alive:
        member.process.terminate()
    for member in alive:
        try:
            member.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            member.process.kill()
            member.process.wait()


def _check(running: Sequence[_Running]) -> None:
    failed = [member for member in running if member.process.returncode not in member.program.accepted]
    if not failed:
        return
    # A program whose reader is gone gets SIGPIPE: it is the reader that failed.
    first = next((member for member in failed if member.process.returncode not in _SIGPIPE), failed[0])
    kind = PipelineKilled if any(member.process.returncode in _SENT for member in failed) else PipelineError
    error = kind(f"{first.program.called} failed ({first.complaint()})")
    error.program, error.status, error.stderr = (
        first.program.called,
        first.process.returncode,
        first.complaints.kept(),
    )
    raise error
