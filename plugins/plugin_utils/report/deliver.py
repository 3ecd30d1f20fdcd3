# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A finished report goes to the terminal and into its directory; what a task returns of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.utils.color import stringc
from ansible_collections.day2.ops.plugins.module_utils.checks.result import Status
from ansible_collections.day2.ops.plugins.plugin_utils.report import terminal, write
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, verdict
from ansible_collections.day2.ops.plugins.plugin_utils.report.speak import TERMINAL_WIDTH, speak

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def check_name(field: str, name: str | None) -> None:
    """Refuse what cannot name a directory; ReportError says what can."""
    if name is not None and (not _NAME.fullmatch(name) or name == write.LATEST):
        raise write.ReportError(
            f"{field} '{name}' cannot name a directory: letters, digits and '._-', "
            f"beginning with a letter or a digit, and not '{write.LATEST}'"
        )


def paint(text: str, status: Status) -> str:
    """In the user's own colours (`ansible-config`, section colors), or none."""
    colours = {
        Status.CRITICAL: C.COLOR_ERROR,
        Status.UNKNOWN: C.COLOR_WARN,
        Status.WARNING: C.COLOR_CHANGED,
        Status.OK: C.COLOR_OK,
        Status.SKIPPED: C.COLOR_SKIP,
    }
    return str(stringc(text, colours[status]))


def deliver(report: Report, directory: Path, check_mode: bool, again: bool = False) -> dict[str, Any]:
    """Write (also `again`) and print; ReportError where it cannot be written, after it was printed all the same."""
    places = write.paths(directory, report.run)
    if check_mode:
        place = "not written in check mode"
        sentence = f"{verdict(report)}; {place}"
    else:
        try:
            write.write(report, directory, again)
        except write.ReportError:
            _show(report, "not written")
            raise
        place = places["html"]
        sentence = f"{verdict(report)}; see {place}"
    _show(report, place)
    return {
        "changed": not check_mode,
        "run_id": report.run.run_id,
        "status": report.status.value,
        "summary": report.summary,
        "paths": places,
        "refused": report.refused,
        "failing": report.failing,
        "verdict": sentence,
    }


def _show(report: Report, place: str) -> None:
    text = terminal.render(report, place, TERMINAL_WIDTH)
    painted = terminal.render(report, place, TERMINAL_WIDTH, paint)
    if painted == text:
        speak("\n" + text)
        return
    speak("\n" + painted, screen_only=True)
    if C.DEFAULT_LOG_PATH:
        speak("\n" + text, log_only=True)
