# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers of the tests of HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from raw_http import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        yield made
        made.shutdown()


@pytest.fixture
def other() -> Iterator[Server]:
    with Server() as made:
        yield made
        made.shutdown()
