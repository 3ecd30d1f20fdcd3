# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pick one value out of a JSON document: dotted paths natively, JMESPath where it is installed."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.spec import ArgumentError
from ansible_collections.day2.ops.plugins.module_utils.checks.threshold import Value, read_text
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined

# a.b, a[0].b, "odd key".c, leading dot allowed (jq users write one).
_STEP = re.compile(r'\.?(?:([A-Za-z_][\w-]*)|"([^"]+)")|\[(-?\d+)\]')


def dotted_steps(query: str) -> list[str | int] | None:
    """The keys and indexes of a dotted path, or None when the query is more than that."""
    steps: list[str | int] = []
    place = 0
    while place < len(query):
        match = _STEP.match(query, place)
        if match is None:
            return None
        name, quoted, index = match.groups()
        steps.append(int(index) if index is not None else name or quoted)
        place = match.end()
    return steps


def check_query(query: str) -> None:
    """Refuse what neither a dotted path nor (where it is installed) JMESPath can be."""
    if dotted_steps(query) is not None:
        return
    try:
        import jmespath
    except ImportError:
        return
    try:
        jmespath.compile(query)
    except jmespath.exceptions.JMESPathError as exc:
        raise ArgumentError(f"'{query}' is no JMESPath expression: {exc}") from exc


def parse_json(data: bytes, origin: str) -> Any:
    """The document, or Undetermined with the beginning of what came instead."""
    try:
        return json.loads(data)
    except ValueError as exc:
        start = data[:200].decode("utf-8", "replace").strip()
        raise Undetermined(f"{origin} is not valid JSON ({exc})", [start] if start else []) from exc
    except RecursionError:
        raise Undetermined(f"{origin} is JSON nested too deeply to read") from None


def select(document: Any, query: str) -> Value:
    """The one value that the query names; Undetermined when there is none or it is no single value."""
    steps = dotted_steps(query)
    found = _follow(document, steps) if steps is not None else _search(document, query)
    if found is None:
        raise Undetermined(f"the answer has no value at '{query}'")
    if isinstance(found, (dict, list)):
        kind = "an object" if isinstance(found, dict) else "a list"
        raise Undetermined(f"'{query}' is {kind}, not one value")
    if isinstance(found, str):
        return read_text(found)
    if isinstance(found, float) and not math.isfinite(found):
        raise Undetermined(f"'{query}' is not a finite number ({found})")
    value: Value = found
    return value


def _follow(document: Any, steps: list[str | int]) -> Any:
    for step in steps:
        if isinstance(step, int) and isinstance(document, list):
            document = document[step] if -len(document) <= step < len(document) else None
        elif isinstance(step, str) and isinstance(document, dict):
            document = document.get(step)
        else:
            return None
    return document


def _search(document: Any, query: str) -> Any:
    try:
        import jmespath
    except ImportError:
        raise Undetermined(
            f"'{query}' needs JMESPath: install python3-jmespath on the target, or use a dotted path such as a.b[0].c"
        ) from None
    try:
        return jmespath.search(query, document)
    except jmespath.exceptions.JMESPathError as exc:
        raise Undetermined(f"'{query}' cannot be applied to the answer: {exc}") from exc
