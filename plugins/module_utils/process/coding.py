# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How files are stored: compressed by zstd, encrypted by age."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import Program

# Rows of numbers, times and keys come out smaller than at level 3, text about a tenth larger (docs/backup.md).
DEFAULT_LEVEL = 1
DECOMPRESS = Program(["zstd", "-q", "-d", "-c"])


@dataclass(frozen=True)
class Coding:
    """How files are stored: zstd's level and threads, and the recipients of age (none: not encrypted)."""

    level: int = DEFAULT_LEVEL
    threads: int = 1
    recipients: Sequence[str] = ()

    def programs(self) -> list[Program]:
        compress = Program(["zstd", "-q", "-c", f"-T{self.threads}", *self._parameters])
        if not self.recipients:
            return [compress]
        # Recipients are public keys: they may stand in argv.
        options = [word for recipient in self.recipients for word in ("-r", recipient)]
        return [compress, Program(["age", "-e", *options])]

    @property
    def _parameters(self) -> list[str]:
        return [f"-{self.level}"]

    @property
    def description(self) -> str:
        """For the manifest. Whatever it says, `zstd -d` reads the file."""
        return " ".join(["zstd", *self._parameters])

    @property
    def suffix(self) -> str:
        return ".zst.age" if self.recipients else ".zst"
