# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`day2ctl`: what goes on at a host when Ansible does not run, for its timers and for people at it."""

from __future__ import annotations

import argparse
import sys
from typing import Any, Callable, Mapping, Sequence, TextIO

from ansible_collections.day2.ops.plugins.module_utils.errors import Day2Error


def _maintenance(areas: Any) -> None:
    from ansible_collections.day2.ops.plugins.module_utils.ctl import maintenance

    maintenance.add_to(areas)


def _logs(areas: Any) -> None:
    from ansible_collections.day2.ops.plugins.module_utils.ctl import logs

    logs.add_to(areas)


# Each is loaded when it is asked for: timers call this every few seconds.
_AREAS: Mapping[str, Callable[[Any], None]] = {"maintenance": _maintenance, "logs": _logs}


def main(arguments: Sequence[str], version: str) -> int:
    options = _parser(version, arguments).parse_args(arguments)
    try:
        return int(options.act(options, say))
    except Day2Error as exc:
        say(f"day2ctl: {exc}", sys.stderr)
    except PermissionError as exc:
        say(f"day2ctl: {exc.filename}: {exc.strerror} (this needs root)", sys.stderr)
    except OSError as exc:
        say(f"day2ctl: {exc.filename or 'a file'}: {exc.strerror}", sys.stderr)
    return 1


def _parser(version: str, arguments: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="day2ctl", description="What day2.ops does on this host by itself.")
    parser.add_argument("--version", action="version", version=f"day2ctl {version}")
    areas = parser.add_subparsers(required=True, metavar="AREA")
    asked = [area for area in _AREAS if area in arguments[:1]]
    for area in asked or _AREAS:
        _AREAS[area](areas)
    return parser


def say(words: str, stream: TextIO | None = None) -> int:
    """On the terminal. Whoever wrote a reason or a name has no say in what it does."""
    # A timer's run that has nothing to say loads nothing for it.
    from ansible_collections.day2.ops.plugins.module_utils.checks.masking import printable

    (stream or sys.stdout).write("".join(f"{printable(line)}\n" for line in words.split("\n")))
    return 0
