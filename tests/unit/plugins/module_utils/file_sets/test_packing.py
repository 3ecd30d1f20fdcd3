# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tar says of files that were not left alone while it read them."""

from __future__ import annotations

import pytest
from ansible_collections.day2.ops.plugins.module_utils.file_sets.packing import changed

NOISE = ["tar: Removing leading `/' from member names", "tar: srv/socket: socket ignored", ""]


@pytest.mark.parametrize(
    ("remarks", "named"),
    [
        (NOISE, None),
        (["tar: srv/a: file changed as we read it"], "srv/a: file changed as we read it"),
        (["/usr/bin/tar: srv/a: b: File removed before we read it"], "srv/a: b: File removed before we read it"),
        (["tar: srv/a: File shrank by 1 byte; padding with zeros", *NOISE], "srv/a: File shrank by 1 byte; padding"),
        ([f"tar: {name}: file changed as we read it" for name in "abcde"], "c: file changed as we read it; and 2 more"),
    ],
)
def test_files_that_changed(remarks: list[str], named: str | None) -> None:
    said = changed("/srv", remarks)
    assert len(said) == (named is not None) and all(named in words and "/srv is not of one" in words for words in said)
