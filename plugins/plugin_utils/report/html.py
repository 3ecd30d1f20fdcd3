# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.html: one file that asks nothing of any network, readable at 03:00 and without JavaScript.

The page is _SECTIONS in their order. A section is a function from a Page to markup, empty where it has
nothing to show; what comes later (charts, acknowledgements, steps) is one more of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

from ansible_collections.day2.ops.plugins.module_utils.checks.quantity import format_duration
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Result, Status
from ansible_collections.day2.ops.plugins.plugin_utils.report import findings
from ansible_collections.day2.ops.plugins.plugin_utils.report.acknowledge import words
from ansible_collections.day2.ops.plugins.plugin_utils.report.charts import charts
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import (
    FINDINGS,
    HostReport,
    Report,
    count_words,
    hosts_word,
    rfc3339,
    verdict,
)
from ansible_collections.day2.ops.plugins.plugin_utils.report.show import thresholds, value_text
from ansible_collections.day2.ops.plugins.plugin_utils.report.text import visible

_ASSETS = Path(__file__).parent
_ICON_COLOURS = {
    Status.CRITICAL: "#b3141d",
    Status.UNKNOWN: "#6b3fa0",
    Status.WARNING: "#b26a00",
    Status.OK: "#1a6b3a",
    Status.SKIPPED: "#5b6470",
}
_FIRST_FINDINGS = 8
_NAMED_HOSTS = 3
# More tiles without findings than this would push what matters off the screen.
_QUIET_TILES = 12


@dataclass
class Page:
    """What a section may look at."""

    report: Report
    findings: list[findings.Finding]


def _text(text: str) -> str:
    return escape(visible(text))


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _refs(refs: list[str]) -> str:
    """Each id whole, with its comma: neither a hyphen nor a comma begins a line."""
    if not refs:
        return ""
    commas = [","] * (len(refs) - 1) + [""]
    spans = " ".join(f"<span>{_text(ref)}{comma}</span>" for ref, comma in zip(refs, commas))
    return f'<span class="ref">{spans}</span>'


def _word(status: Status) -> str:
    return f'<b class="s {status.value}">{status.value}</b>'


def _time(moment: datetime) -> str:
    return f'<time datetime="{rfc3339(moment)}">{moment:%Y-%m-%d %H:%M:%S} UTC</time>'


def _masthead(page: Page) -> str:
    report, run = page.report, page.report.run
    about = " · ".join(_text(part) for part in (run.system, run.cadence or "", hosts_word(len(report.hosts))) if part)
    return (
        f'<header class="masthead {report.status.value}">'
        f'<p class="verdict"><b class="s {report.status.value}">{report.status.value}</b></p>'
        f"<div><h1>{_text(run.title)}</h1><p>{about}</p>"
        f'<p class="sentence">{_text(_capital(verdict(report)))}.</p></div>'
        f'<p class="when"><span class="ago"></span>{_time(report.finished)}'
        f"<small>took {format_duration(report.duration)} · run <code>{_text(run.run_id)}</code></small></p>"
        '<button type="button" id="theme" class="js">Theme: auto</button></header>'
    )


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _notes(page: Page) -> str:
    """What went wrong beside the checks."""
    lines = "".join(f"<li>{_text(_capital(note))}.</li>" for note in page.report.notes)
    return f'<ul class="notes">{lines}</ul>' if lines else ""


def _first(page: Page) -> str:
    """The worst findings, each told once however many hosts have it."""
    if not page.findings:
        return ""
    items = "".join(_finding(page.report, finding) for finding in page.findings[:_FIRST_FINDINGS])
    left = len(page.findings) - _FIRST_FINDINGS
    rest = f'<p class="note">{left} more below, host by host.</p>' if left > 0 else ""
    title = '<h2 id="first">Look at first</h2>'
    return f'<section aria-labelledby="first">{title}<ol class="first">{items}</ol>{rest}</section>'


def _finding(report: Report, finding: findings.Finding) -> str:
    places = [
        f'<a href="#h{host}r{row}">{_text(report.hosts[host].host)}</a>' for host, row in finding.places[:_NAMED_HOSTS]
    ]
    left = len(finding.places) - _NAMED_HOSTS
    more = f" and {left} more" if left > 0 else ""
    example = "e.g. " if len({report.hosts[h].results[r].message for h, r in finding.places}) > 1 else ""
    ref = _refs(finding.first.ref)
    return (
        f'<li class="{finding.status.value}">{_word(finding.status)}'
        f"<div><strong>{_text(finding.first.title)}</strong> {ref}"
        f'<span class="m">{example}{_text(finding.first.message)}</span></div>'
        f'<span class="where">{", ".join(places)}{more}</span></li>'
    )


def _overview(page: Page) -> str:
    """A tile a host. One host needs none."""
    hosts = page.report.hosts
    if len(hosts) < 2:
        return ""
    tiles = [(host.findings, _tile(number, host)) for number, host in enumerate(hosts)]
    loud = "".join(tile for found, tile in tiles if found)
    quiet = [tile for found, tile in tiles if not found]
    if len(quiet) > _QUIET_TILES:
        shown = f'<ul class="tiles">{loud}</ul>' if loud else ""
        body = (
            f"{shown}<details><summary>{hosts_word(len(quiet))} without findings</summary>"
            f'<ul class="tiles">{"".join(quiet)}</ul></details>'
        )
    else:
        body = f'<ul class="tiles">{loud}{"".join(quiet)}</ul>'
    return f'<nav aria-labelledby="hosts"><h2 id="hosts">Hosts</h2>{body}</nav>'


def _tile(number: int, host: HostReport) -> str:
    counts = count_words(host.summary, FINDINGS) or host.account()
    said = "unreachable" if not host.reachable else "refused" if host.refused else counts
    name = _text(host.host).replace(".", ".<wbr>")
    return f'<li><a class="{host.status.value}" href="#h{number}"><b>{name}</b><span>{said}</span></a></li>'


def _filter(page: Page) -> str:
    summary = page.report.summary
    buttons = "".join(
        f'<button type="button" aria-pressed="false" data-status="{status.value}" class="{status.value}"'
        f"{'' if summary[status.value] else ' disabled'}>{summary[status.value]} {status.value}</button>"
        for status in Status
    )
    if page.report.acknowledged:
        buttons += (
            '<button type="button" aria-pressed="false" data-status="acknowledged" class="acknowledged">'
            f"{page.report.acknowledged} acknowledged</button>"
        )
    names = "".join(f'<option value="{_text(host.host)}"></option>' for host in page.report.hosts)
    host = (
        '<label>Host <input type="search" id="host" list="names" autocomplete="off" placeholder="any"></label>'
        f'<datalist id="names">{names}</datalist>'
    )
    return (
        '<form class="filter js" role="search" aria-label="Filter the checks">'
        f'<div class="buttons" role="group" aria-label="Status">{buttons}</div>'
        f"{host if len(page.report.hosts) > 1 else ''}"
        '<label>Text <input type="search" id="text" autocomplete="off" placeholder="press /"></label>'
        '<output id="count"></output>'
        '<button type="reset" id="clear" hidden>Show all</button></form>'
    )


def _checks(page: Page) -> str:
    """Every host with its checks, worst first; a host without findings is folded, unless it is the only one."""
    alone = len(page.report.hosts) == 1
    return (
        '<section id="checks" aria-labelledby="all"><h2 id="all">Checks</h2>'
        f"{''.join(_host(number, host, alone) for number, host in enumerate(page.report.hosts))}"
        '<p class="note" id="nothing" hidden>No check matches the filter.</p></section>'
    )


def _host(number: int, host: HostReport, alone: bool) -> str:
    opened = " open" if host.findings or alone else ""
    took = f" · {format_duration(host.duration)}" if host.duration else ""
    rows = "".join(_row(f"h{number}r{place}", row) for place, row in enumerate(host.results))
    return (
        f'<details class="host {host.status.value}" id="h{number}"{opened}><summary>{_word(host.status)}'
        f"<h3>{_text(host.host)}</h3><span>{host.account()}{took}</span></summary>"
        f'<div class="rows">{rows}</div></details>\n'
    )


def _row(place: str, row: Result) -> str:
    # 50,000 of these: every element counts, so the cells have no wrappers
    status = row.status.value if row.acknowledged is None else "acknowledged"
    ref = _refs(row.ref) or "<i></i>"
    known = f"<em>{_text(_capital(words(row.acknowledged)))}.</em> " if row.acknowledged is not None else ""
    told = " told" if row.evidence else ""
    # A view is looked at for its charts.
    shown = " open" if row.curves else ""
    return (
        f'<details class="row {status}{told}" id="{place}"{shown}>'
        f'<summary><b class="s {status}">{row.status.value}</b>{ref}'
        f'<span class="t">{_text(row.title)}</span><span class="v">{_text(value_text(row))}</span>'
        f'<span class="m">{known}{_text(row.message)}</span></summary>'
        f'<div class="more">{charts(row.curves) if row.curves else _evidence(row)}'
        f"<p>{''.join(_facts(row))}</p></div></details>"
    )


def _evidence(row: Result) -> str:
    if not row.evidence:
        return ""
    # A line break belongs to the markup here, not to a line of evidence.
    lines = "\n".join(_text(line) for line in row.evidence)
    return f'<pre tabindex="0" aria-label="Evidence">\n{lines}</pre>'


def _facts(row: Result) -> Iterator[str]:
    yield f"check <code>{_text(row.id)}</code> · probe {_text(row.probe)}"
    limits = thresholds(row)
    yield f" · {_text(limits)}" if limits else " · no thresholds"
    yield f" · started {_text(row.started)} · took {format_duration(row.duration)}"


def _footer(page: Page) -> str:
    run = page.report.run
    made = ", ".join(f"{_text(name)} {_text(version)}" for name, version in run.versions.items())
    times = f"{_time(page.report.started)} to {_time(page.report.finished)}"
    return (
        f"<footer><p>Run <code>{_text(run.run_id)}</code>, {times}."
        f" The run fails on: {run.fail_on}. Made by day2.ops ({made}). The same results for machines:"
        ' <a href="report.json">JSON</a>, <a href="report.xml">JUnit</a>,'
        ' <a href="report.prom">Prometheus</a>.</p></footer>'
    )


_SECTIONS: tuple[Callable[[Page], str], ...] = (_masthead, _notes, _first, _overview, _filter, _checks, _footer)


def _head(report: Report, style: str, script: str) -> str:
    run = report.run
    icon = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
        f'<circle cx="8" cy="8" r="7" fill="{_ICON_COLOURS[report.status]}"/></svg>'
    )
    # Evidence is escaped; this is the second lock: the browser runs and loads nothing but what is written here.
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    title = " · ".join(part for part in (report.status.value.upper(), run.title, run.system) if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<title>{_text(title)}</title>\n<link rel="icon" href="data:image/svg+xml,{quote(icon)}">\n'
        f"<style>{style}</style>\n</head>\n"
    )


def render(report: Report) -> str:
    style = (_ASSETS / "report.css").read_text(encoding="utf-8")
    script = (_ASSETS / "report.js").read_text(encoding="utf-8")
    page = Page(report, findings.group(report))
    refs = any(row.ref for host in report.hosts for row in host.results)
    layout = "with-refs" if refs else "without-refs"
    body = "\n".join(section for section in (make(page) for make in _SECTIONS) if section)
    return (
        f'{_head(report, style, script)}<body class="{layout}">\n{body}\n<script>{script}</script>\n</body>\n</html>\n'
    )
