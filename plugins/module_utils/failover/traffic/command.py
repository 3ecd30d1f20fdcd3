# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site's own commands: one leads traffic elsewhere, another says whether it does; none is a shell.

They are told by their environment: DAY2_PRIMARY_HOST, DAY2_PRIMARY_PORT, DAY2_OLD_HOST and DAY2_OLD_PORT. Cutting off
has commands of its own: one that leads to the new primary must not do so before there is one.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar, Mapping, Sequence

from ansible_collections.day2.ops.plugins.module_utils.checks.masking import mask, mask_lines, secret_words
from ansible_collections.day2.ops.plugins.module_utils.failover.traffic.base import Kind, Seen, TrafficError
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import (
    PipelineError,
    PipelineTimeout,
    Program,
    run_pipeline,
)
from ansible_collections.day2.ops.plugins.module_utils.process.programs import CAP

# The exit status by which a check says no; others but 0 are, as grep's, a fault of the check.
_NO = 1


class Command(Kind):
    options: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "argv": {"type": "list", "elements": "str"},
        "check": {"type": "list", "elements": "str"},
        "cut_argv": {"type": "list", "elements": "str"},
        "cut_check": {"type": "list", "elements": "str"},
    }
    needs = ("argv",)

    def __init__(self, options: Mapping[str, Any], wish: Any) -> None:
        super().__init__(options, wish)
        self.argv: list[str] = options["cut_argv" if wish.cut else "argv"] or []
        self.check: list[str] = options["cut_check" if wish.cut else "check"] or []
        # Before there is a new primary, the other command must not run.
        self.cuts = bool(options["cut_argv"])

    def observe(self) -> Seen:
        name = "cut_check" if self.wish.cut else "check"
        if not self.check:
            return Seen("unknown", False, f"kind command has no '{name}': nobody can say what it has done")
        code, said = self._run(self.check, name)
        if code == 0:
            return Seen(self.wish.words, True, "", said)
        return Seen("elsewhere", False, f"'{name}' ({self.check[0]}) says that it is not so", said)

    def steps(self, seen: Seen) -> list[str]:
        return [f"run {self.argv[0]}" + (f", then {self.check[0]}" if self.check else "")]

    def act(self, seen: Seen) -> list[str]:
        option = "cut_argv" if self.wish.cut else "argv"
        code, said = self._run(self.argv, option)
        if code:
            raise TrafficError(f"'{option}': {self.argv[0]} failed: {' '.join(said[-1:]) or f'exit status {code}'}")
        return [f"{self.argv[0]} was run"]

    def cannot_cut(self) -> str:
        return "kind command has no 'cut_argv': it cannot cut a server off"

    def _run(self, argv: Sequence[str], option: str) -> tuple[int, list[str]]:
        """Its exit status, and what it said, without secrets."""
        said, secrets = bytearray(), secret_words(argv)
        program = Program(argv, self._environment(), os.path.basename(argv[0]))
        code = 0
        try:
            run_pipeline([program], lambda piece: said.extend(piece[: CAP - len(said)]), timeout=self.wish.limit)
        except PipelineTimeout:
            raise TrafficError(f"'{option}': {argv[0]} took longer than {self.wish.limit:g} s") from None
        except PipelineError as exc:
            if exc.status != _NO:
                raise TrafficError(f"'{option}': {mask(str(exc), secrets)}") from exc
            code, said = _NO, bytearray(exc.stderr.encode())
        return code, mask_lines(said.decode("utf-8", "replace").splitlines(), secrets)

    def _environment(self) -> dict[str, str]:
        found = {}
        for name, endpoint in (("PRIMARY", self.wish.primary), ("OLD", self.wish.old)):
            if endpoint is not None:
                found.update({f"DAY2_{name}_HOST": endpoint.host, f"DAY2_{name}_PORT": str(endpoint.port)})
        return found
