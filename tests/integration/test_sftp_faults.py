# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SFTP servers that misbehave: what is published is whole, what fails says so, and the next run is well.

Where a case is what users of other tools have reported, the report is named: there it hung, went on or lost its way.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import sets
from ansible_collections.day2.ops.plugins.module_utils.backup.retention import Policy
from ansible_collections.day2.ops.plugins.module_utils.backup.verify import verify
from ansible_collections.day2.ops.plugins.module_utils.process.locks import Locked
from ansible_collections.day2.ops.plugins.module_utils.repositories import sftp_client
from ansible_collections.day2.ops.plugins.module_utils.repositories.base import (
    ObjectLocked,
    RepositoryError,
    Unavailable,
    Unreadable,
)
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
from file_sets import backup, make_data, only
from sftp_server import SftpServer, Tunnel, sftp_server, tunnel

KEY = "files/20260101T000000Z/archive"
CONTENT = random.Random(5).randbytes(20 << 20)


@pytest.fixture
def way(sftp: SftpServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tunnel]:
    monkeypatch.setattr(sftp_client, "_PAUSES", (0.05, 0.05, 0.05))
    with tunnel(sftp) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"faults{time.monotonic_ns()}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("sftp") / "data", files=4, size=1_800_000)


def stored(server: SftpServer, name: str) -> list[str]:
    """What is in the repository, asked of the server's disk; a lease has something of its own."""
    root = server.files / name
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".lease" not in str(path)
    )


def write(repository: Any, key: str = KEY, content: bytes = CONTENT) -> None:
    with repository.writer(key) as writer:
        writer.write(content)
        writer.commit()


@pytest.mark.parametrize("cuts", [[3 << 20], [9 << 20], [1 << 20, 9 << 20, 9 << 20], [19 << 20, 30_000]])
def test_an_upload_goes_on_where_it_was_cut(sftp: SftpServer, way: Tunnel, name: str, cuts: list[int]) -> None:
    """restic 353, 550, 937: one connection for everything; when it breaks, the run panics, crawls or never ends."""
    way.cuts = cuts
    write(open_repository(sftp.place(name, way.port)))
    assert (sftp.files / name / KEY).read_bytes() == CONTENT and stored(sftp, name) == [KEY]
    assert way.connections == len(cuts) + 1


@pytest.mark.parametrize("cuts", [[3 << 20], [17 << 20], [9 << 20, 9 << 20, 9 << 20]])
def test_a_download_goes_on_where_it_was_cut(sftp: SftpServer, way: Tunnel, name: str, cuts: list[int]) -> None:
    """restic 5101: a connection that is lost while it lists or reads."""
    write(open_repository(sftp.place(name)))
    way.cuts = cuts
    assert b"".join(open_repository(sftp.place(name, way.port)).read(KEY)) == CONTENT
    assert way.connections == len(cuts) + 1


def test_a_run_over_a_way_that_is_cut_again_and_again(sftp: SftpServer, way: Tunnel, name: str, data: Path) -> None:
    """All of a run: lease, files, manifest, state, reading back and pruning."""
    place = sftp.place(name, way.port)
    for _run in range(2):
        way.cuts = [*([0] * way.connections), *(chance for chance in random.Random(7).choices(range(3, 9), k=40))]
        way.cuts = [cut << 20 for cut in way.cuts]
        outcome = backup(open_repository(place), data, policy=Policy(last=1, min_verified=1))
        assert outcome["set"]["verified"] == "read"
    found = only(open_repository(sftp.place(name)))
    assert verify(open_repository(sftp.place(name)), found.manifest, 2, None).faults == [] and way.connections > 8


def test_a_way_that_does_not_last_publishes_nothing(sftp: SftpServer, way: Tunnel, name: str, data: Path) -> None:
    way.cuts = [1 << 20] * 4 + [0] * 40
    with pytest.raises(Unavailable, match="ended the connection"):
        write(open_repository(sftp.place(name, way.port)))
    assert stored(sftp, name) == [f"{KEY}.unfinished"]
    direct = open_repository(sftp.place(name))
    assert backup(direct, data)["cleared"] == ["20260101T000000Z"]
    assert stored(sftp, name)[0].startswith(f"files/{only(direct).manifest.id}/")


def test_a_server_that_falls_silent_is_told(sftp: SftpServer, way: Tunnel, name: str) -> None:
    """restic 954, phpseclib 1371: it waits for ever and says nothing."""
    repository = open_repository(sftp.place(name, way.port, timeout="5s"))
    repository.prepare()
    way.silent.set()
    with pytest.raises(Unavailable, match=r"sftp://.* (did not answer in time|does not answer by SSH)"):
        repository.put("files/x", b"x")
    way.silent.clear()
    repository.put("files/x", b"x")
    assert stored(sftp, name) == ["files/x"]


def of_stranger(server: SftpServer) -> dict[str, Any]:
    public = " ".join((server.folder / "stranger.pub").read_text().split()[:2])
    (server.folder / "other").write_text(f"[127.0.0.1]:* {public}\n")
    return {"known_hosts": str(server.folder / "other")}


def unknown(server: SftpServer) -> dict[str, Any]:
    (server.folder / "none").write_text("")
    return {"known_hosts": str(server.folder / "none")}


def readable(server: SftpServer) -> dict[str, Any]:
    shutil.copy(server.folder / "key", server.folder / "open")
    (server.folder / "open").chmod(0o644)
    return {"key_file": str(server.folder / "open")}


WHO = re.escape(f"user {getpass.getuser()} on {platform.node()}")
REFUSED: dict[str, tuple[Callable[[SftpServer], dict[str, Any]], str]] = {
    # backrest 535, resticker 140: `unable to start the sftp session, error: EOF`.
    "unknown host key": (
        unknown,
        rf"the host key of 127.0.0.1 is not in .*/none. As {WHO}, `ssh-keyscan -p \d+ 127.0.0.1 >> .*/none` adds",
    ),
    # pgbackrest 2567: LIBSSH2_KNOWNHOST_CHECK_MISMATCH [1].
    "another host key": (
        of_stranger,
        r"the host key of 127.0.0.1 is another than in .*/other of user .* Nothing was sent.* -R .\[127.0.0.1\]:\d+",
    ),
    # pgbackrest 2364: `public key authentication failed: libssh2 error [-19]`.
    "key that is not known": (
        lambda server: {"key_file": str(server.folder / "stranger")}, rf"takes no key of {WHO}: give `key_file`",
    ),
    "key that others read": (readable, r"others may read the key file .*/open, so that it is not used: `chmod 600`"),
    "no key": (lambda _server: {"key_file": "/nowhere/key"}, rf"the key file /nowhere/key cannot be read .* by {WHO}"),
    "nobody there": (lambda _server: {"url": "sftp://nobody@127.0.0.1:1/x"}, "127.0.0.1 does not answer by SSH"),
    "no such host": (lambda _server: {"url": "sftp://nobody@nohost.invalid/x"}, "there is no host nohost.invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_reached_says_what_to_do(sftp: SftpServer, name: str, case: str) -> None:
    change, words = REFUSED[case]
    repository = open_repository({**sftp.place(name), **change(sftp)})
    with pytest.raises(RepositoryError, match=words):
        repository.prepare()
    assert not repository.may_write() and not (sftp.files / name).exists()


@contextmanager
def small_disk() -> Iterator[Path]:
    with ExitStack() as stack:
        folder = Path("/run") / f"day2-small-{time.monotonic_ns()}"
        folder.mkdir()
        stack.callback(folder.rmdir)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=777", "tmpfs", str(folder)], check=True)
        stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=True)
        yield folder


def test_a_disk_that_is_full_is_told_at_once(data: Path) -> None:
    """restic 3336, duplicacy 67, duplicati 4675: `Failure`, again and again, or for ever."""
    with small_disk() as folder, sftp_server(files=folder) as server:
        repository = open_repository(server.place("sets"))
        with pytest.raises(RepositoryError, match=r"Failure: its disk has \d+ KiB free; a full disk, a quota"):
            write(repository)
        assert stored(server, "sets") == []
        assert backup(repository, make_data(folder / "small", files=1, size=1000))["made"]


def test_an_account_that_may_only_read(sftp: SftpServer, name: str, data: Path) -> None:
    backup(open_repository(sftp.place(name)), data)
    with sftp_server("internal-sftp -R", files=sftp.files) as server:
        repository = open_repository(server.place(name))
        found = only(repository)
        assert found.state.good and verify(repository, found.manifest, 2, None).faults == []
        assert not repository.may_write() and repository.exists()
        before = stored(sftp, name)
        with pytest.raises(RepositoryError, match=r"the directory: .*Permission denied"):
            backup(repository, data)
        with pytest.raises(ObjectLocked, match="Permission denied"):
            repository.remove(before[0])
        assert stored(sftp, name) == before


@pytest.mark.parametrize(
    ("denied", "words"),
    [
        # rclone 3932, Win32-OpenSSH 467: what replaces a file on one server fails on another.
        ("posix-rename", r"replaces no file by a rename \(posix-rename@openssh.com\)"),
        ("mkdir", "Permission denied"), ("write", "Permission denied"), ("fsync", None), ("hardlink", None),
        ("statvfs", None), ("limits", None), ("expand-path", None),
    ],
)  # fmt: skip
def test_a_server_that_lacks_something(data: Path, denied: str, words: str | None) -> None:
    with sftp_server(f"internal-sftp -P {denied}") as server:
        repository = open_repository(server.place("sets"))
        if words is None:
            assert backup(repository, data)["set"]["verified"] == "read"
        else:
            with pytest.raises(RepositoryError, match=words):
                backup(repository, data)
            assert stored(server, "sets") == []


@pytest.mark.parametrize(
    ("subsystem", "more", "words"),
    [
        # EasyEngine 501, lablup/backend.ai 11772: `Received message too long 141612888`.
        ("internal-sftp", "ForceCommand echo welcome", "the account's shell writes something at each login"),
        ("/bin/false", "", "only SFTP may speak"),
        ("internal-sftp", "MaxSessions 0", "ended the connection|has no SFTP"),
    ],
)
def test_a_server_without_sftp(subsystem: str, more: str, words: str) -> None:
    with sftp_server(subsystem, more) as server, pytest.raises(RepositoryError, match=words):
        open_repository(server.place("sets")).prepare()


def test_what_is_no_file_is_not_read(sftp: SftpServer, name: str) -> None:
    repository = open_repository(sftp.place(name))
    repository.put("files/x", b"x")
    folder = sftp.files / name / "files"
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    for key in ("files/pipe", "files"):
        with pytest.raises(Unreadable, match="it is no regular file"):
            repository.get(key)
    assert [key for key, _size in repository.keys("files/")] == ["files/link", "files/pipe", "files/x"]


def test_memory_does_not_grow_with_a_file(sftp: SftpServer, name: str) -> None:
    repository = open_repository(sftp.place(name), spool=4 << 20)
    held = []
    with repository.writer(KEY) as writer:
        for _piece in range(40):
            writer.write(CONTENT[: 1 << 20])
            held.append(window(repository))
        writer.commit()
    assert max(held) == 2 << 20
    held = [window(repository) for _piece in repository.read(KEY)]
    assert len(held) == 40 and max(held) <= sftp_client.WINDOW


def window(repository: Any) -> int:
    """Bytes of memory that what moves takes."""
    spool = repository.client._spool
    return os.fstat(spool).st_blocks * 512 if spool >= 0 else 0


def test_an_account_begins_at_home(sftp: SftpServer, name: str) -> None:
    options = sftp.options
    url = f"sftp://{sftp.user}@127.0.0.1:{sftp.port}/~/{name}"
    repository = open_repository({"url": url, **options})
    write(repository, content=b"at home")
    assert (sftp.files / name / KEY).read_bytes() == b"at home" and list(repository.keys("")) == [(KEY, 7)]


HOLDER = """
import json, sys; sys.path.insert(0, ".collections")
from ansible_collections.day2.ops.plugins.module_utils.repositories.opening import open_repository
place = open_repository(json.loads(sys.argv[1]))
with place.lock("files", 0.0, "a run that dies"), place.writer("files/20260101T000000Z/archive") as writer:
    writer.write(b"x" * (20 << 20))
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_that_was_killed_blocks_nobody_for_long(sftp: SftpServer, name: str, data: Path) -> None:
    """rclone 1316, restic 3003: what a killed upload left looks like a file. Its connection ends with it."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, json.dumps(sftp.place(name))], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    repository = open_repository(sftp.place(name))
    with pytest.raises(Locked, match=rf"held by process {holder.pid} on .* \(a run that dies\); it ends in"):
        backup(repository, data)
    assert stored(sftp, name) == [f"{KEY}.unfinished"]
    # The server's clock is what counts, and is that of its files.
    (about,) = (sftp.files / name / "files" / ".lease").glob("about-*")
    os.utime(about, (0, time.time() - 61))
    assert backup(repository, data)["cleared"] == ["20260101T000000Z"]
    assert len(sets.load(repository, "files").sets) == 1


def test_a_lease_is_renewed_while_a_large_file_moves(sftp: SftpServer, name: str) -> None:
    """restic 4164: the lock cannot be refreshed for all the data before it, and the backup goes on without."""
    from ansible_collections.day2.ops.plugins.module_utils.process import lease
    from ansible_collections.day2.ops.plugins.module_utils.repositories.sftp_lease import Lease

    repository = open_repository(sftp.place(name))
    repository.prepare()
    own = open_repository(sftp.place(name))
    place = Lease(own.client, own.path("lease"), "the lease")
    with lease.hold(place, 0.0, "me", seconds=8.0) as held:
        first, until = place.read(), time.monotonic() + 60.0
        # The other connection is busy, for longer than a renewal may be late.
        while (last := place.read()) is not None and first is not None and last[1] == first[1]:
            assert time.monotonic() < until
            write(repository)
            held()
        assert first is not None and last is not None
    assert place.read() is None


def test_a_server_that_is_away_for_a_moment_is_waited_for(sftp: SftpServer, way: Tunnel, name: str) -> None:
    """It is restarted: the connection ends, and the first that come after it are refused."""
    way.cuts = [9 << 20, 0, 0]
    write(open_repository(sftp.place(name, way.port)))
    assert (sftp.files / name / KEY).read_bytes() == CONTENT and way.connections == 4


def test_what_a_killed_upload_left_is_not_gone_on_with(
    sftp: SftpServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is lost before the first byte has arrived."""
    repository = open_repository(sftp.place(name))
    write(repository, f"{KEY}.unfinished", b"another" * 100_000)
    real, lost = sftp_client.Client._upload, []

    def upload(*arguments: Any, **options: Any) -> None:
        if not lost:
            lost.append(True)
            raise sftp_client.Dropped("the connection ended")
        real(*arguments, **options)

    monkeypatch.setattr(sftp_client.Client, "_upload", upload)
    write(repository)
    assert lost and (sftp.files / name / KEY).read_bytes() == CONTENT and stored(sftp, name) == [KEY]
