# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Become another user for good, and run programs with a cap on what they may say."""

from __future__ import annotations

import os
import pwd
import selectors
import subprocess
import time
from dataclasses import dataclass
from typing import IO, Mapping, Sequence, cast

from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined

_CHUNK = 65536
# Bytes that are kept of what a program says.
CAP = 1 << 20


def become(user: str) -> None:
    """Drop to a user with its groups and its home; meant for a process that never comes back."""
    entry = pwd.getpwnam(user)
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    os.environ.update(HOME=entry.pw_dir, USER=entry.pw_name, LOGNAME=entry.pw_name)
    os.chdir(entry.pw_dir if os.path.isdir(entry.pw_dir) else "/")


@dataclass
class Finished:
    """What a program left behind. `stdout` and `stderr` are cut at the cap; `cut` says whether one was."""

    code: int
    stdout: bytes
    stderr: bytes
    duration: float
    cut: bool = False

    @property
    def complaint(self) -> str:
        """The last line of what went wrong, for a message."""
        lines = self.stderr.decode("utf-8", "replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit status {self.code}")


def run(argv: Sequence[str], cap: int = CAP, environment: Mapping[str, str] | None = None) -> Finished:
    """Run a program without a shell and without input. Undetermined when it cannot be started.

    `environment` is added to this process's own.

    There is no time limit here: the caller is a child process that is killed, with all it started, at its own.
    """
    begun = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C.UTF-8", **(environment or {})},
        )
    except FileNotFoundError:
        raise Undetermined(f"{argv[0]} is not installed here") from None
    except OSError as exc:
        raise Undetermined(f"{argv[0]} cannot be started: {exc.strerror}") from exc
    stdout, stderr = cast(IO[bytes], process.stdout), cast(IO[bytes], process.stderr)
    kept, cut = {stdout: bytearray(), stderr: bytearray()}, False
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _events in selector.select():
                data = os.read(key.fd, _CHUNK)
                if not data:
                    selector.unregister(key.fileobj)
                # What is over the cap is read, so that the program can go on, and dropped.
                collected = kept[key.fileobj]  # type: ignore[index]
                cut = cut or len(data) > cap - len(collected)
                collected += data[: max(0, cap - len(collected))]
    code = process.wait()
    return Finished(code, bytes(kept[stdout]), bytes(kept[stderr]), time.monotonic() - begun, cut)
