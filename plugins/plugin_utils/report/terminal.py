# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checklist on the terminal: a line a host, a line a check, worst first, evidence left to the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.module_utils.units.timestamps import readable
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import words
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import (
    HostReport,
    Report,
    hosts_word,
    verdict,
)
from ansible_collections.day2.ops.plugins.plugin_utils.report.show import short_refs
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import columns, one_line, pad, shorten

Paint = Callable[[str, Status], str]

MOST_LINES = 2000
_WORD = max(len(status.value) for status in Status)
_WIDEST_TITLE = 40
_WIDEST_REF = 16
# Less than this of a message says nothing: the terminal wraps the line instead.
_LEAST_MESSAGE = 24
_NO_CHECKS = frozenset(("step", "steps", "checklist", "connection"))


def _unpainted(text: str, _status: Status) -> str:
    return text


class _Printer:
    """Knows the width of the terminal (None: unlimited), the columns and the colours."""

    def __init__(self, report: Report, width: int | None, paint: Paint) -> None:
        self.report = report
        self.width = width
        self.paint = paint
        self.name_width = max((columns(one_line(host.host)) for host in report.hosts), default=0)

    def lines(self) -> Iterator[str]:
        yield self._heading()
        shown = self._shown()
        for host in shown:
            yield ""
            yield self._word(host.status) + "  " + pad(one_line(host.host), self.name_width) + self._account(host)
            yield from self._rows(host)
        yield ""
        hidden = len(self.report.hosts) - len(shown)
        if self.only_findings:
            yield (
                f"More than {MOST_LINES} lines: only findings are printed, "
                f"{hosts_word(hidden)} without any and all ok or skipped checks are in the report."
            )

    @property
    def only_findings(self) -> bool:
        return sum(len(host.results) + 2 for host in self.report.hosts) > MOST_LINES

    def _shown(self) -> list[HostReport]:
        return [host for host in self.report.hosts if host.findings or not self.only_findings]

    def _heading(self) -> str:
        run = self.report.run
        parts = [run.title, run.system, run.cadence or "", readable(self.report.started)]
        return one_line(" · ".join(part for part in parts if part))

    def _word(self, status: Status) -> str:
        return self.paint(pad(status.value.upper(), _WORD), status)

    def _account(self, host: HostReport) -> str:
        seconds = f" in {host.duration:.1f} s" if host.duration else ""
        return "  " + host.account() + seconds

    def _rows(self, host: HostReport) -> Iterator[str]:
        rows = [row for row in host.results if row.alarming or not self.only_findings]
        refs = [shorten(one_line(short_refs(row.ref)), _WIDEST_REF) for row in rows]
        titles = [shorten(one_line(row.title), _WIDEST_TITLE) for row in rows]
        ref_width = max(map(columns, refs), default=0)
        title_width = max(map(columns, titles), default=0)
        before = 2 + _WORD + 2 + (ref_width + 2 if ref_width else 0) + title_width + 2
        for row, ref, title in zip(rows, refs, titles):
            message = one_line(row.message)
            status = self._word(row.status)
            if row.acknowledged is not None:
                # Known: not in an alarming colour, and who knows it comes first.
                status = self.paint(pad(row.status.value, _WORD), Status.SKIPPED)
                message = one_line(f"{words(row.acknowledged)} · {row.message}")
            # The name by which a finding is acknowledged.
            name = f"  [{one_line(row.id)}]" if row.alarming else ""
            # What keeps a step or a checklist from running says what to type: the terminal wraps it.
            whole = row.alarming and row.probe in _NO_CHECKS
            if self.width and self.width - before >= _LEAST_MESSAGE and not whole:
                message = shorten(message, self.width - before - columns(name))
            message += name
            cells = [status, pad(ref, ref_width), pad(title, title_width), message]
            yield ("  " + "  ".join(cell for cell in cells if cell)).rstrip()


def render(report: Report, place: str, width: int | None = None, paint: Paint = _unpainted) -> str:
    """The text without a last newline. `place` is where the report is, or why there is none."""
    lines = list(_Printer(report, width, paint).lines())
    status = report.status
    lines.append(paint(pad(status.value.upper(), _WORD), status) + "  " + verdict(report))
    lines += [pad("note", _WORD) + "  " + one_line(note) for note in report.notes]
    lines.append(pad("report", _WORD) + "  " + place)
    return "\n".join(lines)
