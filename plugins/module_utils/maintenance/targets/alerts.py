# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Alerts: a silence of Alertmanager's and a maintenance window of PagerDuty's, both of which end with the lease.

Somebody may end them meanwhile: the host's timer looks again, and puts them back.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import time
from typing import Any, ClassVar, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets import alertmanager, pagerduty
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.address import shown
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import (
    Record,
    Target,
    TargetError,
    mapping,
)
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import rfc3339

# Seconds after its end at which a silence has gone by itself, whatever its margin was.
_GONE = 60.0
_MACHINE_ID = "/etc/machine-id"
# PagerDuty allows 960 requests a minute of an account: hosts ask it about once a minute, Alertmanager at each tick.
_EVERY, _TICK = 60.0, 10.0


class Alerts(Target):
    """What was made is found again by who made it: its id may be lost with an answer, or with a killed process."""

    meaning = "silenced"
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "alerts": {
            "type": "dict",
            "default": {},
            "options": {
                "alertmanager": {"type": "str"},
                "ca_path": {"type": "path"},
                "optional": {"type": "bool", "default": False},
                "matchers": {
                    "type": "list",
                    "elements": "dict",
                    "default": [],
                    "options": {
                        "name": {"type": "str", "required": True},
                        "value": {"type": "str", "required": True},
                        "regex": {"type": "bool", "default": False},
                        "equal": {"type": "bool", "default": True},
                    },
                },
                "pagerduty": {
                    "type": "dict",
                    "options": {
                        "services": {"type": "list", "elements": "str", "required": True},
                        "from": {"type": "str", "required": True},
                        # The name of a file, which is no secret.
                        "token_file": {"type": "path", "required": True, "no_log": False},
                        "url": {"type": "str"},
                    },
                },
            },
        },
    }
    watched = True

    @classmethod
    def config(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        return dict(params["alerts"])

    @classmethod
    def addresses(cls, params: Mapping[str, Any]) -> dict[str, Any]:
        alerts = mapping(params, "alerts")
        url = mapping(alerts, "pagerduty").get("url")
        return {"alerts.alertmanager": alerts.get("alertmanager"), "alerts.pagerduty.url": url}

    def survey(self, config: Mapping[str, Any], until: float) -> Record:
        author = f"day2.ops {self._service} on {_this_host()}"
        record: Record = {"until": until, "author": author, "alertmanager": None, "pagerduty": None,
                          "optional": bool(config.get("optional"))}  # fmt: skip
        if config.get("alertmanager"):
            record["alertmanager"] = alertmanager.settings(config)
        if config.get("pagerduty"):
            record["pagerduty"] = pagerduty.settings(config)
        if not record["alertmanager"] and not record["pagerduty"]:
            raise TargetError("alerts: neither 'alertmanager' nor 'pagerduty' is given")
        try:
            if record["alertmanager"]:
                self._alertmanager(record).silences()
            if record["pagerduty"]:
                self._pagerduty(record).windows()
        except TargetError as exc:
            if not config.get("optional"):
                raise
            record["unmet"] = _unmet(exc)
        return record

    def steps(self, record: Record) -> list[str]:
        if record.get("unmet"):
            return [f"go on without a silence: {record['unmet']}"]
        until = rfc3339(record["until"])
        silence = [f"silence {shown(record['alertmanager']['url'])} until {until}"] if record["alertmanager"] else []
        return silence + ([f"open a maintenance window of PagerDuty until {until}"] if record["pagerduty"] else [])

    def enter(self, record: Record) -> list[str]:
        if record.get("unmet"):
            return self.steps(record)
        unmet = []
        for part in self._parts(record):
            try:
                part.ensure(record["until"] - time.time())
            except alertmanager.Unconfirmed as exc:
                # Nobody is refused for it: the status says so, and the timer goes on trying.
                unmet.append(str(exc))
            except TargetError as exc:
                # It may answer to questions, and keep no silence: a disk that is full, a proxy that lets only read.
                if not record.get("optional"):
                    raise
                unmet.append(_unmet(exc))
        if unmet:
            record["unmet"] = "; ".join(unmet)
        return self.steps(record)

    def lacks(self, record: Record, config: Mapping[str, Any]) -> str | None:
        wanted = {"alertmanager": alertmanager.settings(config) if config.get("alertmanager") else None,
                  "pagerduty": pagerduty.settings(config) if config.get("pagerduty") else None}  # fmt: skip
        lacking = [name for name, about in wanted.items() if about is not None and about != record[name]]
        return f"alerts: what is silenced in {' and '.join(lacking)} is something else" if lacking else None

    def prolong(self, record: Record, until: float) -> str | None:
        now = time.time()
        # A second more is the difference between two readings of a clock.
        is_longer = until > record["until"] + 1
        parts: list[Any] = [self._alertmanager(record)] if record["alertmanager"] else []
        if record["pagerduty"] and (is_longer or record.get("unmet") or now % _EVERY < _TICK):
            parts.append(self._pagerduty(record))
        done, wrong = [], []
        for part in parts:
            try:
                done.append(part.ensure(until - now))
            except TargetError as exc:
                # One that cannot be reached keeps nobody from the other.
                wrong.append(str(exc))
        if wrong:
            raise TargetError("; ".join(wrong))
        if is_longer:
            record["until"] = until
        if record.get("unmet"):
            # Kept, so that another failure refuses nobody; the error of the state says whether it is met now.
            record["unmet"] = "it was entered without a silence"
        return "; ".join(step for step in done if step) or None

    def leave(self, record: Record) -> None:
        wrong = []
        for part in self._parts(record):
            try:
                part.remove()
            except TargetError as exc:
                # One that cannot be reached keeps nothing in the other.
                wrong.append(str(exc))
        # What cannot be asked to go has gone by itself when its end is over, at the latest.
        if wrong and time.time() < record["until"] + _GONE:
            raise TargetError("; ".join(wrong))

    def salvaged(self) -> list[str]:
        return [
            "silences and maintenance windows of PagerDuty are left to end by themselves: nobody knows where they were"
        ]

    def _parts(self, record: Record) -> list[Any]:
        found: list[Any] = [self._alertmanager(record)] if record["alertmanager"] else []
        return found + ([self._pagerduty(record)] if record["pagerduty"] else [])

    def _alertmanager(self, record: Record) -> alertmanager.Alertmanager:
        comment = f"Maintenance of {self._service}"
        return alertmanager.Alertmanager(record["alertmanager"], record["author"], comment)

    def _pagerduty(self, record: Record) -> pagerduty.PagerDuty:
        return pagerduty.PagerDuty(record["pagerduty"], record["author"])


def _unmet(why: TargetError) -> str:
    return f"{why}: alarms are not silenced; the host's timer goes on trying"


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
