# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections of a program, as the kernel's tables have them."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.day2.ops.plugins.module_utils.network import sockets

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
MAPPED = "0000000000000000FFFF00000700000A:1538"


def row(remote: str, state: str = "01", user: int = 7, inode: int = 50) -> str:
    return f"   0: 0100007F:8000 {remote} {state} 00000000:00000000 00:00000000 00000000  {user} 0 {inode} 1 x\n"


@pytest.mark.parametrize(
    ("tcp", "tcp6", "found"),
    [
        (row("0700000A:1538"), "", 1),
        (row("0700000A:1538", "02"), "", 1),
        (row("0700000A:1538", "06"), "", 0),
        (row("0800000A:1538"), "", 0),
        (row("0700000A:1539"), "", 0),
        (row("0700000A:1538", inode=51, user=8), "", 0),
        ("", row(MAPPED), 1),
        ("", row("B80D0120000000000000000001000000:1538"), 1),
    ],
)
@pytest.mark.parametrize("visible", [True, False])
def test_connections_to_a_server(
    monkeypatch: pytest.MonkeyPatch, tcp: str, tcp6: str, found: int, visible: bool
) -> None:
    """Also where a container hides the program's descriptors: then its user's are its own."""
    files = {
        "/proc/1/comm": "pooler\n", "/proc/1/status": "Uid:\t7\t7\t7\t7\n", "/proc/2/comm": "other\n",
        "/proc/net/tcp": HEAD + tcp, "/proc/net/tcp6": HEAD + tcp6,
    }  # fmt: skip
    monkeypatch.setattr(sockets, "processes", lambda: iter(("1", "2")))
    monkeypatch.setattr(sockets, "inodes", lambda process: {"50"} if process == "1" and visible else set())
    monkeypatch.setattr(sockets, "content", lambda path: files.get(path, ""))
    assert sockets.count_to("pooler", ["10.0.0.7", "2001:db8::1"], 5432) == found


def test_a_connection_of_this_program() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        own = sockets.content("/proc/self/comm").strip()
        assert sockets.count_to(own, ["127.0.0.1"], server.getsockname()[1]) == 1
