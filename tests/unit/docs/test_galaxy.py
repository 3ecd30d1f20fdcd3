# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""galaxy.yml excludes what generate_build_ignore.py says, which is all but the names that it lists."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path

import generate_build_ignore
import pytest

ROOT = Path(__file__).resolve().parents[3]
PATTERNS = generate_build_ignore.patterns()


def test_the_list_is_current() -> None:
    assert (ROOT / "galaxy.yml").read_text(encoding="utf-8") == generate_build_ignore.render(), "run `make docs`"


@pytest.mark.parametrize("name", generate_build_ignore.PACKED)
@pytest.mark.parametrize("below", ["", "/x", "/tasks/main.yml"])
def test_what_is_packed(name: str, below: str) -> None:
    assert not [pattern for pattern in PATTERNS if fnmatch(name + below, pattern)]


@pytest.mark.parametrize("name", generate_build_ignore.PACKED)
def test_names_like_those_are_not_packed(name: str) -> None:
    others = [name[:-1], name[0], name + "2", name + "-old", name + ".zip", name + "~", name.swapcase(), "x" + name]
    others += [name[:at] + "_" + name[at + 1 :] for at in range(len(name))]
    assert [other for other in others if not any(fnmatch(other, pattern) for pattern in PATTERNS)] == []
