# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists that a host's variables hold in pieces: `day2_daily_checks` and `day2_daily_checks_web` are one. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# What an expression without a value comes to, also as a text of ansible-core before 2.19.
_NOTHING = (None, "", "None", "null")


def names_of(variables: Iterable[str], *lists: str) -> list[str]:
    """The variables that hold pieces of `lists`, in the order in which they are joined."""
    begins = tuple(f"{name}_" for name in lists)
    return sorted(name for name in variables if name in lists or name.startswith(begins))


def join(pieces: Iterable[Any]) -> list[Any]:
    """The entries of all pieces. One entry may stand without a list; an expression that is empty is no entry."""
    lists = (piece if isinstance(piece, (list, tuple)) else [piece] for piece in pieces)
    return [entry for entries in lists for entry in entries if entry not in _NOTHING]
