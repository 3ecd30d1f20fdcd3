# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance windows of PagerDuty (REST API v2), by its own clock."""

from __future__ import annotations

import os
from typing import Any, Mapping
from urllib.parse import quote

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.rest import listed, request, time_there
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339, rfc3339

_ADDRESS = "https://api.pagerduty.com"
_LEAST, _MARGIN = 30.0, 15.0


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a record keeps of the options; the token stays in its file."""
    about = dict(config["pagerduty"])
    missing = [name for name in ("token_file", "services", "from") if not about.get(name)]
    if missing:
        raise TargetError(f"alerts: 'pagerduty' has no {', '.join(missing)}")
    url = str(about.get("url") or _ADDRESS).rstrip("/")
    return {"url": url, **{name: about[name] for name in ("token_file", "services", "from")}}


class PagerDuty:
    """One open window that is found again by its description: its id may be lost with an answer."""

    def __init__(self, about: Mapping[str, Any], author: str) -> None:
        self._about, self._description = about, f"Maintenance ({author})"

    def ensure(self, left: float) -> str | None:
        """See that a window is open for `left` seconds more; what was done about it, in words."""
        windows, now = self.windows()
        wanted = now + max(left, _LEAST)
        if any(_end(window) >= wanted - 1 for window in windows):
            return None
        window = {
            "type": "maintenance_window",
            # PagerDuty refuses another start of a window that has begun.
            "start_time": (windows[0].get("start_time") if windows else None) or rfc3339(now),
            "end_time": rfc3339(wanted + _MARGIN),
            "description": self._description,
            "services": [{"id": service, "type": "service_reference"} for service in self._about["services"]],
        }
        method, path = ("PUT", f"/{windows[0]['id']}") if windows else ("POST", "")
        self._ask(method, f"maintenance_windows{path}", {"maintenance_window": window})
        done = "prolonged the" if windows else "open a"
        return f"{done} maintenance window of PagerDuty until {rfc3339(wanted)}"

    def remove(self) -> None:
        windows, _now = self.windows()
        for window in windows:
            try:
                self._ask("DELETE", f"maintenance_windows/{window['id']}")
            except TargetError:
                # One that ended a moment ago cannot be deleted any more (HTTP 405).
                if any(other["id"] == window["id"] for other in self.windows()[0]):
                    raise

    def windows(self) -> tuple[list[dict[str, Any]], float]:
        """Those of ours that are open (PagerDuty filters by a part of the description), and its clock."""
        query = f"filter=open&limit=100&query={quote(self._description)}"
        answer = self._ask("GET", f"maintenance_windows?{query}")
        found = listed(answer, lambda about: [
            window for window in about["maintenance_windows"] if window.get("description") == self._description
        ])  # fmt: skip
        return found, time_there(answer)

    def _ask(self, method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": f"Token token={_token(self._about['token_file'])}", "From": self._about["from"],
                   "Accept": "application/vnd.pagerduty+json;version=2"}  # fmt: skip
        return request(f"{self._about['url']}/{path}", method, body, headers)


def _end(window: Mapping[str, Any]) -> float:
    try:
        return parse_rfc3339(window["end_time"])
    except (KeyError, ValueError):
        return 0.0


def _token(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            token = stream.read().strip()
    except OSError as exc:
        raise TargetError(f"alerts: the token of PagerDuty, {os.path.basename(path)}: {exc.strerror}") from exc
    if not token.isascii() or not token.isprintable() or not token:
        raise TargetError(f"alerts: {os.path.basename(path)} holds no token of PagerDuty: one line of plain letters")
    return token
