# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Channels: where messages go, what each takes, and what is wrong with their settings. Nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.day2.ops.plugins.module_utils.checks.entries import meant
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.alertmanager import PAGE
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import QuantityError, parse_duration
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import plain

# Worst first. `info` is for announcements; no check finds it.
SEVERITIES = ("critical", "unknown", "warning", "info")
SLACK, PAGERDUTY, MAIL, ALERTMANAGER = "slack", "pagerduty", "mail", "alertmanager"
SECURE = ("always", "never", "starttls", "try")
SECRETS = ("url", "routing_key", "password")
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Labels that tell one finding from another: no channel sets them.
OWN_LABELS = ("alertname", "system", "host", "check", "cadence", "severity")
# Longer than the time between two runs: an alert that is sent again in time does not end in between.
_EXPIRES: Mapping[str | None, str] = {"weekly": "8d", "monthly": "32d", "quarterly": "93d"}
_EXPIRES_ELSE = "26h"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class ChannelError(Day2Error):
    """Settings of channels that cannot be taken; the message names each channel and field, and no secret."""


@dataclass(frozen=True)
class Channel:
    """One receiver. `cadences` is empty where all are taken; `remind_after` and `expires_after` are in seconds."""

    name: str
    kind: str
    severities: tuple[str, ...]
    cadences: tuple[str, ...] = ()
    remind_after: float | None = None
    secrets: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    expires_after: float | None = None

    @property
    def takes_events(self) -> bool:
        """What it gets is for a program; the other kinds get one digest a run, for people."""
        return self.kind in (PAGERDUTY, ALERTMANAGER)

    def expires(self, cadence: str | None) -> float:
        """Seconds after which an alert ends that no run has sent again."""
        return self.expires_after or parse_duration(_EXPIRES.get(cadence, _EXPIRES_ELSE))

    def takes_cadence(self, cadence: str | None) -> bool:
        return not self.cadences or cadence in self.cadences


def _text(value: object) -> str | None:
    return None if isinstance(value, str) and value.strip() else "is empty or not text"


def _address(value: object) -> str | None:
    text = plain(value) if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    valid = valid and not re.search(r"[\s\x00-\x1f]", text)
    return None if valid else "is no http:// or https:// address"


def _alertmanager(value: object) -> str | None:
    wrong = _address(value)
    if wrong is None and PAGE.search(plain(value)):
        return "is not the address of Alertmanager alone: leave out the page, the query and /api/v2"
    return wrong


def _labels(value: object) -> str | None:
    if not isinstance(value, Mapping) or any(_text(text) for text in value.values()):
        return "is not a mapping of names to texts"
    wrong = [plain(name) for name in value if not _LABEL.fullmatch(plain(name))]
    if wrong:
        return f"has '{wrong[0]}': a label's name is of letters, digits and '_'"
    own = [name for name in OWN_LABELS if name in value]
    return f"has '{own[0]}', which each finding has of its own" if own else None


def _words(value: object) -> str | None:
    fine = isinstance(value, (list, tuple)) and value and all(_text(entry) is None for entry in value)
    return None if fine else "is not a list of words"


def _severities(value: object) -> str | None:
    if _words(value):
        return _words(value)
    wrong = [plain(entry) for entry in value if entry not in SEVERITIES]  # type: ignore[attr-defined]
    return f"has '{wrong[0]}'; there are {', '.join(SEVERITIES)}" if wrong else None


def _duration(value: object) -> str | None:
    try:
        return None if parse_duration(value) > 0 else "is not more than 0"
    except QuantityError as error:
        return str(error)


def _port(value: object) -> str | None:
    number = str(value)
    return None if number.isdecimal() and 0 < int(number) < 65536 else "is no port"


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "is not true or false"


def _secure(value: object) -> str | None:
    return None if value in SECURE else f"is none of {', '.join(SECURE)}"


Rule = Callable[[object], "str | None"]
COMMON: Mapping[str, Rule] = {
    "name": _text,
    "kind": _text,
    "severities": _severities,
    "cadences": _words,
}
_REMINDED: Mapping[str, Rule] = {"remind_after": _duration}
_WEB: Mapping[str, Rule] = {"url": _address, "ca_path": _text, "validate_certs": _flag}
FIELDS: Mapping[str, Mapping[str, Rule]] = {
    SLACK: {**_REMINDED, **_WEB},
    PAGERDUTY: {**_REMINDED, **_WEB, "routing_key": _text},
    # It repeats by itself.
    ALERTMANAGER: {**_WEB, "url": _alertmanager, "labels": _labels, "expires_after": _duration},
    MAIL: {
        **_REMINDED,
        "to": _words,
        "cc": _words,
        "sender": _text,
        "host": _text,
        "port": _port,
        "secure": _secure,
        "username": _text,
        "password": _text,
    },
}
_REQUIRED: Mapping[str, tuple[str, ...]] = {
    SLACK: ("url",),
    PAGERDUTY: ("routing_key",),
    ALERTMANAGER: ("url",),
    MAIL: ("to",),
}
# A page or an alert wakes somebody up; an announcement must not.
_TAKEN: Mapping[str, tuple[str, ...]] = {
    SLACK: SEVERITIES,
    PAGERDUTY: SEVERITIES[:3],
    ALERTMANAGER: SEVERITIES[:3],
    MAIL: SEVERITIES,
}


def parse(entries: object, remind_after: object = None) -> list[Channel]:
    """The channels of `notify_channels`; ChannelError names all that is wrong with them."""
    if not isinstance(entries, Sequence) or isinstance(entries, str):
        raise ChannelError("notify_channels is not a list")
    problems: list[str] = []
    if remind_after not in (None, "") and _duration(remind_after):
        problems.append(f"notify_remind_after: {_duration(remind_after)}")
        remind_after = None
    found = [_read(number, entry, remind_after, problems) for number, entry in enumerate(entries, start=1)]
    channels = [channel for channel in found if channel is not None]
    names = [channel.name for channel in channels]
    problems += [f"channel '{name}' is there twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if problems:
        raise ChannelError("notify_channels: " + "; ".join(problems))
    return channels


def _read(number: int, entry: object, remind_after: object, problems: list[str]) -> Channel | None:
    if not isinstance(entry, Mapping):
        problems.append(f"channel {number} is not a mapping with name and kind")
        return None
    name, kind = plain(entry.get("name") or ""), entry.get("kind")
    label = f"channel {number} ('{name}')" if _NAME.fullmatch(name) else f"channel {number}"
    before = len(problems)
    if not _NAME.fullmatch(name):
        problems.append(f"{label}: 'name' is missing, or not of letters, digits and '._-'")
    if kind not in FIELDS:
        problems.append(f"{label}: 'kind' is missing or none of {', '.join(FIELDS)}")
        return None
    _check_fields(label, plain(kind), entry, problems)
    if len(problems) > before:
        return None
    remind = entry.get("remind_after", remind_after)
    return Channel(
        name=name,
        kind=plain(kind),
        severities=tuple(plain(severity) for severity in entry.get("severities", _TAKEN[plain(kind)])),
        cadences=tuple(plain(cadence) for cadence in entry.get("cadences", ())),
        remind_after=None if remind in (None, "") else parse_duration(remind),
        secrets=_secrets(entry),
        labels={plain(label): plain(text) for label, text in entry.get("labels", {}).items()},
        expires_after=parse_duration(entry["expires_after"]) if "expires_after" in entry else None,
    )


def _check_fields(label: str, kind: str, entry: Mapping[Any, Any], problems: list[str]) -> None:
    rules = {**COMMON, **FIELDS[kind]}
    for name in (name for name in entry if name not in rules):
        problems.append(f"{label}: '{plain(name)}' is no field of kind {kind}; {meant(name, rules)}")
    problems += [f"{label}: '{name}' is missing" for name in _REQUIRED[kind] if name not in entry]
    for name in (name for name in rules if name in entry):
        complaint = rules[name](entry[name])
        if complaint:
            problems.append(f"{label}: '{name}' {complaint}")
    if ("username" in entry) != ("password" in entry):
        problems.append(f"{label}: 'username' and 'password' go together")


def _secrets(entry: Mapping[Any, Any]) -> tuple[str, ...]:
    """Whatever must not be shown when this channel fails: longer texts first, so that no part of one is left."""
    texts = {plain(entry[name]) for name in SECRETS if entry.get(name)}
    if "url" in entry:
        parts = urlsplit(plain(entry["url"]))
        texts |= {text for text in (parts.path, parts.query, parts.password or "") if len(text) > 1}
    return tuple(sorted(texts, key=len, reverse=True))
