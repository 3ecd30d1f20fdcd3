# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name resolution: as programs of this host see it, or as one server answers."""

from __future__ import annotations

import socket
import time
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import Value
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network import dns, resolver
from ansible_collections.day2.ops.plugins.module_utils.network.address import AddressError, ascii_host
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration


def _validate(args: dict[str, Any], _metric: str | None) -> None:
    if args["port"] is not None and args["server"] is None:
        raise FieldError("port", "is a server's; it needs 'server'")


SPEC = ProbeSpec(
    doc="Resolves a name. Without `server`, A and AAAA are asked as every program of this host asks (hosts file"
    " included), other types, and all for metric `ttl`, of the first server in /etc/resolv.conf. A name that does not"
    " resolve is critical, and so is an answer without what `expect` names.",
    arguments={
        "name": Argument("str", "The name; for PTR an address will do.", required=True),
        "type": Argument("str", "The type of record.", default="A", choices=tuple(dns.TYPES)),
        "server": Argument("str", "The server to ask."),
        "port": Argument("port", "The port of `server`, where it is not 53."),
        "expect": Argument(
            "strings",
            "Records that have to be in the answer. Case, a final dot and the spelling of an address do not count.",
        ),
    },
    metrics={
        "latency": Metric("Time until the answer was there.", "ms", elapsed=True),
        "count": Metric("How many records there are.", "records"),
        "ttl": Metric("How long others may keep the answer; what a resolver has kept has the rest of it.", "s"),
        "answer": Metric("The records, sorted, with a space between.", words=True),
    },
    default_metric="latency",
    validate=_validate,
)
_RESOLV = "/etc/resolv.conf"


def _first_server() -> str:
    try:
        with open(_RESOLV, encoding="utf-8", errors="replace") as lines:
            servers = [words[1] for words in map(str.split, lines) if len(words) > 1 and words[0] == "nameserver"]
    except OSError as exc:
        raise Undetermined(f"{_RESOLV}: {exc.strerror}") from exc
    if not servers:
        raise Undetermined(f"{_RESOLV} names no server")
    return servers[0]


def _resolve(args: Any, by_question: bool) -> tuple[list[str], str | None, int | None]:
    """The records, why there are none, and their TTL, which only a server says (`by_question`)."""
    name, kind, server = args["name"], args["type"], args["server"]
    if server is None and kind in ("A", "AAAA") and not by_question:
        family = socket.AF_INET if kind == "A" else socket.AF_INET6
        try:
            found = socket.getaddrinfo(ascii_host(name), None, family, socket.SOCK_STREAM)
        except AddressError:
            return [], "it cannot be a name in DNS", None
        except (socket.gaierror, UnicodeError) as exc:
            return [], getattr(exc, "strerror", None) or "it cannot be a name in DNS", None
        return sorted({str(entry[4][0]) for entry in found}), None, None
    answer = resolver.ask(name, kind, server or _first_server(), args["port"] or resolver.PORT)
    if answer.code:
        return [], dns.CODES.get(answer.code, f"code {answer.code}"), None
    return answer.records, None if answer.records else f"there is no {kind} record", answer.ttl


def _as_expected(shown: str, records: list[str], check: Check) -> str:
    """The answer as a threshold of the check spells it, where that is the same answer."""
    kind = check.args["type"]
    answer = sorted(dns.same(record, kind) for record in records)
    for threshold in (*check.critical, *check.warning):
        if threshold.word is not None and _words(threshold.word, kind, len(records)) == answer:
            return str(threshold.word)
    return shown


def _words(text: str, kind: str, count: int) -> list[str]:
    """The records in a threshold: a text of several words is one record where only one is there."""
    parts = [text] if count == 1 else text.split()
    return sorted(dns.same(part, kind) for part in parts)


def observe(_source: object, check: Check) -> Observation:
    args = check.args
    begun = time.monotonic()
    records, trouble, ttl = _resolve(args, check.metric.name == "ttl")
    latency = time.monotonic() - begun
    name = f"{args['name']} ({args['type']})"
    if args["server"] is not None:
        name += f" at {args['server']}"
    if trouble is not None:
        return Observation(None, "", failure=f"{name} does not resolve: {trouble}")
    shown = " ".join(records)
    text = f"{name} is {shown} ({format_duration(latency)})"
    there = {dns.same(record, args["type"]) for record in records}
    missing = [record for record in args["expect"] or () if dns.same(record, args["type"]) not in there]
    if missing:
        return Observation(None, "", failure=f"{name} is {shown}, without {', '.join(missing)}", evidence=records)
    if check.metric.name == "ttl":
        text = f"{name} is {shown}, and may be kept for {format_duration(ttl or 0)}"
    values: dict[str, Value] = {
        "ttl": ttl,
        "latency": round(latency * 1000, 3),
        "count": len(records),
        "answer": _as_expected(shown, records, check),
    }
    return Observation(values[check.metric.name], text, evidence=records if len(records) > 1 else [])
