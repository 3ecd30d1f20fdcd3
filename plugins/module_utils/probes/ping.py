# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ICMP echo by the system's own ping: how much is lost, how long it takes."""

from __future__ import annotations

import re

from ansible_collections.day2.ops.plugins.module_utils.checks.request import FieldError
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Observation
from ansible_collections.day2.ops.plugins.module_utils.checks.spec import Argument, Check, Metric, ProbeSpec
from ansible_collections.day2.ops.plugins.module_utils.errors import NeedsRoot, Undetermined
from ansible_collections.day2.ops.plugins.module_utils.network.address import AddressError, ascii_host
from ansible_collections.day2.ops.plugins.module_utils.process.programs import Finished, run
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import counted, format_duration, format_number


def _validate(args: dict[str, object], _metric: str | None) -> None:
    if str(args["host"]).startswith("-"):
        raise FieldError("host", f"'{args['host']}' is not a host")


SPEC = ProbeSpec(
    doc="Echo requests to a host, by the program `ping`. A host that answers none is critical.",
    arguments={
        "host": Argument("str", "Name or address to send them to.", required=True),
        "count": Argument("count", "How many requests are sent, 0.2 s apart.", default=5),
    },
    metrics={
        "round_trip": Metric("Average time until the answer came.", "ms"),
        "round_trip_max": Metric("Longest time until an answer came.", "ms"),
        "loss": Metric("Requests that were not answered.", "%"),
    },
    default_metric="round_trip",
    validate=_validate,
)
PATIENT = True
_APART = 0.2
_COUNTS = re.compile(r"(\d+) packets transmitted, (\d+) (?:packets )?received")
# iputils: rtt min/avg/max/mdev = 0.026/0.030/0.039/0.005 ms; busybox: round-trip min/avg/max = …
_TIMES = re.compile(r"min/avg/max\S* = ([\d.]+)/([\d.]+)/([\d.]+)")


def source_key(check: Check) -> object:
    return check.args["host"], check.args["count"]


def open_source(checks: list[Check], _progress: object) -> Finished:
    args = checks[0].args
    # A little less than the checks have: what was lost is known before the kill.
    patience = max(1, int(min(check.timeout for check in checks) * 0.9))
    try:
        host = ascii_host(args["host"])
    except AddressError as exc:
        raise Undetermined(f"the address {exc}") from exc
    return run(["ping", "-n", "-q", "-c", str(args["count"]), "-i", str(_APART), "-w", str(patience), "--", host])


def read(answer: Finished, host: str) -> tuple[int, int, tuple[float, float] | None]:
    """Requests sent and answered, and the average and longest time in milliseconds."""
    text = answer.stdout.decode("utf-8", "replace")
    counts = _COUNTS.search(text)
    if counts is None:
        complaint = answer.complaint.replace("ping: ", "", 1)
        if "ermi" in complaint:
            raise NeedsRoot(f"ping: {complaint}")
        raise Undetermined(f"{host} cannot be asked: {complaint}")
    times = _TIMES.search(text)
    return int(counts[1]), int(counts[2]), (float(times[2]), float(times[3])) if times else None


def observe(answer: Finished, check: Check) -> Observation:
    host = check.args["host"]
    sent, answered, times = read(answer, host)
    if not sent:
        raise Undetermined(f"ping sent nothing to {host}")
    lost = 100.0 * (sent - answered) / sent
    metric = check.metric.name
    text = f"{host} answered {answered} of {sent}"
    if metric == "loss":
        nothing = "it should answer" if not answered else None
        return Observation(round(lost, 2), f"{text} ({format_number(lost)} % lost)", unexpected=nothing)
    if not answered:
        return Observation(None, "", failure=f"{host} does not answer ({counted(sent, 'request')})")
    if times is None:
        raise Undetermined(f"{text}, but ping does not tell how quickly")
    average, longest = times
    words = f"{text} in {format_duration(average / 1000)}, {format_duration(longest / 1000)} at most"
    return Observation(average if metric == "round_trip" else longest, words)
