# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts: a silence of Alertmanager's and a maintenance window of PagerDuty's, both of which end with the lease."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import socket
import time
from contextlib import suppress
from typing import Any, Callable, Mapping
from urllib.parse import quote

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import ask
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Record, TargetError
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer

_PAGERDUTY = "https://api.pagerduty.com"
# Alertmanager refuses one that ends in the past; another clock than ours may be ahead.
_LEAST = 30.0
# Seconds by which their clock may be behind ours.
_DRIFT = 60.0
_MACHINE_ID = "/etc/machine-id"


class Alerts:
    """What was made is found again by who made it: its id may be lost with an answer, or with a killed process."""

    def __init__(self, service: str, flag: str) -> None:
        self._service = service

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        author = f"day2.ops {self._service} on {_this_host()}"
        record: Record = {"until": until, "author": author, "alertmanager": None, "pagerduty": None}
        if config.get("alertmanager"):
            record["alertmanager"] = _of_alertmanager(config)
            self._silences(record)
        if config.get("pagerduty"):
            record["pagerduty"] = _of_pagerduty(config)
            self._windows(record)
        if not record["alertmanager"] and not record["pagerduty"]:
            raise TargetError("alerts: neither 'alertmanager' nor 'pagerduty' is given")
        return record

    def steps(self, record: Record) -> list[str]:
        until = _rfc3339(record["until"])
        told = [f"silence {record['alertmanager']['url']} until {until}"] if record["alertmanager"] else []
        return told + ([f"open a maintenance window of PagerDuty until {until}"] if record["pagerduty"] else [])

    def enter(self, record: Record) -> None:
        self._put(record, record["until"])

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        wanted = {"alertmanager": _of_alertmanager(config) if config.get("alertmanager") else None,
                  "pagerduty": _of_pagerduty(config) if config.get("pagerduty") else None}  # fmt: skip
        lacking = [name for name, about in wanted.items() if about is not None and about != record[name]]
        return f"alerts: what is silenced in {' and '.join(lacking)} is something else" if lacking else None

    def prolong(self, record: Record, until: float) -> bool:
        # A second more is the difference between two readings of a clock.
        if until <= record["until"] + 1:
            return False
        self._put(record, until)
        record["until"] = until
        return True

    def leave(self, record: Record) -> None:
        wrong = []
        for name, remove in (("alertmanager", self._remove_silences), ("pagerduty", self._remove_windows)):
            if record[name]:
                try:
                    remove(record)
                except TargetError as exc:
                    # One that cannot be reached keeps nothing in the other.
                    wrong.append(str(exc))
        # What cannot be asked to go has gone by itself when its end is over, at the latest.
        if wrong and time.time() < record["until"] + _DRIFT:
            raise TargetError("; ".join(wrong))

    def _remove_silences(self, record: Record) -> None:
        for silence in self._silences(record):
            self._alertmanager(record, "DELETE", f"silence/{silence['id']}")

    def _remove_windows(self, record: Record) -> None:
        for window in self._windows(record):
            self._pagerduty(record, "DELETE", f"maintenance_windows/{window['id']}")

    def _put(self, record: Record, until: float) -> None:
        now = time.time()
        begins, ends = _rfc3339(now), _rfc3339(max(until, now + _LEAST))
        if record["alertmanager"]:
            silence = {
                "matchers": record["alertmanager"]["matchers"],
                "startsAt": begins,
                "endsAt": ends,
                "createdBy": record["author"],
                "comment": f"Maintenance of {self._service}",
            }
            old = self._silences(record)
            self._alertmanager(record, "POST", "silences", {**silence, **({"id": old[0]["id"]} if old else {})})
        if record["pagerduty"]:
            window = {
                "type": "maintenance_window",
                "start_time": begins,
                "end_time": ends,
                "description": _description(record),
                "services": [{"id": each, "type": "service_reference"} for each in record["pagerduty"]["services"]],
            }
            open_ones = self._windows(record)
            method, path = ("PUT", f"/{open_ones[0]['id']}") if open_ones else ("POST", "")
            self._pagerduty(record, method, f"maintenance_windows{path}", {"maintenance_window": window})

    def _silences(self, record: Record) -> list[dict[str, Any]]:
        answer = self._alertmanager(record, "GET", "silences")
        return _read(answer, lambda found: [
            each for each in found
            if each.get("createdBy") == record["author"] and each["status"]["state"] in ("active", "pending")
        ])  # fmt: skip

    def _windows(self, record: Record) -> list[dict[str, Any]]:
        """Those of ours that are open: PagerDuty filters by a part of the description."""
        query = f"filter=open&limit=100&query={quote(_description(record))}"
        answer = self._pagerduty(record, "GET", f"maintenance_windows?{query}")
        return _read(answer, lambda found: [
            each for each in found["maintenance_windows"] if each.get("description") == _description(record)
        ])  # fmt: skip

    def _alertmanager(self, record: Record, method: str, path: str, body: Any = None) -> Answer:
        return _ask(f"{record['alertmanager']['url']}/api/v2/{path}", method, body, {})

    def _pagerduty(self, record: Record, method: str, path: str, body: Any = None) -> Answer:
        about = record["pagerduty"]
        headers = {"Authorization": f"Token token={_token(about['token_file'])}", "From": about["from"],
                   "Accept": "application/vnd.pagerduty+json;version=2"}  # fmt: skip
        return _ask(f"{about['url']}/{path}", method, body, headers)


def _this_host() -> str:
    """Hosts of one service enter and leave by themselves, and two of them may have the same name.

    machine-id(5) is not for strangers, so that they see a keyed hash of it, as of sd_id128_get_machine_app_specific(3).
    """
    name = socket.gethostname()
    try:
        with open(_MACHINE_ID, "rb") as stream:
            machine = stream.read().strip()
    except FileNotFoundError:
        return name
    except OSError as exc:
        raise TargetError(f"alerts: {_MACHINE_ID}: {exc.strerror}") from exc
    return f"{name} ({hmac.new(machine, b'day2.ops maintenance', hashlib.sha256).hexdigest()[:12]})"


def _of_alertmanager(config: Mapping[str, Any]) -> dict[str, Any]:
    matchers = [_matcher(each) for each in config.get("matchers") or ()]
    if not matchers:
        raise TargetError("alerts: 'matchers' is empty: a silence of everything is refused")
    return {"url": str(config["alertmanager"]).rstrip("/"), "matchers": matchers}


def _of_pagerduty(config: Mapping[str, Any]) -> dict[str, Any]:
    about = dict(config["pagerduty"])
    missing = [name for name in ("token_file", "services", "from") if not about.get(name)]
    if missing:
        raise TargetError(f"alerts: 'pagerduty' has no {', '.join(missing)}")
    if not isinstance(about["services"], list):
        raise TargetError("alerts: 'services' of 'pagerduty' is a list of ids, such as [PABC123]")
    url = str(about.get("url") or _PAGERDUTY).rstrip("/")
    return {"url": url, **{name: about[name] for name in ("token_file", "services", "from")}}


def _matcher(raw: Mapping[str, Any]) -> dict[str, Any]:
    if not raw.get("name") or "value" not in raw:
        raise TargetError("alerts: a matcher has 'name' and 'value'")
    return {"name": str(raw["name"]), "value": str(raw["value"]), "isRegex": bool(raw.get("regex", False)),
            "isEqual": bool(raw.get("equal", True))}  # fmt: skip


def _description(record: Record) -> str:
    return f"Maintenance ({record['author']})"


def _token(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            token = stream.read().strip()
    except OSError as exc:
        raise TargetError(f"alerts: the token of PagerDuty, {os.path.basename(path)}: {exc.strerror}") from exc
    if not token.isascii() or not token.isprintable() or not token:
        raise TargetError(f"alerts: {os.path.basename(path)} holds no token of PagerDuty: one line of plain letters")
    return token


def _ask(url: str, method: str, body: Any, headers: Mapping[str, str]) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    answer = ask(url, method, data, {**headers, "Content-Type": "application/json"})
    if method == "DELETE" and answer.status == 404:
        # Somebody was faster; gone is what it should be.
        return answer
    if answer.error is not None or not 200 <= answer.status < 300:
        said = answer.error or f"HTTP {answer.status}: {answer.body.decode('utf-8', 'replace').strip()[:200]}"
        raise TargetError(f"alerts: {method} {url.partition('?')[0]}: {said}")
    return answer


def _read(answer: Answer, pick: Callable[[Any], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What an interface listed; a proxy in front of it may answer with a page of its own."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        return pick(json.loads(answer.body))
    raise TargetError(f"alerts: {answer.url.partition('?')[0]} answers with something else than a list")


def _rfc3339(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
