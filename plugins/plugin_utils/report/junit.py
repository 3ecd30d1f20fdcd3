# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.xml: JUnit, for CI servers and AWX. A testsuite a host, a testcase a check."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import words
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import HostReport, Report
from ansible_collections.day2.ops.plugins.plugin_utils.report.show import thresholds, value_text

_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OUTCOME = {Status.CRITICAL: "failure", Status.UNKNOWN: "error", Status.SKIPPED: "skipped"}


def _attribute(text: str) -> str:
    return quoteattr(_ILLEGAL.sub("", text))


def _content(text: str) -> str:
    return escape(_ILLEGAL.sub("", text))


def _outcome(row: Result, fail_on: str) -> str | None:
    if row.acknowledged is not None:
        return "skipped"
    if row.status is Status.WARNING and fail_on == "warning":
        return "failure"
    return _OUTCOME.get(row.status)


def _account(row: Result) -> str:
    lines = [row.message, f"value: {value_text(row)}" if row.value is not None else "", thresholds(row)]
    return "\n".join([line for line in lines if line] + row.evidence)


def _case(host: HostReport, row: Result, fail_on: str) -> str:
    name = " ".join([*row.ref, row.title])
    start = f"    <testcase classname={_attribute(f'{host.host}.{row.id}')} name={_attribute(name)}"
    start += f' time="{row.duration:.3f}"'
    outcome = _outcome(row, fail_on)
    if outcome is None:
        if row.status is Status.OK:
            return f"{start}/>\n"
        return f"{start}>\n      <system-out>{_content(_account(row))}</system-out>\n    </testcase>\n"
    known = f"{words(row.acknowledged)}; " if row.acknowledged is not None else ""
    message = _attribute(known + row.message)
    if outcome == "skipped":
        return f"{start}>\n      <skipped message={message}/>\n    </testcase>\n"
    body = f'<{outcome} type="{row.status.value}" message={message}>{_content(_account(row))}</{outcome}>'
    return f"{start}>\n      {body}\n    </testcase>\n"


def _counts(rows: list[Result], fail_on: str) -> dict[str, int]:
    outcomes = [_outcome(row, fail_on) for row in rows]
    return {
        "tests": len(rows),
        "failures": outcomes.count("failure"),
        "errors": outcomes.count("error"),
        "skipped": outcomes.count("skipped"),
    }


def _numbers(counts: dict[str, int]) -> str:
    return " ".join(f'{key}="{number}"' for key, number in counts.items())


def render(report: Report) -> str:
    fail_on = report.run.fail_on
    stamp = report.started.strftime("%Y-%m-%dT%H:%M:%S")
    suites, totals = [], dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for host in report.hosts:
        counts = _counts(host.results, fail_on)
        for key, number in counts.items():
            totals[key] += number
        name = _attribute(host.host)
        suites.append(
            f'  <testsuite name={name} hostname={name} timestamp="{stamp}" time="{host.duration:.3f}"'
            f" {_numbers(counts)}>\n"
        )
        suites.extend(_case(host, row, fail_on) for row in host.results)
        suites.append("  </testsuite>\n")
    head = f'<testsuites name={_attribute(report.run.title)} time="{report.duration:.3f}" {_numbers(totals)}>\n'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{"".join(suites)}</testsuites>\n'
