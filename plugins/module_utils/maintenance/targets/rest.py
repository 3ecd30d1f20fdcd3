# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to interfaces that answer in JSON, and what time it is there."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, Callable, Mapping

from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.address import shown
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.ask import ask
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer


def request(
    url: str,
    method: str,
    body: Any,
    headers: Mapping[str, str],
    ca_path: str | None = None,
    hints: Mapping[int, str] | None = None,
) -> Answer:
    """An answer whose status is one of success, or 404 to DELETE: gone is what it should be.

    `hints` say what helps against a status. No redirect is followed: a POST would become a GET.
    """
    data = None if body is None else json.dumps(body).encode()
    answer = ask(url, method, data, {**headers, "Content-Type": "application/json"}, ca_path=ca_path)
    if method == "DELETE" and answer.status == 404:
        return answer
    if answer.error is not None or not 200 <= answer.status < 300:
        said = answer.error or f"HTTP {answer.status}: {answer.body.decode('utf-8', 'replace').strip()[:200]}"
        place = _header(answer, "location")
        if answer.error is None and 300 <= answer.status < 400 and place:
            said = f"HTTP {answer.status}: it is at {shown(place)} now; write that address"
        hint = (hints or {}).get(answer.status)
        raise TargetError(f"alerts: {method} {shown(url)}: {said}" + (f" ({hint})" if hint else ""))
    return answer


def listed(answer: Answer, pick: Callable[[Any], list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """What an interface listed; a proxy in front of it may answer with a page of its own."""
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        return pick(json.loads(answer.body))
    raise TargetError(f"alerts: {shown(answer.url)} answers with something else than a list")


def time_there(answer: Answer) -> float:
    """Its clock as POSIX seconds, by the header Date (RFC 9110, 6.6.1); this host's where it has none."""
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        return parsedate_to_datetime(_header(answer, "date")).timestamp()
    return time.time()


def _header(answer: Answer, wanted: str) -> str:
    return {name.lower(): value for name, value in answer.headers.items()}.get(wanted, "")
