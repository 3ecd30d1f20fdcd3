# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts: a silence of Alertmanager's and a maintenance window of PagerDuty's, both of which end with the lease."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Record, TargetError
from ansible_collections.day2.ops.plugins.module_utils.network.http import ARGUMENTS, Answer, fetch

_PAGERDUTY = "https://api.pagerduty.com"
# Alertmanager refuses one that ends in the past; another clock than ours may be ahead.
_LEAST = 30.0


class Alerts:
    """Silences are found again by who made them: their ids may be lost with an answer."""

    def __init__(self, service: str, flag: str) -> None:
        self._service = service
        self._author = f"day2.ops {service}"

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        record: Record = {"until": until, "alertmanager": None, "pagerduty": None}
        if config.get("alertmanager"):
            matchers = [_matcher(each) for each in config.get("matchers") or ()]
            if not matchers:
                raise TargetError("alerts: 'matchers' is empty: a silence of everything is refused")
            record["alertmanager"] = {"url": str(config["alertmanager"]).rstrip("/"), "matchers": matchers}
            self._alertmanager(record, "GET", "status")
        if config.get("pagerduty"):
            about = dict(config["pagerduty"])
            missing = [name for name in ("token_file", "services", "from") if not about.get(name)]
            if missing:
                raise TargetError(f"alerts: 'pagerduty' has no {', '.join(missing)}")
            record["pagerduty"] = {"url": str(about.get("url") or _PAGERDUTY).rstrip("/"), "window": None,
                                   **{name: about[name] for name in ("token_file", "services", "from")}}  # fmt: skip
            _token(about["token_file"])
        if not record["alertmanager"] and not record["pagerduty"]:
            raise TargetError("alerts: neither 'alertmanager' nor 'pagerduty' is given")
        return record

    def steps(self, record: Record) -> list[str]:
        until = _rfc3339(record["until"])
        told = [f"silence {record['alertmanager']['url']} until {until}"] if record["alertmanager"] else []
        return told + ([f"open a maintenance window of PagerDuty until {until}"] if record["pagerduty"] else [])

    def enter(self, record: Record) -> None:
        self._put(record)

    def prolong(self, record: Record, until: float) -> bool:
        # A second more is the difference between two readings of a clock.
        if until <= record["until"] + 1:
            return False
        record["until"] = until
        self._put(record)
        return True

    def leave(self, record: Record) -> None:
        if record["alertmanager"]:
            for silence in self._silences(record):
                self._alertmanager(record, "DELETE", f"silence/{silence['id']}")
        if record["pagerduty"] and record["pagerduty"]["window"]:
            self._pagerduty(record, "DELETE", f"maintenance_windows/{record['pagerduty']['window']}", None)
            record["pagerduty"]["window"] = None

    def _put(self, record: Record) -> None:
        now = time.time()
        begins, ends = _rfc3339(now), _rfc3339(max(record["until"], now + _LEAST))
        if record["alertmanager"]:
            silence = {
                "matchers": record["alertmanager"]["matchers"],
                "startsAt": begins,
                "endsAt": ends,
                "createdBy": self._author,
                "comment": f"Maintenance of {self._service}",
            }
            old = self._silences(record)
            self._alertmanager(record, "POST", "silences", {**silence, **({"id": old[0]["id"]} if old else {})})
        if record["pagerduty"]:
            about = record["pagerduty"]
            window = {
                "type": "maintenance_window",
                "start_time": begins,
                "end_time": ends,
                "description": f"Maintenance of {self._service} (day2.ops)",
                "services": [{"id": each, "type": "service_reference"} for each in about["services"]],
            }
            body = {"maintenance_window": window}
            if about["window"]:
                self._pagerduty(record, "PUT", f"maintenance_windows/{about['window']}", body)
            else:
                answer = self._pagerduty(record, "POST", "maintenance_windows", body)
                about["window"] = str(json.loads(answer.body)["maintenance_window"]["id"])

    def _silences(self, record: Record) -> list[dict[str, Any]]:
        found = json.loads(self._alertmanager(record, "GET", "silences").body)
        return [
            each for each in found
            if each.get("createdBy") == self._author and each["status"]["state"] in ("active", "pending")
        ]  # fmt: skip

    def _alertmanager(self, record: Record, method: str, path: str, body: Any = None) -> Answer:
        return _ask(f"{record['alertmanager']['url']}/api/v2/{path}", method, body, {})

    def _pagerduty(self, record: Record, method: str, path: str, body: Any) -> Answer:
        about = record["pagerduty"]
        headers = {"Authorization": f"Token token={_token(about['token_file'])}", "From": about["from"],
                   "Accept": "application/vnd.pagerduty+json;version=2"}  # fmt: skip
        return _ask(f"{about['url']}/{path}", method, body, headers)


def _matcher(raw: Mapping[str, Any]) -> dict[str, Any]:
    if not raw.get("name") or "value" not in raw:
        raise TargetError("alerts: a matcher has 'name' and 'value'")
    return {"name": str(raw["name"]), "value": str(raw["value"]), "isRegex": bool(raw.get("regex", False)),
            "isEqual": bool(raw.get("equal", True))}  # fmt: skip


def _token(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read().strip()
    except OSError as exc:
        raise TargetError(f"alerts: the token of PagerDuty, {os.path.basename(path)}: {exc.strerror}") from exc


def _ask(url: str, method: str, body: Any, headers: Mapping[str, str]) -> Answer:
    arguments = {name: each.default for name, each in ARGUMENTS.items()}
    data = None if body is None else json.dumps(body).encode()
    sent = {**headers, "Content-Type": "application/json"}
    answer = fetch({**arguments, "url": url, "method": method, "headers": sent}, data)
    if answer.error is not None or not 200 <= answer.status < 300:
        said = answer.error or f"HTTP {answer.status}: {answer.body.decode('utf-8', 'replace').strip()[:200]}"
        raise TargetError(f"alerts: {method} {url}: {said}")
    return answer


def _rfc3339(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
