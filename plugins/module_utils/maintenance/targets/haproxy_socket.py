# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HAProxy's runtime socket: what it says of its servers, and what it is told (HAProxy's management guide, 9.3)."""

from __future__ import annotations

import csv
import re
import socket
import time
from dataclasses import dataclass
from typing import Iterable

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import REQUEST
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

SOCKET = "/run/haproxy/admin.sock"
# Bits of srv_admin_state that somebody has set. The others are no orders: what is inherited (`track`), an address that
# DNS does not know, and 0x04, which a server that is `disabled` in the configuration has for good, also when it serves.
_FORCED_MAINT, _FORCED_DRAIN = 0x01, 0x08
# Of srv_agent_state: whether the agent is asked. One that says `ready` ends a maintenance.
_AGENT_ENABLED = 0x04
READY, DRAINING, MAINT = "ready", "drain", "maint"


class NotRunning(TargetError):
    """Nobody listens at the socket: no process has any state, and none serves anybody."""


@dataclass(frozen=True)
class Server:
    """As HAProxy has it: its state as somebody set it, whether it serves, whether its agent is asked, where it is."""

    name: str
    state: str
    serves: bool
    agent: bool
    address: str = ""
    port: int = 0

    @property
    def backend(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Load:
    """What a server is busy with, and which one it follows (`track`)."""

    sessions: int
    follows: str


def servers(answer: str) -> dict[str, Server]:
    """Those that `show servers state` lists, by backend/server. Other columns may come with releases."""
    lines = [line.split() for line in answer.splitlines() if line.strip()]
    header = next((words[1:] for words in lines if words[0] == "#"), [])
    found = {}
    for row in (dict(zip(header, words)) for words in lines):
        if row.get("srv_admin_state", "").isdigit():
            name, admin = f"{row['be_name']}/{row['srv_name']}", int(row["srv_admin_state"])
            state = MAINT if admin & _FORCED_MAINT else DRAINING if admin & _FORCED_DRAIN else READY
            agent = bool(int(row.get("srv_agent_state", "0")) & _AGENT_ENABLED)
            serves = row["srv_op_state"] != "0" and state == READY
            found[name] = Server(name, state, serves, agent, row.get("srv_addr", ""), int(row.get("srv_port", "0")))
    return found


def loads(answer: str) -> dict[str, Load]:
    """What `show stat` has of servers, by backend/server; a session that waits for a server is its own already."""
    rows = csv.DictReader(answer.lstrip("# ").splitlines())
    return {
        f"{row['pxname']}/{row['svname']}": Load(
            int(row["scur"] or 0) + int(row["qcur"] or 0), row.get("tracked", "") or ""
        )
        for row in rows
        if row.get("svname") not in (None, "FRONTEND", "BACKEND") and row.get("scur") is not None
    }


def chosen(entries: Iterable[str], known: Iterable[str]) -> list[str]:
    """The servers that are meant: `backend/server`, or `backend` for all of it; TargetError for a name of nothing."""
    backends: dict[str, list[str]] = {}
    for name in known:
        backends.setdefault(name.partition("/")[0], []).append(name)
    found: list[str] = []
    for entry in entries:
        backend, slash, server = entry.partition("/")
        if backend not in backends:
            there = meant(backend, backends) if backends else "it has no backend with servers"
            raise TargetError(f"haproxy: {entry!r}: HAProxy has no backend {backend!r} with servers; {there}")
        if slash and entry not in backends[backend]:
            there = meant(server, [name.partition("/")[2] for name in backends[backend]])
            raise TargetError(f"haproxy: {entry!r}: backend {backend} has no server {server!r}; {there}")
        found += [entry] if slash else backends[backend]
    return list(dict.fromkeys(found))


def check_access(path: str) -> None:
    """Refuse a socket that could not set states, or not those of all processes."""
    level = ask(path, "show cli level").strip()
    if level in ("user", "operator"):
        raise TargetError(
            f"haproxy: {path} has level {level}, and states are set at level admin: write `level admin` into its line"
            " `stats socket` of HAProxy's configuration, and reload it"
        )
    processes = re.search(r"^Nbproc: (\d+)", ask(path, "show info"), re.MULTILINE)
    if processes and int(processes[1]) > 1:
        raise TargetError(
            f"haproxy: HAProxy runs as {processes[1]} processes (nbproc), each with states of its own, and {path} is of"
            " one of them: use threads (nbthread)"
        )


def known_servers(path: str) -> dict[str, Server]:
    answer = ask(path, "show servers state")
    if "srv_admin_state" not in answer:
        raise TargetError(
            f"haproxy: {path} does not know `show servers state`: is it the socket of HAProxy's master process, or of"
            " another program? What is needed is a `stats socket` with `level admin`"
        )
    return servers(answer)


def tell(path: str, command: str) -> None:
    """A command that answers with nothing, unless it is refused."""
    said = ask(path, command).strip()
    if said:
        raise TargetError(f"haproxy: {command}: {said.splitlines()[0]}")


def ask(path: str, command: str) -> str:
    """What HAProxy says to a command, within a limit."""
    said, end = bytearray(), time.monotonic() + REQUEST
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(REQUEST)
            connection.connect(path)
            connection.sendall(f"{command}\n".encode())
            # The master process answers only then.
            connection.shutdown(socket.SHUT_WR)
            while True:
                connection.settimeout(max(end - time.monotonic(), 0.001))
                chunk = connection.recv(65536)
                if not chunk:
                    return said.decode("utf-8", "replace")
                said += chunk
    except FileNotFoundError:
        raise NotRunning(
            f"haproxy: {path} is missing: does HAProxy run, and is `stats socket {path} level admin` its own?"
        ) from None
    except ConnectionRefusedError:
        raise NotRunning(f"haproxy: nobody listens at {path}: HAProxy does not run, or has another socket") from None
    except socket.timeout:
        raise TargetError(f"haproxy: {path}: no answer within {format_duration(REQUEST)}") from None
    except OSError as exc:
        raise TargetError(f"haproxy: {path}: {exc.strerror or exc}") from exc
