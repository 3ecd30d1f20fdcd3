# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.json: one line a check, so that grep and diff work on it as well as jq does."""

from __future__ import annotations

import json

from ansible_collections.day2.ops.plugins.plugin_utils.report.document import HostReport, Report


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _host(host: HostReport) -> str:
    record = host.to_dict()
    rows = ",\n".join(f"      {_dump(row)}" for row in record.pop("results"))
    fields = ", ".join(f"{_dump(key)}: {_dump(value)}" for key, value in record.items())
    return f'    {{{fields}, "results": [\n{rows}\n    ]}}' if rows else f'    {{{fields}, "results": []}}'


def render(report: Report) -> str:
    head = "".join(f"  {_dump(key)}: {_dump(value)},\n" for key, value in report.head().items())
    hosts = ",\n".join(_host(host) for host in report.hosts)
    return f'{{\n{head}  "hosts": [\n{hosts}\n  ],\n  "steps": {_dump(report.steps)}\n}}\n'
