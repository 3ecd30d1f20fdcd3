# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx: 503 with the site's page from the next request on, by a file that its configuration looks for.

Role `maintenance` installs that configuration once; the switch needs no reload.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import ask, execute
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Record, TargetError

SNIPPET = "/etc/nginx/snippets/day2-maintenance-{service}.conf"
# What all services of a server share; without it nginx may remember the flag's file.
SHARED = "/etc/nginx/snippets/day2-maintenance.conf"
# Seconds that nginx may take to read its configuration; it asks for the addresses of its upstreams.
_PATIENCE = 30.0
# Seconds that an application may take from the start of its units to its first answer.
_READY, _POLL = 30.0, 0.1
# The first line of what the role installs has the digest of all others.
SEAL = "# day2.ops maintenance, sha256 "


def sealed(text: str) -> str:
    """A configuration with its digest in front."""
    return f"{SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def is_as_installed(text: str) -> bool:
    first, _newline, rest = text.partition("\n")
    return first == f"{SEAL}{hashlib.sha256(rest.encode()).hexdigest()}"


class Web:
    """`flag` is the file that nginx looks for."""

    def __init__(self, service: str, flag: str) -> None:
        self._service, self._flag = service, flag

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        snippet = config.get("snippet") or SNIPPET.format(service=self._service)
        try:
            with open(snippet, encoding="utf-8") as stream:
                if not is_as_installed(stream.read()):
                    raise TargetError(f"web: {snippet} was edited by hand: role maintenance has to install it again")
        except FileNotFoundError:
            raise TargetError(f"web: {snippet} is missing: role maintenance installs it") from None
        except OSError as exc:
            raise TargetError(f"web: {snippet}: {exc.strerror}") from exc
        whole = execute(["nginx", "-T", "-q"], "web", "nginx's configuration is broken already", _PATIENCE)
        for path in [snippet] if config.get("snippet") else [snippet, SHARED]:
            if f"# configuration file {path}:" not in whole.decode("utf-8", "replace"):
                raise TargetError(f"web: no server of nginx includes {path}: role maintenance does that")
        return {"flag": self._flag, "probe": config.get("probe"), "ready": config.get("ready")}

    def steps(self, record: Record) -> list[str]:
        return [f"nginx answers 503 from the next request on ({record['flag']})"]

    def enter(self, record: Record) -> None:
        try:
            with open(record["flag"], "w", encoding="utf-8") as stream:
                stream.write(f"{self._service} is in maintenance: day2ctl maintenance status\n")
            os.chmod(record["flag"], 0o644)
        except OSError as exc:
            raise TargetError(f"web: {record['flag']}: {exc.strerror}") from exc
        if record.get("probe"):
            self._seen(str(record["probe"]), 503)

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        return None

    def prolong(self, record: Record, until: float) -> bool:
        return False

    def leave(self, record: Record) -> None:
        # Users who are in already wait for nothing.
        waits = bool(record.get("ready")) and os.path.exists(record["flag"])
        said = self._until_ready(str(record["ready"])) if waits else None
        try:
            with suppress(FileNotFoundError):
                os.unlink(record["flag"])
        except OSError as exc:
            raise TargetError(f"web: {record['flag']}: {exc.strerror}") from exc
        if said:
            raise TargetError(f"web: users are let in again, but {record['ready']} says {said}")

    def _until_ready(self, url: str) -> str | None:
        """What it says instead of 200, None when it is ready."""
        end = time.monotonic() + _READY
        while True:
            answer = ask(url, validate_certs=False)
            if answer.status == 200:
                return None
            if time.monotonic() >= end:
                return answer.error or f"HTTP {answer.status}"
            time.sleep(_POLL)

    def _seen(self, url: str, wanted: int) -> None:
        answer = ask(url, validate_certs=False)
        if answer.status != wanted:
            said = answer.error or f"HTTP {answer.status}"
            raise TargetError(f"web: {url} should answer {wanted} now, and says {said}: was nginx reloaded since?")
