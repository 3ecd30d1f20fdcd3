# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Maintenance windows of PagerDuty's REST API v2, as far as a client of them can tell the difference."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TOKEN, SENDER, SERVICE = "y_NbAkKc66ryYTWUXYEu", "ops@example.com", "PIJ90N7"
_MEDIA = "application/vnd.pagerduty+json;version=2"


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _by_account(text: str) -> str:
    """The same moment by the clock of the account, as it writes all moments."""
    return datetime.fromtimestamp(_moment(text), timezone(timedelta(hours=-5))).isoformat(timespec="seconds")


@dataclass
class PagerDuty:
    """`windows` is what it knows; `lose_answers` opens them, and breaks before it says so; `busy` requests get 429."""

    url: str
    windows: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    lose_answers: bool = False
    busy: int = 0

    def open_ones(self) -> list[dict[str, Any]]:
        return [each for each in self.windows.values() if _moment(each["end_time"]) > time.time()]

    def answer(self, request: Request) -> Response:
        self.asked.append(f"{request.method} {request.path}")
        if request.headers.get("Authorization") != f"Token token={TOKEN}" or request.headers.get("Accept") != _MEDIA:
            return Response("", 401)
        if self.busy:
            self.busy -= 1
            return _refused(429, 2020, "Rate Limit Exceeded")
        name = request.path.removeprefix("/maintenance_windows").strip("/")
        if request.method == "GET":
            return self._list(request)
        if request.method == "POST":
            return self._open(request)
        if name not in self.windows:
            return _refused(404, 2100, "Not Found")
        is_over = name not in {window["id"] for window in self.open_ones()}
        if request.method == "PUT":
            return self._changed(request, name, is_over)
        if is_over:
            return _refused(405, 5003, "Cannot cancel a maintenance window from the past")
        # One that has begun is ended rather than deleted.
        self.windows[name]["end_time"] = _by_account(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
        return Response("", 204)

    def _changed(self, request: Request, name: str, is_over: bool) -> Response:
        """Of one that has begun only its end can be moved (PagerDuty/terraform-provider-pagerduty 396)."""
        asked, known = json.loads(request.get_data())["maintenance_window"], self.windows[name]
        has_begun = _moment(known["start_time"]) <= time.time()
        if is_over or (has_begun and _moment(asked["start_time"]) != _moment(known["start_time"])):
            return _refused(
                400, 2001, "Start time cannot be modified for maintenance windows that have already started"
            )
        return self._written(request, name, 200)

    def _list(self, request: Request) -> Response:
        query = request.args.get("query", "")
        found = self.open_ones() if request.args.get("filter") == "open" else list(self.windows.values())
        listed = [each for each in found if query in each["description"]][: int(request.args.get("limit", "25"))]
        return Response(json.dumps({"maintenance_windows": listed, "more": len(listed) < len(found)}))

    def _open(self, request: Request) -> Response:
        if request.headers.get("From") != SENDER:
            return _refused(400, 2001, "From is not a user of this account")
        made = self._written(request, f"PW{len(self.windows)}", 201)
        return Response("", 502) if self.lose_answers and made.status_code == 201 else made

    def _written(self, request: Request, name: str, status: int) -> Response:
        asked = json.loads(request.get_data())["maintenance_window"]
        wrong = [key for key in ("type", "start_time", "end_time", "services") if not asked.get(key)]
        unknown = [each for each in asked["services"] if each != {"id": SERVICE, "type": "service_reference"}]
        if wrong or unknown or _moment(asked["end_time"]) <= time.time():
            return _refused(400, 2001, f"Invalid Input Provided: {wrong} {unknown}")
        times = {key: _by_account(asked[key]) for key in ("start_time", "end_time")}
        self.windows[name] = {**asked, **times, "id": name}
        return Response(json.dumps({"maintenance_window": self.windows[name]}), status)


def _refused(status: int, code: int, words: str) -> Response:
    return Response(json.dumps({"error": {"code": code, "message": words}}), status)


@contextmanager
def pagerduty(address: str) -> Iterator[PagerDuty]:
    """On an address that the lab's hosts reach."""
    with HTTPServer(host=address, port=0) as server:
        it = PagerDuty(server.url_for("").rstrip("/"))
        server.expect_request(re.compile("/.*")).respond_with_handler(it.answer)
        yield it
