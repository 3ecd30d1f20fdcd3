# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many random inputs a test tries: `make nightly` tries ten times as many as `make test`."""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("DAY2_EXAMPLES", "1"))


def examples(number: int) -> int:
    return number * FACTOR
