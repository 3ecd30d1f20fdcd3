# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking what may never answer: each request and each program has a limit, so that a lease ends all the same."""

from __future__ import annotations

import time
from typing import Any, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.maintenance.targets.base import TargetError
from ansible_collections.day2.ops.plugins.module_utils.network.http import ARGUMENTS, Answer, fetch, prepare
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineTimeout,
    Program,
    run_pipeline,
)
from ansible_collections.day2.ops.plugins.module_utils.process.pool import Emit, Group, Pool, Progress

# Seconds. Several requests follow one another while users wait, and a healthy interface takes some hundredths.
REQUEST = 10.0


class _Request:
    """One request, in a child that can be killed."""

    def __init__(self, args: Mapping[str, Any], data: bytes | None) -> None:
        self._args, self._data = args, data

    def prepare(self, items: Sequence[int]) -> None:
        prepare()

    def __call__(self, items: Sequence[int], progress: Progress, emit: Emit) -> None:
        begun = time.time()
        answer = fetch(self._args, self._data)
        told = {"status": answer.status, "body": answer.body.decode("utf-8", "replace"), "error": answer.error}
        emit(items[0], {"started": begun, "duration": answer.latency, **told})


def ask(
    url: str,
    method: str = "GET",
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    validate_certs: bool = True,
) -> Answer:
    """What an address answers; `error` where nothing came, in time."""
    defaults = {name: each.default for name, each in ARGUMENTS.items()}
    args = {**defaults, "url": url, "method": method, "headers": dict(headers or {}), "follow_redirects": False,
            "validate_certs": validate_certs}  # fmt: skip
    pool = Pool(_Request(args, data), lambda _user: None, [REQUEST], 1)
    outcome = pool.run([Group([0])], REQUEST)[0]
    if outcome.kind != "done":
        late = f"no answer within {format_duration(REQUEST)}"
        return Answer(url, error=late if outcome.kind in ("timeout", "deadline") else "the request could not be made")
    told = outcome.record
    return Answer(url, told["status"], body=told["body"].encode(), latency=outcome.duration, error=told["error"])


def execute(argv: Sequence[str], part: str, called: str, limit: float) -> bytes:
    """Run a program to its end, and return what it said; TargetError names the part it was run for."""
    said = bytearray()
    try:
        run_pipeline([Program(argv, name=" ".join(argv[:2]))], said.extend, timeout=limit)
    except PipelineTimeout:
        told = f"took longer than {format_duration(limit)}"
        raise TargetError(f"{part}: {called}: {' '.join(argv[:2])} {told}") from None
    except PipelineError as exc:
        raise TargetError(f"{part}: {called}: {exc}") from exc
    return bytes(said)
