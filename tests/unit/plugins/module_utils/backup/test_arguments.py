# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys among the arguments of backups: who may read a set is shown, what reads it is not."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import arguments
from ansible_collections.day2.ops.plugins.module_utils.rotation import arguments as rotation

SECRET = "AGE-SECRET-KEY-1QQPQYQWZ"
PUBLIC = ["age1" + "q" * 58, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ9 me@host", "ssh-rsa AAAAB3NzaC1yc2E me"]


@pytest.mark.parametrize("secret_values", [arguments.secret_values, rotation.secret_values])
@pytest.mark.parametrize(
    ("params", "hidden"),
    [
        ({"encrypt_to": PUBLIC, "identity": "/root/key"}, []), ({}, []), ({"encrypt_to": None, "identity": None}, []),
        ({"encrypt_to": [*PUBLIC, SECRET]}, [SECRET]), ({"encrypt_to": SECRET.lower()}, [SECRET.lower()]),
        ({"encrypt_to": f"{PUBLIC[0]},{SECRET}"}, [SECRET]), ({"encrypt_to": [f"# today\n{SECRET}\n"]}, [SECRET]),
        ({"encrypt_to": PUBLIC, "identity": SECRET}, [SECRET]), ({"encrypt_to": [{"key": SECRET}]}, [SECRET]),
    ],
)  # fmt: skip
def test_only_secret_keys_are_masked(secret_values: Any, params: dict[str, Any], hidden: list[str]) -> None:
    assert secret_values(params) == hidden


@pytest.mark.parametrize("options", [arguments.MAKING, rotation.OPTIONS])
def test_public_keys_are_shown(options: dict[str, Any]) -> None:
    assert not options["encrypt_to"].get("no_log")
