# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes are servers on a data directory, and how they end: what managers of clusters got wrong in public.

Processes that are called as PostgreSQL's are enough for that.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.failover.postmasters import end, servers
from lab.waiting import wait_for

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


@pytest.fixture
def start(tmp_path: Path, data: Path) -> Iterator[Start]:
    begun = []

    def start(name: str = "postgres", where: Path | None = None, deaf: bool = False) -> subprocess.Popen[bytes]:
        program = tmp_path / name
        if not program.exists():
            shutil.copy("/bin/sleep", program)
        argv = [str(program), "600"]
        # What is ignored stays so in the program that is run next.
        wrapped = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *argv] if deaf else argv
        process = subprocess.Popen(wrapped, cwd=where or data)
        begun.append(process)
        # The name is that of the program once it is run.
        wait_for(Path(f"/proc/{process.pid}/comm").read_text, lambda seen: seen.strip() == name, 10, name)
        return process

    yield start
    for process in begun:
        process.kill()
        process.wait()


def pids(data: Path) -> set[int]:
    return {server.pid for server in servers(str(data)).found}


@pytest.mark.parametrize("name", ["postgres", "postmaster", "edb-postgres"])
def test_a_server_is_found_without_its_pid_file(start: Start, data: Path, name: str) -> None:
    # A pid file may be stale, of another process, or gone (pg_auto_failover 152; a second server was started so).
    server = start(name)
    (data / "postmaster.pid").write_text("1\n")
    assert pids(data) == {server.pid}


def test_a_way_by_a_link_is_the_same_directory(start: Start, data: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(data)
    server = start()
    assert pids(tmp_path / "link") == {server.pid}


@pytest.mark.parametrize(("name", "where"), [("postgres", "other"), ("psql", "data"), ("bash", "data")])
def test_who_else_works_there_or_elsewhere_is_left_alone(start: Start, data: Path, name: str, where: str) -> None:
    (data.parent / "other").mkdir()
    bystander = start(name, data.parent / where)
    assert pids(data) == set() and end(str(data), 1.0) == [] and bystander.poll() is None


def test_a_zombie_is_no_server(start: Start, data: Path) -> None:
    # kill(pid, 0) says that it is there (pg_auto_failover 1166: it was waited for without an end).
    server = start()
    server.send_signal(signal.SIGKILL)
    wait_for(Path(f"/proc/{server.pid}/stat").read_text, lambda seen: ") Z " in seen, 10, "a zombie")
    assert pids(data) == set() and end(str(data), 1.0) == []


def test_backends_that_outlived_their_postmaster_are_servers(start: Start, data: Path) -> None:
    # Patroni 3639: the fence was lifted while backends of a killed postmaster went on.
    first, second = start(), start()
    assert {server.pid for server in servers(str(data)).postmasters} == {first.pid, second.pid}
    end(str(data), 5.0)
    assert (first.wait(), second.wait()) == (-signal.SIGINT, -signal.SIGINT)


def test_a_shutdown_that_somebody_keeps_from_ending_is_bounded(start: Start, data: Path) -> None:
    # Patroni 3022: a logical replication client kept a demotion waiting for ever.
    server = start(deaf=True)
    said = end(str(data), 0.3)
    assert server.wait() == -signal.SIGKILL and f"{server.pid} did not end within 0.3 s: killed" in " ".join(said)


def test_what_is_stopped_is_not_woken(start: Start, data: Path) -> None:
    # A primary that goes on writes: it gets no SIGCONT, and no time.
    server = start()
    server.send_signal(signal.SIGSTOP)
    wait_for(lambda: servers(str(data)).found[0].stopped, bool, 10, "a stopped server")
    said = end(str(data), 600.0)
    assert server.wait() == -signal.SIGKILL and "was stopped by a signal: killed" in " ".join(said)
