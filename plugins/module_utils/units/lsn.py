# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Positions in PostgreSQL's WAL (LSN): text such as 0/3000060, and bytes since LSN 0. Pure."""

from __future__ import annotations

import re

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


class LsnError(Day2Error):
    """A text that is no LSN."""


def parse_lsn(text: str) -> int:
    match = _LSN.fullmatch(text.strip())
    if not match:
        raise LsnError(f"{text!r} is no LSN, such as 0/3000060")
    return (int(match[1], 16) << 32) + int(match[2], 16)


def format_lsn(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"
