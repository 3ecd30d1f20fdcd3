# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From which address a port is asked, which ports are not asked, and real servers that serve some addresses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address, ip_network
from threading import Thread
from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import loopback
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.loopback import (
    Seen,
    ask_servers,
    held_networks,
    is_held,
    judged,
    source_for,
)
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.nginx import Listen, Server
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.web import Web

# Of a host with a virtual address (secondary), and a network that is routed to it as a whole.
FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.0.0/24 2 0 2
        |-- 10.0.0.0
           /24 link UNICAST
        |-- 10.0.0.5
           /32 host LOCAL
        |-- 10.0.0.6
           /32 host LOCAL
        |-- 10.0.0.255
           /32 link BROADCAST
Local:
        |-- 127.0.0.0
           /31 link UNICAST
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
        |-- 192.0.2.0
           /28 host LOCAL
"""
IF_INET6 = """00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000005 04 40 00 82     eth0
fe8000000000000000fc00fffe000001 04 40 20 80     eth0
"""
HELD = held_networks(FIB_TRIE, IF_INET6)


def test_the_addresses_of_a_host() -> None:
    assert [str(network) for network in HELD] == [
        "10.0.0.5/32", "10.0.0.6/32", "127.0.0.0/8", "127.0.0.1/32", "192.0.2.0/28",
        "::1/128", "2001:db8::5/128", "fe80::fc:ff:fe00:1/128",
    ]  # fmt: skip
    assert held_networks("", "") == [] and held_networks("anything\n|-- x\n", "zz\n\n") == []


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("10.0.0.5", True), ("10.0.0.6", True), ("10.0.0.7", False), ("127.0.0.1", True), ("127.5.5.5", True),
        ("192.0.2.3", True), ("192.0.2.99", False), ("10.0.0.255", False), ("::1", True), ("2001:db8::5", True),
        ("2001:db8::6", False),
    ],
)  # fmt: skip
def test_what_another_host_has(address: str, held: bool) -> None:
    assert is_held(ip_address(address), HELD) is held
    assert is_held(ip_address(address), []), "nobody knows"


@pytest.mark.parametrize(
    ("address", "served", "source"),
    [
        ("127.0.0.1", [], "127.0.0.1"), ("127.0.0.1", ["127.0.0.1/32"], "127.0.0.2"), ("::1", [], "::1"),
        ("127.0.0.1", ["127.0.0.0/8"], "10.0.0.5"), ("127.0.0.1", ["127.0.0.0/8", "10.0.0.0/8"], None),
        ("10.0.0.5", [], "10.0.0.5"), ("10.0.0.5", ["10.0.0.0/8"], "127.0.0.1"), ("::1", ["::1/128"], "2001:db8::5"),
        ("10.0.0.5", ["10.0.0.0/8", "127.0.0.0/29"], "127.83.61.7"), ("10.0.0.5", ["0.0.0.0/0"], None),
        ("::1", ["::1/128", "2001:db8::/32"], None), ("::1", ["127.0.0.0/8"], "::1"), ("::1", ["::/0"], None),
        ("2001:db8::5", ["2001:db8::/32"], "::1"),
    ],
)  # fmt: skip
def test_from_which_address_a_port_is_asked(address: str, served: list[str], source: str | None) -> None:
    assert source_for(ip_address(address), [ip_network(text) for text in served], HELD) == source


@contextmanager
def nginx(address: str, served: list[str]) -> Iterator[Listen]:
    """A server in the mode: 200 to the addresses that it serves, 503 to all others."""
    networks = [ip_network(text) for text in served]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            is_served = any(ip_address(self.client_address[0]) in network for network in networks)
            self.send_response(200 if is_served else 503)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            return

    class Net(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in address else socket.AF_INET

    with Net((address, 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Listen(address, server.server_address[1], False, False, True)
        finally:
            server.shutdown()
            thread.join()


def asked(addresses: list[str], served: list[str]) -> list[Seen]:
    text = "geo $x {\n    default 0;\n" + "".join(f"    {network} 1;\n" for network in served) + "}\n"
    with ExitStack() as stack:
        listens = tuple(stack.enter_context(nginx(address, served)) for address in addresses)
        return ask_servers([Server(("shop.example.com",), listens)], text)


@pytest.fixture
def lone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that has its loopback addresses only, so that the test's machine does not matter."""
    texts = {loopback._IPV4: "|-- 127.0.0.0\n   /8 host LOCAL\n", loopback._IPV6: IF_INET6.split("\n", maxsplit=1)[0]}
    monkeypatch.setattr(loopback, "_content", texts.__getitem__)


@pytest.mark.parametrize(
    ("addresses", "served", "statuses"),
    [
        (["127.0.0.1"], [], [503]), (["127.0.0.1", "::1"], [], [503, 503]), (["127.0.0.1"], ["127.0.0.1"], [503]),
        (["127.0.0.1", "::1"], ["::1"], [503, 0]), (["::1"], ["::1"], [0]), (["127.0.0.5"], ["127.0.0.5"], [503]),
        (["127.0.0.1", "::1"], ["127.0.0.0/8"], [0, 503]), (["127.0.0.1", "::1"], ["127.0.0.0/8", "::/0"], [0, 0]),
        (["::1"], ["10.0.0.0/8", "2001:db8::/32"], [503]),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("lone")
def test_no_site_is_refused_for_whom_it_serves(addresses: list[str], served: list[str], statuses: list[int]) -> None:
    seen = asked(addresses, served)
    assert [answer.status for answer in seen] == statuses and judged(seen) is None
    assert [bool(answer.unasked) for answer in seen] == [status == 0 for status in statuses]


def own_address() -> str:
    """The one that this machine has as long as it has a network; those of bridges come and go with their containers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(asking.getsockname()[0])


def test_an_address_of_this_machine_that_is_served() -> None:
    for address in sorted({"127.0.0.1", own_address()}):
        assert [answer.status for answer in asked([address], [address])] == [503], address


@pytest.mark.usefixtures("lone")
@pytest.mark.parametrize(
    ("server", "words"),
    [
        (Server(("shop",), (Listen("198.51.100.9", 80, False, False, False),)), "another host has this address"),
        (Server(("shop",), (Listen("no..name", 80, False, False, False),)), "nobody knows the address"),
        (Server(("~^a",), (Listen("127.0.0.1", 80, False, False, False),)), "it has no name"),
        (Server(("shop",), ()), "no server has a TCP port"),
    ],
)
def test_where_nobody_can_be_asked_it_is_a_warning(server: Server, words: str) -> None:
    others = [Server(("b",), ())]
    assert judged(ask_servers([server, *others], "")) is None
    step, unproven = Web("shop", "/nowhere")._proven([server, *others])
    assert step == unproven and words in step and "web.probe" in step


@pytest.mark.usefixtures("lone")
def test_one_that_serves_everybody_is_refused() -> None:
    with nginx("127.0.0.1", ["0.0.0.0/0"]) as listen, pytest.raises(TargetError, match="HTTP 200 in the mode"):
        Web("shop", "/nowhere")._proven([Server(("shop",), (listen,))])
