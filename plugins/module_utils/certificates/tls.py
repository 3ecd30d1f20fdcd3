# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The certificates that a TLS server sends: the whole chain, trusted or not.

Python's ssl gives the chain since 3.13, and since 3.10 by what `SSLSocket` is made of. Before that it shows only the
server's own certificate, but up to TLS 1.2 the chain comes in the clear (RFC 5246, section 7.4.2) and can be read on
its way.
"""

from __future__ import annotations

import socket
import ssl
from importlib import import_module
from typing import Any, Callable

Connect = Callable[[], socket.socket]

_HANDSHAKE, _CERTIFICATE = 22, 11


def chain(connect: Connect, context: ssl.SSLContext, name: str) -> list[bytes]:
    """The certificates of a server in DER, its own first. `connect` makes a connection on which TLS may begin."""
    with connect() as plain, context.wrap_socket(plain, server_hostname=name) as wrapped:
        own = wrapped.getpeercert(binary_form=True)
        sent = _sent(wrapped)
    if sent is None:
        try:
            sent = overheard(connect, context, name)
        except (OSError, ValueError):
            # A server without TLS 1.2.
            sent = None
    return sent or ([own] if own else [])


def _sent(wrapped: ssl.SSLSocket) -> list[bytes] | None:
    """None where this Python cannot tell."""
    if hasattr(wrapped, "get_unverified_chain"):
        return list(wrapped.get_unverified_chain())
    inner: Any = getattr(wrapped, "_sslobj", None)
    if not hasattr(inner, "get_unverified_chain"):
        return None
    library: Any = import_module("_ssl")
    return [certificate.public_bytes(library.ENCODING_DER) for certificate in inner.get_unverified_chain() or ()]


def overheard(connect: Connect, context: ssl.SSLContext, name: str) -> list[bytes]:
    """The chain as it comes with TLS 1.2, read beside the handshake."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    incoming, outgoing, seen = ssl.MemoryBIO(), ssl.MemoryBIO(), bytearray()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with connect() as plain:
        done = False
        while not done:
            try:
                tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                done = False
            plain.sendall(outgoing.read())
            if not done:
                data = plain.recv(65536)
                if not data:
                    raise ConnectionError("the server closed the connection")
                seen += data
                incoming.write(data)
    return certificates(bytes(seen))


def certificates(stream: bytes) -> list[bytes]:
    """The certificates in what a server sent: records of 5 bytes and a fragment, messages of 4 bytes and a body."""
    messages, place = bytearray(), 0
    while place + 5 <= len(stream) and stream[place] == _HANDSHAKE:
        length = int.from_bytes(stream[place + 3 : place + 5], "big")
        messages += stream[place + 5 : place + 5 + length]
        place += 5 + length
    place = 0
    while place + 4 <= len(messages):
        length = int.from_bytes(messages[place + 1 : place + 4], "big")
        if messages[place] == _CERTIFICATE:
            return _listed(bytes(messages[place + 7 : place + 4 + length]))
        place += 4 + length
    return []


def _listed(data: bytes) -> list[bytes]:
    """Certificates of three bytes of length each."""
    found, place = [], 0
    while place + 3 <= len(data):
        length = int.from_bytes(data[place : place + 3], "big")
        found.append(data[place + 3 : place + 3 + length])
        place += 3 + length
    return found
