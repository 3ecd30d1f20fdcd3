# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A temporary cluster for a drill: a socket in its own directory, no network, nothing archived or preloaded.

When this process ends, the kernel kills the server; the next drill then removes the directory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from glob import glob
from typing import Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.drill.isolation import ISOLATED
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ServerError, connected
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program, mortal, run_pipeline

_PREFIX = "day2-drill-"
_LOCK = "in-use"
_SUPERUSER = "postgres"
_START_LIMIT = 60.0
# A temporary cluster need not survive a crash.
_UNSAFE = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
# In the data directory, so that a killed server leaves no files elsewhere.
_UNSAFE["dynamic_shared_memory_type"] = "mmap"


@contextmanager
def scratch_cluster(place: str, bin_dir: str, settings: Mapping[str, str], encoding: str = "UTF8") -> Iterator[Login]:
    """A login as superuser of a new cluster below `place`; the cluster is removed afterwards.

    In `encoding` it stores what all databases share: a dump has names of roles as its source has stored them.
    """
    if os.geteuid() == 0:
        raise Day2Error("PostgreSQL does not run as root: run this as another user, such as postgres (become_user)")
    with _translate_errors(place):
        clear(place)
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=place)
    try:
        # Held as long as this process runs, so that no other drill removes the directory.
        with open(os.path.join(folder, _LOCK), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = os.path.join(folder, "data")
            initdb = [os.path.join(bin_dir, "initdb"), "-D", data, "-U", _SUPERUSER, "-A", "trust", "-E", encoding]
            run_pipeline([Program([*initdb, "--locale=C", "--no-sync"])], lambda _piece: None)
            with _translate_errors(place):
                _configure(data, folder, settings)
            login = Login(host=folder, user=_SUPERUSER)
            with _server(bin_dir, data, os.path.join(folder, "log"), login):
                yield login
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _translate_errors(place: str) -> Iterator[None]:
    """Turn an OSError into a Day2Error that names the place and what to do."""
    try:
        yield
    except OSError as exc:
        raise Day2Error(
            f"no cluster can be made in the scratch directory {place} ({exc.strerror}): give one to which this user"
            f" (number {os.geteuid()}) may write (`scratch`)"
        ) from exc


def clear(place: str) -> None:
    """Remove directories of drills whose process has ended."""
    for folder in glob(os.path.join(place, f"{_PREFIX}*")):
        if os.stat(folder).st_uid != os.geteuid():
            continue
        try:
            with open(os.path.join(folder, _LOCK), encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except FileNotFoundError:
            # A directory without a lock: its drill was killed, unless the directory was created just now.
            if time.time() - os.stat(folder).st_mtime < _START_LIMIT:
                continue
        shutil.rmtree(folder, ignore_errors=True)


def _configure(data: str, folder: str, more: Mapping[str, str]) -> None:
    settings = {**ISOLATED, **_UNSAFE, "unix_socket_directories": folder, **more}
    quoted = {name: value.replace("'", "''") for name, value in settings.items()}
    with open(os.path.join(data, "postgresql.auto.conf"), "a", encoding="utf-8") as stream:
        stream.writelines(f"{name} = '{value}'\n" for name, value in quoted.items())


@contextmanager
def _server(bin_dir: str, data: str, log: str, login: Login) -> Iterator[None]:
    with _translate_errors(os.path.dirname(log)), open(log, "wb") as output:
        server = subprocess.Popen(
            mortal([os.path.join(bin_dir, "postgres"), "-D", data]),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(server, log, login)
        yield
    finally:
        # SIGQUIT is an immediate shutdown: no data are needed any more.
        server.send_signal(3)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait(server: subprocess.Popen[bytes], log: str, login: Login) -> None:
    end = time.monotonic() + _START_LIMIT
    while True:
        try:
            with connected(login):
                return
        except ServerError as exc:
            if server.poll() is not None or time.monotonic() > end:
                with open(log, encoding="utf-8", errors="replace") as stream:
                    said = [line.strip() for line in stream if "FATAL" in line] or [str(exc)]
                raise Day2Error(f"the scratch cluster did not start: {said[-1]}") from exc
        time.sleep(0.1)
