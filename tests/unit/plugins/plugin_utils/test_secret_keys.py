# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secret keys of age are found wherever they stand in a task's options."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.plugin_utils.secret_keys import secret_option

KEY = "AGE-SECRET" + "-KEY-1" + "Q" * 58
PUBLIC = "age1" + "q" * 58


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"encrypt_to": [KEY]}, "encrypt_to"),
        ({"encrypt_to": [PUBLIC, KEY.lower()]}, "encrypt_to"),
        ({"encrypt_to": f"{PUBLIC},{KEY}"}, "encrypt_to"),
        ({"encrypt_to": [f" # created: today\n{KEY}"]}, "encrypt_to"),
        ({"encrypt_to": PUBLIC, "identity": KEY}, "identity"),
        ({"identity": f"/root/{KEY}"}, "identity"),
        ({"keep": {"last": [{"n": KEY}]}}, "keep"),
        ({"keep": {KEY: 1}}, "keep"),
        ({"encrypt_to": [PUBLIC, "ssh-ed25519 AAAA"], "identity": "/root/key", "keep": {"last": 3}}, None),
        ({}, None),
    ],
)
def test_where_it_stands(options: dict[str, Any], name: str | None) -> None:
    assert secret_option(options) == name


@pytest.mark.parametrize("keys", [[KEY], [PUBLIC, KEY], [f"  {KEY}"], [KEY.lower()]])
def test_a_module_that_is_called_without_the_action_refuses_it_unseen(keys: list[str]) -> None:
    with pytest.raises(arguments.ArgumentFault) as caught:
        arguments.recipients({"encrypt_to": keys})
    assert KEY[:12] not in str(caught.value).upper()
    # Nor does the log of the module's call have it.
    assert [found.upper() for found in arguments.secret_values({"encrypt_to": keys})] == [KEY]
    with pytest.raises(arguments.ArgumentFault, match="'identity' is a secret key"):
        arguments.identity({"identity": keys[-1]})
