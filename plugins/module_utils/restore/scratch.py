# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that lives as long as a drill: a socket in its own directory, no network, nothing archived or preloaded.

The kernel kills its server with this process, whatever ends that; the directory is then cleared by the next drill.
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

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.pgbackrest.scratch import ISOLATED
from ansible_collections.day2.ops.plugins.module_utils.postgres.server import Login, ServerError, connected
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program, mortal, run_pipeline

_PREFIX = "day2-drill-"
_LOCK = "in-use"
_SUPERUSER = "postgres"
_START_LIMIT = 60.0
# What is thrown away anyway need not survive a crash.
_UNSAFE = {"fsync": "off", "full_page_writes": "off", "wal_level": "minimal", "max_wal_senders": "0"}
# In the data directory: a server that is killed leaves nothing elsewhere.
_UNSAFE["dynamic_shared_memory_type"] = "mmap"


@contextmanager
def scratch_cluster(place: str, bin_dir: str, settings: Mapping[str, str]) -> Iterator[Login]:
    """A login as superuser of a new cluster below `place`; everything of it is gone afterwards."""
    if os.geteuid() == 0:
        raise Day2Error("PostgreSQL does not run as root: run this as another user, such as postgres (become_user)")
    with _told(place):
        clear(place)
        folder = tempfile.mkdtemp(prefix=_PREFIX, dir=place)
    try:
        # Held as long as this process lives: the next drill leaves directories alone that are in use.
        with open(os.path.join(folder, _LOCK), "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            data = os.path.join(folder, "data")
            initdb = [os.path.join(bin_dir, "initdb"), "-D", data, "-U", _SUPERUSER, "-A", "trust", "-E", "UTF8"]
            run_pipeline([Program([*initdb, "--locale=C", "--no-sync"])], lambda _piece: None)
            with _told(place):
                _configure(data, folder, settings)
            login = Login(host=folder, user=_SUPERUSER)
            with _server(bin_dir, data, os.path.join(folder, "log"), login):
                yield login
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told(place: str) -> Iterator[None]:
    """What the system refuses, and what to do about it."""
    try:
        yield
    except OSError as exc:
        raise Day2Error(
            f"no cluster can be made in the scratch directory {place} ({exc.strerror}): give one to which this user"
            f" (number {os.geteuid()}) may write (`scratch`)"
        ) from exc


def clear(place: str) -> None:
    """Remove the directories of drills whose process is gone."""
    for folder in glob(os.path.join(place, f"{_PREFIX}*")):
        if os.stat(folder).st_uid != os.geteuid():
            continue
        try:
            with open(os.path.join(folder, _LOCK), encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        except FileNotFoundError:
            # Killed before its lock; one that is just being made is a moment old.
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
    with _told(os.path.dirname(log)), open(log, "wb") as output:
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
        # SIGQUIT: an immediate shutdown, for nothing of it is needed.
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
