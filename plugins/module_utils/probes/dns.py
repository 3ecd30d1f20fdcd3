# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name resolution: as programs of this host see it, or as one server answers."""

from __future__ import annotations

import secrets
import socket
import struct
import time
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import Value
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import dns


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    if args["port"] is not None and args["server"] is None:
        raise FieldError("port", "is a server's; it needs 'server'")


SPEC = ProbeSpec(
    doc="Resolves a name. Without `server`, A and AAAA are asked as every program of this host asks (hosts file"
    " included), other types of the first server in /etc/resolv.conf. A name that does not resolve is critical, and so"
    " is an answer without what `expect` names.",
    arguments={
        "name": Argument("str", "The name; for PTR an address will do.", required=True),
        "type": Argument("str", "The type of record.", default="A", choices=tuple(dns.TYPES)),
        "server": Argument("str", "The server to ask."),
        "port": Argument("port", "Its port, where it is not 53."),
        "expect": Argument("strings", "Records that have to be in the answer."),
    },
    metrics={
        "latency": Metric("Time until the answer was there.", "ms", elapsed=True),
        "count": Metric("How many records there are.", "records"),
        "answer": Metric("The records, sorted, with a space between.", words=True),
    },
    default_metric="latency",
    validate=_validate,
)
_RESOLV = "/etc/resolv.conf"
_PORT = 53
# A datagram may be lost: it is sent again after so many seconds.
_AGAIN = (1.0, 2.0, 4.0, 8.0, 30.0)


def _ask(name: str, kind: str, server: str, port: int) -> dns.Answer:
    number = secrets.randbelow(1 << 16)
    try:
        asked = dns.question(name, kind, number)
        family, _type, _protocol, _canonical, address = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
        answer = _by_datagram(asked, kind, number, family, address)
        return _by_stream(asked, kind, number, address[:2]) if answer.truncated else answer
    except socket.gaierror as exc:
        raise Undetermined(f"the server {server} cannot be resolved: {exc.strerror}") from exc
    except dns.DnsError as exc:
        raise Undetermined(f"{server}: {exc}") from exc
    except (OSError, UnicodeError) as exc:
        raise Undetermined(f"{server} cannot be asked: {getattr(exc, 'strerror', None) or exc}") from exc


def _by_datagram(asked: bytes, kind: str, number: int, family: int, address: Any) -> dns.Answer:
    with socket.socket(family, socket.SOCK_DGRAM) as channel:
        channel.connect(address)
        for patience in _AGAIN:
            channel.send(asked)
            channel.settimeout(patience)
            try:
                return dns.read(channel.recv(65535), kind, number)
            except socket.timeout:
                continue
    raise TimeoutError("no answer")


def _by_stream(asked: bytes, kind: str, number: int, address: Any) -> dns.Answer:
    with socket.create_connection(address) as channel, channel.makefile("rwb") as stream:
        stream.write(struct.pack(">H", len(asked)) + asked)
        stream.flush()
        (length,) = struct.unpack(">H", stream.read(2))
        return dns.read(stream.read(length), kind, number)


def _first_server() -> str:
    try:
        with open(_RESOLV, encoding="utf-8", errors="replace") as lines:
            servers = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    except OSError as exc:
        raise Undetermined(f"{_RESOLV}: {exc.strerror}") from exc
    if not servers:
        raise Undetermined(f"{_RESOLV} names no server")
    return servers[0]


def _resolve(args: Any) -> tuple[list[str], str | None]:
    """The records, and why there are none."""
    name, kind, server = args["name"], args["type"], args["server"]
    if server is None and kind in ("A", "AAAA"):
        family = socket.AF_INET if kind == "A" else socket.AF_INET6
        try:
            found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as exc:
            return [], getattr(exc, "strerror", None) or str(exc)
        return sorted({str(entry[4][0]) for entry in found}), None
    answer = _ask(name, kind, server or _first_server(), args["port"] or _PORT)
    if answer.code:
        return [], dns.CODES.get(answer.code, f"code {answer.code}")
    return answer.records, None if answer.records else f"there is no {kind} record"


def observe(_source: object, check: Check) -> Observation:
    args = check.args
    begun = time.monotonic()
    records, trouble = _resolve(args)
    latency = time.monotonic() - begun
    name = f"{args['name']} ({args['type']})"
    if args["server"] is not None:
        name += f" at {args['server']}"
    if trouble is not None:
        return Observation(None, "", failure=f"{name} does not resolve: {trouble}")
    shown = " ".join(records)
    text = f"{name} is {shown} ({format_duration(latency)})"
    missing = [record for record in args["expect"] or () if record not in records]
    if missing:
        return Observation(None, "", failure=f"{name} is {shown}, without {', '.join(missing)}", evidence=records)
    values: dict[str, Value] = {"latency": round(latency * 1000, 3), "count": len(records), "answer": shown}
    return Observation(values[check.metric.name], text, evidence=records if len(records) > 1 else [])
