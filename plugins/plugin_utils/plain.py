# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What YAML and Ansible make of values, as the plain data that reaches a host."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence, Set
from datetime import date, time
from typing import Any

# Of results of tasks: ansible-core 2.21 warns of whoever reads it.
DEPRECATED = ("skipped_reason",)


def plain(value: Any, without: Container[str] = ()) -> Any:
    """Text, numbers, lists and mappings with text as keys: what JSON can carry.

    A day (`2026-01-31` without quotes) becomes its text, a set a sorted list, bytes become text, a vaulted value what
    it holds. Numbers that JSON has no form for (infinity) become text. Entries of keys in `without` are not read.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, Mapping):
        return {_key(key): plain(value[key], without) for key in value if key not in without}
    if isinstance(value, Set):
        return sorted((plain(entry, without) for entry in value), key=str)
    # The vaulted text of ansible-core before 2.19 is a sequence of characters.
    if isinstance(value, Sequence) and not hasattr(value, "__ENCRYPTED__"):
        return [plain(entry, without) for entry in value]
    return str(value)


def _key(key: Any) -> str:
    """YAML reads the keys `on`, `1` and a missing one as no text; a person wrote one all the same."""
    if key is None:
        return "null"
    return str(key).lower() if isinstance(key, bool) else str(plain(key))
