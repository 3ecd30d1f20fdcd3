# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Silences of Alertmanager (API v2), by its own clock: whether one is active is what it says, not what was sent.

Several Alertmanagers may be behind one address. What one of them is told, the others know some moments later.
"""

from __future__ import annotations

import re
import time
from typing import Any, ClassVar, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.address import shown
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.rest import listed, request, time_there
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import parse_rfc3339, rfc3339

# Alertmanager refuses a silence that ends in its past.
_LEAST = 30.0
# It begins one that is to begin in the past at once, whatever its clock and ours are.
_BEFORE = 86400.0
# The header Date has whole seconds, and requests take some: a silence outlasts its lease rather than the other way.
_MARGIN = 15.0
# Seconds until all of a cluster know of a silence: it gossips five times a second (--cluster.gossip-interval).
_GOSSIP, _POLL = 5.0, 0.2
_PREFIX = "the address has the prefix (--web.route-prefix) where Alertmanager or a proxy in front of it has one"

# What is no address of Alertmanager but of something in it.
PAGE = re.compile(r"[?#]|/api/v\d+(?:/\w+)?/?$")

Silence = dict[str, Any]


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a record keeps of the options."""
    matchers = [_matcher(matcher) for matcher in config.get("matchers") or ()]
    if not matchers:
        raise TargetError("alerts: 'matchers' is empty: a silence of everything is refused")
    _check_together(matchers)
    about = {"url": _base(str(config["alertmanager"])), "matchers": matchers}
    return {**about, "ca_path": config["ca_path"]} if config.get("ca_path") else about


def _base(url: str) -> str:
    """The address below which the interface is, without what a browser or an earlier tool had behind it."""
    if PAGE.search(re.sub(r"//[^/]*@", "//", url)):
        raise TargetError(
            f"alerts: {shown(url)}: write the address of Alertmanager without a page, a query or /api/v2, such as"
            " http://alertmanager.example.com:9093"
        )
    return url.rstrip("/")


def _check_together(matchers: Sequence[Mapping[str, Any]]) -> None:
    """An alert has one value of a label, and a silence is of alerts that fit all of its matchers."""
    values: dict[str, str] = {}
    for matcher in matchers:
        if matcher["isEqual"] and not matcher["isRegex"]:
            name, value = matcher["name"], matcher["value"]
            if values.setdefault(name, value) != value:
                raise TargetError(
                    f"alerts: no alert has '{name}' {values[name]!r} and {value!r} at once. Ask for either by"
                    f" {{name: {name}, value: 'a|b', regex: true}}"
                )


def _matcher(raw: Mapping[str, Any]) -> dict[str, Any]:
    if not raw.get("name") or raw.get("value") is None:
        raise TargetError("alerts: a matcher has 'name' and 'value'")
    if re.fullmatch(r"\".*\"", str(raw["value"]), re.DOTALL):
        raise TargetError(
            f"alerts: the value {raw['value']} of '{raw['name']}' has quotes, which would be part of it: no alert fits"
        )
    return {"name": str(raw["name"]), "value": str(raw["value"]), "isRegex": bool(raw.get("regex", False)),
            "isEqual": bool(raw.get("equal", True))}  # fmt: skip


class Unconfirmed(TargetError):
    """It accepted a silence, and does not say that it is in effect."""


class Alertmanager:
    """One silence of `author`, who is found again by that name: an id may be lost with an answer."""

    patience: ClassVar[float] = _GOSSIP

    def __init__(self, about: Mapping[str, Any], author: str, comment: str) -> None:
        self._about, self._author, self._comment = about, author, comment

    def ensure(self, left: float) -> str | None:
        """See that a silence is active for `left` seconds more; what was done about it, in words."""
        silences, now = self.silences()
        wanted = now + max(left, _LEAST)
        if any(self._serves(silence, wanted) for silence in silences):
            return None
        old = next((silence for silence in silences if self._is_same(silence)), None)
        self._ask("POST", "silences", self._body(old, now, wanted + _MARGIN))
        end = time.monotonic() + self.patience
        after, now = self.silences()
        while not any(self._serves(silence, wanted) for silence in after) and time.monotonic() < end:
            time.sleep(_POLL)
            after, now = self.silences()
        if not any(self._serves(silence, wanted) for silence in after):
            states = ", ".join(sorted(str(silence["status"]["state"]) for silence in after)) or "unknown to it"
            raise Unconfirmed(
                f"alerts: {shown(self._about['url'])} accepted a silence until {rfc3339(wanted)}, but it is {states}"
                f" there (its clock says {rfc3339(now)}): alarms are not silenced"
            )
        if old is not None:
            return f"prolonged the silence in {shown(self._about['url'])}"
        return f"silence {shown(self._about['url'])} until {rfc3339(wanted)}"

    def remove(self) -> None:
        """Expire ours, until it says that there is none."""
        end = time.monotonic() + self.patience
        silences, _now = self.silences()
        while silences:
            wrong = TargetError(f"alerts: {shown(self._about['url'])} goes on with a silence that it was told to end")
            for silence in silences:
                try:
                    self._ask("DELETE", f"silence/{silence['id']}")
                except TargetError as exc:
                    # One of several may not know it yet, or know already that it has ended.
                    wrong = exc
            silences, _now = self.silences()
            if silences:
                if time.monotonic() >= end:
                    raise wrong
                time.sleep(_POLL)

    def silences(self) -> tuple[list[Silence], float]:
        """Those of ours that are in effect or will be, and its clock."""
        answer = self._ask("GET", "silences")
        found = listed(answer, lambda silences: [
            silence for silence in silences
            if silence.get("createdBy") == self._author and silence["status"]["state"] in ("active", "pending")
        ])  # fmt: skip
        return found, time_there(answer)

    def _serves(self, silence: Silence, wanted: float) -> bool:
        # An end has milliseconds there, the clock seconds here.
        return silence["status"]["state"] == "active" and self._is_same(silence) and _end(silence) >= wanted - 1

    def _is_same(self, silence: Silence) -> bool:
        def normal(matchers: Any) -> list[tuple[str, str, bool, bool]]:
            return sorted(
                (str(matcher["name"]), str(matcher["value"]), bool(matcher.get("isRegex")),
                 bool(matcher.get("isEqual", True)))
                for matcher in matchers
            )  # fmt: skip

        try:
            return normal(silence["matchers"]) == normal(self._about["matchers"])
        except (KeyError, TypeError, AttributeError):
            return False

    def _body(self, old: Silence | None, now: float, end: float) -> dict[str, Any]:
        body = {
            "matchers": self._about["matchers"],
            "startsAt": rfc3339(now - _BEFORE),
            "endsAt": rfc3339(end),
            "createdBy": self._author,
            "comment": self._comment,
        }
        if old is None:
            return body
        # With the beginning it has it is changed in place; with another one it would be replaced.
        begins = old["startsAt"] if old["status"]["state"] == "active" else body["startsAt"]
        return {**body, "id": old["id"], "startsAt": begins}

    def _ask(self, method: str, path: str, body: Any = None) -> Answer:
        url = f"{self._about['url']}/api/v2/{path}"
        # A silence that this peer does not know is 404 as well.
        hints = {404: _PREFIX} if method == "GET" else {}
        return request(url, method, body, {}, self._about.get("ca_path"), hints=hints)


def _end(silence: Silence) -> float:
    try:
        return parse_rfc3339(silence["endsAt"])
    except (KeyError, ValueError):
        return 0.0
