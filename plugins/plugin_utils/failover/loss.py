# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failover loses: WAL that the old primary wrote, and its successor never received. Pure.

Bytes are of WAL, which has more than transactions: a checkpoint of a shutdown, the rest of a switched segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_bytes
from ansible_collections.day2.ops.plugins.plugin_utils.failover.views import Facts, Member


@dataclass(frozen=True)
class Span:
    """In how long a time the old primary wrote what is lost, at the most; `text` is how that is known."""

    seconds: float
    text: str


@dataclass(frozen=True)
class Loss:
    """Bytes at least and at most, seconds at most; None is unknown. `exact`: the two are the same and were read."""

    least: int
    most: int | None
    seconds: float | None
    exact: bool
    text: str
    # When what is lost was written, in words.
    written: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "bytes": self.least if self.exact else self.most,
            "bytes_at_least": self.least,
            "seconds": self.seconds,
            "exact": self.exact,
            "msg": self.text,
            "written": self.written,
        }


def read_loss(raw: object) -> Loss | None:
    """As the journal has it."""
    if not isinstance(raw, Mapping) or not raw.get("msg"):
        return None
    least, seconds = int(raw.get("bytes_at_least") or 0), raw.get("seconds")
    written = str(raw.get("written") or "")
    return Loss(least, raw.get("bytes"), seconds, raw.get("exact") is True, str(raw["msg"]), written)


def span_of(loss: Loss | None) -> Span | None:
    """In how long a time it was written: that still holds when more is known of its size."""
    return Span(loss.seconds, loss.written) if loss is not None and loss.seconds is not None and loss.written else None


def lose(old: Member, position: int, span: Span | None = None, missing: int = 0) -> Loss:
    """`position`: what the successor has of the old timeline (its received LSN; after a promotion, the fork).

    `missing`: bytes beyond it which the old primary was seen to have.
    """
    seconds, written = (span.seconds, span.text) if span is not None else (None, "")
    if old.end is not None:
        lost = max(0, old.end - position)
        text = "nothing is lost" if not lost else f"{format_bytes(lost)} of WAL are lost"
        text = f"{text}: the end of the old primary's WAL was read"
        if not lost:
            return Loss(0, 0, 0.0, True, text)
        return Loss(lost, lost, seconds, True, f"{text}; it was written {written}" if written else text, written)
    least = max(missing, old.lsn - position) if old.reachable and old.lsn is not None else missing
    if least > 0:
        since = f", no more than was written {written}" if written else ""
        text = f"at least {format_bytes(least)} of WAL are lost{since}"
        return Loss(least, None, seconds, False, text, written)
    bound = (
        f"what the old primary wrote {written} may be lost, which nobody received"
        if written
        else "how much is lost is unknown: no lag was known"
    )
    return Loss(0, None, seconds, False, f"{bound}; the old primary's WAL could not be read", written)


def behind(facts: Facts, host: str) -> float | None:
    """Seconds by which a standby lost its primary before another one did: so long it is behind at the least."""
    ages = {name: view.silence for name, view in facts.views.items() if view.is_standby and view.silence is not None}
    return ages[host] - min(ages.values()) if host in ages else None
