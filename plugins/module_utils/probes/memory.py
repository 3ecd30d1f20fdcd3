# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Memory and swap from /proc/meminfo. Used is what is not available: caches that can be given back are free."""

from __future__ import annotations

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import Undetermined
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import BYTES, Unit, format_quantity

SPEC = ProbeSpec(
    doc="Memory and swap of the host.",
    arguments={"meminfo": Argument("path", "The file to read.", default="/proc/meminfo")},
    metrics={
        "used_percent": Metric("Memory that is not available (MemTotal less MemAvailable).", "%"),
        "available": Metric("Memory that programs can still get.", "B"),
        "used": Metric("Memory that is not available.", "B"),
        "total": Metric("Memory of the host.", "B"),
        "swap_used_percent": Metric("Used swap; 0 where there is none.", "%"),
    },
    default_metric="used_percent",
)


def source_key(check: Check) -> object:
    return check.args["meminfo"]


def open_source(checks: list[Check], _progress: object) -> dict[str, int]:
    """The fields of meminfo in bytes."""
    path = checks[0].args["meminfo"]
    fields = {}
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if len(words) >= 2 and words[1].isdigit():
                    fields[words[0].rstrip(":")] = int(words[1]) * 1024
    except OSError as exc:
        raise Undetermined(f"{path}: {exc.strerror}") from exc
    if not fields.get("MemTotal") or "MemAvailable" not in fields:
        raise Undetermined(f"{path} has no MemTotal and MemAvailable")
    return fields


def observe(fields: dict[str, int], check: Check) -> Observation:
    total, available = fields["MemTotal"], fields["MemAvailable"]
    used = total - available
    show = Unit("B", BYTES)
    name = check.metric.name
    if name == "used_percent":
        share = 100.0 * used / total
        return Observation(
            round(share, 2), f"{share:.1f} % of memory used ({format_quantity(available, show)} available)"
        )
    if name == "swap_used_percent":
        swap, free = fields.get("SwapTotal", 0), fields.get("SwapFree", 0)
        share = 100.0 * (swap - free) / swap if swap else 0.0
        text = f"{share:.1f} % of swap used" if swap else "no swap is set up"
        return Observation(round(share, 2), text)
    value = {"available": available, "used": used, "total": total}[name]
    return Observation(value, f"{format_quantity(value, show)} of memory {name}")
