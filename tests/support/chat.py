# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The receiving end of notifications."""

from __future__ import annotations

import json

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response


class Chat:
    """A webhook's receiver that remembers the texts it was sent."""

    def __init__(self, server: HTTPServer) -> None:
        self.server, self.status = server, 200
        self.texts: list[str] = []
        server.expect_request("/chat").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        if self.status == 200:
            self.texts.append(json.dumps(request.get_json(), ensure_ascii=False))
        return Response("", self.status)

    def got(self) -> list[str]:
        found, self.texts = sorted(self.texts), []
        return found
