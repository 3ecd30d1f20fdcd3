# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a task failed, in one line."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.day2.ops.plugins.filter.reason import FilterModule

REASON = FilterModule().filters()["reason"]


@pytest.mark.parametrize(
    ("result", "words"),
    [
        ({"msg": "no such unit"}, "no such unit"),
        ({"msg": "non-zero return code", "rc": 3, "stderr": "Traceback\nboom: column x\n"},
         "exit status 3: boom: column x"),
        ({"msg": "non-zero return code", "rc": 1, "stderr": "ERROR:  syntax error at \"b\"\nLINE 1: a b\n          ^"},
         'exit status 1: ERROR:  syntax error at "b"'),
        ({"msg": "One or more items failed", "results": [{"msg": "fine"}, {"failed": True, "msg": "no unit b"}]},
         "no unit b"),
        ({"msg": "Error executing command.", "cmd": "/opt/nope upgrade"},
         "/opt/nope could not be executed (is it there, and may this user run it?)"),
        ({"censored": "hidden", "msg": "password is x"}, "it keeps secret what it said (no_log)"),
        ({}, "it did not say why"),
    ],
)  # fmt: skip
def test_in_words(result: dict[str, Any], words: str) -> None:
    assert REASON(result) == words


def test_of_something_else() -> None:
    with pytest.raises(AnsibleFilterError, match="a mapping; this is str"):
        REASON("ansible_failed_result")
