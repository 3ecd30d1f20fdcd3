# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules of the simulated cluster that look, keep the journal and guard, written from the design's text."""

from __future__ import annotations

from typing import Any, Callable, Optional

from .clock import Steps
from .postgres import START, Server, text
from .world import Host, World

NOBODY = {"epoch": 0, "run": ""}


def guarded(world: World, host: Host, epoch: Optional[int], run: Optional[str], act: Callable[[], Steps]) -> Steps:
    """One act at a time on a host; one of a run that was superseded is refused before it changes anything."""
    waited = 0.0
    while host.holder is not None:
        yield 0.4
        waited += 0.4
        if waited > 30.0:
            return {"failed": True, "changed": False, "msg": f"the lock of {host.name} is held"}
    token = host.holder = object()
    try:
        if host.stuck:
            yield 60.0
        promised = host.journal["promised"] or NOBODY
        asked = {"epoch": epoch, "run": run}
        refused = None
        if promised["epoch"] > epoch:
            refused = (
                f"run {promised['run']} has taken over with epoch {promised['epoch']}; run {run} has epoch {epoch}"
            )
        elif promised["epoch"] == epoch and promised["run"] != run:
            refused = f"epoch {epoch} belongs to run {promised['run']}, not to run {run}"
        if refused is not None:
            world.say(f"{host.name} refuses: {refused}")
            return {"failed": True, "changed": False, "msg": refused}
        if promised != asked:
            yield from flush(world, host, {**host.journal, "promised": asked})
        return (yield from act())
    finally:
        if host.holder is token:
            host.holder = None


def flush(world: World, host: Host, journal: dict[str, Any]) -> Steps:
    """Write and fsync: until that ends, a crash of the host forgets it."""
    host.cached = journal
    yield 0.02 + world.random.random() * 0.1
    host.journal, host.cached = journal, None


def dr_journal(
    world: World,
    host: Host,
    state: str,
    system: str = "",
    epoch: int = 0,
    run: str = "",
    entries: Optional[list[dict[str, Any]]] = None,
) -> Steps:
    if state == "read":
        yield 0.02
        return {"changed": False, **copy(host.journal)}
    answer: dict[str, Any] = {"accepted": False}

    def act() -> Steps:
        held = host.journal
        asked = {"epoch": epoch, "run": run}
        if host.disk_full:
            return {"failed": True, "msg": "no space left on device"}
        if state == "written":
            fresh = (held["written"] or NOBODY) != asked
            if not fresh and held["entries"] != (entries or [])[: len(held["entries"])]:
                return {"failed": True, "msg": "entries of one epoch only grow"}
            held = {**held, "written": asked, "entries": [dict(entry) for entry in entries or []]}
        if held is not host.journal:
            yield from flush(world, host, {**held, "promised": asked})
        answer["accepted"] = True
        return {}

    done = yield from guarded(world, host, epoch, run, act)
    promised = host.journal["promised"] or NOBODY
    if done.get("failed") and (promised["epoch"], promised["run"]) == (epoch, run):
        return done
    return {"changed": answer["accepted"], **answer, **copy(host.journal)}


def copy(journal: dict[str, Any]) -> dict[str, Any]:
    return {
        "promised": dict(journal["promised"] or NOBODY),
        "written": dict(journal["written"] or NOBODY),
        "entries": [dict(entry) for entry in journal["entries"]],
    }


# what looks


def pg_liveness(
    world: World, host: Host, targets: list[str], tries: int = 3, over: float = 15.0, timeout: float = 5.0
) -> Steps:
    attempts: dict[str, list[dict[str, Any]]] = {name: [] for name in targets}
    for number in range(tries):
        pending = [name for name in targets if not any(each["verdict"] == "answers" for each in attempts[name])]
        if not pending:
            break
        for name in pending:
            lie = world.lies.get((host.name, name))
            verdict = lie if lie is not None else _seen(world, host.name, name)
            attempts[name].append({"at": number, "verdict": verdict, "detail": ""})
        if number < tries - 1:
            yield over / (tries - 1)
    answers = []
    for name in targets:
        kinds = {each["verdict"] for each in attempts[name]}
        verdict = "answers" if "answers" in kinds else kinds.pop() if len(kinds) == 1 else "mixed"
        answers.append({"address": name, "port": 5432, "attempts": attempts[name], "verdict": verdict})
    return {"changed": False, "targets": answers}


def _seen(world: World, source: str, name: str) -> str:
    server = world.servers[name]
    if not world.connected(source, name):
        return "unreachable"
    if server.state == "stopped":
        return "refused"
    return "silent" if server.state == "hung" or server.disk_hung else "answers"


def pg_standby_info(world: World, host: Host, **_options: Any) -> Steps:
    yield 0.1 + world.random.random() * 0.3
    server = host.servers[0]
    answer = {**_blank(server, host)}
    if server.disk_hung or server.state == "hung":
        yield 5.0
    if server.disk_hung:
        return {**answer, "state": "hung", "error": "reading the data directory took longer than 5 s"}
    answer.update(
        system_identifier=server.system,
        timeline=server.timeline,
        role=server.role,
        checksums=True,
        wal_log_hints=False,
        promoted_by=server.promoted_by,
        disk_free=0 if server.disk_full else 10**10,
    )
    if server.state == "hung":
        return {**answer, "state": "hung", "error": "the server does not answer within 5 s"}
    if server.state == "stopped":
        read = {"wal_end": text(server.end)} if server.readable else {}
        return {**answer, "state": "stopped", "lsn": text(server.checkpoint), "clean": server.clean, **read}
    answer.update(_running(world, server))
    return answer


def _blank(server: Server, host: Host) -> dict[str, Any]:
    return {
        "changed": False,
        "state": server.state,
        "role": None,
        "system_identifier": "",
        "timeline": 0,
        "version": 150018,
        "data": server.data,
        "unit": server.unit,
        "unit_state": "active" if server.alive else "inactive",
        "unit_masked": server.masked,
        "port": server.port,
        "in_recovery": server.role == "standby",
        "lsn": None,
        "received_lsn": None,
        "replayed_lsn": None,
        "replayable": False,
        "replay_paused": False,
        "apply_delay": 0,
        "upstream": None,
        "replication": [],
        "slots": [{"name": name, "type": "physical", "active": True, "retained_bytes": 0, "wal_status": "reserved",
                   "failover": None} for name in sorted(server.slots)],
        "synchronous_standby_names": _names(server),
        "archiver": {"mode": "always", "last_archived": None, "last_failed": None, "failing": False},
        "repository_on_this_disk": False,
        "checksums": None,
        "wal_log_hints": None,
        "password_ok": True,
        "disk_free": 10**10,
        "managed_by": server.managed_by,
        "promoted_by": None,
        "error": None,
    }  # fmt: skip


def _names(server: Server) -> str:
    return f"ANY 1 ({', '.join(server.synchronous)})" if server.synchronous else ""


def _running(world: World, server: Server) -> dict[str, Any]:
    if server.role == "primary":
        sent = []
        for standby in world.servers.values():
            if world.streams(standby, server):
                sent.append(
                    {"application": standby.name, "address": standby.name, "state": "streaming",
                     "sync_state": "quorum" if standby.name in server.synchronous else "async",
                     "flush_lsn": text(standby.end), "bytes": server.end - standby.end, "seconds": 0.0}
                )  # fmt: skip
        return {"lsn": text(server.end), "replication": sent}
    upstream = world.servers.get(server.upstream or "")
    streaming = upstream is not None and world.streams(server, upstream)
    # A receiver whose primary says nothing ends by its time-out; the last commit is what is known then.
    lingers = world.clock.now - server.received_at < 20.0
    committed = server.wal[server.replayed - 1].at if server.replayed else 0.0
    return {
        "lsn": text(server.end or START),
        "received_lsn": text(server.end),
        "replayed_lsn": text(server.replayed_lsn),
        "replayable": not server.paused and not server.apply_delay,
        "replay_paused": server.paused,
        "apply_delay": server.apply_delay,
        "upstream": {
            "host": server.upstream,
            "port": 5432,
            "status": "streaming" if streaming else None,
            "last_message_age": world.clock.now - server.received_at if streaming or lingers else None,
        },
        "lag": {"bytes": 0 if streaming else None, "seconds": 0.0 if streaming else world.clock.now - committed},
    }


MODULES = {"dr_journal": dr_journal, "pg_liveness": pg_liveness, "pg_standby_info": pg_standby_info}
