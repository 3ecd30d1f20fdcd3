# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secret keys of age in options of a task are refused before anything is sent to a host.

Options take public keys (`encrypt_to`) or the path of a key file (`identity`). A module that was given the secret key
itself would have it in its invocation: on the terminal with `-vvv`, in the host's journal, in a job's log.
"""

from __future__ import annotations

from typing import Any

from ansible_collections.day2.ops.plugins.plugin_utils.progress.watch import WithProgress

_KEY_PREFIX = "AGE-SECRET-KEY-"


def secret_option(arguments: dict[str, Any]) -> str | None:
    """The name of an option that has a secret key of age somewhere in its value. Pure."""
    return next((str(name) for name, value in arguments.items() if _has_secret(value)), None)


def _has_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_secret(part) for pair in value.items() for part in pair)
    if isinstance(value, (list, tuple)):
        return any(_has_secret(part) for part in value)
    return isinstance(value, str) and _KEY_PREFIX in value.upper()


class WithoutSecretKeys(WithProgress):
    """A module as it is, with its progress, unless an option has a secret key."""

    def run(self, tmp: Any = None, task_vars: Any = None) -> dict[str, Any]:
        name = secret_option(self._task.args)
        if name is None:
            return dict(super().run(tmp, task_vars))
        wanted = "the public key (age1…)" if name == "encrypt_to" else "the path of the file that has it"
        return {
            "failed": True,
            "msg": f"'{name}' has a secret key of age; give {wanted}. Nothing was sent to the host; the key stands in"
            " the task or in its variables: make a new one where others may read these",
        }
