# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pg_restore that fails, by real programs: the error ends the restore, whoever ended the program."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.day2.ops.plugins.module_utils.backup import damage
from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error
from ansible_collections.day2.ops.plugins.module_utils.process.pipeline import PipelineError, PipelineKilled, Program
from ansible_collections.day2.ops.plugins.module_utils.restore import load

KNOWN = """\
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 5; 2615 16388 SCHEMA audit postgres
pg_restore: error: could not execute query: ERROR:  schema "audit" already exists
"""


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("kill -KILL $$", PipelineKilled),
        ("kill -TERM $$", PipelineKilled),
        ("echo 'pg_restore: error: of a kind that nobody knows' >&2; exit 1", PipelineError),
        ("exit 3", PipelineError),
        (f"cat >&2 <<'END'\n{KNOWN}END\nexit 1", load.LoadError),
    ],
)
def test_a_failure_has_another_one_for_its_cause_or_none(tmp_path: Path, script: str, kind: type[Day2Error]) -> None:
    program = tmp_path / "pg_restore"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(kind) as caught:
        load._restore(Program([str(program)]), 10)
    assert caught.type is kind and caught.value.__cause__ is not caught.value
    # Whoever looks for the first cause comes to an end.
    assert damage._other_bytes(caught.value) is None
