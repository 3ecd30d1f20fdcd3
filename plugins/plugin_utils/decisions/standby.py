# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What role postgres_standby does to a host, and what it refuses. Pure."""

from __future__ import annotations

import ipaddress
import re
from datetime import datetime, timezone
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import basic
from ansible_collections.day2.ops.plugins.plugin_utils.decisions.results import changed, items

_SLOT = re.compile(r"[a-z0-9_]{1,63}")
_ROLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_SIZE = re.compile(r"-1|\d+ *(kB|MB|GB|TB)")
# A standby with less of these than its primary stops at the first change of them (PostgreSQL documentation, 27.4.3).
LEAST = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
         "max_locks_per_transaction")  # fmt: skip
_LOCAL = {"localhost", "127.0.0.1", "::1"}
_FIELDS = {"host", "port"}


def problems(
    entry: str,
    primary: Mapping[str, Any],
    standbys: Sequence[Mapping[str, Any]],
    role: str,
    password: str,
    slot: str,
    slot_keep: str,
    source: str,
    stanza: str,
) -> list[str]:
    """What cannot be meant, by the names of the role's variables."""
    found = []
    if not password:
        found.append("postgres_standby_password is empty: set it, from a vault")
    elif re.search(r"[\r\n\0]", password):
        found.append("postgres_standby_password has a line break, which no file of passwords takes")
    if not _ROLE.fullmatch(role):
        found.append(f"postgres_standby_role is '{role}', expected letters, digits and '_'")
    if not _SIZE.fullmatch(str(slot_keep)):
        found.append(f"postgres_standby_slot_keep is '{slot_keep}', expected a size such as 10GB, or -1 for no limit")
    if entry == "primary":
        return found + _of_standbys(standbys)
    if not primary.get("host"):
        found.append("postgres_standby_primary has no 'host': set the address of the primary")
    if not _SLOT.fullmatch(slot):
        found.append(f"postgres_standby_slot is '{slot}', expected lower-case letters, digits and '_'")
    if source == "pgbackrest" and not stanza:
        found.append("postgres_standby_source is pgbackrest, which needs postgres_standby_stanza")
    return found


def _of_standbys(standbys: Sequence[Mapping[str, Any]]) -> list[str]:
    found = [] if standbys else ["postgres_standby_standbys is empty: name the standbys that the primary lets in"]
    for standby in standbys:
        slot, address = str(standby.get("slot", "")), str(standby.get("address", ""))
        if not _SLOT.fullmatch(slot):
            found.append(
                f"postgres_standby_standbys has the slot '{slot}', expected lower-case letters, digits and '_'"
            )
        if _network(address) is None:
            found.append(f"postgres_standby_standbys has the address '{address}', expected one such as 10.0.0.2")
    return found


def _network(address: str) -> str | None:
    try:
        return str(ipaddress.ip_network(address, strict=False))
    except ValueError:
        return None


def unfit(settings: Mapping[str, Any], addresses: Sequence[str]) -> list[str]:
    """Why a primary cannot send to the standbys of these addresses."""
    found, standbys = [], len(addresses)
    listens = {name.strip() for name in str(settings["listens"]).split(",") if name.strip()}
    if listens <= _LOCAL and not all(_is_local(address) for address in addresses):
        heard = f"'{settings['listens']}'"
        found.append(f"listen_addresses is {heard}, where no other host reaches it: set it, and restart the server")
    if settings["wal_level"] == "minimal":
        found.append("wal_level is minimal, which nobody can follow: set it to replica and restart the server")
    # A base backup takes two senders at a time.
    if int(settings["senders"]) < standbys + 2:
        found.append(f"max_wal_senders is {settings['senders']}, and {standbys} standbys need {standbys + 2}")
    if int(settings["slots"]) < standbys:
        found.append(f"max_replication_slots is {settings['slots']}, and {standbys} standbys need {standbys}")
    return found


def _is_local(address: str) -> bool:
    network = _network(address)
    return network is not None and ipaddress.ip_network(network).is_loopback


def hba(kind: str, role: str, addresses: Sequence[str]) -> str:
    """Lines of pg_hba.conf."""
    networks = dict.fromkeys(_network(str(address)) or str(address) for address in addresses)
    return "\n".join(f'{kind} replication "{role}" {network} scram-sha-256' for network in networks)


def peers(primary: Mapping[str, Any], standbys: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whom a standby lets in, as it may be the primary tomorrow: the other standbys, and today's primary where it is
    given by its address."""
    known = [str(primary.get("host", "")), *(str(standby.get("address", "")) for standby in standbys)]
    return [address for address in dict.fromkeys(known) if _network(address) is not None]


def passfile(role: str, password: str) -> str:
    """A line for every primary: a standby follows a new one with the same file."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:{role}:{escaped}\n"


def conninfo(primary: Mapping[str, Any], role: str, passfile: str, sslmode: str, name: str) -> str:
    """The connection string of a standby: without a password."""
    parts = {"host": str(primary["host"]), "port": str(primary.get("port") or 5432), "user": role,
             "passfile": passfile, "sslmode": sslmode, "application_name": name}  # fmt: skip
    return " ".join(f"{key}={_quoted(value)}" for key, value in parts.items())


def _quoted(text: str) -> str:
    if re.fullmatch(r"[\w./:-]+", text):
        return text
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def asking(primary: Mapping[str, Any], role: str, passfile: str, sslmode: str) -> list[str]:
    """The psql, in the replication protocol, whose answer `plan` reads."""
    login = conninfo(primary, role, passfile, sslmode, "day2.ops")
    argv = ["psql", "--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--quiet"]
    argv.append(f"--dbname=dbname=replication replication=true connect_timeout=10 {login}")
    return [*argv, "--command=IDENTIFY_SYSTEM", *(f"--command=SHOW {name}" for name in LEAST)]


def plan(
    member: Mapping[str, Any],
    code: int,
    said: str,
    complaint: str,
    primary: Mapping[str, Any],
    replace: bool,
    data: str,
    unit: str,
    now: float | None = None,
) -> dict[str, Any]:
    """What is done to a host: `make` a base backup, `stop` and `move` what is there, only `start` it, or `problems`."""
    host, port = str(primary["host"]), int(primary.get("port") or 5432)
    place = str(data or member.get("data") or "")
    found: dict[str, Any] = {
        "problems": [], "make": False, "move": False, "stop": False, "start": False, "least": {}, "message": "",
        "data": place, "new": f"{place}.day2-new", "unit": unit or member.get("unit") or "postgresql.service",
        "kept": f"{place}.{basic(now if now is not None else datetime.now(timezone.utc)).rstrip('Z')}",
    }  # fmt: skip
    lines = said.split("\n")
    if code != 0 or len(lines) < 1 + len(LEAST):
        found["problems"].append(f"the primary {host}:{port} cannot be asked: {_reason(complaint) or f'status {code}'}")
        return found
    identifier = lines[0].split("|")[0]
    found["least"] = dict(zip(LEAST, lines[1:]))
    fault = _fault(member, identifier, (host, port), replace, place)
    if fault is not None:
        found["problems"].append(fault)
        return found
    state, same = member.get("state"), member.get("system_identifier") == identifier
    if same and member.get("role") == "standby":
        found["start"] = state == "stopped"
        return found
    found.update(make=True, start=True, move=state != "absent", stop=state == "running")
    kept = f"; the old data directory would be kept as {found['kept']}" if found["move"] else ""
    found["message"] = f"would make a standby of {host}:{port} in {place}{kept}"
    return found


def _fault(
    member: Mapping[str, Any], identifier: str, primary: tuple[str, int], replace: bool, place: str
) -> str | None:
    """Why a server is not to become a standby."""
    state, role, where = member.get("state"), member.get("role"), f"the server in {place}"
    if member.get("managed_by"):
        return f"{member['managed_by']} decides on this host who is primary: set up standbys by it"
    if state == "absent":
        if not place:
            return (
                "no server of this host has the port postgres_standby_port: make its cluster first (on Debian"
                " pg_createcluster), or say by postgres_standby_data where it is to be"
            )
        return None
    if state not in ("running", "stopped"):
        return f"{where} is {state}: {member.get('error')}"
    if member.get("system_identifier") != identifier:
        if replace:
            return None
        return f"{where} is another cluster than the primary's; postgres_standby_replace puts it aside and keeps it"
    if role == "primary":
        if state == "running":
            return f"{where} runs as a primary of the same cluster: there would be two; fence it first"
        if not replace:
            return f"{where} was a primary; pg_rewind makes it a standby, or postgres_standby_replace a base backup"
        return None
    upstream = member.get("upstream") or {}
    follows = (upstream.get("host"), upstream.get("port"))
    if state == "running" and follows != primary:
        return (
            f"{where} is a standby of {follows[0]}:{follows[1]}, not of {primary[0]}:{primary[1]}; module pg_follow"
            " lets it follow another primary"
        )
    return None


def _reason(text: str) -> str:
    """What psql says of a login that failed; notes follow it, such as where the password came from."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return next((line for line in lines if "FATAL:" in line or "error:" in line), lines[-1] if lines else "")


def restore(stanza: str) -> dict[str, str]:
    """Where a standby takes WAL from that its primary has no more."""
    return {"restore_command": f'pgbackrest --stanza={stanza} archive-get %f "%p"'} if stanza else {}


def settings(
    least: Mapping[str, str], slot: str, slot_keep: str, stanza: str, more: Mapping[str, Any]
) -> dict[str, str]:
    """What a standby has by ALTER SYSTEM: it may be the primary tomorrow, and has to archive from then on."""
    archiving = {"archive_mode": "on", "archive_command": f"pgbackrest --stanza={stanza} archive-push %p"}
    found = {**least, "primary_slot_name": slot, "max_slot_wal_keep_size": slot_keep, **restore(stanza)}
    return {**found, **(archiving if stanza else {}), **{name: str(value) for name, value in more.items()}}


def waiting(registered: object) -> list[str]:
    """Settings that a loop of postgresql_set wrote and the server takes at its next start only."""
    return [
        str(entry["item"]["key"]) for entry in items(registered) if changed(entry) and entry.get("restart_required")
    ]
