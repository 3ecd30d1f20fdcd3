# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.units.lsn import LsnError, format_lsn, parse_lsn


@pytest.mark.parametrize("text", ["0/0", "0/3000060", "1A/FF00BB00", "FFFFFFFF/FFFFFFFF"])
def test_an_lsn_is_written_as_it_was_read(text: str) -> None:
    assert format_lsn(parse_lsn(f" {text.lower()}\n")) == text


@pytest.mark.parametrize("bad", ["", "0", "x/1", "0/123456789", "0/1/2"])
def test_what_is_no_lsn_is_refused(bad: str) -> None:
    with pytest.raises(LsnError, match="is no LSN, such as 0/3000060"):
        parse_lsn(bad)
