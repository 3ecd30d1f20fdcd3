# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How certificates are renewed, and what came of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status, worst
from ansible_collections.day2.ops.plugins.plugin_utils.decisions.results import Result, changed, items, lines

_CERTBOT = ("renew", "--non-interactive", "--no-random-sleep-on-renew")
_BAD = ("critical", "unknown", "warning")


def renewal(command: Sequence[str], certbot: Result) -> list[str]:
    """The command that renews: the site's own, else that of the certbot that was found (a loop of stat), else none."""
    found = [str(entry.get("item")) for entry in items(certbot) if (entry.get("stat") or {}).get("exists")]
    return list(command) or ([found[0], *_CERTBOT] if found else [])


def checks(paths: Sequence[str], soon: str) -> list[dict[str, str]]:
    """A check of each file, whose path is its id and title."""
    return [
        {"id": path, "title": path, "path": path, "probe": "certificate", "warning": f"< {soon}"}
        for path in dict.fromkeys(paths)
    ]


def differs(path: str, old: Result, new: Result) -> bool:
    """Whether a file is another one now, which was there or not: `old` is the loop of before, `new` its result now."""
    before = [entry for entry in items(old) if entry.get("item") == path]
    return _checksum(new) != (_checksum(before[0]) if before else "")


def renewed(new: Result) -> list[str]:
    """The files that are other ones now; `new` is the loop of afterwards."""
    return [str(entry.get("item")) for entry in items(new) if changed(entry)]


def outcome(
    planning: bool,
    argv: Sequence[str],
    paths: Sequence[str],
    reload: Sequence[str],
    checked: Result,
    new: Result,
    ran: Result,
) -> dict[str, Any]:
    """The line of the step: what was renewed, and which certificates end soon."""
    results = items(checked)
    said = [f"{row.get('title')}: {row.get('message')}" for row in results]
    bad = [row for row in results if row.get("status") in _BAD]
    # Without a file nothing can be compared.
    blind = bool(argv) and not paths
    if bad:
        status = worst(Status(str(row["status"])) for row in bad).value
    elif blind and reload:
        status = "warning"
    else:
        status = "skipped" if planning or not argv else "ok"
    findings = [f"{row.get('title')}: {row.get('message')}" for row in bad]
    return {
        "status": status,
        "message": "; ".join([_done(planning, argv, paths, reload, len(renewed(new))), *findings]),
        "evidence": [*said, *lines(ran)],
    }


def _done(planning: bool, argv: Sequence[str], paths: Sequence[str], reload: Sequence[str], count: int) -> str:
    command = " ".join(argv)
    if not argv:
        return "nothing renews certificates here: there is no certbot, and no command is named"
    if planning:
        return f"would run {command}"
    if not paths:
        return (
            f"{command} ran; whether it renewed anything is not known, and {', '.join(reload) or 'no unit'} was"
            f" {'not ' if reload else ''}reloaded: maintenance_steps_certificates names no file"
        )
    return f"{count} of {len(paths)} certificates renewed"


def _checksum(result: Result) -> str:
    return str((result.get("stat") or {}).get("checksum") or "")
