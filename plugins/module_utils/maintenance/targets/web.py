# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx: 503 with the site's page from the next request on, by a file that its configuration looks for.

Role `maintenance` installs that configuration once; the switch needs no reload.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import Record, TargetError
from ansible_collections.day2.ops.plugins.module_utils.network.http import ARGUMENTS, fetch
from ansible_collections.day2.ops.plugins.module_utils.process.programs import run

SNIPPET = "/etc/nginx/snippets/day2-maintenance-{service}.conf"
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
        tested = run(["nginx", "-T", "-q"], cap=64 << 20)
        if tested.code != 0:
            raise TargetError(f"web: nginx's configuration is broken already: {tested.complaint}")
        if f"# configuration file {snippet}:" not in tested.stdout.decode("utf-8", "replace"):
            raise TargetError(f"web: no server of nginx includes {snippet}")
        return {"flag": self._flag, "probe": config.get("probe")}

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

    def prolong(self, record: Record, until: float) -> bool:
        return False

    def leave(self, record: Record) -> None:
        try:
            with suppress(FileNotFoundError):
                os.unlink(record["flag"])
        except OSError as exc:
            raise TargetError(f"web: {record['flag']}: {exc.strerror}") from exc

    def _seen(self, url: str, wanted: int) -> None:
        arguments = {name: each.default for name, each in ARGUMENTS.items()}
        answer = fetch({**arguments, "url": url, "validate_certs": False, "follow_redirects": False})
        if answer.status != wanted:
            said = answer.error or f"HTTP {answer.status}"
            raise TargetError(f"web: {url} should answer {wanted} now, and says {said}: was nginx reloaded since?")
