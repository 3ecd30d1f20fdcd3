# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real sshd on loopback, without rights of its own, and a way to it that is cut and that falls silent."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.waiting import wait_for

# As `tests/support/bootstrap tools` unpacks it where the machine has none.
_UNPACKED = Path(__file__).resolve().parents[2] / ".cache" / "tools" / "sshd"
_START_LIMIT = 10.0
_CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/authorized
PidFile none
UsePAM {pam}
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp {subsystem}
{more}
"""


@dataclass
class SftpServer:
    """`files` is the directory that the account may write to; the account begins there."""

    port: int
    folder: Path
    user: str

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def options(self) -> dict[str, str]:
        return {"key_file": str(self.folder / "key"), "known_hosts": str(self.folder / "known")}

    def place(self, name: str, port: int | None = None, **options: Any) -> dict[str, Any]:
        """A repository below `files`, as a task names it."""
        url = f"sftp://{self.user}@127.0.0.1:{port or self.port}{self.files}/{name}"
        return {"url": url, **self.options, **options}


@contextmanager
def sftp_server(subsystem: str = "internal-sftp", more: str = "", files: Path | None = None) -> Iterator[SftpServer]:
    """`subsystem` and `more` are of its configuration."""
    with tempfile.TemporaryDirectory(prefix="day2-sftp-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.getuid())
        for key in ("host", "key", "stranger"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)], check=True)
        shutil.copy(folder / "key.pub", folder / "authorized")
        public = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known").write_text(f"[127.0.0.1]:* {public}\n")
        if files is None:
            (folder / "files").mkdir()
        else:
            (folder / "files").symlink_to(files)
        for path in (folder / "host", folder / "files"):
            os.chown(path, account.pw_uid, account.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        pam = "no" if os.geteuid() == 0 else "yes"
        begin = f"{subsystem} -d {folder}/files" if "internal-sftp" in subsystem else subsystem
        (folder / "config").write_text(_CONFIG.format(port=port, folder=folder, subsystem=begin, pam=pam, more=more))
        with _running(folder, account):
            wait_for(lambda: _answers(port), bool, _START_LIMIT, "sshd answers")
            yield SftpServer(port, folder, account.pw_name)


@contextmanager
def _running(folder: Path, account: pwd.struct_passwd) -> Iterator[None]:
    found = shutil.which("sshd", path=f"/usr/sbin:{_UNPACKED}/usr/sbin")
    assert found is not None, "there is no sshd: run tests/support/bootstrap tools"
    libraries = next(_UNPACKED.glob("usr/lib/*/libwrap.so.0"), _UNPACKED).parent
    # Whether an account is locked is in a file that a group may read.
    rights = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [grp.getgrnam("shadow").gr_gid]}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [found, "-D", "-e", "-f", str(folder / "config")],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "LD_LIBRARY_PATH": str(libraries)},
            **(rights if os.geteuid() == 0 else {}),
        )
    try:
        yield
    finally:
        server.terminate()
        server.wait()


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


@dataclass
class Tunnel:
    """The way to a server. `cuts` has after how many bytes, both ways, each connection ends, in their order."""

    port: int
    cuts: list[int] = field(default_factory=list)
    silent: threading.Event = field(default_factory=threading.Event)
    connections: int = 0


@contextmanager
def tunnel(server: SftpServer) -> Iterator[Tunnel]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        way = Tunnel(listening.getsockname()[1])
        threading.Thread(target=_accept, args=(listening, way, server.port), daemon=True).start()
        try:
            yield way
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, way: Tunnel, port: int) -> None:
    with suppress(OSError):
        while True:
            near, _address = listening.accept()
            far = socket.create_connection(("127.0.0.1", port))
            limit = way.cuts[way.connections] if way.connections < len(way.cuts) else None
            way.connections += 1
            passed = [0]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(way, source, sink, passed, limit), daemon=True).start()


def _pump(way: Tunnel, source: socket.socket, sink: socket.socket, passed: list[int], most: int | None) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            if way.silent.is_set():
                continue
            sink.sendall(piece)
            passed[0] += len(piece)
            if most is not None and passed[0] >= most:
                break
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
