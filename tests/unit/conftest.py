# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection is imported by its name, from the link that `make setup` makes."""

from __future__ import annotations

import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
for _place in (_ROOT / ".collections", _ROOT / "tests" / "support"):
    if str(_place) not in sys.path:
        sys.path.insert(0, str(_place))
