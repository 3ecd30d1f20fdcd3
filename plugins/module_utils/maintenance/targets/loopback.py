# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking nginx on this host as its users do: by a server's name and port, past DNS and whatever is in front of it."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Sequence, Union

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.nginx import Listen, Server, host_name

_LIMIT = 10.0
# Redirects to the server that shows the page, such as from HTTP to HTTPS; and refusals before any rule of the site's
# counts: no client certificate, a name that the connection is not for.
_ELSEWHERE = (301, 302, 303, 307, 308, 400, 421)
_LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.83.61.7", "127.209.14.33", "::1")
# proc(5): the addresses of this network namespace. Binding to one proves nothing where ip_nonlocal_bind is set.
_IPV4, _IPV6 = "/proc/net/fib_trie", "/proc/net/if_inet6"

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Seen:
    """What a server answered: its status, why there is none (`error`), or why it was not asked (`unasked`)."""

    where: str
    status: int = 0
    error: str = ""
    unasked: str = ""

    @property
    def words(self) -> str:
        if self.unasked:
            return f"{self.where} was not asked: {self.unasked}"
        return f"{self.where} says {self.error or f'HTTP {self.status}'}"


def ask_servers(servers: Sequence[Server], allowed: str) -> list[Seen]:
    """What each server answers on each of its ports, one name a server. `allowed`: what of the role's text is a geo.

    An answer to an address that the site serves in the mode says nothing about users: each port is asked from one that
    it does not serve. Where this host has none, or another host has the address, the port is not asked.
    """
    served, held = _networks(allowed), held_networks(_content(_IPV4), _content(_IPV6))
    found = []
    for server in servers:
        for listen in server.listens:
            name = host_name(server) or ("localhost" if listen.is_default or len(servers) == 1 else None)
            found.append(_answer(listen, name, served, held))
    return found


def _answer(listen: Listen, name: str | None, served: Sequence[Network], held: Sequence[Network]) -> Seen:
    where = f"{'https' if listen.tls else 'http'}://{name or '_'}:{listen.port}/ (at {listen.address})"
    if name is None:
        return Seen(where, unasked="it has no name that a request can have")
    address = _resolved(listen)
    if address is None:
        return Seen(where, unasked=f"nobody knows the address of {listen.address}")
    if not is_held(address, held):
        return Seen(where, unasked="another host has this address now")
    source = source_for(address, served, held)
    if source is None:
        return Seen(where, unasked="maintenance_page_allow has every address that this host could ask from")
    return _ask(listen, name, where, str(address), source)


def judged(seen: Sequence[Seen]) -> str | None:
    """What is wrong: servers that answer users, or none that shows the page; None where all is as it should be."""
    asked = [answer for answer in seen if not answer.unasked]
    wrong = [answer.words for answer in asked if not answer.error and answer.status not in (503, *_ELSEWHERE)]
    if not wrong and asked and not any(answer.status == 503 for answer in asked):
        wrong = [answer.words for answer in asked]
    return ", ".join(wrong) or None


def source_for(address: Address, served: Sequence[Network], held: Sequence[Network]) -> str | None:
    """An address of this host that the site does not serve in the mode, and that reaches `address`; None: no such."""
    others = [str(network.network_address) for network in held if network.num_addresses == 1]
    for text in (str(address), *_LOOPBACK, *others):
        candidate = ipaddress.ip_address(text)
        # A link-local address is one of an interface's, which a request would have to name.
        fits = candidate.version == address.version and not candidate.is_link_local
        if fits and not any(candidate in network for network in served):
            return text
    return None


def is_held(address: Address, held: Sequence[Network]) -> bool:
    """Whether this host has it. Where nobody knows its addresses, the request tells."""
    known = [network for network in held if network.version == address.version]
    return address.is_loopback or not known or any(address in network for network in known)


def held_networks(fib_trie: str, if_inet6: str) -> list[Network]:
    """The addresses of a host: by the text of /proc/net/fib_trie (whole networks too), and of /proc/net/if_inet6."""
    found: list[Network] = []
    for address, entries in re.findall(r"\|-- ([0-9.]+)\n((?:\s+/\d+ [^\n]*\n?)*)", fib_trie):
        found += [ipaddress.ip_network(f"{address}/{length}") for length in re.findall(r"/(\d+) host LOCAL", entries)]
    for line in if_inet6.split("\n"):
        with suppress(ValueError, IndexError):
            found.append(ipaddress.ip_network(int(line.split()[0], 16).to_bytes(16, "big")))
    return list(dict.fromkeys(found))


def _networks(allowed: str) -> list[Network]:
    found: list[Network] = []
    for word in re.findall(r"^\s*([0-9A-Fa-f:.]+(?:/\d+)?)\s+1;", allowed, re.MULTILINE):
        with suppress(ValueError):
            found.append(ipaddress.ip_network(word, strict=False))
    return found


def _content(path: str) -> str:
    with suppress(OSError), open(path, encoding="ascii") as stream:
        return stream.read()
    return ""


def _resolved(listen: Listen) -> Address | None:
    """nginx takes names too, such as localhost."""
    with suppress(OSError, ValueError):
        found = socket.getaddrinfo(listen.address, listen.port, type=socket.SOCK_STREAM)
        return ipaddress.ip_address(found[0][4][0])
    return None


def _ask(listen: Listen, name: str, where: str, address: str, source: str) -> Seen:
    try:
        raw = socket.create_connection((address, listen.port), timeout=_LIMIT, source_address=(source, 0))
        with raw:
            if listen.proxy_protocol:
                family = "TCP6" if ":" in source else "TCP4"
                raw.sendall(f"PROXY {family} {source} {address} 9 {listen.port}\r\n".encode())
            stream = _tls(raw, name) if listen.tls else raw
            with stream:
                lines = ("GET / HTTP/1.1", f"Host: {name}", "User-Agent: day2.ops", "Connection: close", "", "")
                stream.sendall("\r\n".join(lines).encode())
                answer = http.client.HTTPResponse(stream)
                answer.begin()
                return Seen(where, answer.status)
    except (OSError, http.client.HTTPException) as exc:
        return Seen(where, error=getattr(exc, "strerror", None) or str(exc) or type(exc).__name__)


def _tls(raw: socket.socket, name: str) -> ssl.SSLSocket:
    # Whether its certificate is good is another question than what it answers.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(raw, server_hostname=name)
