# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The end-of-day report. On this host it cannot run: the lab wants one unit that is down."""

from __future__ import annotations

import sys
from pathlib import Path

TEMPLATE = Path("/etc/options_engine/report.html.tmpl")

if not TEMPLATE.exists():
    sys.exit(f"options-report: no template at {TEMPLATE}, the report of this day was not made")
