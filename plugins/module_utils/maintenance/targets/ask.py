# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking what may never answer: each request and each program has a limit, so that a lease ends all the same."""

from __future__ import annotations

import time
from typing import Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.network.http import Answer, HttpRequest, fetch, prepare
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineTimeout,
    Program,
    run_pipeline,
)
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Emit, Group, Pool, Progress
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration

# Seconds. Several requests follow one another while users wait, and a healthy interface takes some hundredths.
REQUEST = 10.0


class _Request:
    """One request, in a child that can be killed."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request

    def prepare(self, items: Sequence[int]) -> None:
        prepare()

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        begun = time.time()
        try:
            answer = fetch(self._request)
        except Day2Error as exc:
            # Certificates that cannot be read, an address that is none.
            answer = Answer(self._request.url, error=str(exc))
        record = {"status": answer.status, "body": answer.body.decode("utf-8", "replace"),
                  "error": answer.error or answer.fault, "headers": answer.headers}  # fmt: skip
        emit(items[0], {"started": begun, "duration": answer.latency, **record})


def ask(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    validate_certs: bool = True,
    ca_path: str | None = None,
) -> Answer:
    """What an address answers; `error` where nothing came, in time."""
    request = HttpRequest(url, method, data, dict(headers or {}), validate_certs=validate_certs, ca_path=ca_path,
                          follow_redirects=False)  # fmt: skip
    pool = Pool(_Request(request), lambda _user: None, [REQUEST], 1)
    outcome = pool.run([Group([0])], REQUEST)[0]
    if outcome.kind != "done":
        late = f"no answer within {format_duration(REQUEST)}"
        return Answer(url, error=late if outcome.kind in ("timeout", "deadline") else "the request could not be made")
    record = outcome.record
    return Answer(url, record["status"], body=record["body"].encode(), latency=outcome.duration,
                  error=record["error"], headers=record["headers"])  # fmt: skip


def execute(argv: Sequence[str], part: str, called: str, limit: float) -> bytes:
    """Run a program to its end, and return what it said; TargetError names the part it was run for."""
    said = bytearray()
    try:
        run_pipeline([Program(argv, name=_name(argv))], said.extend, timeout=limit)
    except PipelineTimeout:
        raise TargetError(f"{part}: {called}: {_name(argv)} took longer than {format_duration(limit)}") from None
    except PipelineError as exc:
        raise TargetError(f"{part}: {called}: {exc}") from exc
    return bytes(said)


def _name(argv: Sequence[str]) -> str:
    """A program in a message: systemctl with its verb, a site's own command without words that may be secrets."""
    return " ".join(argv[:2] if argv[0] == "systemctl" else argv[:1])
