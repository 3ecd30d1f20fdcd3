# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patroni, asked by the REST of one of its members: what its cluster is, and a failover that it carries out itself."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import printable
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer, HttpRequest, fetch
from ansible_collections.day2.ops.plugins.module_utils.process.waiting import last_look
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

LEADERS = ("leader", "standby_leader")
# Seconds between two looks, and those that a look may take.
_POLL, _LOOK = 0.5, 10.0
# Patroni's own values, where it does not tell them.
_TTL, _LOOP_WAIT = 30, 10
_MOST_WORDS = 300


class PatroniError(Day2Error):
    """Patroni did not do what it was asked to, or nobody knows whether it did."""


class Elsewhere(PatroniError):
    """Another member leads."""

    def __init__(self, leader: str, text: str) -> None:
        super().__init__(text)
        self.leader = leader


@dataclass(frozen=True)
class Rest:
    """Where the REST of a member listens, and who asks."""

    url: str
    user: str | None = None
    password: str | None = None
    ca_path: str | None = None
    client_cert: str | None = None
    client_key: str | None = None

    def ask(self, path: str, limit: float, body: Mapping[str, Any] | None = None) -> Answer:
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(limit)
        try:
            return fetch(
                HttpRequest(
                    f"{self.url}{path}",
                    "GET" if body is None else "POST",
                    None if body is None else json.dumps(body).encode(),
                    {} if body is None else {"Content-Type": "application/json"},
                    self.user,
                    self.password,
                    ca_path=self.ca_path,
                    client_cert=self.client_cert,
                    client_key=self.client_key,
                    # What redirects is no Patroni, and would be told to promote somebody.
                    follow_redirects=False,
                )
            )
        finally:
            socket.setdefaulttimeout(before)


def observe(rest: Rest) -> dict[str, Any]:
    """What the cluster is, or why this member does not say it. Never raises for what Patroni answers."""
    try:
        seen = look(rest)
    except PatroniError as exc:
        return {"answered": False, "error": str(exc)}
    own = _mapping(rest, "/patroni")
    told = own.get("patroni")
    about: Mapping[str, Any] = told if isinstance(told, Mapping) else {}
    seen.update(scope=about.get("scope"), version=about.get("version"),
                system_identifier=_text(own.get("database_system_identifier")))  # fmt: skip
    return {"answered": True, "error": None, **seen, **_settings(_mapping(rest, "/config"))}


def look(rest: Rest) -> dict[str, Any]:
    """The cluster as `GET /cluster` has it now."""
    answer = rest.ask("/cluster", _LOOK)
    if answer.error is not None or answer.fault is not None:
        raise PatroniError(f"{rest.url}/cluster: {answer.error or answer.fault}")
    if answer.status != 200:
        raise PatroniError(f"{rest.url}/cluster: {_said(answer)}")
    try:
        return read_cluster(json.loads(answer.body))
    except ValueError as exc:
        raise PatroniError(f"{rest.url}/cluster answers what is no cluster of Patroni ({exc})") from exc


def read_cluster(raw: object) -> dict[str, Any]:
    """Members and leader of an answer; ValueError where it is none. Pure."""
    listed = raw.get("members") if isinstance(raw, Mapping) else None
    if not isinstance(raw, Mapping) or not isinstance(listed, list):
        raise ValueError("it has no list 'members'")
    members = []
    for entry in listed:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("name"), str) or not entry["name"]:
            raise ValueError("a member has no name")
        tags = entry.get("tags")
        members.append(
            {
                "name": entry["name"],
                # One that has lost its address, or has a link in its place, is known by its name.
                "host": _text(entry.get("host")),
                "port": _whole(entry.get("port")),
                "role": _text(entry.get("role")) or "",
                "state": _text(entry.get("state")) or "",
                "timeline": _whole(entry.get("timeline")),
                # 'unknown' is a lag, too; newer versions tell it by its parts.
                "lag": _whole(entry.get("lag", entry.get("receive_lag"))),
                "tags": dict(tags) if isinstance(tags, Mapping) else {},
            }
        )
    leaders = [member["name"] for member in members if member["role"] in LEADERS]
    if len(leaders) > 1:
        raise ValueError(f"it has {len(leaders)} leaders, {' and '.join(leaders)}")
    return {"members": members, "leader": leaders[0] if leaders else None, "paused": raw.get("pause") is True}


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Of the dynamic configuration, what a failover depends on."""
    return {
        "maximum_lag": _whole(config.get("maximum_lag_on_failover", 1048576)) if config else None,
        "synchronous": bool(config["synchronous_mode"])
        if "synchronous_mode" in config
        else (False if config else None),
        "ttl": _whole(config.get("ttl")) or _TTL,
        "loop_wait": _whole(config.get("loop_wait")) or _LOOP_WAIT,
    }


def _mapping(rest: Rest, path: str) -> Mapping[str, Any]:
    """What is told beside the cluster; empty where it is not."""
    answer = rest.ask(path, _LOOK)
    try:
        found = json.loads(answer.body) if answer.error is None else {}
    except ValueError:
        return {}
    return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Failover:
    """To whom, by Patroni's name, from which timeline, and within how many seconds."""

    candidate: str
    expected_timeline: int | None
    limit: float


def fail_over(rest: Rest, asked: Failover, check_mode: bool) -> dict[str, Any]:
    """Have Patroni promote the candidate, unless it leads. What is not proven raises; Elsewhere names who leads.

    While it is not paused, Patroni elects a leader itself: it is asked only where it does not.
    """
    begun = time.monotonic()
    end = begun + asked.limit
    seen = look(rest)
    settings = _settings(_mapping(rest, "/config"))
    done = _done(seen, asked)
    if done is not None:
        return _result(False, done, "", begun)
    _check(seen, asked)
    if check_mode:
        return {"changed": True, "leader": None, "timeline": None, "said": "",
                "msg": f"Patroni would be asked to promote {asked.candidate}"}  # fmt: skip
    if not seen["paused"]:
        wait = min(end, begun + 2 * settings["loop_wait"] + 1)
        done = _until(lambda: _done(_calm_look(rest), asked), wait)
        if done is not None:
            return _result(False, done, "it has elected it by itself", begun)
        _check(look(rest), asked)
    answer = rest.ask("/failover", max(_LOOK, end - time.monotonic()), {"candidate": asked.candidate})
    words = answer.error or answer.fault or _said(answer)
    if answer.error == "Connection refused" or 400 <= answer.status < 500 or answer.status in (301, 302, 307, 308, 501):
        raise PatroniError(f"Patroni does not fail over to {asked.candidate}: {words}")
    # It may say that it failed, or not know, or be cut off: what counts is who leads.
    if answer.status == 503 and "unknown" not in words:
        end = min(end, time.monotonic() + settings["ttl"] + 2 * settings["loop_wait"])
    done = _until(lambda: _done(_calm_look(rest), asked), end)
    if done is None:
        raise PatroniError(
            f"Patroni was asked to promote {asked.candidate} and said: {words}. After"
            f" {format_duration(time.monotonic() - begun)} {_standing(_calm_look(rest), asked)}"
        )
    return _result(True, done, words, begun)


def _done(seen: Mapping[str, Any] | None, asked: Failover) -> Mapping[str, Any] | None:
    """The candidate, where it leads on a timeline of its own; Elsewhere where another one leads."""
    leader = _leader(seen)
    if leader is None or leader["state"] != "running":
        return None
    if leader["role"] == "standby_leader":
        raise PatroniError(f"{leader['name']} leads a standby cluster: its primary is elsewhere")
    if leader["name"] != asked.candidate:
        text = f"{leader['name']} leads by Patroni's word, on timeline {leader['timeline']}"
        raise Elsewhere(leader["name"], f"{text}: nobody is promoted beside a leader (a switchover is another thing)")
    new = leader["timeline"]
    return leader if new is not None and (asked.expected_timeline is None or new > asked.expected_timeline) else None


def _leader(seen: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    members = seen["members"] if seen is not None else ()
    return next((member for member in members if member["role"] in LEADERS), None)


def _check(seen: Mapping[str, Any], asked: Failover) -> None:
    found = next((member for member in seen["members"] if member["name"] == asked.candidate), None)
    if found is None:
        known = ", ".join(member["name"] for member in seen["members"]) or "none"
        raise PatroniError(f"Patroni has no member {asked.candidate} (it has {known})")
    if found["tags"].get("nofailover") is True:
        raise PatroniError(f"{asked.candidate} has the tag nofailover, and Patroni does not promote it")


def _calm_look(rest: Rest) -> dict[str, Any] | None:
    """The cluster; None where this member does not say it now, as while it restarts its server."""
    try:
        return look(rest)
    except PatroniError:
        return None


def _until(look_again: Callable[[], Mapping[str, Any] | None], end: float) -> Mapping[str, Any] | None:
    return last_look(look_again, lambda done: done is not None, end - time.monotonic(), _POLL)


def _standing(seen: Mapping[str, Any] | None, asked: Failover) -> str:
    if seen is None:
        return "it does not answer"
    leader = _leader(seen)
    if leader is None:
        return "nobody leads"
    return f"{leader['name']} leads, {leader['state'] or 'in an unknown state'}, on timeline {leader['timeline']}"


def _result(changed: bool, leader: Mapping[str, Any], words: str, begun: float) -> dict[str, Any]:
    text = f"{leader['name']} leads on timeline {leader['timeline']}"
    said = printable(words)
    return {"changed": changed, "leader": leader["name"], "timeline": leader["timeline"], "said": said,
            "seconds": round(time.monotonic() - begun, 3), "msg": f"{text} ({said})" if said else text}  # fmt: skip


def _said(answer: Answer) -> str:
    """Patroni's own words."""
    text = " ".join(answer.body.decode("utf-8", "replace").split())[:_MOST_WORDS]
    if "<html" in text.lower() or not text:
        text = answer.reason
    return printable(f"HTTP {answer.status}, {text}")


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
