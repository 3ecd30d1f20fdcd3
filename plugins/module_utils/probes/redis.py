# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Redis: whether it answers, its hit rate, its memory, its queues. Checks of one server share one connection."""

from __future__ import annotations

import socket
import ssl
import time
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.redis.client import Address, Connection, RedisError, parse_info
from ansible_collections.day2.ops.plugins.module_utils.redis.sample import Prefix, take
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    counted,
    format_bytes,
    format_duration,
    format_quantity,
)

_CONNECTION = ("host", "port", "path", "user", "password", "database", "tls", "validate_certs", "ca_path")
_NEEDED = {"info": "field", "length": "key"}


def _validate(args: dict[str, Any], metric: str | None) -> None:
    for name, argument in _NEEDED.items():
        if metric == name and args[argument] is None:
            raise FieldError(argument, f"is missing; metric '{name}' needs it")
        if args[argument] is not None and metric not in (None, name):
            raise FieldError(argument, f"is for metric '{name}', not for '{metric}'")
    if args["prefix"] is not None and metric not in (None, "prefix_memory"):
        raise FieldError("prefix", f"is for metric 'prefix_memory', not for '{metric}'")
    if args["path"] is not None and (args["host"] is not None or args["port"] is not None):
        raise FieldError("path", "is a socket and does not go with 'host' or 'port'")


def _choose(args: dict[str, Any]) -> str:
    given = [name for name, argument in _NEEDED.items() if args[argument] is not None]
    return given[0] if given else "prefix_memory" if args["prefix"] is not None else "latency"


SPEC = ProbeSpec(
    doc="A Redis server (or one that speaks its protocol). One that does not answer or refuses the login is critical."
    " One that answers a user without the right to a command serves; what that user may not ask is unknown.",
    arguments={
        "host": Argument("str", "Name or address of the server; without it localhost."),
        "port": Argument("port", "Port of the server; without it 6379."),
        "path": Argument("path", "A Unix socket of the server, instead of `host` and `port`."),
        "user": Argument("str", "The ACL user that asks; without it the default one."),
        "password": Argument("str", "Password of the user, or of the server where it has no users.", secret=True),
        "database": Argument("int", "The number of the database that keys are in.", default=0),
        "tls": Argument("bool", "Whether the connection is by TLS.", default=False),
        "validate_certs": Argument("bool", "Whether the server's certificate must be valid.", default=True),
        "ca_path": Argument("path", "A file of certificates to trust instead of the system's."),
        "field": Argument("str", "For `info`: a field of INFO, such as connected_clients."),
        "key": Argument("str", "For `length`: a list, stream, set, sorted set or hash."),
        "prefix": Argument("str", "For `prefix_memory`: only keys that begin so."),
        "min_lookups": Argument("count", "For `hit_rate`: with fewer look-ups nothing is said.", default=100),
    },
    metrics={
        "latency": Metric("Time until the server answered a PING.", "ms", elapsed=True),
        "hit_rate": Metric("Look-ups that found their key, since the statistics were reset.", "%"),
        "memory": Metric("Memory that the data takes (used_memory).", "B"),
        "memory_percent": Metric("Memory that the data takes as a share of maxmemory.", "%"),
        "info": Metric("A field of INFO; its unit is the check's `unit`.", None),
        "length": Metric("How many elements `key` has; a key that is not there has none.", "elements"),
        "prefix_memory": Metric("Memory of the keys with `prefix`, estimated from a sample, by prefix.", "B"),
        "replication_lag": Metric("On a replica the time since its primary was last heard.", "s"),
    },
    default_metric="latency",
    connection=_CONNECTION,
    validate=_validate,
    choose_metric=_choose,
)
_LENGTHS = {"list": "LLEN", "stream": "XLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN"}
# A sample may take this share of what its check may take, and never longer than this.
_SAMPLE_SHARE, _SAMPLE_SECONDS = 0.4, 3.0
_SHOWN = 15


@dataclass
class Session:
    """A connection and what INFO said, or why there is none. `refused` is why INFO says nothing to this user."""

    where: str
    connection: Connection | None = None
    latency: float = 0.0
    info: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    refused: str | None = None

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


def source_key(check: Check) -> object:
    return tuple(check.args[name] for name in _CONNECTION)


def open_source(checks: list[Check], _progress: object) -> Session:
    args = checks[0].args
    given = {name: args[name] for name in _CONNECTION if args[name] is not None}
    address = Address(**given)
    session = Session(str(address))
    try:
        session.connection = Connection(address)
        begun = time.monotonic()
        (pong,) = session.connection.ask_all([["PING"]])
        session.latency = time.monotonic() - begun
        if isinstance(pong, RedisError) and not _no_permission(pong):
            raise pong
        (info,) = session.connection.ask_all([["INFO", "everything"]])
        if isinstance(info, bytes):
            session.info = parse_info(info.decode("utf-8", "replace"))
        else:
            session.refused = f"INFO is refused to this user ({info})"
    except socket.gaierror as exc:
        session.error = f"its name cannot be resolved: {exc.strerror}"
    except ssl.SSLError as exc:
        session.error = f"TLS failed: {getattr(exc, 'verify_message', None) or exc.reason or exc}"
    except (OSError, UnicodeError) as exc:
        session.error = getattr(exc, "strerror", None) or str(exc)
    except RedisError as exc:
        session.error = str(exc)
    return session


def _no_permission(answer: RedisError) -> bool:
    """Whether a server that works keeps a command from this user (its ACL, or a command that was renamed)."""
    return str(answer).startswith(("NOPERM", "ERR unknown command"))


def observe(session: Session, check: Check) -> Observation:
    name, where = check.metric.name, session.where
    if session.error is not None or session.connection is None:
        said = f"{where} does not serve: {session.error}"
        if name == "latency":
            return Observation(None, "", failure=said)
        raise Undetermined(said)
    try:
        return _METRICS[name](session, check)
    except RedisError as exc:
        raise Undetermined(f"{where} refuses: {exc}") from exc


def _latency(session: Session, _check: Check) -> Observation:
    about = session.refused or f"Redis {session.info.get('redis_version', '?')}"
    text = f"{session.where} answers in {format_duration(session.latency)} ({about})"
    return Observation(round(session.latency * 1000, 3), text)


def _known(session: Session) -> dict[str, str]:
    if session.refused is not None:
        raise Undetermined(f"{session.where} answers, but {session.refused}")
    return session.info


def _number(session: Session, name: str) -> int:
    try:
        return int(_known(session)[name])
    except (KeyError, ValueError):
        raise Undetermined(f"{session.where} does not tell {name}") from None


def _hit_rate(session: Session, check: Check) -> Observation:
    hits, misses = _number(session, "keyspace_hits"), _number(session, "keyspace_misses")
    if hits + misses < check.args["min_lookups"]:
        raise Undetermined(f"{counted(hits + misses, 'look-up')} in {session.where}: too few to speak of a hit rate")
    share = 100.0 * hits / (hits + misses)
    return Observation(round(share, 2), f"{share:.1f} % of {hits + misses} look-ups in {session.where} found their key")


def _memory(session: Session, check: Check) -> Observation:
    used, limit = _number(session, "used_memory"), _number(session, "maxmemory")
    policy = session.info.get("maxmemory_policy", "?")
    bound = f"of {format_bytes(limit)} ({policy})" if limit else "without a limit (maxmemory 0)"
    text = f"{session.where} uses {format_bytes(used)} {bound}"
    evidence = [f"{name}={session.info[name]}" for name in _MEMORY_FIELDS if name in session.info]
    if check.metric.name == "memory":
        return Observation(used, text, evidence=evidence)
    if not limit:
        raise Undetermined(f"{text}: there is no share of no limit")
    return Observation(round(100.0 * used / limit, 2), text, evidence=evidence)


_MEMORY_FIELDS = (
    "used_memory_peak_human",
    "mem_fragmentation_ratio",
    "evicted_keys",
    "expired_keys",
    "maxmemory_policy",
)


def _info(session: Session, check: Check) -> Observation:
    name = check.args["field"]
    if name not in _known(session):
        raise Undetermined(f"INFO of {session.where} has no field {name}")
    text = session.info[name]
    try:
        value: int | float = float(text) if "." in text else int(text)
    except ValueError:
        return Observation(text, f"{name} is {text}")
    unit = check.metric.unit
    return Observation(value, f"{name} is {format_quantity(value, unit) if unit is not None else text}")


def _length(session: Session, check: Check) -> Observation:
    key = check.args["key"]
    connection = _connected(session)
    kind = connection.ask("TYPE", key)
    if kind == "none":
        return Observation(0, f"there is no key {key} in {session.where}: nothing waits")
    if kind not in _LENGTHS:
        raise Undetermined(f"{key} is a {kind}, which has no length")
    length = connection.ask(_LENGTHS[kind], key)
    return Observation(length, f"{kind} {key} has {counted(length, 'element')}")


def _prefix_memory(session: Session, check: Check) -> Observation:
    connection, prefix = _connected(session), check.args["prefix"]
    total = connection.ask("DBSIZE")
    seconds = min(check.timeout * _SAMPLE_SHARE, _SAMPLE_SECONDS)
    match = "".join(f"\\{sign}" if sign in "*?[]\\" else sign for sign in prefix) + "*" if prefix else None
    sample = take(connection, total, seconds, match)
    found = {name: Prefix(seen.keys, seen.weighed, seen.bytes) for name, seen in sample.prefixes.items()}
    estimate = sum(seen.estimate() for seen in found.values()) / (sample.share or 1.0)
    keys = round(sample.seen / (sample.share or 1.0))
    what = f"keys with {prefix}" if prefix else "all keys"
    certain = "" if sample.share == 1.0 else f" (from a sample of {sample.seen})"
    text = f"{what} take about {format_bytes(estimate)} in {session.where}: {counted(keys, 'key')}{certain}"
    ranked = sorted(found.items(), key=lambda item: -item[1].estimate())[:_SHOWN]
    evidence = [
        f"{prefix or name}: about {format_bytes(seen.estimate() / sample.share)},"
        f" {counted(round(seen.keys / sample.share), 'key')}"
        for name, seen in ranked
    ]
    return Observation(int(estimate), text, evidence=evidence)


def _replication_lag(session: Session, _check: Check) -> Observation:
    if _known(session).get("role") != "slave":
        replicas = counted(int(session.info.get("connected_slaves") or 0), "replica")
        raise Undetermined(f"{session.where} is a primary with {replicas}")
    if session.info.get("master_link_status") != "up":
        return Observation(None, "", failure=f"{session.where} has lost its primary {session.info.get('master_host')}")
    lag = _number(session, "master_last_io_seconds_ago")
    return Observation(lag, f"{session.where} heard its primary {lag} s ago")


def _connected(session: Session) -> Connection:
    if session.connection is None:
        raise Undetermined(f"{session.where} is not connected")
    return session.connection


_METRICS = {
    "latency": _latency,
    "hit_rate": _hit_rate,
    "memory": _memory,
    "memory_percent": _memory,
    "info": _info,
    "length": _length,
    "prefix_memory": _prefix_memory,
    "replication_lag": _replication_lag,
}
