# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.prom: gauges for the textfile collector of node_exporter, in base units."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import (
    BYTE_RATE,
    BYTES,
    DURATION,
    PERCENT,
    RATE,
)
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import HostReport, Report
from ansible_collections.day2.ops.plugins.plugin_utils.report.show import unit_of

CODES = {Status.OK: 0, Status.WARNING: 1, Status.CRITICAL: 2, Status.UNKNOWN: 3, Status.SKIPPED: 4}
_CODE_WORDS = "0 ok, 1 warning, 2 critical, 3 unknown, 4 skipped"

# A dimension's metric, and what brings its value to the base unit beyond the unit's own factor.
_VALUES = {
    PERCENT: ("day2_check_value_ratio", 0.01),
    BYTES: ("day2_check_value_bytes", 1.0),
    DURATION: ("day2_check_value_seconds", 1.0),
    RATE: ("day2_check_value_per_second", 1.0),
    BYTE_RATE: ("day2_check_value_bytes_per_second", 1.0),
}
_HELP = {
    "day2_run_timestamp_seconds": "When the run finished, in Unix time.",
    "day2_run_duration_seconds": "How long the run took.",
    "day2_run_status": f"Worst status of the run: {_CODE_WORDS}.",
    "day2_run_checks": "Checks of the run by status.",
    "day2_host_status": f"Worst status of the host: {_CODE_WORDS}.",
    "day2_host_reachable": "Whether the host could be reached (1) or not (0).",
    "day2_host_duration_seconds": "How long the host's checklist took.",
    "day2_check_info": "What the check is: title, probe and place in the manual; always 1.",
    "day2_check_status": f"Status of the check: {_CODE_WORDS}.",
    "day2_check_acknowledged": "1 while somebody has acknowledged the finding; alert on status unless acknowledged.",
    "day2_check_duration_seconds": "How long the check took.",
    "day2_check_value": "Value of the check where it is a plain number, in the unit of the label.",
    "day2_check_value_ratio": "Value of the check where it is a percentage, as a fraction of 1.",
    "day2_check_value_bytes": "Value of the check where it is a size.",
    "day2_check_value_seconds": "Value of the check where it is a duration.",
    "day2_check_value_per_second": "Value of the check where it is a rate.",
    "day2_check_value_bytes_per_second": "Value of the check where it is a rate of bytes.",
}

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


def _labels(pairs: Mapping[str, str]) -> str:
    return ",".join(f'{name}="{text.translate(_ESCAPES)}"' for name, text in pairs.items() if text)


def _value(row: Result, labels: str) -> tuple[str, str, float] | None:
    """The metric, the labels and the number of a value; text has none."""
    if row.value is None or isinstance(row.value, str):
        return None
    unit = unit_of(row.unit)
    if unit and unit.dimension in _VALUES:
        metric, scale = _VALUES[unit.dimension]
        return metric, labels, row.value * unit.factor * scale
    if row.unit:
        labels = f"{labels},{_labels({'unit': row.unit})}"
    return "day2_check_value", labels, float(row.value)


class _Exposition:
    """Samples by metric: all lines of a metric have to stand together."""

    def __init__(self) -> None:
        self.samples: dict[str, list[str]] = {metric: [] for metric in _HELP}

    def add(self, metric: str, labels: str, number: float) -> None:
        self.samples[metric].append(f"{metric}{{{labels}}} {number:.15g}\n")

    def lines(self) -> Iterator[str]:
        for metric, samples in self.samples.items():
            if samples:
                yield f"# HELP {metric} {_HELP[metric]}\n# TYPE {metric} gauge\n"
                yield from samples


def _once(rows: Iterable[Result]) -> Iterator[Result]:
    """A second series with the same labels would make the whole file unreadable; the worst comes first."""
    seen: set[str] = set()
    for row in rows:
        if row.id not in seen:
            seen.add(row.id)
            yield row


def _add_host(exposition: _Exposition, host: HostReport, common: Mapping[str, str]) -> None:
    labels = _labels({**common, "host": host.host})
    exposition.add("day2_host_status", labels, CODES[host.status])
    exposition.add("day2_host_reachable", labels, int(host.reachable))
    exposition.add("day2_host_duration_seconds", labels, host.duration)
    for row in _once(host.results):
        check = f"{labels},{_labels({'check': row.id})}"
        about = _labels({"title": row.title, "probe": row.probe, "ref": " ".join(row.ref)})
        exposition.add("day2_check_info", f"{check},{about}", 1)
        exposition.add("day2_check_status", check, CODES[row.status])
        if row.acknowledged is not None:
            exposition.add("day2_check_acknowledged", check, 1)
        exposition.add("day2_check_duration_seconds", check, row.duration)
        sample = _value(row, check)
        if sample:
            exposition.add(*sample)


def render(report: Report) -> str:
    common = {"system": report.run.system, "cadence": report.run.cadence or ""}
    labels = _labels(common)
    exposition = _Exposition()
    exposition.add("day2_run_timestamp_seconds", labels, round(report.finished.timestamp(), 3))
    exposition.add("day2_run_duration_seconds", labels, report.duration)
    exposition.add("day2_run_status", labels, CODES[report.status])
    for status, number in report.summary.items():
        exposition.add("day2_run_checks", _labels({**common, "status": status}), number)
    for host in report.hosts:
        _add_host(exposition, host, common)
    return "".join(exposition.lines())
