# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DNS: equal answers in different spellings, and servers on loopback that answer badly."""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.checks.judge import judge
from ansible_collections.day2.ops.plugins.module_utils.checks.request import parse_checks
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import dns
from ansible_collections.day2.ops.plugins.module_utils.probes import dns as probe
from ansible_collections.day2.ops.plugins.module_utils.probes import ping, registry, tcp
from ansible_collections.day2.ops.plugins.module_utils.probes.runner import find_spec


def named(name: str) -> bytes:
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + b"\0"


def answer(query: bytes, kind: str, records: list[bytes], flags: int = 0x8180) -> bytes:
    head = query[:2] + struct.pack(">HHHHH", flags, 1, len(records), 0, 0)
    entries = [b"\xc0\x0c" + struct.pack(">HHIH", dns.TYPES[kind], 1, 60, len(data)) + data for data in records]
    return head + query[12:] + b"".join(entries)


def _listener(channel: socket.socket) -> socket.socket:
    """A listening socket, and the channel at the same port: one that is free for both."""
    while True:
        listener = socket.create_server(("127.0.0.1", 0))
        try:
            channel.bind(listener.getsockname())
        except OSError:
            listener.close()
        else:
            return listener


@contextmanager
def serving(reply: Callable[[bytes], bytes], stream: Callable[[bytes], bytes] | None = None) -> Iterator[int]:
    """A server that answers a datagram with `reply`, and a connection with exactly the bytes of `stream`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel, _listener(channel) as listener:
        port = listener.getsockname()[1]

        def datagrams() -> None:
            while True:
                try:
                    query, address = channel.recvfrom(4096)
                    channel.sendto(reply(query), address)
                except OSError:
                    return

        def streams() -> None:
            while stream is not None:
                try:
                    connection, _address = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(stream(connection.recv(4096)[2:]))

        for work in (datagrams, streams):
            threading.Thread(target=work, daemon=True).start()
        yield port
        listener.shutdown(socket.SHUT_RDWR)


def result(**fields: Any) -> Result:
    (check,) = parse_checks([{"id": "x", "title": "x", "probe": "dns", **fields}], find_spec, registry.PROBES, 10)
    return judge(check, probe.observe(None, check), started=0, duration=0)


V6 = ipaddress.ip_address("2001:db8::1").packed


@pytest.mark.parametrize(
    ("kind", "record", "expected", "equal"),
    [
        ("A", b"\x0a\0\0\1", "10.0.0.1", True),
        ("A", b"\x0a\0\0\1", "10.0.0.2", False),
        ("AAAA", V6, "2001:DB8:0:0:0:0:0:1", True),
        ("AAAA", V6, "2001:0db8::0001", True),
        ("AAAA", V6, "2001:db8::2", False),
        ("CNAME", named("WWW.Example.COM"), "www.example.com.", True),
        ("CNAME", named("www.example.com"), "WWW.EXAMPLE.COM", True),
        ("CNAME", named("www.example.com"), "www.example.org", False),
        ("CNAME", named("xn--bcher-kva.example"), "bücher.example", True),
        ("NS", named("NS1.example.com"), "ns1.example.com.", True),
        ("PTR", named("Host.example.com"), "host.example.com.", True),
        ("MX", b"\0\x0a" + named("Mail.example.com"), "10 mail.example.com.", True),
        ("MX", b"\0\x0a" + named("mail.example.com"), "20 mail.example.com", False),
        ("SRV", b"\0\0\0\5\0\x50" + named("Web.example"), "0 5 80 web.example.", True),
        ("TXT", b"\5Token", "Token", True),
        ("TXT", b"\5Token", "token", False),
        ("TXT", b"\4end.", "end", False),
    ],
)
def test_equal_answers_are_equal(kind: str, record: bytes, expected: str, equal: bool) -> None:
    with serving(lambda query: answer(query, kind, [record])) as port:
        asked = {"name": "x.example", "type": kind, "server": "127.0.0.1", "port": port}
        status = result(**asked, expect=[expected]).status.value
        assert status == ("ok" if equal else "critical")
        # A threshold on the answer is as kind.
        assert result(**asked, metric="answer", critical=f"!= {expected}").status.value == status


def test_several_answers_have_no_order() -> None:
    records = [b"\x0a\0\0\2", b"\x0a\0\0\1"]
    with serving(lambda query: answer(query, "A", records)) as port:
        asked = {"name": "x.example", "server": "127.0.0.1", "port": port, "metric": "answer"}
        for words in ("10.0.0.1 10.0.0.2", "10.0.0.2 10.0.0.1"):
            assert result(**asked, critical=f"!= {words}").status.value == "ok"
        assert result(**asked, critical="!= 10.0.0.1").status.value == "critical"


CUT = 0x8380


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"", "closed the connection without an answer"),
        (b"\0", "closed the connection without an answer"),
        (b"\0\x50abc", "the answer is cut: 3 of 80 bytes came"),
        (b"\0\4abcd", "damaged, or cut: 4 bytes came"),
    ],
)
def test_short_answers_are_said_plainly(stream: bytes, words: str) -> None:
    with (
        serving(lambda query: answer(query, "A", [], CUT), lambda _query: stream) as port,
        pytest.raises(Undetermined, match=words),
    ):
        result(name="x.example", server="127.0.0.1", port=port)


@pytest.mark.parametrize("reply", [b"", b"\0", b"\0\0\x81\x80"])
def test_short_datagrams_are_said_plainly(reply: bytes) -> None:
    with serving(lambda query: query[: len(reply)] if reply else b"x") as port, pytest.raises(Undetermined) as caught:
        result(name="x.example", server="127.0.0.1", port=port)
    assert "bytes came" in str(caught.value) and "unpack" not in str(caught.value)


@pytest.mark.parametrize("name", ["a..example", f"{'a' * 64}.example", "ü" * 70, ".".join(["abcdefgh"] * 40)])
def test_names_that_cannot_be_asked(name: str) -> None:
    with pytest.raises(Undetermined, match="cannot be a name in DNS"):
        result(name=name, server="127.0.0.1", port=1)


def test_the_root_has_a_name() -> None:
    assert dns.question(".", "NS", 1)[12:] == b"\0" + struct.pack(">HH", 2, 1)
    assert dns.question("example.", "A", 1)[12:] == dns.question("example", "A", 1)[12:]


@pytest.mark.parametrize("host", ["bücher..example", "ü" * 70, "a..b"])
def test_hosts_that_no_probe_can_reach_are_said_plainly(host: str) -> None:
    assert "cannot be a name in DNS" in result(name=host).message
    for module, fields in ((tcp, {"probe": "tcp", "port": 1}), (ping, {"probe": "ping"})):
        (check,) = parse_checks([{"id": "x", "title": "x", "host": host, **fields}], find_spec, registry.PROBES, 10)
        with pytest.raises(Undetermined, match="cannot be a name in DNS"):
            module.open_source([check], None) if module is ping else module.observe(None, check)


def test_the_shortest_time_that_others_may_keep_the_answer() -> None:
    query = dns.question("db.example.com", "A", 7)
    head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, 2, 0, 0)
    entries = [b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, ttl, 4) + b"\x0a\0\0\1" for ttl in (300, 45)]
    assert dns.read(head + query[12:] + b"".join(entries), "A", 7).ttl == 45
    with serving(lambda asked: answer(asked, "A", [b"\x0a\0\0\1"])) as port:
        raw = {"id": "t", "title": "T", "probe": "dns", "name": "db.example.com", "server": "127.0.0.1", "port": port,
               "metric": "ttl"}  # fmt: skip
        (check,) = parse_checks([raw], find_spec, registry.PROBES, 10.0)
        assert probe.observe(None, check).value == 60
