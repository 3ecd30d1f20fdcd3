# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traffic of the network interfaces between two readings of /proc/net/dev."""

from __future__ import annotations

import time

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import BYTE_RATE, Unit, counted, format_quantity

SPEC = ProbeSpec(
    doc="Network traffic, sampled over a short interval. Without `interface` all of them but loopback.",
    arguments={
        "interface": Argument("str", "One interface, such as eth0."),
        "interval": Argument("duration", "Seconds to sample.", default=0.5),
    },
    metrics={
        "total": Metric("Bytes received and sent.", "B/s"),
        "received": Metric("Bytes received.", "B/s"),
        "sent": Metric("Bytes sent.", "B/s"),
        "errors": Metric("Packets with errors since the host started.", "packets"),
        "dropped": Metric("Packets dropped since the host started.", "packets"),
    },
    default_metric="total",
)
PATIENT = True
_DEV = "/proc/net/dev"
# proc(5): bytes, packets, errs, drop of what was received, and the same of what was sent eight fields later.
_RECEIVED, _ERRORS, _DROPPED, _SENT = 0, 2, 3, 8

Counters = dict[str, list[int]]


class Traffic:
    """Two readings, and the seconds between them."""

    def __init__(self, before: Counters, after: Counters, seconds: float) -> None:
        self.before, self.after, self.seconds = before, after, seconds

    def rate(self, interface: str, field: int) -> float:
        old = self.before.get(interface, self.after[interface])[field]
        return max(0, self.after[interface][field] - old) / self.seconds


def source_key(check: Check) -> object:
    return check.args["interval"]


def parse(text: str) -> Counters:
    """Counters by interface, from the text of /proc/net/dev."""
    rows = (line.partition(":") for line in text.split("\n")[2:] if ":" in line)
    return {name.strip(): [int(word) for word in numbers.split()] for name, _colon, numbers in rows}


def _read() -> Counters:
    try:
        with open(_DEV, encoding="ascii") as stream:
            return parse(stream.read())
    except (OSError, ValueError) as exc:
        raise Undetermined(f"{_DEV} cannot be read: {exc}") from exc


def open_source(checks: list[Check], _progress: object) -> Traffic:
    before, begun = _read(), time.monotonic()
    time.sleep(checks[0].args["interval"])
    return Traffic(before, _read(), time.monotonic() - begun)


def observe(traffic: Traffic, check: Check) -> Observation:
    wanted = check.args["interface"]
    if wanted is not None and wanted not in traffic.after:
        raise Undetermined(f"there is no interface {wanted}; there are {', '.join(sorted(traffic.after))}")
    names = [wanted] if wanted is not None else sorted(name for name in traffic.after if name != "lo")
    if not names:
        raise Undetermined("there is no network interface but loopback")
    where = names[0] if len(names) == 1 else f"{len(names)} interfaces"
    metric = check.metric.name
    if metric in ("errors", "dropped"):
        field = _ERRORS if metric == "errors" else _DROPPED
        count = sum(traffic.after[name][field] + traffic.after[name][field + _SENT] for name in names)
        what = "with errors" if metric == "errors" else "dropped"
        return Observation(count, f"{counted(count, 'packet')} {what} on {where} since the host started")
    rates = {name: (traffic.rate(name, _RECEIVED), traffic.rate(name, _SENT)) for name in names}
    received, sent = (sum(pair[side] for pair in rates.values()) for side in (0, 1))
    value = {"total": received + sent, "received": received, "sent": sent}[metric]
    text = f"{where}: {_shown(received)} received, {_shown(sent)} sent"
    evidence = [f"{name}: {_shown(come)} received, {_shown(gone)} sent" for name, (come, gone) in rates.items()]
    return Observation(round(value, 1), text, evidence=evidence if len(names) > 1 else [])


def _shown(rate: float) -> str:
    return format_quantity(rate, Unit("B/s", BYTE_RATE))
