# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs programs, the collection's modules and Python code in a lab host for the tests: `host_agent.py SOCKET`.

To enter a container takes ten times as long as a short program, and half of a module's call is the loading of Python
and of what modules import. This process is in the host already and has it loaded: a call is a fork of it, which has a
program's own user, files, exit status and end.
"""

from __future__ import annotations

import ctypes
import json
import os
import pkgutil
import pwd
import signal
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Any

from forked import call_in_fork

# What waits at a socket until it is asked next.
_BACKLOG = 64
# linux/prctl.h
_PR_SET_DUMPABLE = 4


def main(place: str) -> None:
    _load()
    server = socket.socket(socket.AF_UNIX)
    # One that ran before the host went down has left it.
    with suppress(FileNotFoundError):
        os.unlink(place)
    server.bind(place)
    server.listen(_BACKLOG)
    print("listening", flush=True)
    while True:
        caller, _address = server.accept()
        if os.fork() == 0:
            server.close()
            _serve(caller)
        caller.close()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _load() -> None:
    for name in ("ansible.module_utils.basic", "ansible.module_utils.testing", "http.client", "ssl", "urllib.request"):
        import_module(name)
    from ansible_collections.day2.ops.plugins import module_utils

    for found in pkgutil.walk_packages(module_utils.__path__, f"{module_utils.__name__}."):
        import_module(found.name)


def _serve(caller: socket.socket) -> None:
    """One call: standard input, output and error come along as descriptors, the call as JSON, the status goes back."""
    _mark, files, _flags, _address = socket.recv_fds(caller, 1, 3)
    for usual, file in enumerate(files):
        os.dup2(file, usual)
        os.close(file)
    asked = json.loads(b"".join(iter(lambda: caller.recv(1 << 16), b"")))
    code = call_in_fork(lambda: _act(asked), 1, 2, 0)
    caller.sendall(str(code).encode())
    os._exit(0)


def _act(asked: dict[str, Any]) -> None:
    # As sudo does: whoever becomes another one stays where he is, also where that one may not go.
    os.chdir(asked["directory"])
    if user := asked.get("user"):
        entry = pwd.getpwnam(user)
        os.initgroups(user, entry.pw_gid)
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
        # A program that is started has its own /proc; one that changes its user without a start has not.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1)
        os.environ.update(HOME=entry.pw_dir, USER=user, LOGNAME=user)
    if argv := asked.get("argv"):
        # Python ignores it, and so would every program that is started like this.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        try:
            os.execvp(argv[0], argv)
        except OSError as error:
            sys.stderr.write(f"{argv[0]}: {error.strerror}\n")
            sys.exit(127)
    if code := asked.get("code"):
        sys.argv = ["-c", *asked["arguments"]]
        exec(code, {"__name__": "__main__"})
        return
    from run_module import main as run_module

    run_module(asked["module"], asked["shift"])


if __name__ == "__main__":
    main(sys.argv[1])
