# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection pooler as a client of PostgreSQL sees one: `pooler.py PORT SOCKET`, for one connection after another.

As pgbouncer it refuses `options` at the start of a session and gives a process number of its own.
"""

from __future__ import annotations

import socket
import struct
import sys
import threading

SSL_REQUEST = 80877103


def exactly(stream: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = stream.recv(size - len(content))
        if not piece:
            raise EOFError
        content += piece
    return content


def first_message(stream: socket.socket) -> bytes:
    """The message by which a session begins; what asks for encryption is refused before."""
    while True:
        head = exactly(stream, 4)
        body = exactly(stream, struct.unpack("!i", head)[0] - 4)
        if struct.unpack("!i", body[:4])[0] != SSL_REQUEST:
            return head + body
        stream.sendall(b"N")


def refuse(client: socket.socket, words: str) -> None:
    fields = b"SFATAL\0VFATAL\0C08P01\0M" + words.encode() + b"\0\0"
    client.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)


def relay(source: socket.socket, target: socket.socket) -> None:
    while piece := source.recv(1 << 16):
        target.sendall(piece)
    target.shutdown(socket.SHUT_WR)


def until_ready(server: socket.socket, client: socket.socket) -> None:
    """What the server says of a new session, with another process number in it."""
    kind = b""
    while kind not in (b"Z", b"E"):
        kind, size = exactly(server, 1), exactly(server, 4)
        body = exactly(server, struct.unpack("!i", size)[0] - 4)
        if kind == b"K":
            body = struct.pack("!i", 7) + body[4:]
        client.sendall(kind + size + body)


def serve(client: socket.socket, path: str) -> None:
    begin = first_message(client)
    if b"\0options\0" in begin:
        refuse(client, "unsupported startup parameter: options")
        client.close()
        return
    server = socket.socket(socket.AF_UNIX)
    server.connect(path)
    server.sendall(begin)
    until_ready(server, client)
    threading.Thread(target=relay, args=(client, server), daemon=True).start()
    relay(server, client)


def main(port: str, path: str) -> None:
    with socket.create_server(("127.0.0.1", int(port))) as listener:
        print("listening", flush=True)
        while True:
            client, _address = listener.accept()
            threading.Thread(target=serve, args=(client, path), daemon=True).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
