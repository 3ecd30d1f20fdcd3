# Copyright: day2.ops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one exception family of the collection. Only a module's main() turns it into fail_json."""

from __future__ import annotations


class Day2Error(Exception):
    """Something a person has to act on; the message says what."""

    def __str__(self) -> str:
        # Names of files and roles may have bytes that are no text, which no terminal and no report takes.
        return printable(super().__str__())


def printable(text: str) -> str:
    """Text of names as they are stored, for people: bytes that are not UTF-8 as `\\xf6`."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        # Half a character of JSON's, which is nobody's byte.
        return text.encode("utf-8", "backslashreplace").decode()


class CheckError(Day2Error):
    """A malformed request: which check, which field, and what is wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        if len(problems) == 1:
            super().__init__(problems[0])
        else:
            super().__init__(f"{len(problems)} problems in the checks: " + "; ".join(problems))


class Undetermined(Day2Error):
    """A probe could not answer its question: the result is `unknown`."""

    def __init__(self, message: str, evidence: list[str] | None = None) -> None:
        super().__init__(message)
        self.evidence = evidence or []


class NeedsRoot(Day2Error):
    """A probe lacks a right that root has: the result is `skipped`."""
