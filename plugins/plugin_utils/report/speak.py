# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where text for people goes: standard output, unless that is a document for a program (JSON, JUnit, …)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from ansible import constants as C
from ansible.utils.display import Display

display = Display()

# Callbacks whose standard output is read by people. That of any other may be parsed.
_FOR_PEOPLE = frozenset(
    ("awx_display", "brief", "counter_enabled", "debug", "default", "default_without_diff", "dense", "diy", "minimal",
     "oneline", "selective", "sumologic", "tree", "unixy", "yaml")
)  # fmt: skip


def is_for_people(callback: str) -> bool:
    """Whether the stdout callback of this name prints for people."""
    return callback.rpartition(".")[2] in _FOR_PEOPLE


def speak(text: str, screen_only: bool = False, log_only: bool = False) -> None:
    """Print it; on standard error where standard output is for a program."""
    stderr = not is_for_people(str(C.DEFAULT_STDOUT_CALLBACK))
    display.display(text, screen_only=screen_only, log_only=log_only, stderr=stderr)


def width_for_a_person(environment: Mapping[str, str], is_terminal: bool, ask: Callable[[], int]) -> int | None:
    """The columns to which lines are shortened on a person's terminal; None: they are shown in full.

    A runner (AWX, ansible-runner) gives a job a terminal too, of 80 columns that nobody looks at. One that does not
    know its size (0) is no reason to cut anything either. `ask` returns the terminal's own columns.
    """
    run_by = str(C.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2]
    is_runner = run_by == "awx_display" or any(name.startswith(("AWX_", "RUNNER_")) for name in environment)
    if not is_terminal or is_runner or environment.get("TERM") == "dumb":
        return None
    given = environment.get("COLUMNS", "")
    columns = int(given) if given.isascii() and given.isdigit() else 0
    try:
        return columns or ask() or None
    except OSError:
        return None


# Read at import, which happens before ansible forks: a worker's standard output is no terminal.
TERMINAL_WIDTH = width_for_a_person(os.environ, os.isatty(1), lambda: os.get_terminal_size(1).columns)
