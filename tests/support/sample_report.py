# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a made-up run."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import sample_run
from ansible_collections.day2.ops.plugins.plugin_utils.report.document import Report, Run, build

NOW = datetime(2026, 11, 21, 3, 16, tzinfo=timezone.utc)


def report(values: dict[str, Any] | None = None, **about: Any) -> Report:
    run = Run(
        **{"run_id": "run-1", "title": "Daily checklist", "system": "options_engine", "cadence": "daily", **about}
    )
    return build(run, (values if values is not None else sample_run.night()).items(), NOW)
