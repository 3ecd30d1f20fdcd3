# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.html: one file that asks nothing of any network, readable at 03:00 and without JavaScript.

What it looks like is in templates/, report.css and report.js; here is what the templates may use. Whatever a template
shows is escaped unless the template says `safe`, and in the whole page controls are shown as pictures.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.module_utils.units.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import readable, rfc3339_ms
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import words
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import (
    FINDINGS,
    RANK,
    Report,
    count_words,
    hosts_word,
    verdict,
)
from ansible_collections.day2.ops.plugins.plugin_utils.report.show import short_refs, thresholds, value_text
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import visible
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension

_ASSETS = Path(__file__).parent
_BETWEEN_TAGS = re.compile(r"(?<=[>}])\s*\n\s*(?=[<{])")


class _Dense(Extension):
    """Line breaks between tags are for who reads a template: a browser would keep each of them, for 50,000 rows."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return _BETWEEN_TAGS.sub("", source)


@dataclass
class _Finding:
    """A check that found the same on one or more hosts. Places index report.hosts and its results."""

    status: Status
    first: Result
    places: list[tuple[int, int]] = field(default_factory=list)
    messages: set[str] = field(default_factory=set)

    @property
    def urgency(self) -> tuple[int, bool, int]:
        """Worst first; within a status hosts that are gone, then what concerns most hosts."""
        return RANK[self.status], self.first.probe != "connection", -len(self.places)


def _findings(report: Report) -> list[_Finding]:
    groups: dict[tuple[Status, str, str], _Finding] = {}
    for host_number, host in enumerate(report.hosts):
        for row_number, row in enumerate(host.results):
            if not row.alarming:
                break  # rows are sorted worst first
            finding = groups.setdefault((row.status, row.id, row.title), _Finding(row.status, row))
            finding.places.append((host_number, row_number))
            finding.messages.add(row.message)
    return sorted(groups.values(), key=lambda finding: finding.urgency)


def _source(content: str) -> str:
    """How a Content-Security-Policy calls an inline style or script."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _facts(row: Result) -> str:
    refs = ", ".join(row.ref) if len(row.ref) > 1 else ""
    limits, took = thresholds(row) or "no thresholds", format_duration(row.duration)
    return " · ".join(filter(None, (f"probe {row.probe}", refs, limits, f"started {row.started}", f"took {took}")))


def _scaled(points: Sequence[Sequence[float]], width: float, height: float, edge: float) -> list[tuple[float, float]]:
    """The points of a curve in a box: x from the left, y from the top."""
    times, values = [point[0] for point in points], [point[1] for point in points]
    low, high = min(values), max(values)
    span = (times[-1] - times[0]) or 1.0
    # What never changed is a line in the middle.
    reach, base = (high - low, low) if high > low else (1.0, low - 0.5)
    return [
        (
            round(edge + (at - times[0]) / span * (width - 2 * edge), 1),
            round(height - edge - (value - base) / reach * (height - 2 * edge), 1),
        )
        for at, value in points
    ]


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_ASSETS / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        extensions=[_Dense],
    )
    environment.filters.update(
        counts=count_words,
        duration=format_duration,
        facts=_facts,
        hosts=hosts_word,
        numbered=enumerate,
        readable=readable,
        rfc3339=rfc3339_ms,
        scaled=_scaled,
        sentence=_sentence,
        short_refs=short_refs,
        source=_source,
        value=value_text,
        verdict=verdict,
        words=words,
    )
    return environment


def render(report: Report) -> str:
    hosts = list(enumerate(report.hosts))
    page = (
        _environment()
        .get_template("report.html.j2")
        .stream(
            report=report,
            statuses=Status,
            alarming=FINDINGS,
            findings=_findings(report),
            loud=[(number, host) for number, host in hosts if host.findings],
            quiet=[(number, host) for number, host in hosts if not host.findings],
            with_refs=any(row.ref for host in report.hosts for row in host.results),
            style=(_ASSETS / "report.css").read_text(encoding="utf-8"),
            script=(_ASSETS / "report.js").read_text(encoding="utf-8"),
        )
    )
    # Pieces of 50,000 rows are too many to keep until the end.
    page.enable_buffering(1000)
    return "".join(map(visible, page))
