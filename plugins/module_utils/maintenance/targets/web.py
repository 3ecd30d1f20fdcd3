# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx: 503 with the site's page from the next request on, by a file that its configuration looks for.

Role `maintenance_page` installs that configuration once; the switch needs no reload.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from typing import Any, ClassVar, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import drain, loopback, nginx
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.address import shown
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import ask, execute
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import (
    Record,
    Target,
    TargetError,
    mapping,
    seconds,
)
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

SNIPPET = "/etc/nginx/snippets/day2-maintenance-{service}.conf"
# What all services of a server share; without it nginx may remember the flag's file.
SHARED = "/etc/nginx/snippets/day2-maintenance.conf"
# Who is served in the mode.
_WHO = "/etc/nginx/conf.d/day2-maintenance-{service}.conf"
# Seconds that nginx may take to read its configuration; it asks for the addresses of its upstreams.
_PATIENCE = 30.0
# Seconds that an application may take from the start of its units to its first answer.
_READY, _POLL = 30.0, 0.1
# Seconds that requests may take that are being answered when the mode begins.
_DRAIN = 30.0
# What the role's configuration has since it answers 503 without its page, and for uploads of any size.
_ANSWERS_ALWAYS = "@day2_maintenance_"
# The first line of what the role installs has the digest of all others.
SEAL = "# day2.ops maintenance, sha256 "


def sealed(text: str) -> str:
    """A configuration with its digest in front."""
    return f"{SEAL}{hashlib.sha256(text.encode()).hexdigest()}\n{text}"


def is_as_installed(text: str) -> bool:
    first, _newline, rest = text.partition("\n")
    return first == f"{SEAL}{hashlib.sha256(rest.encode()).hexdigest()}"


class Web(Target):
    """`flag` is the file that nginx looks for."""

    meaning = "users get 503 and the page; connections that were open before (websockets) go on until they end"
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "web": {
            "type": "dict",
            "default": {},
            "options": {
                "snippet": {"type": "path"},
                "probe": {"type": "str"},
                "ready": {"type": "str"},
                "drain": {"type": "str", "default": "30s"},
            },
        },
    }

    @classmethod
    def config(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        entries = [entry.get("name") if isinstance(entry, dict) else entry for entry in params["units"]]
        units = [name for name in entries if isinstance(name, str)]
        return {**params["web"], "drain": seconds(params, "web.drain"), "units": units}

    @classmethod
    def addresses(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        web = mapping(params, "web")
        return {"web.probe": web.get("probe"), "web.ready": web.get("ready")}

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        snippet = config.get("snippet") or SNIPPET.format(service=self._service)
        try:
            with open(snippet, encoding="utf-8") as stream:
                text = stream.read()
            if not is_as_installed(text):
                raise TargetError(
                    f"web: {snippet} was edited by hand: ansible-playbook day2.ops.maintenance_setup installs it again"
                )
        except FileNotFoundError:
            raise TargetError(
                f"web: {snippet} is missing: ansible-playbook day2.ops.maintenance_setup installs it"
                " (role maintenance_page)"
            ) from None
        except OSError as exc:
            raise TargetError(f"web: {snippet}: {exc.strerror}") from exc
        whole = execute(["nginx", "-T", "-q"], "web", "nginx's configuration is broken already", _PATIENCE)
        for path in [snippet] if config.get("snippet") else [snippet, SHARED]:
            if f"# configuration file {path}:" not in whole.decode("utf-8", "replace"):
                raise TargetError(
                    f"web: no server of nginx includes {path}: name the site in maintenance_page_sites, then"
                    " ansible-playbook day2.ops.maintenance_setup"
                )
        return {
            "flag": self._flag, "probe": config.get("probe"), "ready": config.get("ready"), "snippet": snippet,
            "earlier": _ANSWERS_ALWAYS not in text,
            "drain": float(_DRAIN if config.get("drain") is None else config["drain"]),
            "units": [unit if "." in unit else f"{unit}.service" for unit in config.get("units") or ()],
        }  # fmt: skip

    def steps(self, record: Record) -> list[str]:
        steps = [f"nginx answers 503 from the next request on ({record['flag']})"]
        if record.get("earlier"):
            steps.append(
                f"{record['snippet']} is of an earlier release: a missing page is answered 404 and a large upload 413"
                " until playbook day2.ops.maintenance_setup has been run again"
            )
        if record.get("drain"):
            limit = format_duration(record["drain"])
            steps.append(f"wait at most {limit} for requests that nginx is answering")
        return steps

    def enter(self, record: Record) -> list[str]:
        try:
            with open(record["flag"], "w", encoding="utf-8") as stream:
                stream.write(f"{self._service} is in maintenance: day2ctl maintenance status\n")
            # nginx's workers look for it as another user.
            os.chmod(record["flag"], 0o644)
        except OSError as exc:
            raise TargetError(f"web: {record['flag']}: {exc.strerror}") from exc
        steps = self.steps({**record, "drain": None})
        record.pop("unproven", None)
        dump = execute(["nginx", "-T", "-q"], "web", "nginx's configuration", _PATIENCE).decode("utf-8", "replace")
        if record.get("probe"):
            self._seen(str(record["probe"]), record)
        else:
            servers = nginx.servers_with(dump, record.get("snippet") or "")
            proof, record["unproven"] = self._proven(servers, _cause(record))
            steps.append(proof)
        if record.get("drain"):
            steps.append(self._drained(record, dump))
        return steps

    def _proven(self, servers: list[nginx.Server], cause: str = "") -> tuple[str, str | None]:
        """That users see the page, by asking each server that takes part at its own address; why that is not known."""
        who = ""
        with suppress(OSError), open(_WHO.format(service=self._service), encoding="utf-8") as stream:
            who = stream.read()
        seen = loopback.ask_servers(servers, who)
        fault = loopback.judged(seen)
        if fault:
            raise TargetError(f"web: {fault} in the mode, and should answer 503: {cause or _cause({})}")
        words = ", ".join(answer.words for answer in seen) or "no server has a TCP port"
        if all(answer.unasked for answer in seen):
            said = (
                f"web: nobody was asked whether users see the page: {words}. Set web.probe to an address that shows it"
            )
            return said, said
        return f"users see the page ({words})", None

    def _drained(self, record: Record, dump: str) -> str:
        sockets, units = nginx.unix_upstreams(dump), record.get("units") or []
        result = drain.drain(float(record["drain"]), lambda: drain.connections(units, sockets))
        if result.left:
            return (
                f"{result.left} of {result.begun} connections to the application are still open after"
                f" {format_duration(result.seconds)}: long requests, websockets, or idle ones (keepalive)"
            )
        return f"{result.begun} requests that nginx was answering have ended"

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
            raise TargetError(f"web: users are let in again, but {shown(record['ready'])} says {said}")

    def salvaged(self) -> list[str]:
        return ["serve users again"] if os.path.exists(self._flag) else []

    def salvage(self) -> list[str]:
        self.leave({"flag": self._flag})
        return []

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

    def _seen(self, url: str, record: Record) -> None:
        answer = ask(url, validate_certs=False)
        if answer.status != 503:
            said = answer.error or f"HTTP {answer.status}"
            raise TargetError(f"web: {shown(url)} should answer 503 now, and says {said}: {_cause(record)}")


def _cause(record: Record) -> str:
    if record.get("earlier"):
        return f"{record['snippet']} is of an earlier release: run playbook day2.ops.maintenance_setup again"
    return "was nginx reloaded since, and does a server that includes the configuration answer there?"
